//! Floods: limits for each source, for each identifier and for all together (S-10).
//!
//! Every message of a person is counted in the transaction that accepts it ([`count`]): by the source that handed it in, by
//! each identifier, and with all others. Beyond a limit nothing is refused and nothing is dropped, and the legal clock runs
//! from the receipt as always; the work on the request begins later, in the first window with room ([`Verdict::wait`]), so that
//! those who are no part of the flood keep their place. A reminder beyond the limit of its identifier is not acknowledged by
//! mail once more: floods are a way of having somebody's mailbox filled by us.
//!
//! Invariants:
//! - An opt-out never waits, and no wait uses up more than half of the time until the due date.
//! - The limit for all together keeps nobody waiting whose identifiers are new that day, until four times as much comes in.
//! - Counters stand in the database: several daemons and commands share them. An identifier is counted by its pseudonym.
//!
//! Why counters in windows and no leaky bucket: the operator is shown the windows as they are, and one upsert for all counters
//! of a message is the whole cost.
//!
//! To add a scope: a word in [`Scope`] and the table's CHECK, its limit in `domain::FloodLimits`, its counter in [`count`].

mod sql;

use std::time::Duration;

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use serde::Serialize;

pub use sql::{count_held_back, list_floods, purge_rates, release_held_back};

use super::submission::Submission;
use crate::domain::{Controller, Handling, Origin, RequestKind, SubjectRef};
use crate::store::{PgConnection, StoreError};

/// By what is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All messages of an organisation.
    Everybody,
    /// One identifier of a person.
    Identifier,
    /// One database role (or command) and channel.
    Source,
}

impl Scope {
    /// The word as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Everybody => "everybody",
            Self::Identifier => "identifier",
            Self::Source => "source",
        }
    }

    const fn window(self) -> TimeDelta {
        match self {
            Self::Identifier => TimeDelta::days(1),
            Self::Everybody | Self::Source => TimeDelta::hours(1),
        }
    }
}

/// A window in which more came in than a limit allows at once.
#[derive(Clone, Debug, Serialize)]
pub struct FloodWindow {
    /// By what was counted.
    pub scope: String,
    /// The source; for an identifier the reference of the first request by it that is still known.
    pub about: Option<String>,
    /// When the window began.
    pub window_start: DateTime<Utc>,
    /// Messages accepted in it.
    pub accepted: i64,
    /// Requests that began, or begin, later because of it.
    pub held_back: i64,
    /// Reminders whose receipt was not acknowledged once more.
    pub unacknowledged: i64,
}

/// What waits now because of a flood.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HeldBack {
    /// Requests that have not begun.
    pub requests: i64,
    /// When the first of them begins.
    pub first_at: Option<DateTime<Utc>>,
    /// When the last of them begins.
    pub last_at: Option<DateTime<Utc>>,
}

/// A counter of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counter {
    scope: Scope,
    key: String,
    window_start: DateTime<Utc>,
    /// With this message.
    accepted: u64,
}

/// What the counters say about a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// When there is room for it, and the counter because of which it waits.
    waits: Option<(DateTime<Utc>, Counter)>,
    /// The counter of an identifier that is over its limit.
    too_often: Option<Counter>,
}

/// Counts a message that is about to be accepted; nothing of what the service hands in itself.
pub(super) async fn count(
    connection: &mut PgConnection,
    controller: &Controller,
    submission: &Submission,
    references: &[SubjectRef],
    now: DateTime<Utc>,
) -> Result<Verdict, StoreError> {
    if submission.origin != Origin::Subject || submission.sweep_target.is_some() {
        return Ok(Verdict::default());
    }
    let counter = |scope: Scope, key: String| Counter {
        scope,
        key,
        window_start: now.duration_trunc(scope.window()).unwrap_or(now),
        accepted: 0,
    };
    let source = format!("{}/{}", submission.producer, submission.channel);
    let mut counters = vec![counter(Scope::Everybody, String::new()), counter(Scope::Source, cut(&source))];
    counters.extend(references.iter().map(|each| counter(Scope::Identifier, hex::encode(each.as_bytes()))));
    // In one order, so that two messages never wait for each other.
    counters.sort_by(|one, other| (one.scope, &one.key).cmp(&(other.scope, &other.key)));
    counters.dedup_by(|one, other| (one.scope, &one.key) == (other.scope, &other.key));
    let arrivals = sql::count(connection, &controller.id, counters).await?;
    Ok(judge(controller, arrivals))
}

fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

/// How much more than the limit for all together must come in until it keeps everybody waiting.
const HARD_FACTOR: u64 = 4;

/// Further ahead nobody has to count: the due date comes before.
const MOST_WINDOWS: i32 = 10_000;

fn judge(controller: &Controller, counted: Vec<Counter>) -> Verdict {
    let limits = &controller.flood;
    let limit = |scope| {
        u64::from(match scope {
            Scope::Everybody => limits.all_per_hour,
            Scope::Identifier => limits.per_identifier_per_day,
            Scope::Source => limits.per_source_per_hour,
        })
    };
    let is_new = counted.iter().all(|each| each.scope != Scope::Identifier || each.accepted == 1);
    let mut verdict = Verdict::default();
    for each in counted {
        let limit = limit(each.scope);
        let spared = each.scope == Scope::Everybody && is_new && each.accepted <= limit * HARD_FACTOR;
        if limit == 0 || each.accepted <= limit || spared {
            continue;
        }
        let windows = i32::try_from((each.accepted - 1) / limit).unwrap_or(MOST_WINDOWS).min(MOST_WINDOWS);
        let room_at = each.window_start + each.scope.window() * windows;
        if each.scope == Scope::Identifier {
            verdict.too_often = Some(each.clone());
        }
        if verdict.waits.as_ref().is_none_or(|(latest, _)| room_at > *latest) {
            verdict.waits = Some((room_at, each));
        }
    }
    verdict
}

