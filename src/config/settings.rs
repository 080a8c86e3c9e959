//! The root of all settings.

use std::path::PathBuf;

use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::decisions::ControllerDecision;
use crate::domain::deadline::{CalendarCode, Period, RegimeCode};
use crate::domain::{Controller, DecisionKind, ErasureRules, FloodLimits, IdentityRules, OrganisationId};
use crate::platform::cloud4wi;
use crate::report::{Section, StorageAnchor, StorageTerm};
use crate::retention::Anchor;
use crate::{
    alert, audit, delivery, holds, http, queue, recipients, report, retention, self_test, store, suppression,
    telemetry, upkeep,
};

/// Everything that an operator can set.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Directory for what the daemon keeps on disk: the master key, encrypted packages, and the private database cluster
    /// where none is configured. Empty means: systemd's state directory, else `/var/lib/dsrd` for root and for the user
    /// to whom it belongs, else `dsrd` in the XDG state directory of the user.
    pub data_dir: PathBuf,
    /// The key from which all others are derived.
    pub keys: Keys,
    /// The log.
    pub telemetry: telemetry::Settings,
    /// The database.
    pub database: store::Settings,
    /// The audit log: who signs it, and how often.
    pub audit: audit::Settings,
    /// Where the signed heads of the audit log go, so that others can tell an altered or older log.
    pub publish: audit::PublishSettings,
    /// The queue and its workers.
    pub queue: queue::Settings,
    /// Access reports and the packages made of them. `directory` may be left empty: `packages` in the data directory.
    pub report: report::Settings,
    /// Mails, hand-over links and the life of packages.
    pub delivery: delivery::Settings,
    /// What was done to contacts, outside of the database, for the time after a restore (docs/holds.md).
    pub ledger: suppression::ledger::Settings,
    /// Whether what was erased or opted out lasts (docs/holds.md).
    pub suppression: suppression::watch::Settings,
    /// When the service forgets its own copies.
    pub upkeep: upkeep::Settings,
    /// The hand-over page where people fetch their package, and the health answers.
    pub http: http::Settings,
    /// The organisations (controllers) served.
    pub organisations: Vec<Organisation>,
    /// What controllers decided about settings that the law leaves to them: whose, about which key, by whom, when and why.
    pub decisions: Vec<ControllerDecision>,
}

/// Where the master key is.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// File that holds the master key: 64 hexadecimal digits, readable by its owner only. Empty means
    /// `keys/master.key` in the data directory. It is made at the first start. Without it, no stored identifier can be read:
    /// keep a copy apart from the copies of the database.
    pub master_key_file: PathBuf,
}

