//! The audit log and the ledger: sealed, accounted for, compared.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::audit::{self, SealError, Sealer, Writer, WriterTurn};
use crate::config::Settings;
use crate::daemon::{clocks, halves, load_log_keys};
use crate::domain::{Clock, OrganisationId};
use crate::execution::{self, Executor, Place, Site};
use crate::intake;
use crate::queue::Rounds;
use crate::store::Store;
use crate::suppression::ledger::{self, CompareError, Ledger};

use super::{AFTER_FAILURE, pause};

/// Looks whether the audit entries that this process writes are sealed, and accounts for them. Where the log went back, `go_back` is
/// told, once.
pub(in crate::daemon) async fn keep_account(
    writer: Arc<Writer>,
    store: Store,
    clock: Arc<dyn Clock>,
    every: Duration,
    go_back: impl Fn(),
    stop: CancellationToken,
) {
    const LOOK_EVERY: Duration = Duration::from_secs(1);
    let mut accounted_at: Option<tokio::time::Instant> = None;
    let mut raised_at = 0;
    let mut is_told = false;
    while !stop.is_cancelled() {
        let is_due = accounted_at.is_none_or(|at| at.elapsed() >= every);
        match writer.turn(&store, &*clock, is_due).await {
            Ok(turn) => {
                tell_of(&writer, &turn);
                if turn.is_set_back && !std::mem::replace(&mut is_told, true) {
                    tracing::error!(
                        writer = writer.name(),
                        remedy = "dsrd check",
                        "the audit log went back while this process ran: an older copy of the database was restored, and nothing \
                         that was written before is accounted for any more"
                    );
                    go_back();
                }
                if is_due {
                    accounted_at = Some(tokio::time::Instant::now());
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the audit entries of this process could not be looked after");
            }
        }
        let drawn = writer.drawn();
        if drawn != raised_at {
            match halves::raise(&store).await {
                Ok(()) => raised_at = drawn,
                Err(error) => {
                    tracing::warn!(%error, "it could not be noted how far log and working tables have come together");
                }
            }
        }
        pause(&stop, LOOK_EVERY).await;
    }
}

fn tell_of(writer: &Writer, turn: &WriterTurn) {
    let writer = writer.name();
    if !turn.late.is_empty() {
        let count = turn.late.len();
        tracing::error!(
            writer,
            count,
            "audit entries were not sealed in time; does a worker run, and does it seal?"
        );
    }
    if !turn.lost.is_empty() {
        tracing::error!(
            writer,
            count = turn.lost.len(),
            remedy = "dsrd audit verify",
            "audit entries that were committed are not in the log, or others stand there: somebody changed the inbox"
        );
    }
    for writer in &turn.ended {
        tracing::warn!(writer, "a process that wrote audit entries ended without closing its account");
    }
}

/// Compares the ledger outside with the database before the first request is taken: what a restore has lost must not be
/// done a second time by itself, and what it lost of holds stands again. Old months go before: the daemon of another host may have
/// deleted their rows while this one stood still.
pub(in crate::daemon) async fn compare_ledger(executor: &Executor, keep_days: u32, stop: &CancellationToken) {
    purge_ledger_once(&executor.ledger, &executor.store, &*executor.desk.clock, keep_days).await;
    for (organisation, site) in &executor.sites {
        while !stop.is_cancelled() {
            if !place_lost_holds_once(executor, site).await {
                pause(stop, AFTER_FAILURE).await;
                continue;
            }
            match executor.ledger.compare(&executor.store, organisation).await {
                Ok(0) => break,
                Ok(lost) => {
                    tracing::warn!(
                        %organisation,
                        count = lost,
                        remedy = "dsrd ledger replay",
                        "the database was restored: the ledger knows of things done that the database has lost; none is repeated by itself"
                    );
                    break;
                }
                Err(error) => {
                    tracing::error!(
                        %organisation,
                        error = &error as &dyn std::error::Error,
                        "the ledger cannot be compared with the database; no request is taken until it can"
                    );
                    pause(stop, AFTER_FAILURE).await;
                }
            }
        }
    }
}

/// Places the holds again that the database has lost; false where that is to be tried again.
pub async fn place_lost_holds_once(executor: &Executor, site: &Site) -> bool {
    let organisation = &site.controller.id;
    // By a wrong clock a lost hold seems to be over, or its review out of range, and would be left out for good.
    let lost =
        async { executor.ledger.list_lost(&mut *executor.store.connection().await?, organisation).await };
    let is_hold_lost =
        lost.await.is_ok_and(|outside| outside.entries.iter().any(|each| each.kind.is_of_hold()));
    if executor.checks_clock
        && is_hold_lost
        && !clocks::agree(&executor.store, &*executor.desk.clock, "holds that a restore lost").await
    {
        return false;
    }
    let place = Place {
        store: &executor.store,
        desk: &executor.desk,
        site,
        ledger: &executor.ledger,
        second_look: executor.settings.second_look(),
    };
    match execution::place_lost_holds(place).await {
        Ok(placed) => {
            for hold in placed {
                tracing::warn!(%organisation, hold, "the database was restored and had lost a hold: it was placed again; look whether it is still needed");
            }
            true
        }
        Err(error) => {
            tracing::error!(
                %organisation,
                error = &error as &dyn std::error::Error,
                "the holds of the ledger cannot be compared with the database; no request is taken until they can"
            );
            false
        }
    }
}

/// Brings the holds that people placed and lifted into the files of the ledger.
pub(in crate::daemon) async fn append_holds(
    ledger: Arc<Ledger>,
    store: Store,
    organisations: Vec<OrganisationId>,
    stop: CancellationToken,
) {
    const EVERY: Duration = Duration::from_mins(1);
    while !stop.is_cancelled() {
        for organisation in &organisations {
            if let Err(error) = ledger.append_holds(&store, organisation).await {
                tracing::error!(%organisation, error = &error as &dyn std::error::Error, "the ledger could not be told of holds: a restore would lose them; tried again");
            }
        }
        pause(&stop, EVERY).await;
    }
}

/// Deletes what is older than the oldest backup, in the files of the ledger and in its table.
pub(in crate::daemon) async fn purge_ledger(
    ledger: Arc<Ledger>,
    store: Store,
    clock: Arc<dyn Clock>,
    keep_days: u32,
    stop: CancellationToken,
) {
    const EVERY: Duration = Duration::from_hours(1);
    while !stop.is_cancelled() {
        purge_ledger_once(&ledger, &store, &*clock, keep_days).await;
        pause(&stop, EVERY).await;
    }
}

/// Deletes it once, of every organisation that the database knows, configured or not; nothing by a clock that differs from the
/// database's.
pub async fn purge_ledger_once(ledger: &Ledger, store: &Store, clock: &dyn Clock, keep_days: u32) {
    if !clocks::agree(store, clock, "ledger").await {
        return;
    }
    let before = clock.now() - TimeDelta::days(keep_days.into());
    let purged = async {
        // The files first: what is left in them alone seems to be lost by a restore.
        let mut purged = ledger.purge_files(before).await?;
        let mut connection = store.connection().await?;
        for organisation in intake::registered_organisations(&mut connection).await? {
            purged += ledger::purge(&mut connection, &organisation, before).await?;
        }
        Ok::<_, CompareError>(purged)
    };
    match purged.await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "old months of the ledger were deleted"),
        Err(error) => tracing::error!(
            error = &error as &dyn std::error::Error,
            "old months of the ledger could not be deleted; tried again"
        ),
    }
}

