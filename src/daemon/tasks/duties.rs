//! What falls due by the clock: terms, sweeps, holds, packages, alerts, what is to be forgotten.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::alert::{Turn, Watch};
use crate::audit::Actor;
use crate::daemon::platforms::{FirstLook, first_look, record_ignored_searches};
use crate::daemon::{StartError, clocks};
use crate::delivery;
use crate::domain::{Controller, KillSwitch, OrganisationId};
use crate::execution::{self, Gate, LookedAgain, Lookout, Site};
use crate::holds;
use crate::intake::{self, Desk};
use crate::platform::{ContactPlatform, PlatformError};
use crate::queue;
use crate::recipients::Courier;
use crate::retention::{SweepReport, Sweeper};
use crate::self_test::SelfTester;
use crate::store::Store;
use crate::suppression::watch::Settings as WatchSettings;
use crate::upkeep::Upkeep;

use super::{AFTER_FAILURE, pause};

/// Tells recipients of personal data what became of it.
pub(in crate::daemon) async fn tell_recipients(courier: Courier, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_secs(5);
    while !stop.is_cancelled() {
        match courier.pump_once().await {
            Ok(0) => pause(&stop, EVERY).await,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "recipients could not be told; tried again"
                );
                pause(&stop, AFTER_FAILURE).await;
            }
        }
    }
}

/// Lets extensions count that the person was told of in time.
pub(in crate::daemon) async fn settle_extensions(
    store: Store,
    desk: Desk,
    controllers: BTreeMap<OrganisationId, Arc<Controller>>,
    stop: CancellationToken,
) {
    const EVERY: Duration = Duration::from_secs(5);
    const ALARM_EVERY: Duration = Duration::from_hours(1);
    let mut asked = std::time::Instant::now();
    alarm_incidents(&store, &desk, &controllers).await;
    while !stop.is_cancelled() {
        if asked.elapsed() >= ALARM_EVERY {
            asked = std::time::Instant::now();
            alarm_incidents(&store, &desk, &controllers).await;
        }
        match intake::settle_extensions(&store, &desk, &controllers).await {
            Ok(_) => pause(&stop, EVERY).await,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "extensions could not be looked at; tried again"
                );
                pause(&stop, AFTER_FAILURE).await;
            }
        }
    }
}

/// Says in the log which incidents are open, and how long there is to tell the authority.
async fn alarm_incidents(
    store: &Store,
    desk: &Desk,
    controllers: &BTreeMap<OrganisationId, Arc<Controller>>,
) {
    let now = desk.clock.now();
    for organisation in controllers.keys() {
        let open =
            async { crate::triage::list_incidents(&mut *store.connection().await?, organisation).await };
        match open.await {
            Ok(open) => {
                for incident in open {
                    let hours_left = incident.authority_due_at.map(|due_at| (due_at - now).num_hours());
                    tracing::error!(%organisation, reference = incident.reference, hours_left, "an incident is open; tell the authority or end it");
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "incidents could not be looked at");
            }
        }
    }
}

/// Runs the retention sweeps of one organisation when they are due, once its platform was checked.
pub(in crate::daemon) async fn sweep_when_due(sweeper: Sweeper, gate: Gate, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_mins(1);
    while !stop.is_cancelled() {
        if !gate.is_open() || !clocks::agree(&sweeper.store, &*sweeper.desk.clock, "retention").await {
            pause(&stop, EVERY).await;
            continue;
        }
        let organisation = &sweeper.controller.id;
        match sweeper.run_due().await {
            Ok(turn) => {
                for report in turn.continued.iter().chain(&turn.ran) {
                    tell(organisation, report);
                }
            }
            Err(error) => {
                tracing::warn!(%organisation, error = &error as &dyn std::error::Error, "the retention sweep did not come to an end; it goes on when it is next looked at");
            }
        }
        pause(&stop, EVERY).await;
    }
}

