//! Module `execution`.
