//! Module `intake`.