/// One organisation.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Organisation {
    /// Short name in this configuration, in commands and in the audit log: `a-z`, `0-9` and `-`. Never changed
    /// afterwards.
    #[schemars(with = "String")]
    pub id: OrganisationId,
    /// The name under which people know it; stands in notices.
    pub name: String,
    /// How people reach its data protection officer: one line, for example an e-mail address; stands in notices.
    pub contact: String,
    /// IANA time zone of its establishment, in which days begin and end (`Europe/Rome`).
    #[schemars(with = "String")]
    pub time_zone: Tz,
    /// The law whose terms hold for its answers: `EU`, `EU-suspend`, `UK`, `US-CA`, `US-CO`, `BR` or `CH`. What each says
    /// stands in docs/deadlines.md.
    #[schemars(with = "String")]
    pub regime: RegimeCode,
    /// The public holidays of its establishment, for example `IT` or `DE-BY`: the last lawful day of a request follows from
    /// it. Without it only the date to keep is known, which depends on no holiday. No default.
    #[schemars(with = "Option<String>")]
    pub calendar: Option<CalendarCode>,
    /// Further calendars (`["IT"]`), where it is doubtful which state's holidays count: the earliest date holds.
    #[schemars(with = "Vec<String>")]
    pub further_calendars: Vec<CalendarCode>,
    /// Within how many days of its receipt an open request takes the same one of the same person as a reminder: the first
    /// goes on with its first date, the reminder ends as `superseded`. 0 takes none.
    pub reminder_days: u32,
    /// From how many requests of one kind and person within a year on a request is shown as frequent. The mark refuses
    /// nothing; a person may look.
    pub frequent_from: u32,
    /// Kinds of decision that one person proposes and another confirms (`["refusal", "extension"]`); also `answer`,
    /// `acceptance` and `fee`. Empty: one person decides.
    #[schemars(with = "Vec<String>")]
    pub two_persons: Vec<DecisionKind>,
    /// ISO 3166 code (`IT`) with which telephone numbers without a country code are read. Without it such numbers are
    /// refused.
    pub default_country: Option<String>,
    /// Language of notices and reports where the request names none (`en`).
    pub language: String,
    /// The policies that an opt-out switches off where the request names none (`mktgCommunications`).
    pub opt_out_policies: Vec<String>,
    /// How well it must be known who asks for what (Art. 12(6) GDPR). An opt-out needs no proof.
    pub identity: IdentityRules,
    /// On which ground of Art. 17(1) GDPR it erases, and on which legal bases it holds what.
    pub erasure: ErasureRules,
    /// How much may begin at once; what comes beyond waits a little, and nothing is refused.
    pub flood: FloodLimits,
    /// Its contacts at Cloud4Wi.
    pub platform: cloud4wi::Settings,
    /// How long its contacts are kept.
    pub retention: retention::Settings,
    /// What must not be erased for now, by law (docs/holds.md).
    pub holds: holds::Settings,
    /// Who among its staff is told of requests that are due, late or failed, and of the daily digest.
    pub escalation: alert::Settings,
    /// An invented contact of its own, taken through its rights every day.
    pub self_test: self_test::Settings,
    /// What an access report must say beside the data (Art. 15(1)(a) to (h) GDPR): purposes, legal grounds,
    /// recipients, storage periods, sources.
    pub catalogue: Option<report::Catalogue>,
    /// What is withheld from copies of a person's data because it belongs to other people (Art. 15(4) GDPR).
    pub redaction: report::RedactionRules,
    /// To whom it gives personal data or gave it (Art. 15(1)(c), 19 GDPR): named in access reports, told of erasures.
    pub recipients: Vec<recipients::Recipient>,
}

impl Organisation {
    /// What an access report says beside the data, with the retention rule's period for the profile, and for the consents in it,
    /// where the rule is switched on and the catalogue states no term of its own.
    #[must_use]
    pub fn catalogue(&self) -> Option<report::Catalogue> {
        let mut catalogue = self.catalogue.clone()?;
        if let Some(months) = self.retention.keep_months.filter(|_| self.retention.enabled) {
            let from = match self.retention.anchor {
                Anchor::Created => StorageAnchor::Created,
                Anchor::LastActivity => StorageAnchor::LastActivity,
            };
            let term = StorageTerm { period: Period::Months(months), from };
            for section in [Section::Profile, Section::Consents] {
                if let Some(entry) = catalogue.sections.get_mut(&section) {
                    entry.retention.get_or_insert(term);
                }
            }
        }
        Some(catalogue)
    }

    /// What the other modules need to know about it.
    #[must_use]
    pub fn controller(&self) -> Controller {
        Controller {
            id: self.id.clone(),
            name: self.name.clone(),
            contact: self.contact.clone(),
            time_zone: self.time_zone,
            regime: self.regime,
            calendar: self.calendar,
            further_calendars: self.further_calendars.clone(),
            reminder_days: self.reminder_days,
            frequent_from: self.frequent_from,
            two_persons: self.two_persons.clone(),
            default_country: self.default_country.clone(),
            language: self.language.clone(),
            opt_out_policies: self.opt_out_policies.clone(),
            identity: self.identity.clone(),
            erasure: self.erasure.clone(),
            flood: self.flood,
        }
    }
}

impl Settings {
    /// The organisation of that short name.
    #[must_use]
    pub fn find_organisation(&self, id: &OrganisationId) -> Option<&Organisation> {
        self.organisations.iter().find(|each| each.id == *id)
    }
}
