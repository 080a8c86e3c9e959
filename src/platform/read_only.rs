//! A platform that can be looked at and not touched: for previews and dry runs.

use chrono::{DateTime, Utc};

use super::{
    Call, Contact, ContactPlatform, EffectAnswer, Leave, Listing, OrganisationMatch, PlatformError,
    ProbeReport, Records, SearchAnswer, Source, Urgency,
};
use crate::domain::{ContactId, IdentifierKind, SubjectIdentifier};

/// Passes every read on and refuses every effect.
#[derive(Debug)]
pub struct ReadOnly<P>(pub P);

impl<P: ContactPlatform> ContactPlatform for ReadOnly<P> {
    fn search<'a>(&'a self, identifier: &'a SubjectIdentifier) -> Call<'a, SearchAnswer> {
        self.0.search(identifier)
    }

    fn find_contact<'a>(&'a self, id: &'a ContactId, urgency: Urgency) -> Call<'a, Option<Contact>> {
        self.0.find_contact(id, urgency)
    }

    fn records<'a>(
        &'a self,
        id: &'a ContactId,
        source: Source,
        urgency: Urgency,
    ) -> Call<'a, Option<Records<'a>>> {
        self.0.records(id, source, urgency)
    }

    fn list_created_before(&self, before: DateTime<Utc>) -> Listing<'_> {
        self.0.list_created_before(before)
    }

    fn count_contacts(&self) -> Call<'_, u64> {
        self.0.count_contacts()
    }

    fn set_policy<'a>(
        &'a self,
        _id: &'a ContactId,
        _policy: &'a str,
        _accepted: bool,
        _leave: Leave<'a>,
    ) -> Call<'a, EffectAnswer> {
        Box::pin(async { Err(PlatformError::ReadOnly { operation: "set policy" }) })
    }

    fn delete_contact<'a>(&'a self, _id: &'a ContactId, _leave: Leave<'a>) -> Call<'a, EffectAnswer> {
        Box::pin(async { Err(PlatformError::ReadOnly { operation: "delete contact" }) })
    }

    fn probe(&self) -> Call<'_, ProbeReport> {
        self.0.probe()
    }

    fn ignored_searches(&self) -> Vec<IdentifierKind> {
        self.0.ignored_searches()
    }

    fn check_organisation(&self) -> Call<'_, OrganisationMatch> {
        self.0.check_organisation()
    }

    fn check_contacts(&self) -> Call<'_, ()> {
        self.0.check_contacts()
    }

    fn log_out(&self) -> Call<'_, ()> {
        self.0.log_out()
    }
}
