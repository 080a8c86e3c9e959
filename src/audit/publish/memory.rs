//! What became of each step: told once per outage, and remembered where it stops everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::error::Trouble;
use super::{PublishError, Publisher, Sink};
use crate::domain::clock::is_due;

/// How long a sink rests that was tried in vain, where each attempt counts with somebody else: a mail server that also takes the
/// notices to people, a service that is paid for.
const AFTER_REFUSAL: TimeDelta = TimeDelta::minutes(5);

/// What is done with the places outside; each step succeeds and fails by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// They are compared with the database.
    Look,
    /// One of them gets what is new.
    Publish(Sink),
}

/// What is known of places since the start.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The steps of each place that failed the last time: one that can be read and takes nothing is still away.
    away: BTreeMap<String, BTreeSet<Step>>,
    /// What stopped everything, by the place and the step that found it.
    stopped: BTreeMap<(String, Step), PublishError>,
    /// The name of the log of which that was found.
    origin: String,
    /// When sinks were tried in vain, of those that are not tried again at once.
    refused: BTreeMap<Sink, DateTime<Utc>>,
}

impl Publisher {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells once when a place goes away, and when it is back; passes on what concerns the whole log.
    pub(super) fn settle(
        &self,
        step: Step,
        kind: &'static str,
        place: &str,
        ended: &Result<(), Trouble>,
    ) -> Result<(), PublishError> {
        let name = format!("{kind} {place}");
        let mut memory = self.memory();
        match ended {
            Ok(()) => {
                if let Some(steps) = memory.away.get_mut(&name) {
                    steps.remove(&step);
                    if steps.is_empty() {
                        memory.away.remove(&name);
                        tracing::info!(
                            kind,
                            path = place,
                            "heads of the audit log reach the place outside again"
                        );
                    }
                }
            }
            Err(Trouble::Away(why)) => {
                let steps = memory.away.entry(name).or_default();
                if steps.is_empty() {
                    tracing::warn!(
                        kind,
                        path = place,
                        detail = why,
                        "heads of the audit log do not reach a place outside; tried again, it gets what it missed"
                    );
                }
                steps.insert(step);
            }
            Err(Trouble::Busy | Trouble::Stop(_)) => {}
        }
        drop(memory);
        self.keep(step, kind, place, ended)
    }

    /// Remembers what stops everything until the same step of the same place has gone through. That the place is away now, or
    /// that another process is at it, is no answer: what was found stands.
    pub(super) fn keep(
        &self,
        step: Step,
        kind: &'static str,
        place: &str,
        ended: &Result<(), Trouble>,
    ) -> Result<(), PublishError> {
        let of = (format!("{kind} {place}"), step);
        let mut memory = self.memory();
        match ended {
            Ok(()) => {
                memory.stopped.remove(&of);
                Ok(())
            }
            Err(Trouble::Away(_) | Trouble::Busy) => memory.stopped.get(&of).cloned().map_or(Ok(()), Err),
            Err(Trouble::Stop(error)) => {
                // A database that fails says nothing about the log.
                if !matches!(error, PublishError::Store(_)) {
                    memory.stopped.insert(of, error.clone());
                }
                Err(error.clone())
            }
        }
    }

    /// The same, which knows what a former one of this process has found: that is no less so where work begins anew.
    #[must_use]
    pub fn remembering(self, former: &Self) -> Self {
        *self.memory() = std::mem::take(&mut *former.memory());
        self
    }

    /// Forgets what was found of the log under another name: a person has named the fork since.
    pub(super) async fn forget_of_other_name(&self) -> Result<(), PublishError> {
        let origin = self.head().await?.origin;
        let mut memory = self.memory();
        if memory.origin != origin {
            memory.stopped.clear();
            memory.origin = origin;
        }
        Ok(())
    }

    /// Whether a sink was tried in vain lately.
    pub(super) fn rests(&self, sink: Sink) -> bool {
        let now = self.clock.now();
        self.memory().refused.get(&sink).is_some_and(|at| !is_due(*at, AFTER_REFUSAL, now))
    }

    /// Notes how an attempt ended, for [`Publisher::rests`].
    pub(super) fn note_attempt(&self, sink: Sink, ended: &Result<(), Trouble>) {
        let now = self.clock.now();
        let mut memory = self.memory();
        if matches!(ended, Err(Trouble::Away(_))) {
            memory.refused.insert(sink, now);
        } else {
            memory.refused.remove(&sink);
        }
    }

    /// What publishing found to be wrong with the log, if it has not gone through since. Until then nothing may be sealed, and
    /// nothing done that cannot be taken back, whatever a look says: it reads heads, and not what lies below them.
    #[must_use]
    pub fn obstacle(&self) -> Option<PublishError> {
        let memory = self.memory();
        let mut stopped = memory.stopped.iter();
        stopped.find(|((_, step), _)| matches!(step, Step::Publish(_))).map(|(_, error)| error.clone())
    }
}
