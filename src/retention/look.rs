//! What a sweep finds and cannot mend: old records of contacts that are kept, and data that no rule names.
//!
//! The platform deletes contacts only, as a whole. Records that are past a term of their own while their contact is kept
//! can therefore only be reported. They are looked for in some contacts drawn at random, as many as the rule allows calls
//! for; the finding says among how many. Off unless a term is set.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::Rule;
use super::period::cutoff_after;
use super::survey::Survey;
use crate::domain::ContactId;
use crate::platform::{ContactPlatform, PlatformError, Seen, Source, Span, Urgency, date_of, seen_since};

/// What kind of thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Records of contacts that are kept are past the term of their category, and the platform cannot delete them.
    OldRecords,
    /// The platform shows data that no rule names.
    UnclassifiedData,
}

impl FindingKind {
    /// The word as stored, shown and audited. Never renamed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OldRecords => "old_records",
            Self::UnclassifiedData => "unclassified_data",
        }
    }
}

/// Something that a sweep found and cannot mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of thing it is.
    pub finding: FindingKind,
    /// Of which category of records, or which field of the profile.
    pub category: String,
    /// Among how many contacts it was looked for.
    pub looked_at: i64,
    /// In how many of them it was found.
    pub contacts: i64,
    /// How many records those have that are past their term; none for fields.
    pub records: i64,
    /// Of how many contacts nobody can tell, because a list cannot be read or a record shows no date.
    pub unreadable: i64,
}

impl Finding {
    /// It in words, for people.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { category, looked_at, contacts, records, unreadable, .. } = self;
        match self.finding {
            FindingKind::OldRecords => {
                let unread =
                    if *unreadable > 0 { format!("; {unreadable} unreadable") } else { String::new() };
                format!(
                    "{category} past their term: {contacts} of {looked_at} contacts looked at, {records} records{unread}"
                )
            }
            FindingKind::UnclassifiedData => {
                format!("unclassified data: {category}, in {contacts} of {looked_at} contacts")
            }
        }
    }
}

/// A contact drawn for a look at its records.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    pub(super) contact: ContactId,
    /// For a period from the last activity: old enough, and perhaps past its time.
    pub(super) may_be_past: bool,
}

/// How long ago the records of a category may lie.
#[derive(Clone, Copy, Debug)]
struct Term {
    source: Source,
    before: DateTime<Utc>,
}

/// Everything that a complete listing, and a look at those drawn from it, shows.
pub(super) async fn findings(
    platform: &dyn ContactPlatform,
    rule: &Rule,
    survey: &Survey,
    now: DateTime<Utc>,
    zone: Tz,
) -> Result<Vec<Finding>, PlatformError> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut found: Vec<Finding> = survey
        .unclassified
        .iter()
        .map(|(name, contacts)| Finding {
            finding: FindingKind::UnclassifiedData,
            category: name.clone(),
            looked_at: signed(survey.contacts),
            contacts: signed(*contacts),
            records: 0,
            unreadable: 0,
        })
        .collect();
    let terms = rule.record_terms.iter().map(|(source, months)| Term {
        source: *source,
        before: cutoff_after(now, *months, rule.safety_margin_hours, zone),
    });
    let terms: Vec<Term> = terms.collect();
    let mut old: Vec<Finding> = terms
        .iter()
        .map(|term| Finding {
            finding: FindingKind::OldRecords,
            category: term.source.as_str().to_owned(),
            looked_at: 0,
            contacts: 0,
            records: 0,
            unreadable: 0,
        })
        .collect();
    let span = Span { since: survey.created_before, now };
    for drawn in &survey.drawn {
        if drawn.may_be_past
            && let Some(activity) = &rule.activity
            && matches!(
                seen_since(platform, &drawn.contact, activity, span, Urgency::Sweep).await?,
                Seen::Before | Seen::Gone
            )
        {
            // It goes as a whole.
            continue;
        }
        for (term, finding) in terms.iter().zip(&mut old) {
            look_at(platform, &drawn.contact, *term, finding).await?;
        }
    }
    found.append(&mut old);
    Ok(found)
}

/// Counts the records of one contact that are past the term of their category.
async fn look_at(
    platform: &dyn ContactPlatform,
    contact: &ContactId,
    term: Term,
    finding: &mut Finding,
) -> Result<(), PlatformError> {
    let (mut old, mut unclear) = (0, false);
    match platform.records(contact, term.source, Urgency::Sweep).await {
        Ok(None) => return Ok(()),
        Ok(Some(mut records)) => loop {
            match records.try_next().await {
                Ok(None) => break,
                Ok(Some(batch)) => {
                    unclear |= batch.unreadable > 0;
                    for record in &batch.records {
                        match date_of(record).latest() {
                            Some(latest) => old += i64::from(latest < term.before),
                            None => unclear = true,
                        }
                    }
                }
                Err(error) if error.concerns_one() => {
                    unclear = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        },
        Err(error) if error.concerns_one() => unclear = true,
        Err(error) => return Err(error),
    }
    finding.looked_at += 1;
    finding.records += old;
    finding.contacts += i64::from(old > 0);
    finding.unreadable += i64::from(unclear);
    Ok(())
}
