//! Placing, reviewing and lifting.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::sql;
use super::{EndRule, Hold, HoldError, HoldId, Settings};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{
    Controller, HoldCategory, HoldKind, LiftReason, OrganisationId, RequestId, Statute, SubjectRef,
};
use crate::store::{StoreError, Tx};

/// The longest time until a review.
const LONGEST_UNTIL_REVIEW: TimeDelta = TimeDelta::days(366);
/// How the settings are named as the one who placed a hold.
const SETTINGS: Actor = Actor::Process("settings");
/// The reason of a hold that the settings do not name any more.
const SWITCHED_OFF: &str = "switched_off";

/// Whom a hold is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The person with these pseudonyms.
    Person(Vec<SubjectRef>),
    /// Every contact created in a span; without bounds everybody.
    Contacts {
        /// At or after.
        created_from: Option<DateTime<Utc>>,
        /// Before.
        created_before: Option<DateTime<Utc>>,
    },
}

/// A hold to be placed. It stands in the ledger as JSON: fields are only added, with a default, and never renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewHold {
    /// What kind of order it is.
    pub kind: HoldKind,
    /// What it keeps.
    pub category: HoldCategory,
    /// The ground of the law; the usual one of the kind when none is given.
    pub ground: Option<String>,
    /// The law of the library that it follows.
    pub statute: Option<Statute>,
    /// The number of the matter.
    pub matter: Option<String>,
    /// Who answers for it.
    pub owner: String,
    /// Whom it is about.
    pub about: About,
    /// Which of those pseudonyms are of the platform's contact ids: without one the hold does not follow a profile whose address or
    /// number changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<SubjectRef>,
    /// When it ends.
    pub ends: EndRule,
    /// By when it must be reviewed; without one the hold is refused.
    pub review_on: Option<NaiveDate>,
    /// The request by which the person was named: the one that a restriction answers, and whose person is told before it
    /// ends.
    pub request: Option<RequestId>,
}

impl NewHold {
    /// As it stands in the ledger.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What stands in the ledger; none where it cannot be read.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// A hold that was placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// Its id.
    #[serde(skip)]
    pub id: HoldId,
    /// What people quote.
    pub reference: String,
    /// Erasures of the same person whose deletion had been announced to the platform before, and may have happened: for them it
    /// came too late. For a hold about all contacts of a span or about everybody, all such erasures.
    pub too_late_for: Vec<String>,
}

/// Places a hold in the caller's transaction.
pub async fn place(
    tx: &mut Tx,
    controller: &Controller,
    new: NewHold,
    actor: Actor,
    now: DateTime<Utc>,
) -> Result<Placed, HoldError> {
    place_as(tx, controller, (HoldId(Uuid::now_v7()), new), actor, now).await
}

/// So long has somebody to look at a hold that was placed again, where its review would have been before.
const REVIEW_AFTER_LOSS: TimeDelta = TimeDelta::days(30);

/// Places a hold again that a restore had lost, under the reference that people know, in the caller's transaction.
pub async fn place_again(
    tx: &mut Tx,
    controller: &Controller,
    (id, mut lost): (HoldId, NewHold),
    actor: Actor,
    now: DateTime<Utc>,
) -> Result<Placed, HoldError> {
    let today = controller.local_date(now);
    lost.review_on = lost.review_on.filter(|day| *day > today).or(Some(today + REVIEW_AFTER_LOSS));
    place_as(tx, controller, (id, lost), actor, now).await
}

async fn place_as(
    tx: &mut Tx,
    controller: &Controller,
    (id, new): (HoldId, NewHold),
    actor: Actor,
    now: DateTime<Utc>,
) -> Result<Placed, HoldError> {
    let organisation = &controller.id;
    let today = now.with_timezone(&controller.time_zone).date_naive();
    let (ground, review_on) = check(&new, today)?;
    sql::lock_for_placing(tx, organisation).await?;
    if let (HoldKind::Restriction, Some(request)) = (new.kind, new.request)
        && sql::restriction_of(tx, organisation, request).await?.is_some()
    {
        return Err(HoldError::RestrictedAlready);
    }
    insert(tx, organisation, id, &new, &ground, review_on, (&actor, now)).await?;
    let references = match &new.about {
        About::Person(references) => Some(references.as_slice()),
        // Whether it is about their contacts, the platform alone knows: all are told.
        About::Contacts { .. } => None,
    };
    let too_late_for = sql::begun_deletions(tx, organisation, references).await?;
    Ok(Placed { id, reference: id.reference(), too_late_for })
}

