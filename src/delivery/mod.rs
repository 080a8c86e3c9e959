//! Module `delivery`.
