//! Which of the invented people ask for something.

use chrono::{DateTime, Utc};
use dsrd_simulator::{OrganisationHandle, Truth, Wanted};

use crate::domain::{IdentifierKind, SubjectIdentifier};

/// The policy that an opt-out switches off.
pub(super) const MARKETING: &str = "mktgCommunications";

/// So many people are looked at before giving up.
const MOST_LOOKED_AT: usize = 400;

/// An invented person at the platform.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) email: String,
    pub(super) phone: String,
}

/// Those who ask. Nobody of them falls under the retention rule.
#[derive(Clone, Debug)]
pub(super) struct Cast {
    pub(super) access: Person,
    pub(super) opt_out: Person,
    pub(super) erasure: Person,
    pub(super) by_producer: Person,
    /// One of two with the same telephone number.
    pub(super) sharing: Person,
}

impl Cast {
    /// Chooses among the contacts created at `from` or later; `None` when there are too few of them.
    pub(super) fn choose(platform: &OrganisationHandle, from: DateTime<Utc>) -> Option<Self> {
        let mut taken: Vec<String> = Vec::new();
        let mut next = |wanted: Wanted, fits: &dyn Fn(&Truth) -> bool| {
            let begin = first_place(platform, wanted, from)?;
            (begin..begin + MOST_LOOKED_AT).find_map(|nth| {
                let contact = platform.find_generated(wanted, nth)?.into_iter().next()?;
                let truth = platform.truth(&contact)?;
                if taken.contains(&contact) || !fits(&truth) {
                    return None;
                }
                taken.push(contact);
                Some(Person { email: truth.identifiers.email, phone: truth.identifiers.phone })
            })
        };
        // A telephone number that the person writes differently from what the platform stores.
        let respelled = |truth: &Truth| {
            let phone = &truth.identifiers.phone;
            phone.chars().any(|each| !each.is_ascii_digit() && each != '+') && international(phone).is_some()
        };
        let has_everything = |truth: &Truth| {
            let records = truth.records;
            records.events >= 9 && records.devices >= 2 && records.accountings >= 6
        };
        Some(Self {
            access: next(Wanted::UniqueIdentifiers, &has_everything)?,
            opt_out: next(Wanted::UniqueIdentifiers, &|truth| {
                truth.policy(MARKETING) == Some(true) && respelled(truth)
            })?,
            erasure: next(Wanted::UniqueIdentifiers, &|_| true)?,
            by_producer: next(Wanted::UniqueIdentifiers, &|_| true)?,
            sharing: next(Wanted::SharedPhone, &|truth| international(&truth.identifiers.phone).is_some())?,
        })
    }
}

/// A telephone number as somebody else would write it: `0039…` in place of `+39 …`. `None` when it is no number that
/// can be read without knowing the country.
pub(super) fn international(phone: &str) -> Option<String> {
    let identifier = SubjectIdentifier::parse(IdentifierKind::Phone, phone, None).ok()?;
    let digits = identifier.normalised().expose().strip_prefix('+')?.to_owned();
    Some(format!("00{digits}"))
}

/// A place in the order of finds from which on nobody was created before `from`. Finds come in the order of creation.
fn first_place(platform: &OrganisationHandle, wanted: Wanted, from: DateTime<Utc>) -> Option<usize> {
    let late_enough = |nth: usize| {
        let contact = platform.find_generated(wanted, nth)?.into_iter().next()?;
        Some(platform.truth(&contact)?.created_ms >= from.timestamp_millis())
    };
    let mut nth = 0;
    while !late_enough(nth)? {
        nth = nth * 2 + 1;
    }
    Some(nth)
}
