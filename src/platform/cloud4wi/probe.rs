//! Finding out at start what the platform really does: which filters it honours, and whose organisation the key is for.
//!
//! Each filter is asked for a value that nobody can have. When anybody comes back, the platform ignores the filter,
//! and a search by it would return the whole organisation. And where a contact shows a value, a search for that value has
//! to find it: otherwise the filter has another name or form here, and would find nobody, whoever asks. Where the value is
//! spelt in a way in which nobody is searched for, a search by its normal form has to find it, too: a platform that compares
//! signs and not what they mean would miss whoever wrote theirs in another way.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::Cloud4Wi;
use super::api::Page;
use super::failure::{CallError, Failure};
use super::search::spellings;
use super::transport::Spec;
use super::wire::{self, ContactWire, Scalar};
use crate::domain::{IdentifierKind, SubjectIdentifier, random};
use crate::platform::{FilterTrust, OrganisationMatch, PlatformError, ProbeReport, Urgency};

const PROBE: &str = "probe filters";

/// How many contacts are looked at for values to search for.
const SAMPLE: u32 = 20;

/// A date of creation that no contact has.
const NEVER: &str = "2999-01-01T00:00:00Z";

impl Cloud4Wi {
    /// The body of [`crate::platform::ContactPlatform::probe`].
    pub(super) async fn probe_all(&self) -> Result<ProbeReport, PlatformError> {
        // Without this call, a wrong key or base URL would look like filters of unknown trust.
        let first = self.first_page(PROBE, Vec::new(), SAMPLE, Urgency::Sweep, held).await?;
        let clock_difference_secs =
            first.date.map(|theirs: DateTime<Utc>| (theirs - self.api.transport.clock.now()).num_seconds());
        let samples = self.samples(first);
        let mut searches = BTreeMap::new();
        for kind in IdentifierKind::ALL {
            let sample = samples.get(&kind).map(String::as_str);
            searches.insert(kind, self.probe_search(kind, sample, Urgency::Sweep).await?);
        }
        let created_from = self.api.transport.settings.dialect.created_from.clone();
        let created = self.probe_filter(created_from, NEVER.to_owned(), Urgency::Sweep).await?;
        let policies = self.policy_names().await;
        Ok(ProbeReport { searches, created, policies, clock_difference_secs })
    }

    /// Probes a search that is to be used before the start-up probe has come to it, on both sides as that does.
    pub(super) async fn probe_before_use(&self, kind: IdentifierKind) -> Result<FilterTrust, PlatformError> {
        let samples = self.samples(self.first_page(PROBE, Vec::new(), SAMPLE, Urgency::Request, held).await?);
        self.probe_search(kind, samples.get(&kind).map(String::as_str), Urgency::Request).await
    }

    /// A value of each kind that the contacts of a page show; of several the first that is spelt in a way in which nobody is
    /// searched for, because it tells most.
    fn samples(&self, page: Page<Vec<(IdentifierKind, String)>>) -> BTreeMap<IdentifierKind, String> {
        let mut samples = BTreeMap::<IdentifierKind, String>::new();
        for (kind, shown) in page.items.into_iter().flatten() {
            let tells_less = |kept: &String| {
                self.normal_spellings(kind, kept).is_none() && self.normal_spellings(kind, &shown).is_some()
            };
            if samples.get(&kind).is_none_or(tells_less) {
                samples.insert(kind, shown);
            }
        }
        samples
    }

    /// How a value that is shown is searched for by whoever gives it in its normal form; nothing where it is among that, or is
    /// no identifier.
    fn normal_spellings(&self, kind: IdentifierKind, shown: &str) -> Option<Vec<String>> {
        let country = self.default_country.as_deref();
        let shown_one = SubjectIdentifier::parse(kind, shown, country).ok()?;
        let normal = SubjectIdentifier::parse(kind, shown_one.normalised().expose(), country).ok()?;
        let spellings = spellings(&normal, country);
        (!spellings.iter().any(|spelling| spelling == shown)).then_some(spellings)
    }