fn check(new: &NewHold, today: NaiveDate) -> Result<(String, NaiveDate), HoldError> {
    let review_on = new.review_on.ok_or(HoldError::NoReview)?;
    if review_on <= today || review_on - today > LONGEST_UNTIL_REVIEW {
        return Err(HoldError::ReviewOutOfRange);
    }
    let grounds = new.kind.grounds();
    let ground =
        new.ground.clone().unwrap_or_else(|| grounds.first().copied().unwrap_or_default().to_owned());
    if !grounds.contains(&ground.as_str()) {
        return Err(HoldError::GroundDoesNotFit { kind: new.kind, ground, known: grounds.join(", ") });
    }
    if new.statute.is_some() && new.kind != HoldKind::Statutory {
        return Err(HoldError::StatuteOfOtherKind);
    }
    match new.ends {
        EndRule::On(last) if last < today => return Err(HoldError::EndInPast),
        EndRule::MonthsAfterLast(_) if !new.category.has_records() => {
            return Err(HoldError::NoRecords(new.category));
        }
        EndRule::MonthsAfterLast(months) if !(1..=240).contains(&months) => return Err(HoldError::Months),
        EndRule::WhenLifted if new.kind == HoldKind::Statutory => return Err(HoldError::StatuteWithoutEnd),
        EndRule::On(_) | EndRule::MonthsAfterLast(_) if new.kind == HoldKind::Restriction => {
            return Err(HoldError::RestrictionEndsByItself);
        }
        _ => {}
    }
    let plain = |text: &str, most: usize, others: &str| {
        (1..=most).contains(&text.len())
            && text.chars().all(|each| each.is_ascii_alphanumeric() || others.contains(each))
    };
    if !plain(&new.owner, 63, "_.@-") {
        return Err(HoldError::Owner);
    }
    if new.matter.as_deref().is_some_and(|matter| !plain(matter, 60, "_./:+-")) {
        return Err(HoldError::Matter);
    }
    match &new.about {
        About::Person(references) if references.is_empty() => Err(HoldError::AboutNobody),
        About::Contacts { created_from: Some(from), created_before: Some(before) } if from >= before => {
            Err(HoldError::EmptySpan)
        }
        _ => Ok((ground, review_on)),
    }
}

async fn insert(
    tx: &mut Tx,
    organisation: &OrganisationId,
    id: HoldId,
    new: &NewHold,
    ground: &str,
    review_on: NaiveDate,
    (actor, now): (&Actor, DateTime<Utc>),
) -> Result<(), StoreError> {
    sql::insert(tx, organisation, id, new, ground, review_on, (&actor.to_string(), now)).await?;
    let mut detail = Detail::none()
        .word("hold", &id.reference())
        .word("kind", new.kind.as_str())
        .word("category", new.category.as_str())
        .word("ground", ground)
        .word("review_on", &review_on.to_string())
        .flag("about_a_person", matches!(new.about, About::Person(_)));
    if let Some(statute) = new.statute {
        detail = detail.word("statute", statute.as_str());
    }
    detail = match new.ends {
        EndRule::On(last) => detail.word("ends_on", &last.to_string()),
        EndRule::MonthsAfterLast(months) => detail.count("months_after_last", months.into()),
        EndRule::WhenLifted => detail.word("ends_on", "when lifted"),
    };
    let event = Event::general(organisation, Action::HoldPlaced, actor.clone(), now);
    audit::append(tx, event.with(detail)).await?;
    Ok(())
}

/// Moves the review of a hold on: somebody looked, and it is still needed.
pub async fn review(
    tx: &mut Tx,
    controller: &Controller,
    reference: &str,
    next: NaiveDate,
    actor: Actor,
    now: DateTime<Utc>,
) -> Result<(), HoldError> {
    let hold = get_open(tx, &controller.id, reference).await?;
    let today = now.with_timezone(&controller.time_zone).date_naive();
    if next <= today || next - today > LONGEST_UNTIL_REVIEW {
        return Err(HoldError::ReviewOutOfRange);
    }
    if is_from_settings(&hold) {
        return Err(HoldError::FromSettings);
    }
    sql::set_review(tx, &controller.id, hold.id, next).await?;
    let detail = Detail::none().word("hold", &hold.reference).word("review_on", &next.to_string());
    let event = Event::general(&controller.id, Action::HoldReviewed, actor, now);
    audit::append(tx, event.with(detail)).await?;
    Ok(())
}

