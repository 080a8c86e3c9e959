use std::io::Write;
use std::sync::{Arc, Mutex};

use super::*;

/// Lines in memory.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn log(format: Format, filter: &str, terminal: bool, write: impl FnOnce()) -> String {
    let captured = Captured::default();
    let writer = captured.clone();
    let settings = Settings { format, filter: filter.to_owned() };
    let subscriber = subscriber(&settings, terminal, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, write);
    captured.text()
}

const HOSTILE: [&str; 9] = [
    "two\nlines",
    "carriage\r\nreturn",
    "\u{1b}[2J\u{1b}[31mred",
    "\u{9b}31mred by C1",
    "line\u{2028}separator\u{2029}",
    "next\u{85}line",
    "right\u{202e}to left",
    "\"}\n{\"level\":\"INFO\",\"message\":\"forged",
    "back\u{8}space and null\0",
];

#[test]
fn s_25_an_event_is_one_line_whatever_its_values_hold() {
    for format in [Format::Human, Format::Json] {
        for hostile in HOSTILE {
            let text = log(format, "trace", false, || {
                let span = tracing::info_span!("execution.step", step = hostile);
                let _inside = span.enter();
                tracing::warn!(reason = hostile, error = %hostile, detail = ?hostile, "{hostile}");
            });
            assert_eq!(text.matches('\n').count(), 1, "{format:?} {hostile:?}: {text}");
            let line = text.strip_suffix('\n').unwrap();
            assert!(
                line.chars().all(|each| !each.is_control() && !('\u{2000}'..'\u{2070}').contains(&each)),
                "{format:?} {hostile:?}: {line:?}"
            );
            if format == Format::Json {
                let read: serde_json::Value = serde_json::from_str(line).expect("a log line is valid JSON");
                assert_eq!(read["level"], "WARN");
                assert_eq!(read["reason"], hostile, "nothing is lost by escaping");
            }
        }
    }
}

#[test]
fn s_25_colours_frame_the_line_and_values_cannot_add_any() {
    let text = log(Format::Human, "info", true, || tracing::error!(reason = "\u{1b}[32mgreen", "failed"));
    assert!(text.starts_with("\u{1b}[31m") && text.ends_with("\u{1b}[0m\n"), "{text:?}");
    assert_eq!(text.matches('\u{1b}').count(), 2, "{text:?}");
    let plain = log(Format::Human, "info", false, || tracing::error!("failed"));
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
}

#[test]
fn an_error_is_logged_with_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("the private database cannot be started")]
    struct Outer(#[source] Inner);
    #[derive(Debug, thiserror::Error)]
    #[error("found no server programs")]
    struct Inner;

    for format in [Format::Human, Format::Json] {
        let text = log(format, "info", false, || {
            tracing::error!(
                error = &Outer(Inner) as &dyn std::error::Error,
                level = "forged",
                "dsrd cannot run"
            );
        });
        assert!(text.contains("the private database") && text.contains("found no server programs"), "{text}");
        assert!(format == Format::Human || text.contains(r#""level":"ERROR""#), "{text}");
    }
}

#[test]
fn auto_means_human_on_a_terminal_and_json_elsewhere() {
    assert!(log(Format::Auto, "info", false, || tracing::info!("started")).starts_with('{'));
    assert!(!log(Format::Auto, "info", true, || tracing::info!("started")).starts_with('{'));
}

#[test]
fn s_41_libraries_never_speak_below_warn() {
    for filter in ["trace", "trace,hyper=trace", "hyper=trace,dsrd=trace"] {
        let text = log(Format::Human, filter, false, || {
            tracing::debug!(target: "hyper::proto", "GET /contacts?email=canary@people.example");
            tracing::trace!(target: "dsrdx", "canary");
            tracing::warn!(target: "hyper::proto", "connection lost");
            tracing::warn!(target: "sqlx::pool::acquire", "canary: acquired slowly");
            tracing::trace!(target: "dsrd::execution", "a step begins");
        });
        assert!(!text.contains("canary"), "{filter}: {text}");
        assert!(text.contains("a step begins"), "{filter}: {text}");
    }
}

#[test]
fn s_41_a_panic_is_logged_without_values() {
    let canary = "canary@people.example".to_owned();
    let text = log(Format::Json, "info", false, || {
        let former = std::panic::take_hook();
        install_panic_hook();
        let formatted = std::panic::catch_unwind(|| panic!("no contact {canary}"));
        let literal = std::panic::catch_unwind(|| panic!("a literal text"));
        std::panic::set_hook(former);
        assert!(formatted.is_err() && literal.is_err());
    });
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains("canary"), "{text}");
    assert!(text.contains("a literal text") && text.contains("telemetry/tests.rs"), "{text}");
}

#[test]
fn a_filter_that_cannot_be_read_is_refused_without_quoting_it() {
    let wrong = Settings { format: Format::Human, filter: "dsrd=canary,,=".to_owned() };
    let error = check(&wrong).unwrap_err().to_string();
    assert!(error.contains("telemetry.filter") && !error.contains("canary"), "{error}");
}

#[test]
fn f_16_an_outage_of_the_database_is_told_once_a_minute() {
    #[derive(Debug, thiserror::Error)]
    #[error("a notice waits")]
    struct Outer(#[source] Away);
    #[derive(Debug, thiserror::Error)]
    #[error("queue.beat: no connection to the database (connection refused)")]
    struct Away;

    let text = log(Format::Human, "info", false, || {
        for _ in 0..50 {
            tracing::warn!(error = %Away, "a heartbeat failed");
            tracing::error!(error = &Outer(Away) as &dyn std::error::Error, "a notice could not be sent");
            tracing::warn!("something else");
        }
    });
    assert_eq!(text.matches("no connection to the database").count(), 1, "{text}");
    assert_eq!(text.lines().count(), 51, "{text}");
    assert_eq!(text.matches("something else").count(), 50);
}
