//! Module `telemetry`.
