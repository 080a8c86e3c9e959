//! Module `platform`.
