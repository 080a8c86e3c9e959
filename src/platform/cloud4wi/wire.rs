//! The platform's JSON: what a contact, an envelope and a scalar may look like.
//!
//! Every scalar may come as text, number, boolean or null; every field may be missing. Whole numbers become text with
//! all their digits; a number that would lose digits counts as missing, so that no id is ever rounded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use reqwest::header::HeaderMap;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::Failure;
use super::split::{Envelope, RecordLimits, nesting};
use crate::domain::{ContactId, IdentifierKind, Personal, SubjectIdentifier};
use crate::platform::dates::parse_created;
use crate::platform::{Contact, Created, ListedContact, ProfileDates, RawRecord, Shown};

/// The names under which a list of contacts may stand.
pub(super) const CONTACT_LISTS: &[&str] = &["customers", "contacts", "data", "items", "results", "content"];
/// The names under which a list of events may stand.
pub(super) const EVENT_LISTS: &[&str] = &["events", "data", "items", "results", "content"];
/// The names under which a list of devices may stand.
pub(super) const DEVICE_LISTS: &[&str] = &["devices", "data", "items", "results", "content"];
/// The names under which a list of connections may stand.
pub(super) const ACCOUNTING_LISTS: &[&str] = &["accountings", "data", "items", "results", "content"];

/// A scalar of any kind, as text.
#[derive(Debug, Default, Clone)]
pub(super) struct Scalar<'a>(pub(super) Option<Cow<'a, str>>);

impl Scalar<'_> {
    pub(super) fn text(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.trim().is_empty())
    }

    fn flag(&self) -> Option<bool> {
        match self.text()?.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            _ => None,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyScalar;

        impl<'de> Visitor<'de> for AnyScalar {
            type Value = Scalar<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any JSON value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Scalar(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Scalar(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Scalar(Some(Cow::Borrowed(if value { "true" } else { "false" }))))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Scalar(Some(Cow::Owned(value.to_string()))))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Scalar(Some(Cow::Owned(value.to_string()))))
            }

            fn visit_f64<E>(self, _rounded: f64) -> Result<Self::Value, E> {
                Ok(Scalar(None))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Scalar(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
                while sequence.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar(None))
            }
        }

        deserializer.deserialize_any(AnyScalar)
    }
}

/// The top-level fields of a contact that the vendor documents (Contacts page), and those that this client reads besides.
const DOCUMENTED: &[&str] = &[
    "cid",
    "id",
    "title",
    "firstName",
    "lastName",
    "gender",
    "birthDate",
    "birthDay",
    "age",
    "country",
    "zipCode",
    "created",
    "modified",
    "email",
    "emailVerified",
    "phone",
    "phoneNumber",
    "phoneVerified",
    "signupMethod",
    "externalIdentityId",
    "username",
    "locked",
    "organizationCid",
    "locationCid",
    "system",
    "enabled",
    "deleted",
    "type",
    "locationName",
    "personalId",
    "externalSource",
    "language",
    "lastLogin",
    "segmentCids",
    "logins",
    "policies",
    "segments",
    "extId",
    "extProp1",
    "extProp2",
    "metrics",
];

/// The JSON of a field that is there; none for null.
#[derive(Deserialize)]
#[serde(transparent)]
struct Given<'a>(#[serde(borrow)] Option<&'a RawValue>);

/// What a listing reads of a contact. One of its fields that comes twice makes the record unreadable.
#[derive(Default)]
struct ListedWire<'a> {
    cid: Option<Scalar<'a>>,
    id: Option<Scalar<'a>>,
    created: Option<Scalar<'a>>,
    last_login: Option<Given<'a>>,
    metrics: Option<Given<'a>>,
    undocumented: Vec<String>,
}

impl<'de: 'a, 'a> Deserialize<'de> for ListedWire<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = ListedWire<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a contact")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut listed = ListedWire::default();
                while let Some(name) = map.next_key::<Scalar<'de>>()? {
                    let name = name.0.unwrap_or_default();
                    match name.as_ref() {
                        "cid" => once(&mut listed.cid, map.next_value()?)?,
                        "id" => once(&mut listed.id, map.next_value()?)?,
                        "created" => once(&mut listed.created, map.next_value()?)?,
                        "lastLogin" => once(&mut listed.last_login, map.next_value()?)?,
                        "metrics" => once(&mut listed.metrics, map.next_value()?)?,
                        name => {
                            if !DOCUMENTED.contains(&name) {
                                listed.undocumented.push(plain_name(name));
                            }
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(listed)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

fn once<T, E: serde::de::Error>(place: &mut Option<T>, value: T) -> Result<(), E> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom("a field comes twice")),
    }
}

