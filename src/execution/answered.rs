//! Step `answer`: what a person recorded who carried a request out, and the notice that tells the data subject.
//!
//! The decision was recorded by [`triage`](crate::triage); here it becomes the notice. Nothing is read back, because the
//! machine does not know what was done: the proof is the person's record.

use super::Step;
use super::engine::Run;
use super::inform;
use super::outcome::Answered;
use super::sql::Marks;
use super::stop::Stop;
use crate::domain::{ParkReason, Personal};
use crate::triage::{self, TriageError};

pub(super) async fn answer(run: &mut Run<'_>) -> Result<(), Stop> {
    let Some(outcome) = run.case.answered else {
        return Err(Stop::NeedsPerson(ParkReason::NotAutomated));
    };
    let words = words(run).await?;
    let mut finished = run.finished(Step::Answer, &Answered { outcome });
    finished.marks = Marks { executed_at: Some(run.executor.desk.clock.now()), ..Marks::default() };
    finished.notice = Some(inform::answered(run, words));
    run.keep(finished);
    Ok(())
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
