//! What an operator sets about self-tests.

use chrono::TimeDelta;
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{IdentifierError, IdentifierKind, RequestKind, SubjectIdentifier};
use crate::retention::{Schedule, ScheduleError};

/// The rights that can be tried: those that a procedure carries out and reads back.
pub const KINDS: [RequestKind; 3] = [RequestKind::OptOut, RequestKind::Access, RequestKind::Erasure];

/// What at least one identifier of the invented contact contains, so that it cannot be a person's.
pub const MARK: &str = "dsrd-self-test";

/// A contact that is nobody, taken through its rights once a day.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whether it is done. The contact must exist at the platform, with a mailbox of the organisation as its address.
    pub enabled: bool,
    /// Which rights are tried: words of `opt_out`, `access` and `erasure`. `erasure` only where the contact is made anew
    /// before every run, for example in an organisation for tests.
    #[schemars(with = "Vec<String>")]
    pub kinds: Vec<RequestKind>,
    /// Mail address of the invented contact. The contact found must carry every identifier that is set here, and one of
    /// them must contain `dsrd-self-test`. No default.
    pub email: Option<String>,
    /// Its telephone number, with the country code. No default.
    pub phone: Option<String>,
    /// Its username. No default.
    pub username: Option<String>,
    /// Its id in a system of the organisation, for example `dsrd-self-test-1`. No default.
    pub external_id: Option<String>,
    /// When it begins: a cron expression of five fields (minute hour day month weekday) in the organisation's time zone. At
    /// most one run a day.
    pub schedule: String,
    /// Within how many minutes every right must have been carried out, read back and told. An erasure is looked at twice,
    /// `queue.second_look_secs` apart, and needs more than that.
    pub limit_minutes: u32,
}

/// Why a self-test cannot be done as it is set.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// No right, one twice, or one that cannot be tried.
    #[error("self_test.kinds must name at least one of opt_out, access and erasure, each once")]
    Kinds,
    /// Nobody is named.
    #[error("self_test needs at least one of email, phone, username and external_id")]
    Nobody,
    /// It could be a person.
    #[error(
        "self_test: one of email, username and external_id must contain {MARK}, so that the contact cannot be a person's"
    )]
    Unmarked,
    /// An identifier cannot be read.
    #[error("self_test.{0} cannot be read")]
    Identifier(IdentifierKind, #[source] IdentifierError),
    /// The schedule is refused.
    #[error("self_test.schedule is refused")]
    Schedule(#[from] ScheduleError),
    /// The limit is no time that can be waited for.
    #[error("self_test.limit_minutes must be from 5 to 1200")]
    Limit,
}

/// A checked self-test.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) kinds: Vec<RequestKind>,
    pub(super) identifiers: Vec<SubjectIdentifier>,
    pub(super) schedule: Schedule,
    pub(super) limit: TimeDelta,
}

impl Plan {
    /// Whether the contact is erased by it.
    pub(super) fn erases(&self) -> bool {
        self.kinds.contains(&RequestKind::Erasure)
    }

    /// When it begins.
    #[must_use]
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }
}

impl Settings {
    /// The self-test as it is done; none where it is switched off, whatever else is set.
    pub fn plan(&self, zone: Tz, default_country: Option<&str>) -> Result<Option<Plan>, PlanError> {
        if !self.enabled {
            return Ok(None);
        }
        let once = |kind: &&RequestKind| self.kinds.iter().filter(|each| each == kind).count() == 1;
        if self.kinds.is_empty() || !self.kinds.iter().all(|kind| KINDS.contains(kind) && once(&kind)) {
            return Err(PlanError::Kinds);
        }
        let mut identifiers = Vec::new();
        let mut marked = false;
        for (kind, text) in [
            (IdentifierKind::Email, &self.email),
            (IdentifierKind::Phone, &self.phone),
            (IdentifierKind::Username, &self.username),
            (IdentifierKind::ExternalId, &self.external_id),
        ] {
            let Some(text) = text else { continue };
            let identifier = SubjectIdentifier::parse(kind, text, default_country)
                .map_err(|error| PlanError::Identifier(kind, error))?;
            marked |= kind != IdentifierKind::Phone && text.to_ascii_lowercase().contains(MARK);
            identifiers.push(identifier);
        }
        if identifiers.is_empty() {
            return Err(PlanError::Nobody);
        }
        if !marked {
            return Err(PlanError::Unmarked);
        }
        if !(5..=1200).contains(&self.limit_minutes) {
            return Err(PlanError::Limit);
        }
        Ok(Some(Plan {
            kinds: self.kinds.clone(),
            identifiers,
            schedule: Schedule::parse(&self.schedule, zone.name())?,
            limit: TimeDelta::minutes(self.limit_minutes.into()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boring() -> Settings {
        Settings {
            enabled: true,
            kinds: vec![RequestKind::OptOut, RequestKind::Access],
            email: Some("privacy+dsrd-self-test@venue.example".to_owned()),
            phone: None,
            username: None,
            external_id: None,
            schedule: "30 4 * * *".to_owned(),
            limit_minutes: 60,
        }
    }

    fn refused(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = boring();
        change(&mut settings);
        let planned = settings.plan(chrono_tz::Europe::Rome, None);
        planned.map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn r_85_a_self_test_names_a_contact_that_cannot_be_a_person() {
        assert!(boring().plan(chrono_tz::Europe::Rome, None).unwrap().is_some());
        let person = refused(|settings| settings.email = Some("canarino@posta.example".to_owned()));
        assert!(person.contains("dsrd-self-test"), "{person}");
        assert!(refused(|settings| settings.email = None).contains("at least one of email"));
        // Two digits more, and a number is another's: it proves nothing of whom it is.
        let number = refused(|settings| {
            (settings.email, settings.phone) = (None, Some("+39 333 1234567".to_owned()));
        });
        assert!(number.contains("cannot be a person's"), "{number}");
    }

    #[test]
    fn what_is_wrong_is_named_and_switched_off_nothing_is() {
        assert!(refused(|settings| settings.kinds = Vec::new()).contains("self_test.kinds"));
        assert!(
            refused(|settings| settings.kinds = vec![RequestKind::Objection]).contains("self_test.kinds")
        );
        let twice = refused(|settings| settings.kinds = vec![RequestKind::Access; 2]);
        assert!(twice.contains("self_test.kinds"), "{twice}");
        assert!(refused(|settings| settings.schedule = "daily".to_owned()).contains("self_test.schedule"));
        assert!(refused(|settings| settings.limit_minutes = 1).contains("limit_minutes"));
        assert!(refused(|settings| settings.email = Some("dsrd-self-test".to_owned())).contains("email"));
        let off = Settings { enabled: false, email: None, kinds: Vec::new(), ..boring() };
        assert!(off.plan(chrono_tz::Europe::Rome, None).unwrap().is_none());
    }
}
