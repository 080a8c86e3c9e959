//! The log forgets: salts and tags with the evidence of their case, names of staff who left, entries past their term. The
//! salts of a sweep's items go in the same way ([`manifest`](super::manifest)).
//!
//! Data enters as a decision of the settings (`upkeep`) or of a person (the command line); what goes is gone, and an entry
//! says so: `log.redact` for what made entries personal, `log.prune` for entries themselves, `log.hold_set` and
//! `log.hold_lifted` for the [`Hold`]s that forbid both.
//!
//! Invariants, kept by the functions of the database (migration `audit_forgets`) whatever this code does:
//! - Nothing is erased without its entry, in one transaction. No role may delete rows of `audit_private` directly.
//! - Entries go by whole closed partitions, and only after an entry `log.prune` that allows it was sealed and a checkpoint
//!   that covers it was kept. Tiles and heads stay, so that every remaining proof and head still verifies.
//! - No entry goes within 24 months after it was sealed, by the clock of the database; no salt of a case within 12 months; no
//!   salt of a sweep's item before the log tells of the end of its case.
//! - While a hold is in force nothing goes at all.
//!
//! Pruning has two steps with the sealer's work between them: [`announce_pruning`], then [`prune_announced`]. A process
//! that dies between them leaves an announcement that the next one carries out, if the term in the settings still allows it.
//!
//! To let one more thing be erased: a function beside `audit.erase_subjects` that calls `audit.refuse_while_held` and
//! writes `log.redact`, and the check of its absence in `verify/erasure.rs`.

mod hold;
mod prune;
mod sql;

pub use hold::{Hold, HoldReason, is_held, last_due_review, lift_hold, list_holds, set_hold};
pub use prune::{
    LOWEST_LOG_MONTHS, Prunable, Pruned, announce_pruning, cut_partition, find_prunable, prune_announced,
};

use chrono::{DateTime, Utc};

use super::event::{Actor, plain};
use super::sql::word_of;
use crate::domain::{OrganisationId, RequestId};
use crate::store::{PgConnection, StoreError};

/// Under which rule something is erased. The words stand in entries: never renamed, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The evidence of the case was past its term.
    EvidenceTerm,
    /// The platform's id of the contact was past its term.
    ContactTerm,
    /// A member of staff left.
    StaffLeft,
    /// The organisation is taken out (Art. 28(3)(g) GDPR).
    OrganisationRemoved,
}

impl Rule {
    /// The word as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EvidenceTerm => "evidence_term",
            Self::ContactTerm => "contact_term",
            Self::StaffLeft => "staff_left",
            Self::OrganisationRemoved => "organisation_removed",
        }
    }
}

/// Who erases, and when.
#[derive(Clone, Debug)]
pub struct Erasing<'a> {
    /// Who causes it.
    pub actor: &'a Actor,
    /// When, UTC.
    pub at: DateTime<Utc>,
    /// The rule.
    pub rule: Rule,
}

/// Erases salts and tags whose earliest instant of erasing lies before `due_before`: of these cases, or of any (at most
/// `most`). Answers with the cases. A hold makes it fail: ask [`is_held`] before.
pub async fn erase_subjects(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    cases: Option<&[RequestId]>,
    (due_before, most): (DateTime<Utc>, i32),
    erasing: &Erasing<'_>,
) -> Result<Vec<RequestId>, StoreError> {
    let actor = word_of(connection, erasing.actor).await?;
    sql::erase_subjects(connection, organisation, cases, (due_before, most), &actor, erasing).await
}

/// Erases the name of a member of staff, and those under which the same login worked under other accounts (`anna.as.dsrd`
/// beside `anna`); their entries keep a random word each that means nobody. Answers with the names that the log knew. A hold
/// makes it fail: ask [`is_held`] before.
pub async fn forget_person(
    connection: &mut PgConnection,
    login: &str,
    erasing: &Erasing<'_>,
) -> Result<Vec<String>, StoreError> {
    // Whoever erases their own name stands in the entries by the word that it had until then.
    let actor = word_of(connection, erasing.actor).await?;
    let login = plain(login);
    // Whoever is named as entries show it is the one who logged in, too.
    let login = login.split_once(".as.").map_or(login.as_str(), |(login, _)| login);
    let forgotten = sql::names_of(connection, login).await?;
    for name in &forgotten {
        sql::forget_person(connection, name, &actor, erasing).await?;
    }
    Ok(forgotten)
}
