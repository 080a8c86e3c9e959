//! Module `upkeep`.
