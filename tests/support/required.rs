//! What a test needs of the machine, and what becomes of it where that is missing.

/// Says that something was not tried because this machine lacks what it needs; with `DSRD_REQUIRE_ALL=1`, as `.ci/run` sets
/// it, that is a failure.
#[expect(clippy::print_stdout, reason = "whoever runs the tests is told what was not tried")]
pub(crate) fn skipped(reason: &str) {
    let all = std::env::var_os("DSRD_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!all, "everything is required, and this was not tried: {reason}");
    println!("skipped: {reason}");
}