/// Takes the invented contact of an organisation through its rights once a day, once its platform was checked.
pub(in crate::daemon) async fn test_ourselves(tester: SelfTester, gate: Gate, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_mins(1);
    while !stop.is_cancelled() {
        if gate.is_open() && clocks::agree(&tester.store, &*tester.desk.clock, "self-test").await {
            let organisation = &tester.controller.id;
            match tester.turn().await {
                Ok(turn) => {
                    for run in turn.ended {
                        let words = run.findings.iter().map(|(kind, found)| format!("{kind} {found}"));
                        let detail = format!("{}: {}", run.on, words.collect::<Vec<_>>().join(", "));
                        if run.passed() {
                            tracing::info!(%organisation, detail, "the self-test passed");
                        } else {
                            tracing::error!(%organisation, detail, "the self-test failed; see dsrd request list --origin self-test");
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%organisation, error = &error as &dyn std::error::Error, "the self-test could not be begun or judged; tried again");
                }
            }
        }
        pause(&stop, EVERY).await;
    }
}

/// Ends holds in time, reminds of their reviews, looks up whom they are about, hands in what waited for them, and lets recipients know of those that stand while
/// an objection is weighed.
pub(in crate::daemon) async fn keep_holds(
    (store, desk): (Store, Desk),
    site: Site,
    settings: holds::Settings,
    stop: CancellationToken,
) {
    const EVERY: Duration = Duration::from_mins(1);
    while !stop.is_cancelled() {
        keep_holds_once(&store, &desk, &site, &settings).await;
        pause(&stop, EVERY).await;
    }
}

/// One look at the holds of an organisation. By a clock that differs from the database's none ends, and nothing follows.
pub async fn keep_holds_once(store: &Store, desk: &Desk, site: &Site, settings: &holds::Settings) {
    let controller = &site.controller;
    let organisation = &controller.id;
    if let Err(error) = holds::restrict_objections(store, controller, desk.clock.as_ref()).await {
        tracing::warn!(%organisation, %error, "objections could not be followed by restrictions; tried again");
    }
    if site.gate.is_open()
        && let Err(error) = execution::find_held_contacts(store, desk, site).await
    {
        tracing::warn!(%organisation, %error, "whom holds are about could not be looked up; tried again");
    }
    if site.gate.is_open()
        && let Err(error) = execution::tell_of_objections(store, desk, site).await
    {
        tracing::warn!(%organisation, %error, "recipients could not be noted for what objections restrict; tried again");
    }
    if !clocks::agree(store, desk.clock.as_ref(), "holds").await {
        return;
    }
    let kept = holds::keep_in_order(store, controller, desk.clock.as_ref(), settings.remind_days).await;
    if let Err(error) = kept {
        tracing::warn!(%organisation, %error, "the holds could not be kept in order; tried again");
    }
    if let Err(error) = execution::resume_postponed(store, desk, controller).await {
        tracing::warn!(%organisation, error = &error as &dyn std::error::Error, "erasures that a hold had postponed could not be handed in; tried again");
    }
}

/// Looks again at what was erased or opted out, and hands in what follows from withdrawals of consent, when it is due.
pub(in crate::daemon) async fn look_whether_it_lasts(
    site: Site,
    store: Store,
    desk: Desk,
    settings: WatchSettings,
    stop: CancellationToken,
) {
    const EVERY: Duration = Duration::from_mins(1);
    while !stop.is_cancelled() {
        let lookout = Lookout { store: &store, desk: &desk, site: &site, settings: &settings };
        look_whether_it_lasts_once(lookout, &stop).await;
        pause(&stop, EVERY).await;
    }
}

/// One look at what is due in an organisation, once its platform was checked. By a clock that differs from the database's nothing
/// is: the looks would be over before their time, and what follows would follow early.
pub async fn look_whether_it_lasts_once(lookout: Lookout<'_>, stop: &CancellationToken) {
    let Lookout { store, desk, site, .. } = lookout;
    if !site.gate.is_open() || !clocks::agree(store, desk.clock.as_ref(), "watch over what was done").await {
        return;
    }
    let organisation = &site.controller.id;
    match execution::look_again(lookout, || stop.is_cancelled()).await {
        Ok(done) if done == LookedAgain::default() => {}
        Ok(LookedAgain { looked, .. }) => {
            tracing::info!(%organisation, count = looked, "what was erased or opted out was looked at again; see dsrd suppression watch");
        }
        Err(error) => {
            tracing::warn!(%organisation, error = &error as &dyn std::error::Error, "what was erased or opted out could not be looked at; tried again");
        }
    }
    if let Err(error) = execution::hand_in_due(store, desk, site, &KillSwitch::default()).await {
        tracing::warn!(%organisation, error = &error as &dyn std::error::Error, "what follows from withdrawals of consent could not be handed in; tried again");
    }
}

fn tell(organisation: &OrganisationId, report: &SweepReport) {
    let reason = report.reason.map(|reason| reason.to_string());
    let (sweep, state) = (report.sweep_id, report.state);
    if let Some(reason) = reason {
        tracing::warn!(%organisation, %sweep, %state, reason, candidates = report.candidates, "a retention sweep did not submit its erasures");
    } else {
        tracing::info!(%organisation, %sweep, %state, candidates = report.candidates, count = report.submitted, "a retention sweep ended");
    }
}

/// Destroys packages at their expiry and deletes what no package names.
pub(in crate::daemon) async fn expire_packages(
    store: Store,
    desk: Desk,
    directory: PathBuf,
    stop: CancellationToken,
) {
    // What a killed daemon left is found at once, or as soon as its lease has run out.
    const FIRST_WAIT: Duration = Duration::from_mins(1);
    const LONGEST_WAIT: Duration = Duration::from_mins(10);
    // For files whose name does not tell who is writing them.
    const LEFTOVER_AFTER: TimeDelta = TimeDelta::hours(6);
    let mut wait = FIRST_WAIT;
    while !stop.is_cancelled() {
        if !clocks::agree(&store, &*desk.clock, "package expiry").await {
            pause(&stop, LONGEST_WAIT).await;
            continue;
        }
        let now = desk.clock.now();
        let expired = async {
            let destroyed = delivery::destroy_expired(&store, &directory, now).await?;
            let leftovers = delivery::remove_leftovers(&store, &directory, now - LEFTOVER_AFTER).await?;
            Ok::<_, delivery::DeliveryError>((destroyed, leftovers))
        };
        match expired.await {
            Ok((0, 0)) => {}
            Ok((destroyed, leftovers)) => {
                tracing::info!(count = destroyed, "expired packages were destroyed");
                if leftovers > 0 {
                    tracing::info!(count = leftovers, "files that belong to no package were deleted");
                }
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "expired packages could not be destroyed in full; tried again"
                );
            }
        }
        pause(&stop, wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Looks for what staff must know, raises alerts, writes the daily digest, and mails both.
pub(in crate::daemon) async fn watch(watch: Watch, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_mins(1);
    while !stop.is_cancelled() {
        // A turn that failed has said so, and may have written mails all the same.
        if let Ok(turn) = watch.turn().await
            && turn != Turn::default()
        {
            let count = turn.alerts + turn.digests;
            tracing::info!(count, "staff is told of alerts and digests; see dsrd alert list");
        }
        if let Err(error) = watch.send_due().await {
            tracing::warn!(%error, "staff could not be told; tried again");
        }
        pause(&stop, EVERY).await;
    }
}

/// Looks whether the platform of an organisation serves anybody, so that an outage is told of also when nobody asks anything;
/// more often while it does not, because whatever waits for it begins with the look that finds it back.
pub(in crate::daemon) async fn look_at_platform(
    site: Site,
    store: Store,
    desk: Desk,
    stop: CancellationToken,
) {
    const EVERY: Duration = Duration::from_mins(15);
    const WHILE_AWAY: Duration = Duration::from_mins(1);
    // Before its key was checked nobody's contact is asked for (S-14). That the key is right says nothing of contacts:
    // a daemon that starts in the middle of an outage must not end it.
    let mut serves = site.gate.is_open();
    if serves {
        serves = look_whether_it_serves(&*site.platform).await;
        note_platform(&site, &store, &desk, serves).await;
    }
    loop {
        pause(&stop, if serves { EVERY } else { WHILE_AWAY }).await;
        if stop.is_cancelled() {
            return;
        }
        serves = look_whether_it_serves(&*site.platform).await;
        note_platform(&site, &store, &desk, serves).await;
    }
}

/// Records filters that begin to be ignored while the daemon runs (S-7): wherever platforms are searched, since only
/// the process whose search showed it knows of it.
pub(in crate::daemon) async fn watch_filters(site: Site, store: Store, desk: Desk, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_secs(15);
    while !stop.is_cancelled() {
        if let Err(error) = record_ignored_searches(&site, &store, &desk).await {
            tracing::warn!(organisation = %site.controller.id, %error, "an ignored filter could not be recorded; tried again");
        }
        pause(&stop, EVERY).await;
    }
}

/// Whether a platform serves people now. Its log-in may do so while nobody's contact can be read, and a page that
/// cannot be read, a redirect or a refusal of everything, as gateways show them while they are mended, serve nobody as
/// little as none.
pub async fn look_whether_it_serves(platform: &dyn ContactPlatform) -> bool {
    !platform.check_contacts().await.is_err_and(|error| {
        tracing::info!(%error, "the platform does not show its contacts");
        error.is_outage()
            || matches!(
                error,
                PlatformError::Unreadable { .. }
                    | PlatformError::Rejected { .. }
                    | PlatformError::Forbidden { .. }
            )
    })
}

async fn note_platform(site: &Site, store: &Store, desk: &Desk, serves: bool) {
    let noted = async {
        let mut connection = store.connection().await?;
        queue::note_platform(&mut connection, &site.controller.id, serves, desk.clock.now()).await
    };
    if let Err(error) = noted.await {
        tracing::debug!(%error, "whether the platform answers could not be noted");
    }
}

/// Forgets the service's own copies that are past their term.
pub(in crate::daemon) async fn forget(upkeep: Upkeep, stop: CancellationToken) {
    const EVERY: Duration = Duration::from_hours(1);
    while !stop.is_cancelled() {
        if !clocks::agree(&upkeep.store, &*upkeep.desk.clock, "upkeep").await {
            pause(&stop, EVERY).await;
            continue;
        }
        match upkeep.run(&Actor::Process("upkeep")).await {
            Ok(forgotten) if forgotten.is_nothing() => {}
            // The audit log has the numbers.
            Ok(_) => tracing::info!("copies past their term were forgotten"),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "copies past their term could not be forgotten in full; tried again"
                );
            }
        }
        pause(&stop, EVERY).await;
    }
}

/// Looks at platforms that did not answer at start, until each has. A key of another organisation ends the daemon.
pub(in crate::daemon) async fn look_again(
    waiting: Vec<Site>,
    (store, desk): (Store, Desk),
    (refused, ending): (Arc<Mutex<Option<StartError>>>, CancellationToken),
    stop: CancellationToken,
) {
    // Its organisations stand still until then, so that the first looks follow each other soon.
    const FIRST_WAIT: Duration = Duration::from_secs(2);
    const LONGEST_WAIT: Duration = Duration::from_mins(1);
    let mut wait = FIRST_WAIT;
    let mut waiting = waiting;
    while !waiting.is_empty() {
        pause(&stop, wait).await;
        if stop.is_cancelled() {
            return;
        }
        wait = (wait * 2).min(LONGEST_WAIT);
        let mut still = Vec::new();
        for site in waiting {
            match first_look(&site, &store, &desk).await {
                FirstLook::Done => {
                    tracing::info!(organisation = %site.controller.id, "the platform answers and was checked");
                }
                FirstLook::Later => still.push(site),
                FirstLook::Other(error) => {
                    *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    ending.cancel();
                    return;
                }
            }
        }
        waiting = still;
    }
}
