//! The port spoken in Cloud4Wi's REST dialect.
//!
//! A call enters through [`ContactPlatform`]; `api` attaches the token and tries again as far as that is safe;
//! `transport` draws from the rate budget and sends one attempt; what comes back is read as a stream by `body` and
//! `split`, and turned into our words by `wire`.
//!
//! | file | what it knows |
//! |---|---|
//! | `settings` | what an operator can set, and what is refused before the first call |
//! | `budget` | how fast a key may call within one process |
//! | `session` | one token for all workers |
//! | `transport`, `body`, `failure` | one attempt, its limits, and what follows from its failure |
//! | `split` | records found in an answer of any length while it arrives |
//! | `wire` | the platform's JSON, read tolerantly and believed sparingly |
//! | `scroll` | a whole list in spite of its paging |
//! | `search`, `records`, `effects`, `probe` | the calls themselves |
//! | `redaction` | the platform's words made fit for logs |
//!
//! Invariants:
//! - The vendor's documentation leaves most parameter names open, so they are settings ([`Dialect`]), and a filter is
//!   trusted only after a probe with an impossible value; whatever comes back is compared again here.
//! - No answer that could be read in two ways is read as "no data": an unknown envelope, HTML, an empty body and a 404
//!   of a path that never worked are errors.
//! - Memory is bounded by one page's ids or one batch of records, whatever the platform sends.
//! - No URL, query, header or body is logged, and error texts of the platform are redacted.
//!
//! To add a call: a method in the file of its concept that builds a `Spec` and uses `Api::read_small`,
//! `Api::read_page` or, for effects, `Cloud4Wi::change`; say in the spec whether it is an effect.

mod api;
mod body;
mod budget;
mod effects;
mod failure;
mod probe;
mod records;
mod redaction;
mod scroll;
mod search;
mod session;
mod settings;
mod split;
mod transport;
mod wire;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::stream;

pub use budget::LocalBudget;
pub use settings::{
    Dialect, LimitSettings, OrgId, PagingSettings, PolicyBody, PolicyMethod, PolicySettings, RateSettings,
    Settings, SetupError,
};

use self::api::Api;
use self::scroll::Scroll;
use self::search::Trust;
use self::session::Session;
use self::settings::Credentials;
use self::transport::{Spec, Transport};
use super::dates::{filter_text, surely_before};
use super::{
    Call, CallBudget, Contact, ContactPlatform, Created, EffectAnswer, Leave, Listing, ListingBatch,
    OrganisationMatch, ProbeReport, Records, SearchAnswer, Source, Urgency,
};
use crate::domain::{Clock, ContactId, IdentifierKind, SubjectIdentifier};

/// The contacts of one organisation at Cloud4Wi. Cheap to share behind an [`Arc`]; one instance per key.
pub struct Cloud4Wi {
    api: Api,
    trust: Trust,
    default_country: Option<String>,
}

impl fmt::Debug for Cloud4Wi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cloud4Wi")
            .field("organisation", &self.api.transport.settings.organisation_id)
            .finish_non_exhaustive()
    }
}

impl Cloud4Wi {
    /// Builds the client; makes no call. `default_country` is the ISO 3166 code with which national telephone numbers
    /// are read. Reads the two secret files and wipes their text from memory when dropped.
    ///
    /// # Errors
    /// When the settings are refused, a secret file is missing, open to others or empty, or the host has no CA
    /// certificates.
    pub fn new(
        settings: Settings,
        default_country: Option<String>,
        budget: Arc<dyn CallBudget>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        settings.check()?;
        let credentials = Credentials::read(&settings)?;
        let transport = Transport::new(settings, budget, clock)?;
        Ok(Self {
            api: Api::new(transport, Session::new(credentials)),
            trust: Trust::default(),
            default_country,
        })
    }

    /// One page after the other of the contacts created before an instant.
    async fn listing_page(
        (mut scroll, before): (Scroll<'_>, DateTime<Utc>),
    ) -> Result<Option<(ListingBatch, (Scroll<'_>, DateTime<Utc>))>, super::PlatformError> {
        let Some(page) = scroll.next(&wire::listed_contact).await? else { return Ok(None) };
        let mut batch = ListingBatch { unreadable: page.unreadable, ..ListingBatch::default() };
        for contact in page.items {
            if contact.created == Created::Unknown {
                batch.undated += 1;
            } else if surely_before(contact.created, before) {
                batch.contacts.push(contact);
            } else {
                batch.strangers += 1;
            }
        }
        Ok(Some((batch, (scroll, before))))
    }

    async fn count(&self) -> Result<u64, super::PlatformError> {
        let mut scroll = Scroll::new(&self.api, "count contacts", Urgency::Sweep, Vec::new());
        let mut count = 0;
        while let Some(page) = scroll.next(&wire::listed_contact).await? {
            count += page.items.len() as u64 + page.unreadable;
        }
        Ok(count)
    }

    async fn end_session(&self) {
        let Some(token) = self.api.session.take().await else { return };
        let settings = &self.api.transport.settings;
        let mut spec = Spec::get("log out", vec!["v1", "sts", "logout"], Urgency::Request, settings);
        spec.method = reqwest::Method::POST;
        if self.api.transport.open(&spec, Some(&token)).await.is_err() {
            tracing::debug!("the platform did not confirm the log-out; its token ends by itself");
        }
    }
}

impl ContactPlatform for Cloud4Wi {
    fn search<'a>(&'a self, identifier: &'a SubjectIdentifier) -> Call<'a, SearchAnswer> {
        Box::pin(self.find_by(identifier))
    }

    fn find_contact<'a>(&'a self, id: &'a ContactId, urgency: Urgency) -> Call<'a, Option<Contact>> {
        Box::pin(self.read_contact(id, urgency))
    }

    fn records<'a>(
        &'a self,
        id: &'a ContactId,
        source: Source,
        urgency: Urgency,
    ) -> Call<'a, Option<Records<'a>>> {
        Box::pin(self.read_records(id, source, urgency))
    }

    fn list_created_before(&self, before: DateTime<Utc>) -> Listing<'_> {
        let filters = vec![(self.api.transport.settings.dialect.created_to.clone(), filter_text(before))];
        let scroll = Scroll::new(&self.api, "list contacts", Urgency::Sweep, filters).dated_only();
        Box::pin(stream::try_unfold((scroll, before), Self::listing_page))
    }

    fn count_contacts(&self) -> Call<'_, u64> {
        Box::pin(self.count())
    }

    fn set_policy<'a>(
        &'a self,
        id: &'a ContactId,
        policy: &'a str,
        accepted: bool,
        leave: Leave<'a>,
    ) -> Call<'a, EffectAnswer> {
        Box::pin(self.write_policy(id, policy, accepted, leave))
    }

    fn delete_contact<'a>(&'a self, id: &'a ContactId, leave: Leave<'a>) -> Call<'a, EffectAnswer> {
        Box::pin(self.erase(id, leave))
    }

    fn probe(&self) -> Call<'_, ProbeReport> {
        Box::pin(self.probe_all())
    }

    fn ignored_searches(&self) -> Vec<IdentifierKind> {
        self.trust.ignored()
    }

    fn check_organisation(&self) -> Call<'_, OrganisationMatch> {
        Box::pin(self.compare_organisation())
    }

    fn check_contacts(&self) -> Call<'_, ()> {
        Box::pin(self.look_at_contacts())
    }

    fn log_out(&self) -> Call<'_, ()> {
        Box::pin(async {
            self.end_session().await;
            Ok(())
        })
    }
}
