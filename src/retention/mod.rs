//! Module `retention`.
