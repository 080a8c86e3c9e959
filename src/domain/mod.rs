//! Module `domain`.