/// Ends a hold. What waited for it follows by itself, if nothing else stands against it. A restriction ends on the day that
/// the person was told, and not before they were (Art. 18(3) GDPR): the database looks at the notice, too.
pub async fn lift(
    tx: &mut Tx,
    controller: &Controller,
    reference: &str,
    reason: LiftReason,
    actor: Actor,
    now: DateTime<Utc>,
) -> Result<Lifted, HoldError> {
    let organisation = &controller.id;
    let hold = get_open(tx, organisation, reference).await?;
    if is_from_settings(&hold) {
        return Err(HoldError::FromSettings);
    }
    if (hold.kind == HoldKind::Restriction) != (reason == LiftReason::RestrictionEnded)
        && reason != LiftReason::Mistake
    {
        return Err(HoldError::RestrictionReason);
    }
    let end = sql::restriction_end(tx, organisation, hold.id).await?;
    let must_be_told = reason == LiftReason::RestrictionEnded || end.lift_on.is_some();
    if hold.kind == HoldKind::Restriction && must_be_told {
        if !end.told {
            return Err(HoldError::NotTold);
        }
        if let Some(day) = end.lift_on.filter(|day| *day > controller.local_date(now)) {
            return Err(HoldError::BeforeItsDay(day));
        }
    }
    self::end(tx, organisation, &hold, Action::HoldLifted, reason.as_str(), (actor, now)).await?;
    Ok(Lifted { id: hold.id, kind: hold.kind, request: end.request })
}

/// What was lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifted {
    /// Its id.
    pub id: HoldId,
    /// What kind of hold it was.
    pub kind: HoldKind,
    /// The request by which the person was named.
    pub request: Option<RequestId>,
}

/// An open restriction whose person can be told that it ends on a day: the hold, and the request whose person that is.
/// Locked for the transaction.
pub async fn restriction_to_end(
    tx: &mut Tx,
    controller: &Controller,
    reference: &str,
    on: NaiveDate,
    now: DateTime<Utc>,
) -> Result<(Hold, Option<RequestId>), HoldError> {
    let hold = get_open(tx, &controller.id, reference).await?;
    if hold.kind != HoldKind::Restriction {
        return Err(HoldError::NoRestriction);
    }
    let today = controller.local_date(now);
    if on <= today || on - today > LONGEST_UNTIL_REVIEW {
        return Err(HoldError::EndTooSoon);
    }
    let request = sql::restriction_end(tx, &controller.id, hold.id).await?.request;
    Ok((hold, request))
}

/// Records on which day a restriction ends and that the person is told so: by a notice, or by other means, which the person
/// who records it answers for.
pub async fn announce_end(
    tx: &mut Tx,
    organisation: &OrganisationId,
    hold: &Hold,
    on: NaiveDate,
    notice: Option<Uuid>,
    (actor, now): (Actor, DateTime<Utc>),
) -> Result<(), StoreError> {
    sql::set_end_announced(tx, organisation, hold.id, on, notice, now).await?;
    let detail = Detail::none()
        .word("hold", &hold.reference)
        .word("ends_on", &on.to_string())
        .flag("told_by_other_means", notice.is_none());
    audit::append(tx, Event::general(organisation, Action::HoldEndAnnounced, actor, now).with(detail))
        .await?;
    Ok(())
}

async fn get_open(tx: &mut Tx, organisation: &OrganisationId, reference: &str) -> Result<Hold, HoldError> {
    let hold = sql::lock_by_reference(tx, organisation, reference).await?.ok_or(HoldError::NotFound)?;
    if hold.ended.is_some() { Err(HoldError::Ended) } else { Ok(hold) }
}

fn is_from_settings(hold: &Hold) -> bool {
    hold.placed_by == SETTINGS.to_string()
}

/// Records the end of a hold, in the caller's transaction.
pub(super) async fn end(
    tx: &mut Tx,
    organisation: &OrganisationId,
    hold: &Hold,
    action: Action,
    reason: &str,
    (actor, now): (Actor, DateTime<Utc>),
) -> Result<(), StoreError> {
    sql::set_ended(tx, organisation, hold.id, reason, (&actor.to_string(), now)).await?;
    let waiting = sql::postponed_by(tx, organisation, hold.id).await?.len() as u64;
    let detail = Detail::none()
        .word("hold", &hold.reference)
        .word("kind", hold.kind.as_str())
        .word("category", hold.category.as_str())
        .word("reason", reason)
        .count("erasures_waiting", waiting);
    audit::append(tx, Event::general(organisation, action, actor, now).with(detail)).await?;
    Ok(())
}