    /// Whether a search for `asked` finds the value that some contact holds.
    async fn finds(
        &self,
        (kind, value): (IdentifierKind, &str),
        asked: String,
        urgency: Urgency,
    ) -> Result<bool, PlatformError> {
        let filters = vec![(self.search_parameter(kind).to_owned(), asked)];
        match self.first_page(PROBE, filters, SAMPLE, urgency, held).await {
            Ok(page) => Ok(page.items.iter().flatten().any(|(found, held)| *found == kind && held == value)),
            Err(PlatformError::Rejected { .. } | PlatformError::Unreadable { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a value that is spelt in a way in which nobody is searched for is found by its normal form.
    async fn finds_normally(
        &self,
        kind: IdentifierKind,
        value: &str,
        urgency: Urgency,
    ) -> Result<bool, PlatformError> {
        let Some(spellings) = self.normal_spellings(kind, value) else { return Ok(true) };
        for spelling in spellings {
            if self.finds((kind, value), spelling, urgency).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Probes the search by one kind of identifier, with a value that nobody has and with `sample`, which somebody shows.
    /// Remembers the outcome only when both have answered: half of it would let a filter under a wrong name, which finds
    /// nobody ever, pass for one that is honoured.
    async fn probe_search(
        &self,
        kind: IdentifierKind,
        sample: Option<&str>,
        urgency: Urgency,
    ) -> Result<FilterTrust, PlatformError> {
        let parameter = self.search_parameter(kind).to_owned();
        let mut trust = self.probe_filter(parameter, impossible(kind), urgency).await?;
        if trust == FilterTrust::Ignored {
            tracing::warn!(filter = kind.as_str(), "the platform ignores this search filter");
        }
        if let (FilterTrust::Honoured, Some(sample)) = (trust, sample) {
            if !self.finds((kind, sample), sample.to_owned(), urgency).await? {
                tracing::warn!(
                    filter = kind.as_str(),
                    "the platform does not find a contact by a value that it shows itself; check the dialect"
                );
                trust = FilterTrust::Unknown;
            } else if !self.finds_normally(kind, sample, urgency).await? {
                tracing::warn!(
                    filter = kind.as_str(),
                    "the platform finds a contact by the very spelling that it holds only, so that its filter proves no absence"
                );
                trust = FilterTrust::Unknown;
            }
        }
        self.trust.set(kind, trust);
        Ok(trust)
    }

    /// Asks for what cannot exist. Errors that say nothing about the filter are passed on.
    async fn probe_filter(
        &self,
        parameter: String,
        value: String,
        urgency: Urgency,
    ) -> Result<FilterTrust, PlatformError> {
        let ask =
            || self.first_page(PROBE, vec![(parameter.clone(), value.clone())], 1, urgency, |_| Some(()));
        let mut answer = ask().await;
        if answer.as_ref().is_ok_and(|page| page.total == 0 && !page.framed) {
            // Nobody, in an answer that may have been cut: a second one has to say the same.
            answer = ask().await;
        }
        match answer {
            Ok(page) if page.total > 0 => Ok(FilterTrust::Ignored),
            Ok(_) => Ok(FilterTrust::Honoured),
            Err(error @ (PlatformError::Rejected { .. } | PlatformError::Unreadable { .. })) => {
                tracing::warn!(filter = parameter, %error, "the probe of a filter failed");
                Ok(FilterTrust::Unknown)
            }
            Err(error) => Err(error),
        }
    }

    async fn first_page<T: Send>(
        &self,
        operation: &'static str,
        filters: Vec<(String, String)>,
        size: u32,
        urgency: Urgency,
        decode: impl Fn(&[u8]) -> Option<T> + Send + Sync,
    ) -> Result<Page<T>, PlatformError> {
        let settings = &self.api.transport.settings;
        let path = vec!["v2", "customers", "organizations", settings.organisation_id.as_str()];
        let mut spec = Spec::get(operation, path, urgency, settings);
        spec.query = filters;
        spec.query.push((settings.dialect.size.clone(), size.to_string()));
        Ok(self.api.read_page(&spec, wire::CONTACT_LISTS, &decode).await?)
    }

    /// The organisation's policy names. The call is not in the vendor's public documentation: any failure means that it
    /// cannot be told.
    async fn policy_names(&self) -> Option<Vec<String>> {
        #[derive(Deserialize)]
        struct NamesWire {
            policies: Vec<String>,
        }
        let settings = &self.api.transport.settings;
        let path = vec!["v1", "organizations", settings.organisation_id.as_str(), "policies"];
        let spec = Spec::get("list policies", path, Urgency::Sweep, settings);
        let names = self
            .api
            .read_small(&spec, |small| {
                serde_json::from_slice::<NamesWire>(&small.body)
                    .map_err(|_| Failure::Unreadable("no list of policy names".to_owned()))
            })
            .await;
        match names {
            Ok(names) => Some(names.policies),
            Err(CallError { error, .. }) => {
                tracing::info!(%error, "the platform does not tell its policy names");
                None
            }
        }
    }

    /// The body of [`crate::platform::ContactPlatform::check_organisation`]: from the service's own record, where the
    /// platform shows it, else from what a contact says.
    pub(super) async fn compare_organisation(&self) -> Result<OrganisationMatch, PlatformError> {
        const OPERATION: &str = "check organisation";
        let own = self.api.transport.settings.organisation_id.as_str();
        match self.service_organisations().await {
            Ok(organisations) if organisations.iter().any(|found| found == own) => {
                return Ok(OrganisationMatch::Same);
            }
            Ok(organisations) if !organisations.is_empty() => return Ok(OrganisationMatch::Other),
            Ok(_) => {}
            // What says nothing about this one call is an error of the check.
            Err(
                error @ (PlatformError::Unavailable { .. }
                | PlatformError::Throttled { .. }
                | PlatformError::BadCredentials { operation: "log in" }),
            ) => return Err(error),
            Err(error) => {
                tracing::info!(%error, "the platform does not show which organisation the key is for");
            }
        }
        let page = self
            .first_page(OPERATION, Vec::new(), 1, Urgency::Request, |record| {
                let record = std::str::from_utf8(record).ok()?;
                Some(ContactWire::read(record)?.organisation().map(str::to_owned))
            })
            .await?;
        Ok(match page.items.into_iter().flatten().next() {
            Some(organisation) if organisation == own => OrganisationMatch::Same,
            Some(_) => OrganisationMatch::Other,
            None => OrganisationMatch::Unknown,
        })
    }

    /// The body of [`crate::platform::ContactPlatform::check_contacts`].
    pub(super) async fn look_at_contacts(&self) -> Result<(), PlatformError> {
        self.first_page("look at the contacts", Vec::new(), 1, Urgency::Request, |_| Some(())).await.map(drop)
    }

    async fn service_organisations(&self) -> Result<Vec<String>, PlatformError> {
        #[derive(Deserialize)]
        struct ServiceWire<'a> {
            #[serde(borrow)]
            domains: DomainsWire<'a>,
        }
        #[derive(Deserialize)]
        struct DomainsWire<'a> {
            #[serde(borrow)]
            service: DomainWire<'a>,
        }
        #[derive(Deserialize)]
        struct DomainWire<'a> {
            #[serde(borrow, default)]
            organizations: Vec<Scalar<'a>>,
        }
        let token = self.api.session.token(&self.api.transport, None).await?;
        let Some(service) = token.issuer.as_deref().filter(|issuer| is_path_segment(issuer)) else {
            return Ok(Vec::new());
        };
        let settings = &self.api.transport.settings;
        let path = vec!["v1", "sts", "services", service];
        let spec = Spec::get("read service", path, Urgency::Request, settings);
        let organisations = self
            .api
            .read_small(&spec, |small| {
                let wire: ServiceWire<'_> = serde_json::from_slice(&small.body)
                    .map_err(|_| Failure::Unreadable("no organisations of the service".to_owned()))?;
                let names = wire.domains.service.organizations;
                Ok(names.iter().filter_map(|name| name.text().map(str::to_owned)).collect())
            })
            .await?;
        Ok(organisations)
    }
}

/// The identifiers that a record shows.
fn held(record: &[u8]) -> Option<Vec<(IdentifierKind, String)>> {
    Some(ContactWire::read(std::str::from_utf8(record).ok()?)?.held())
}

/// The token is not verified, so what it names must not climb out of the path.
fn is_path_segment(text: &str) -> bool {
    text.parse::<crate::domain::ContactId>().is_ok()
}

/// A value that nobody has, of a form that the platform will accept.
fn impossible(kind: IdentifierKind) -> String {
    let random = random::token();
    match kind {
        IdentifierKind::Email => format!("dsrd-probe-{}@{}.invalid", &random[..16], &random[16..32]),
        // +999 is not assigned to any country.
        IdentifierKind::Phone => {
            let digits: String = random.bytes().map(|each| char::from(b'0' + each % 10)).take(9).collect();
            format!("+999{digits}")
        }
        _ => format!("dsrd-probe-{}", &random[..32]),
    }
}
