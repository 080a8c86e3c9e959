//! Module `queue`.
