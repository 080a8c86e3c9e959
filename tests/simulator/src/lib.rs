//! The Cloud4Wi contact API, simulated.
