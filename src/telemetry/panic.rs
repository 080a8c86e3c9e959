//! Panics, told without their values.

use std::panic::PanicHookInfo;

/// Replaces the standard hook, which prints the payload whatever it holds, by one that logs the place and, where the
/// payload is a literal of the program, its text.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(log_panic));
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    let reason =
        info.payload().downcast_ref::<&'static str>().copied().unwrap_or("not shown, it may name a person");
    let thread = std::thread::current();
    tracing::error!(
        place,
        reason,
        thread = thread.name().unwrap_or("unnamed"),
        "a panic: this is a fault of the program, please report it"
    );
}