/// A field's name, if it is a name: anything may stand there.
fn plain_name(name: &str) -> String {
    let is_plain = (1..=64).contains(&name.len())
        && name.starts_with(|each: char| each.is_ascii_alphabetic() || each == '_')
        && name.bytes().all(|each| each.is_ascii_alphanumeric() || matches!(each, b'_' | b'-' | b'.'));
    if is_plain { name.to_owned() } else { "(other)".to_owned() }
}

#[derive(Deserialize)]
struct MetricsWire<'a> {
    #[serde(borrow, default, rename = "lastVisitDateUtc")]
    last_visit: Option<&'a RawValue>,
}

/// The dates of activity in a profile, as the platform wrote them.
fn profile_dates(last_login: Option<&RawValue>, metrics: Option<&RawValue>) -> ProfileDates {
    let shown = |raw: Option<&RawValue>| match raw.map(|raw| serde_json::from_str::<Value>(raw.get())) {
        None => Shown::Nothing,
        Some(read) => read.map_or(Shown::Unreadable, |value| Shown::read(Some(&value))),
    };
    let last_visit = match metrics {
        None => Shown::Nothing,
        Some(raw) => match serde_json::from_str::<Option<MetricsWire<'_>>>(raw.get()) {
            Ok(metrics) => shown(metrics.and_then(|metrics| metrics.last_visit)),
            Err(_) => Shown::Unreadable,
        },
    };
    ProfileDates { last_login: shown(last_login), last_visit }
}

/// Reads one contact of a listing.
pub(super) fn listed_contact(record: &[u8]) -> Option<ListedContact> {
    let wire: ListedWire<'_> = serde_json::from_slice(record).ok()?;
    let text = |scalar: &Option<Scalar<'_>>| scalar.as_ref().and_then(Scalar::text).map(str::to_owned);
    let id = text(&wire.cid).or_else(|| text(&wire.id))?.parse().ok()?;
    let shows =
        profile_dates(wire.last_login.and_then(|given| given.0), wire.metrics.and_then(|given| given.0));
    let created = wire.created.as_ref().map_or(Created::Unknown, created);
    Some(ListedContact { id, created, shows, undocumented: wire.undocumented })
}

fn created(scalar: &Scalar<'_>) -> Created {
    scalar.text().map_or(Created::Unknown, parse_created)
}

/// What is read of a whole contact.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContactWire<'a> {
    #[serde(borrow, default)]
    cid: Scalar<'a>,
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    created: Scalar<'a>,
    #[serde(borrow, default)]
    last_login: Option<&'a RawValue>,
    #[serde(borrow, default)]
    metrics: Option<&'a RawValue>,
    #[serde(borrow, default)]
    deleted: Scalar<'a>,
    #[serde(borrow, default)]
    enabled: Scalar<'a>,
    #[serde(borrow, default)]
    email: Scalar<'a>,
    #[serde(borrow, default)]
    phone: Scalar<'a>,
    #[serde(borrow, default)]
    phone_number: Scalar<'a>,
    #[serde(borrow, default)]
    username: Scalar<'a>,
    #[serde(borrow, default)]
    ext_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    ext_prop1: Scalar<'a>,
    #[serde(borrow, default)]
    ext_prop2: Scalar<'a>,
    #[serde(borrow, default)]
    language: Scalar<'a>,
    #[serde(borrow, default)]
    organization_cid: Scalar<'a>,
    #[serde(borrow, default)]
    policies: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct ExternalWire<'a> {
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    prop1: Scalar<'a>,
    #[serde(borrow, default)]
    prop2: Scalar<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicyWire<'a> {
    #[serde(borrow, default)]
    name: Scalar<'a>,
    #[serde(borrow, default)]
    policy_key: Scalar<'a>,
    #[serde(borrow, default)]
    accepted: Option<&'a RawValue>,
}

impl<'a> ContactWire<'a> {
    pub(super) fn read(record: &'a str) -> Option<Self> {
        serde_json::from_str(record).ok()
    }

    pub(super) fn contact_id(&self) -> Option<ContactId> {
        self.cid.text().or_else(|| self.id.text())?.parse().ok()
    }

    pub(super) fn created(&self) -> Created {
        created(&self.created)
    }

    /// The organisation that the contact says it belongs to.
    pub(super) fn organisation(&self) -> Option<&str> {
        self.organization_cid.text()
    }

