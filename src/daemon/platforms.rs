//! The contact platforms of the organisations, and whether they can be trusted.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{SharedBudget, StartError};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::config::Organisation;
use crate::domain::{Clock, Controller, IdentifierKind, OrganisationId, SystemClock};
use crate::execution::{Gate, Site};
use crate::intake::Desk;
use crate::platform::cloud4wi::{Cloud4Wi, LocalBudget};
use crate::platform::{CallBudget, ContactPlatform, FilterTrust, OrganisationMatch, ProbeReport};
use crate::queue::{self, Seen};
use crate::store::{Store, StoreError, Tx};

/// Builds the client of one organisation; makes no call.
pub fn build_platform(
    organisation: &Organisation,
    budget: Arc<dyn CallBudget>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn ContactPlatform>, StartError> {
    let settings = organisation.platform.clone();
    let country = organisation.default_country.clone();
    Cloud4Wi::new(settings, country, budget, clock)
        .map(|client| Arc::new(client) as Arc<dyn ContactPlatform>)
        .map_err(|source| StartError::Platform { organisation: organisation.id.clone(), source })
}

/// Builds every client once and throws it away: what is wrong with a platform's settings or secrets is told before
/// anything waits for a database.
pub fn check_platform_settings(organisations: &[Organisation]) -> Result<(), StartError> {
    for organisation in organisations {
        let budget = Arc::new(LocalBudget::new(&organisation.platform.rate));
        build_platform(organisation, budget, Arc::new(SystemClock))?;
    }
    Ok(())
}

/// Builds all sites. Their gates are closed: see [`check_organisation`].
pub fn sites(
    organisations: &[Organisation],
    controllers: &BTreeMap<OrganisationId, Arc<Controller>>,
    store: &Store,
    desk: &Desk,
) -> Result<BTreeMap<OrganisationId, Site>, StartError> {
    let mut sites = BTreeMap::new();
    for organisation in organisations {
        let Some(controller) = controllers.get(&organisation.id) else { continue };
        let rate = &organisation.platform.rate;
        let budget = Arc::new(SharedBudget::new(store.clone(), organisation.id.clone(), rate));
        let platform = build_platform(organisation, budget, Arc::clone(&desk.clock))?;
        let site = Site {
            controller: Arc::clone(controller),
            platform,
            catalogue: organisation.catalogue(),
            redaction: organisation.redaction.clone(),
            recipients: organisation.recipients.clone().into(),
            retention: organisation.retention.period(),
            activity: organisation.retention.activity(),
            gate: Gate::default(),
        };
        sites.insert(organisation.id.clone(), site);
    }
    Ok(sites)
}

/// Makes sure that the platform's key is that of the organisation (S-14), and opens the site's gate. For commands that
/// call the platform without a daemon.
///
/// # Errors
/// [`StartError::OrganisationOther`] for a key of another organisation; [`StartError::OrganisationUnchecked`] when the
/// platform does not answer. The gate stays closed.
pub async fn check_organisation(site: &Site) -> Result<(), StartError> {
    let organisation = &site.controller.id;
    match site.platform.check_organisation().await {
        Ok(OrganisationMatch::Same) => {}
        Ok(OrganisationMatch::Unknown) => {
            tracing::warn!(%organisation, "the platform does not tell which organisation the key belongs to; check it by hand");
        }
        Ok(OrganisationMatch::Other) => {
            return Err(StartError::OrganisationOther { organisation: organisation.clone() });
        }
        Err(source) => {
            return Err(StartError::OrganisationUnchecked { organisation: organisation.clone(), source });
        }
    }
    site.gate.open();
    Ok(())
}

/// What a first look at a platform led to.
pub(super) enum FirstLook {
    /// The key is right and the filters are known.
    Done,
    /// The platform did not answer; look again later.
    Later,
    /// The key belongs to another organisation.
    Other(StartError),
}

/// Checks that the key belongs to the organisation (S-14) and which filters the platform honours. An ignored filter
/// stands in the audit log, because it decides how people are looked for; so does one that begins to be ignored later
/// ([`record_ignored_searches`]).
pub(super) async fn first_look(site: &Site, store: &Store, desk: &Desk) -> FirstLook {
    let organisation = &site.controller.id;
    match check_organisation(site).await {
        Ok(()) => {}
        Err(StartError::OrganisationUnchecked { source, .. }) => {
            tracing::warn!(%organisation, error = %source, "the platform could not be asked which organisation the key belongs to; nothing of this organisation is begun, and it is asked again later");
            return FirstLook::Later;
        }
        Err(error) => return FirstLook::Other(error),
    }
    let report = match site.platform.probe().await {
        Ok(report) => report,
        Err(error) => {
            tracing::warn!(%organisation, %error, "the platform's filters could not be probed; probed again later");
            return FirstLook::Later;
        }
    };
    let ignored = ignored_filters(&report);
    for filter in &ignored {
        tracing::warn!(%organisation, filter, "the platform ignores this filter; contacts are looked for by reading them all");
    }
    if let Err(error) = record(store, desk, organisation, &ignored).await {
        tracing::warn!(%organisation, %error, "the result of the probe could not be recorded; probed again later");
        return FirstLook::Later;
    }
    FirstLook::Done
}

/// The names of the filters that the platform ignores.
#[must_use]
pub fn ignored_filters(report: &ProbeReport) -> Vec<&'static str> {
    let searches = report.searches.iter().filter(|(_, trust)| **trust == FilterTrust::Ignored);
    let mut names: Vec<&'static str> = searches.map(|(kind, _)| kind.as_str()).collect();
    if report.created == FilterTrust::Ignored {
        names.push("created");
    }
    names
}

/// Records the searches whose filter began to be ignored while the daemon runs, as what they brought back has shown: an
/// entry each, and an alert by `alert` (S-7).
///
/// # Errors
/// When the database does not answer; what was found is recorded the next time.
pub async fn record_ignored_searches(site: &Site, store: &Store, desk: &Desk) -> Result<(), StoreError> {
    let ignored: Vec<&'static str> =
        site.platform.ignored_searches().into_iter().map(IdentifierKind::as_str).collect();
    if ignored.is_empty() {
        return Ok(());
    }
    let (organisation, now) = (&site.controller.id, desk.clock.now());
    let mut tx = store.begin("daemon.record_ignored_searches").await?;
    let new = queue::note_ignored_filters(&mut tx, organisation, &ignored, Seen::BySearches, now).await?;
    append(&mut tx, organisation, &new, now).await?;
    tx.commit().await
}

/// Records what the probe of a first look found.
async fn record(
    store: &Store,
    desk: &Desk,
    organisation: &OrganisationId,
    ignored: &[&'static str],
) -> Result<(), StoreError> {
    let now = desk.clock.now();
    let mut tx = store.begin("daemon.record_probe").await?;
    queue::note_ignored_filters(&mut tx, organisation, ignored, Seen::ByProbe, now).await?;
    append(&mut tx, organisation, ignored, now).await?;
    tx.commit().await
}

async fn append(
    tx: &mut Tx,
    organisation: &OrganisationId,
    ignored: &[&'static str],
    at: DateTime<Utc>,
) -> Result<(), StoreError> {
    for filter in ignored {
        let event = Event::general(organisation, Action::FilterIgnored, Actor::Process("worker"), at);
        audit::append(tx, event.with(Detail::none().word("filter", filter))).await?;
    }
    Ok(())
}