/// Seals audit entries. It goes on until after the stop, because what ends last is recorded last.
pub(in crate::daemon) async fn seal(
    sealer: Arc<Sealer>,
    settings: Arc<Settings>,
    rounds: Rounds,
    stop: CancellationToken,
) {
    let every = Duration::from_secs_f64(settings.audit.seal_secs);
    let round = rounds.watch("sealer", 2 * AFTER_FAILURE + 2 * every + sealer.longest_turn());
    while !stop.is_cancelled() {
        let turned = sealer.turn().await;
        round.turned();
        match turned {
            Ok(turn) if turn.entries >= audit::MOST_AT_ONCE.into() => {}
            Ok(_) => pause(&stop, every).await,
            Err(SealError::Overtaken) => {}
            Err(error) => {
                if error.is_transient() {
                    tracing::warn!(%error, "audit entries could not be sealed; tried again");
                } else {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "audit entries cannot be sealed; they wait in the inbox"
                    );
                }
                // `dsrd audit key rotate` has put another key into the file, perhaps.
                if matches!(error, SealError::KeyOther { .. }) {
                    match load_log_keys(&settings) {
                        Ok(keys) => sealer.take_keys(keys),
                        Err(error) => tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the key file of the audit log cannot be read any more"
                        ),
                    }
                }
                pause(&stop, AFTER_FAILURE).await;
            }
        }
    }
}