/// Makes the statutory holds those that the settings name: places what is missing, ends what is not named any more.
pub async fn settle_statutes(
    tx: &mut Tx,
    organisation: &OrganisationId,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let by_settings = sql::list_placed_by(tx, organisation, &SETTINGS.to_string()).await?;
    if settings.statutes.is_empty() && by_settings.is_empty() {
        return Ok(());
    }
    // Two daemons may start at the same moment.
    sql::lock_for_placing(tx, organisation).await?;
    let standing = sql::list_placed_by(tx, organisation, &SETTINGS.to_string()).await?;
    for hold in &standing {
        if !hold.statute.is_some_and(|statute| settings.statutes.contains(&statute)) {
            end(tx, organisation, hold, Action::HoldLifted, SWITCHED_OFF, (SETTINGS, now)).await?;
        }
    }
    let (Some(owner), Some(review_on)) = (&settings.statutes_owner, settings.statutes_review_on) else {
        return Ok(());
    };
    for statute in &settings.statutes {
        match standing.iter().find(|hold| hold.statute == Some(*statute)) {
            Some(hold) if hold.review_on == review_on => {}
            Some(hold) => {
                sql::set_review(tx, organisation, hold.id, review_on).await?;
                let detail =
                    Detail::none().word("hold", &hold.reference).word("review_on", &review_on.to_string());
                let event = Event::general(organisation, Action::HoldReviewed, SETTINGS, now);
                audit::append(tx, event.with(detail)).await?;
            }
            None => {
                let new = NewHold {
                    kind: HoldKind::Statutory,
                    category: statute.category(),
                    ground: None,
                    statute: Some(*statute),
                    request: None,
                    matter: None,
                    owner: owner.clone(),
                    about: About::Contacts { created_from: None, created_before: None },
                    contacts: Vec::new(),
                    ends: EndRule::MonthsAfterLast(statute.months()),
                    review_on: Some(review_on),
                };
                let id = HoldId(Uuid::now_v7());
                insert(tx, organisation, id, &new, "RF-08", review_on, (&SETTINGS, now)).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> NewHold {
        NewHold {
            kind: HoldKind::Claim,
            category: HoldCategory::Everything,
            ground: None,
            statute: None,
            matter: Some("2026-O-17".to_owned()),
            owner: "legal@prova.example".to_owned(),
            about: About::Contacts { created_from: None, created_before: None },
            contacts: Vec::new(),
            ends: EndRule::WhenLifted,
            review_on: NaiveDate::from_ymd_opt(2027, 3, 1),
            request: None,
        }
    }

    fn refusal(change: impl FnOnce(&mut NewHold)) -> String {
        let mut new = claim();
        change(&mut new);
        let today = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        check(&new, today).map(|(ground, _)| ground).unwrap_err().to_string()
    }

    #[test]
    fn r_65_a_hold_without_a_date_of_review_is_refused() {
        assert!(refusal(|new| new.review_on = None).contains("needs a date of review"));
        for wrong in ["2026-11-23", "2020-01-01", "2027-11-25"] {
            let text = refusal(|new| new.review_on = Some(wrong.parse().unwrap()));
            assert!(text.contains("366 days"), "{wrong}: {text}");
        }
        let today = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        assert_eq!(check(&claim(), today).unwrap().0, "RF-10");
    }

    #[test]
    fn r_39_what_does_not_fit_together_is_refused_with_its_reason() {
        let text = refusal(|new| new.ground = Some("RF-08".to_owned()));
        assert_eq!(text, "a claim hold cannot rest on RF-08; it can on RF-10");
        assert!(refusal(|new| new.kind = HoldKind::Statutory).contains("needs an end"));
        assert!(
            refusal(|new| new.ends = EndRule::MonthsAfterLast(12)).contains("everything has no last record")
        );
        assert!(
            refusal(|new| new.ends = EndRule::On("2026-11-22".parse().unwrap())).contains("ended already")
        );
        assert!(refusal(|new| new.statute = Some(Statute::FrenchConnectionLogs)).contains("statutory hold"));
        assert!(refusal(|new| new.owner = "Ada Lovelace".to_owned()).contains("the owner must be"));
        assert!(refusal(|new| new.matter = Some("Rossi / Prova".to_owned())).contains("never a name"));
        assert!(refusal(|new| new.about = About::Person(Vec::new())).contains("about nobody"));
        let at: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        let empty = About::Contacts { created_from: Some(at), created_before: Some(at) };
        assert!(refusal(|new| new.about = empty).contains("span"));
    }
}
