//! What a report says besides the records.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Language, Section, StorageEnd, StorageTerm};
use crate::domain::deadline::RegimeCode;
use crate::domain::{IdentifierKind, LegalBasis, Reference, SubjectIdentifier};

/// Everything that the report says besides the records.
#[derive(Clone, Debug)]
pub struct ReportHeader {
    /// The reference of the request.
    pub reference: Reference,
    /// The controller's name as people know it.
    pub organisation_name: String,
    /// How to reach the controller or its data protection officer: one or more lines of plain text.
    pub controller_contact: String,
    /// When the request was received.
    pub received_at: DateTime<Utc>,
    /// When the records were collected and this report made.
    pub generated_at: DateTime<Utc>,
    /// The time zone in which instants are shown to the person: the controller's. The files for programs keep UTC.
    pub time_zone: Tz,
    /// The law under which the controller answers: whose articles the report cites, and to whom it says that people can complain.
    pub regime: RegimeCode,
    /// The identifiers that were searched for.
    pub identifiers: Vec<MaskedIdentifier>,
    /// The language of the texts.
    pub language: Language,
    /// What the package is for.
    pub form: Form,
    /// The information of Art. 15(1)(a) to (h) by section. `None`: the report says that the controller gives it
    /// separately. `Some`: it must cover every section in which records are held.
    pub catalogue: Option<Catalogue>,
    /// Until when the records are kept, of the sections to which the catalogue gives a term.
    pub storage: BTreeMap<Section, StorageEnd>,
}

/// What a package is for, and so what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// A copy of everything, to read and for programs (Art. 15 GDPR).
    #[default]
    Access,
    /// What the person may take along, for programs (Art. 20 GDPR): the sections that rest on consent or contract, each with
    /// its legal bases.
    Portability(BTreeMap<Section, Vec<LegalBasis>>),
}

impl Form {
    /// Whether a section belongs in it.
    #[must_use]
    pub fn holds(&self, section: Section) -> bool {
        match self {
            Self::Access => true,
            Self::Portability(bases) => bases.contains_key(&section),
        }
    }

    /// The article of the GDPR that is answered; the rights of others stand in the fourth paragraph of either.
    pub(super) const fn article(&self) -> &'static str {
        match self {
            Self::Access => "15",
            Self::Portability(_) => "20",
        }
    }
}

/// An identifier that was searched for, in a form that its owner recognises and nobody else can use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MaskedIdentifier {
    /// What kind of identifier.
    pub kind: IdentifierKind,
    /// The masked text.
    pub masked: String,
}

impl MaskedIdentifier {
    /// Masks an identifier: the first character, and of an address its domain, or the last two characters of a
    /// longer text, stay.
    #[must_use]
    pub fn of(identifier: &SubjectIdentifier) -> Self {
        let text = identifier.normalised().expose();
        let masked = match (identifier.kind(), text.rsplit_once('@')) {
            (IdentifierKind::Email, Some((local, domain))) => {
                format!("{}•••@{domain}", local.chars().next().unwrap_or('•'))
            }
            _ if text.chars().count() < 6 => "•••".to_owned(),
            _ => {
                let characters: Vec<char> = text.chars().collect();
                let tail: String = characters[characters.len() - 2..].iter().collect();
                format!("{}•••{tail}", characters[0])
            }
        };
        Self { kind: identifier.kind(), masked }
    }
}

/// The information of Art. 15(1)(a) to (h) and (2) GDPR that the controller owes beside the records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Purposes, legal basis, recipients, storage period and source, by section: `profile`, `consents`, `events`, `devices`,
    /// `accountings` and `requests`. None may be left out: about somebody with records in it no access report could be made. Nor may
    /// a text lack words, in these or beside them: what there is none of, say so.
    pub sections: BTreeMap<Section, CatalogueEntry>,
    /// Whether decisions are made automatically, and by which logic.
    pub automated_decisions: String,
    /// Transfers to other countries and the safeguards for them.
    pub transfers: String,
    /// Name and address of the authority to which a complaint can be made.
    pub complaint_authority: String,
}

/// What the controller says about the records of one section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogueEntry {
    /// What the records are used for.
    pub purposes: String,
    /// On which legal ground.
    pub legal_basis: String,
    /// To whom the records are given, by name. May be empty where a recipient of the register gets them and has no last day: it is
    /// named by itself.
    pub recipients: String,
    /// How long the records are kept.
    pub storage_period: String,
    /// Where the records come from.
    pub source: String,
    /// The same period for computing, so that the report names the day for this person: `{ period = "12m", from = "record" }`.
    /// `from` is `created` (the contact), `last_activity` (as `retention.activities` counts it) or `record` (each record by its
    /// own date). Without it the words of `storage_period` stand alone, but for the profile and its consents: there the period
    /// of a retention rule that is switched on is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<StorageTerm>,
}
