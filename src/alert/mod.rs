//! Staff of the controllers told in time: alerts that repeat until somebody acknowledges them, and a daily digest (N-19).
//!
//! [`Watch::turn`] looks at every organisation: which open requests are near their due date, past it or past the
//! organisation's own goal, whose notices came back, which effects could not be verified, of which breach the authority must
//! be told, which recipients have not answered, which hold must be reviewed, which platform is away or ignores a filter, whether too many
//! requests are extended or answered late. Each
//! cause becomes one row of `dsrd.alert` a day, in the transaction that puts the mails about it into
//! `dsrd.staff_mail`. [`Watch::send_due`] sends those, as `delivery` sends notices. [`acknowledge`] ends the repetition.
//!
//! Invariants:
//! - A cause is alerted once a day, and a digest exists once a day, over any number of daemons: the database's unique
//!   constraints decide, not a leader.
//! - Rows and mails hold no personal data: requests are named by reference, persons not at all. Addresses of staff stand
//!   in the settings only.
//! - What was acknowledged is not repeated, and a later step of the same request is told anew: ten days' notice does not
//!   silence two days' notice.
//! - Every attempt to send stands in the audit log before it happens and has one end there, also after a crash.
//! - Days are those of the controller's time zone, by the injected clock.
//!
//! Why dates are looked at and no timers are kept: what is due follows from the rows alone, so that a daemon that was
//! away for a day tells at its first turn what it would have told.
//!
//! To add a cause: a word in `domain::alert` (and in the CHECK of `dsrd.alert`), its condition in `rule`, who is told in
//! `settings`, its words in `letter`, its row in `docs/notices.md`.

mod digest;
mod letter;
mod list;
mod rule;
mod send;
mod settings;
mod sql;
mod watch;

pub use list::{Acknowledged, ListedAlert, acknowledge, acknowledge_hold, acknowledge_request, list_alerts};
pub use send::end_abandoned;
pub use settings::Settings;
pub use sql::purge;
pub use watch::{Turn, Ward, Watch};
