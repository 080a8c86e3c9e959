//! The service manager, where there is one (`$NOTIFY_SOCKET`).

use std::time::Duration;

use sd_notify::NotifyState;

/// Tells the service manager something; without one, nothing happens.
pub(super) fn tell(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the service manager could not be told our state"
        );
    }
}

/// How often the watchdog wants to hear from us, if it watches: half its patience.
pub(super) fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / 2)
}
