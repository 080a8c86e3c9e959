//! The port spoken in Cloud4Wi's REST dialect.