    /// Every identifier that the profile holds, as the platform wrote it.
    pub(super) fn held(&self) -> Vec<(IdentifierKind, String)> {
        let external = self.external();
        let all = [
            (IdentifierKind::Email, self.email.text()),
            (IdentifierKind::Phone, self.phone.text()),
            (IdentifierKind::Phone, self.phone_number.text()),
            (IdentifierKind::Username, self.username.text()),
            (IdentifierKind::ExternalId, external.id.text()),
            (IdentifierKind::ExternalProperty1, external.prop1.text().or_else(|| self.ext_prop1.text())),
            (IdentifierKind::ExternalProperty2, external.prop2.text().or_else(|| self.ext_prop2.text())),
        ];
        all.into_iter().filter_map(|(kind, value)| Some((kind, value?.to_owned()))).collect()
    }

    /// The external id is an object in one version of the API and a scalar in another.
    fn external(&self) -> ExternalWire<'a> {
        let Some(raw) = self.ext_id else { return ExternalWire::default() };
        if raw.get().starts_with('{') {
            return serde_json::from_str(raw.get()).unwrap_or_default();
        }
        ExternalWire { id: serde_json::from_str(raw.get()).unwrap_or_default(), ..ExternalWire::default() }
    }

    /// The policies by name without prefix; `None` when they cannot be read, because an opt-out that cannot be seen
    /// must not look like one that was applied. One that says neither yes nor no is left out: what the platform takes for
    /// granted then (in opt-out mode that it is accepted) is not for us to say.
    fn policies(&self) -> Option<BTreeMap<String, bool>> {
        let Some(raw) = self.policies else { return Some(BTreeMap::new()) };
        let mut policies = BTreeMap::new();
        if raw.get().starts_with('[') {
            for policy in serde_json::from_str::<Vec<PolicyWire<'_>>>(raw.get()).ok()? {
                let name = policy.name.text().or_else(|| policy.policy_key.text())?;
                note_policy(&mut policies, name, policy.accepted)?;
            }
        } else {
            let by_name = serde_json::from_str::<BTreeMap<String, Option<&RawValue>>>(raw.get()).ok()?;
            for (name, accepted) in by_name {
                note_policy(&mut policies, &name, accepted)?;
            }
        }
        Some(policies.into_iter().filter_map(|(name, accepted)| Some((name, accepted?))).collect())
    }

    /// The contact, with its whole text.
    pub(super) fn into_contact(self, record: &str, default_country: Option<&str>) -> Option<Contact> {
        let held = self.held();
        let identifiers = held
            .iter()
            .filter_map(|(kind, value)| SubjectIdentifier::parse(*kind, value, default_country).ok())
            .collect();
        let raw = RawValue::from_string(record.to_owned()).ok()?;
        let shows = profile_dates(self.last_login, self.metrics);
        Some(Contact {
            id: self.contact_id()?,
            created: self.created(),
            last_seen_at: match shows.last_login {
                Shown::At(at) | Shown::About(at) => Some(at),
                Shown::Nothing | Shown::Unreadable => None,
            },
            shows,
            marked_deleted: self.deleted.flag() == Some(true) || self.enabled.flag() == Some(false),
            deleted: self.deleted.flag() == Some(true),
            policies: self.policies()?,
            email: self
                .email
                .text()
                .filter(|text| is_clean(text))
                .map(|text| Personal::new(text.trim().to_owned())),
            language: self
                .language
                .text()
                .filter(|text| is_clean(text) && text.len() <= 35)
                .map(str::to_owned),
            identifiers,
            held: held.into_iter().map(|(kind, value)| (kind, Personal::new(value))).collect(),
            raw: RawRecord::new(raw),
        })
    }
}

/// Notes what a policy says: yes, no, or neither, where there is nothing or null; `None` for what cannot be read as any of them.
///
/// Two policies whose names differ in their prefix only cannot be told apart afterwards: accepted counts, then what says
/// neither, so that an opt-out of one is never proven by the other.
fn note_policy(
    policies: &mut BTreeMap<String, Option<bool>>,
    name: &str,
    accepted: Option<&RawValue>,
) -> Option<()> {
    let says = match accepted {
        Some(raw) => Some(serde_json::from_str::<Scalar<'_>>(raw.get()).ok()?.flag()?),
        None => None,
    };
    let noted = policies.entry(policy_name(name)).or_insert(says);
    *noted = match (*noted, says) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (None, _) | (_, None) => None,
        (Some(false), Some(false)) => Some(false),
    };
    Some(())
}

/// A policy's name without the prefix, which differs from place to place, and without characters that a database
/// refuses.
fn policy_name(name: &str) -> String {
    let name = name.trim();
    let bare = name.strip_prefix("customs.").or_else(|| name.strip_prefix("customOptin.")).unwrap_or(name);
    bare.replace(char::is_control, "\u{FFFD}")
}