impl Verdict {
    /// For how long the work on a request waits; nothing where it begins at once.
    pub(super) fn wait(
        &self,
        kind: RequestKind,
        due_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<(Duration, &Counter)> {
        if kind.handling() == Handling::OptOut {
            return None;
        }
        let (room_at, because) = self.waits.as_ref()?;
        let wait = (*room_at - now).min((due_at - now) / 2).to_std().ok()?;
        (!wait.is_zero()).then_some((wait, because))
    }

    /// The counter because of which a reminder is not acknowledged once more.
    pub(super) const fn too_often(&self) -> Option<&Counter> {
        self.too_often.as_ref()
    }
}

impl Counter {
    pub(super) const fn scope(&self) -> Scope {
        self.scope
    }
}

/// Notes that a request waits because of a counter.
pub(super) async fn note_held_back(
    connection: &mut PgConnection,
    controller: &Controller,
    because: &Counter,
) -> Result<(), StoreError> {
    sql::note(connection, &controller.id, because, 1, 0).await
}

/// Notes that a reminder is not acknowledged because of a counter.
pub(super) async fn note_unacknowledged(
    connection: &mut PgConnection,
    controller: &Controller,
    because: &Counter,
) -> Result<(), StoreError> {
    sql::note(connection, &controller.id, because, 0, 1).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FloodLimits;
    use crate::domain::deadline::RegimeCode;

    fn controller() -> Controller {
        Controller {
            id: "venue".parse().unwrap(),
            name: "Venue".to_owned(),
            contact: "dpo@venue.example".to_owned(),
            time_zone: chrono_tz::Europe::Rome,
            regime: RegimeCode::EU,
            calendar: None,
            further_calendars: Vec::new(),
            reminder_days: 0,
            frequent_from: 4,
            two_persons: Vec::new(),
            default_country: None,
            language: "en".to_owned(),
            opt_out_policies: Vec::new(),
            identity: crate::domain::IdentityRules::default(),
            erasure: crate::domain::ErasureRules::default(),
            flood: FloodLimits { per_source_per_hour: 100, per_identifier_per_day: 5, all_per_hour: 200 },
        }
    }

    fn noon() -> DateTime<Utc> {
        "2026-11-23T12:30:00Z".parse().unwrap()
    }

    fn verdict(all: u64, identifier: u64, source: u64) -> Verdict {
        let counter = |scope: Scope, accepted| Counter {
            scope,
            key: String::new(),
            window_start: noon().duration_trunc(scope.window()).unwrap(),
            accepted,
        };
        let arrivals = vec![
            counter(Scope::Everybody, all),
            counter(Scope::Identifier, identifier),
            counter(Scope::Source, source),
        ];
        judge(&controller(), arrivals)
    }

    fn wait(verdict: &Verdict) -> Option<(i64, Scope)> {
        let due_at = noon() + TimeDelta::days(30);
        let wait = verdict.wait(RequestKind::Erasure, due_at, noon());
        wait.map(|(wait, because)| (i64::try_from(wait.as_secs() / 60).unwrap(), because.scope()))
    }

    #[test]
    fn s_10_beyond_a_limit_work_begins_in_the_next_window_with_room() {
        assert_eq!(wait(&verdict(1, 1, 100)), None);
        assert_eq!(wait(&verdict(1, 1, 101)), Some((30, Scope::Source)));
        assert_eq!(wait(&verdict(1, 1, 200)), Some((30, Scope::Source)));
        assert_eq!(wait(&verdict(1, 1, 201)), Some((90, Scope::Source)));
        assert_eq!(wait(&verdict(1, 6, 1)), Some((690, Scope::Identifier)));
        assert!(verdict(1, 6, 1).too_often().is_some() && verdict(1, 5, 1).too_often().is_none());
        // Whoever is new that day waits for all together only beyond four times as many.
        assert_eq!(wait(&verdict(800, 1, 1)), None);
        assert_eq!(wait(&verdict(201, 2, 1)), Some((30, Scope::Everybody)));
        assert_eq!(wait(&verdict(801, 1, 1)), Some((210, Scope::Everybody)));
    }

    #[test]
    fn s_10_no_wait_uses_up_the_time_to_answer_and_an_opt_out_never_waits() {
        let endless = verdict(1, 1, 1_000_000_000);
        assert_eq!(wait(&endless), Some((15 * 24 * 60, Scope::Source)));
        let due_at = noon() + TimeDelta::days(30);
        for kind in [RequestKind::OptOut, RequestKind::ConsentWithdrawal, RequestKind::CcpaOptOut] {
            assert_eq!(endless.wait(kind, due_at, noon()), None);
        }
        assert_eq!(endless.wait(RequestKind::Access, noon() - TimeDelta::days(1), noon()), None);
    }
}
