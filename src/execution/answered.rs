//! Step `answer`: what a person recorded who carried a request out, and the notice that tells the data subject.
//!
//! The decision was recorded by [`triage`](crate::triage); here it becomes the notice. Nothing is read back, because the
//! machine does not know what was done: the proof is the person's record. Those who received the data are told of a
//! correction and of a restriction (Art. 19 GDPR) in the same transaction; which contact is meant is looked up for that.

use chrono::NaiveDate;

use super::engine::Run;
use super::inform;
use super::outcome::Answered;
use super::sql::Marks;
use super::stop::Stop;
use super::{Site, Step};
use crate::delivery::NoticeKind;
use crate::domain::{
    AnsweredOutcome, ContactId, Origin, ParkReason, Personal, RequestKind, SubjectIdentifier,
};
use crate::platform::{Created, PlatformError};
use crate::recipients::{Affected, TaskAction};
use crate::report::Section;
use crate::triage::{self, MatchError, TriageError};

pub(super) async fn answer(run: &mut Run<'_>) -> Result<(), Stop> {
    let Some(outcome) = run.case.answered else {
        return Err(Stop::NeedsPerson(ParkReason::NotAutomated));
    };
    let words = words(run).await?;
    let (notice, action) = told(run.case.kind, outcome);
    let affected = match action {
        Some(action) => affected(run, action).await?,
        None => None,
    };
    let names = affected.as_ref().map(|affected| inform::names_of(run, affected)).unwrap_or_default();
    let mut finished = run.finished(Step::Answer, &Answered { outcome, notice });
    finished.marks = Marks { executed_at: Some(run.executor.desk.clock.now()), ..Marks::default() };
    finished.notice = Some(inform::answered(run, notice, words, names));
    finished.to_tell = affected;
    run.keep(finished);
    Ok(())
}

/// By which notice the person is told, and what recipients are asked to do.
const fn told(kind: RequestKind, outcome: AnsweredOutcome) -> (NoticeKind, Option<TaskAction>) {
    match (kind, outcome) {
        // Nothing was there that could be corrected or restricted.
        (_, AnsweredOutcome::FulfilledNoData) => (NoticeKind::Answered, None),
        (RequestKind::Rectification, _) => (NoticeKind::RectificationDone, Some(TaskAction::Rectify)),
        (RequestKind::Restriction, _) => (NoticeKind::RestrictionSet, Some(TaskAction::Restrict)),
        _ => (NoticeKind::Answered, None),
    }
}

/// What recipients have to be told; nothing where there are none. Which of its data was corrected, the machine does not know:
/// whoever held any of it is told, rather than one forgotten.
async fn affected(run: &Run<'_>, action: TaskAction) -> Result<Option<Affected>, Stop> {
    if run.site.recipients.is_empty() {
        return Ok(None);
    }
    let identifiers: Vec<_> = run.identifiers.iter().map(|each| &each.identifier).collect();
    let found = find_one(run.site, &identifiers).await;
    let (contact, created_on) = found.map_err(|error| run.platform_failed(&error))?;
    Ok(Some(concerned(action, contact, created_on, run.case.origin)))
}

/// What recipients are told of, whatever of the data they hold.
pub(super) fn concerned(
    action: TaskAction,
    contact: Option<ContactId>,
    since: Option<NaiveDate>,
    origin: Origin,
) -> Affected {
    let sections = Section::ALL.into_iter().filter(|section| *section != Section::Requests).collect();
    Affected { action, contact, sections, since, origin }
}

/// The one contact that the identifiers of a request mean, with the day of its creation. None where several are meant, or
/// nobody: then a person tells the recipients, who knows whose data it is.
pub(super) async fn find_one(
    site: &Site,
    identifiers: &[&SubjectIdentifier],
) -> Result<(Option<ContactId>, Option<NaiveDate>), PlatformError> {
    let zone = site.controller.time_zone;
    let day = |created: Created| match created {
        Created::At(at) => Some(at.with_timezone(&zone).date_naive()),
        Created::About(_) | Created::Unknown => None,
    };
    match triage::find_matches(site.platform.as_ref(), identifiers).await {
        Ok(mut matches) => match (matches.contacts.pop_first(), matches.contacts.is_empty()) {
            (Some((id, found)), true) => Ok((Some(id), day(found.contact.created))),
            _ => Ok((None, None)),
        },
        Err(MatchError::Platform(error)) => Err(error),
        Err(MatchError::NotHonoured | MatchError::Unreadable) => Ok((None, None)),
    }
}

/// What the person wrote for the data subject.
async fn words(run: &Run<'_>) -> Result<Option<Personal<String>>, Stop> {
    let mut connection = run.executor.store.connection().await?;
    let keys = &run.executor.desk.keys;
    triage::answer_words(&mut connection, keys, &run.lease.organisation, run.lease.request).await.map_err(
        |error| match error {
            TriageError::Store(error) => Stop::Store(error),
            error => {
                tracing::error!(request = %run.lease.request, %error, "the words of an answer cannot be read");
                Stop::NeedsPerson(ParkReason::NoticeFailed)
            }
        },
    )
}