fn is_clean(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Reads one whole contact.
pub(super) fn contact(record: &[u8], default_country: Option<&str>) -> Option<Contact> {
    let record = std::str::from_utf8(record).ok()?;
    ContactWire::read(record)?.into_contact(record, default_country)
}

#[derive(Deserialize)]
struct SingleWire<'a> {
    #[serde(borrow, default)]
    cid: Scalar<'a>,
    #[serde(borrow, default)]
    id: Scalar<'a>,
    #[serde(borrow, default)]
    status: Scalar<'a>,
    #[serde(borrow, default)]
    customer: Option<&'a RawValue>,
    #[serde(borrow, default)]
    contact: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Finds the object of one contact in an answer: bare, under a known name, or alone in an array.
pub(super) fn single_contact(
    body: &[u8],
    limits: RecordLimits,
    default_country: Option<&str>,
) -> Result<Contact, Failure> {
    let unreadable = |what: &str| Failure::Unreadable(what.to_owned());
    let text = std::str::from_utf8(body).map_err(|_| unreadable("the body is not UTF-8"))?;
    let text = text.trim_start_matches('\u{feff}').trim();
    match text.as_bytes().first() {
        Some(b'{' | b'[') => {}
        None => return Err(unreadable("the body is empty")),
        Some(b'<') => return Err(unreadable("the body is HTML or XML")),
        Some(_) => return Err(unreadable("the body is no JSON object")),
    }
    if nesting(text.as_bytes()) > limits.max_depth {
        return Err(Failure::TooLarge("limits.max_depth".to_owned()));
    }
    let broken = |_| unreadable("the body is not the JSON of one contact");
    let mut found = text;
    // A contact may be wrapped in an object and an array at most.
    for _ in 0..3 {
        if found.starts_with('[') {
            let [only]: [&RawValue; 1] = serde_json::from_str::<Vec<&RawValue>>(found)
                .map_err(broken)?
                .try_into()
                .map_err(|_| unreadable("the answer is a list where one contact was expected"))?;
            found = only.get();
            continue;
        }
        let wire: SingleWire<'_> = serde_json::from_str(found).map_err(broken)?;
        if wire.cid.text().is_some() || wire.id.text().is_some() {
            return contact(found.as_bytes(), default_country)
                .ok_or_else(|| unreadable("a field of the contact"));
        }
        if wire.status.text() == Some("KO") {
            return Err(Failure::Refused { status: 200, detail: "status KO".to_owned() });
        }
        found = wire
            .customer
            .or(wire.contact)
            .or(wire.data)
            .map(RawValue::get)
            .filter(|inner| inner.starts_with(['{', '[']))
            .ok_or_else(|| unreadable("unrecognised envelope: no contact in the answer"))?;
    }
    Err(unreadable("unrecognised envelope: no contact in the answer"))
}

/// Whether the JSON text of a `status` means a refusal.
pub(super) fn is_ko(status: &[u8]) -> bool {
    serde_json::from_slice::<Scalar<'_>>(status).is_ok_and(|status| status.text() == Some("KO"))
}

/// The id with which a list goes on, and the name under which it stood.
pub(super) fn next_scroll(envelope: &Envelope, headers: &HeaderMap) -> Option<(String, String)> {
    const NAMES: [&str; 4] = ["sid", "scrollId", "scroll_id", "nextSid"];
    for name in NAMES {
        let scalar = envelope.member(name).and_then(|text| serde_json::from_slice::<Scalar<'_>>(text).ok());
        if let Some(id) = scalar.as_ref().and_then(Scalar::text) {
            return Some((name.to_owned(), id.to_owned()));
        }
    }
    for outer in ["paging", "meta"] {
        let Some(text) = envelope.member(outer) else { continue };
        let Ok(members) = serde_json::from_slice::<BTreeMap<String, Scalar<'_>>>(text) else { continue };
        for name in NAMES {
            if let Some(id) = members.get(name).and_then(Scalar::text) {
                return Some((name.to_owned(), id.to_owned()));
            }
        }
    }
    let id = headers.get("sid")?.to_str().ok()?;
    (!id.is_empty()).then(|| ("sid".to_owned(), id.to_owned()))
}

/// How many records the platform says there are altogether, where it says so.
pub(super) fn announced_total(envelope: &Envelope) -> Option<u64> {
    ["total", "totalCount", "count"]
        .iter()
        .filter_map(|name| {
            serde_json::from_slice::<Scalar<'_>>(envelope.member(name)?).ok()?.text()?.parse().ok()
        })
        .max()
}
