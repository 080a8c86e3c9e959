//! Why data is erased, and on which legal basis it is held (Art. 6(1) and 17(1) GDPR).

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::vocabulary;

vocabulary! {
    /// The grounds of Art. 17(1) GDPR, one of which every erasure has. The words are those of producers and commands.
    ErasureGround, "ground of an erasure" {
        /// The data is not needed any more for what it was collected for (letter a); also that of every sweep.
        NoLongerNeeded = "no_longer_needed",
        /// The consent was withdrawn, and there is no other legal basis (letter b).
        ConsentWithdrawn = "consent_withdrawn",
        /// The person objected, and nothing overrides it (letter c).
        Objection = "objection",
        /// It was processed unlawfully (letter d).
        Unlawful = "unlawful",
        /// A law obliges to erase it (letter e).
        LegalObligation = "legal_obligation",
        /// It was collected from a child in an online service (letter f).
        Child = "child",
    }
}

impl ErasureGround {
    /// The letter of Art. 17(1) GDPR.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::NoLongerNeeded => 'a',
            Self::ConsentWithdrawn => 'b',
            Self::Objection => 'c',
            Self::Unlawful => 'd',
            Self::LegalObligation => 'e',
            Self::Child => 'f',
        }
    }

    /// The legal bases of the data to which it applies; nothing for the grounds that ask for none.
    const fn bases(self) -> Option<&'static [LegalBasis]> {
        match self {
            // What an online service collects from a child rests on consent (Art. 8(1) GDPR).
            Self::ConsentWithdrawn | Self::Child => Some(&[LegalBasis::Consent]),
            // Art. 21(1) GDPR knows an objection against these two.
            Self::Objection => Some(&[LegalBasis::PublicTask, LegalBasis::LegitimateInterest]),
            Self::NoLongerNeeded | Self::Unlawful | Self::LegalObligation => None,
        }
    }
}

vocabulary! {
    /// The legal bases of Art. 6(1) GDPR.
    LegalBasis, "legal basis" {
        /// Letter a.
        Consent = "consent",
        /// Letter b.
        Contract = "contract",
        /// Letter c.
        LegalObligation = "legal_obligation",
        /// Letter d.
        VitalInterests = "vital_interests",
        /// Letter e.
        PublicTask = "public_task",
        /// Letter f.
        LegitimateInterest = "legitimate_interest",
    }
}

vocabulary! {
    /// What the platform holds about a person, in kinds of which each may have legal bases of its own.
    DataCategory, "category of data" {
        /// The contact's profile, its consents among it.
        Profile = "profile",
        /// Visits and other events.
        Events = "events",
        /// Devices with their addresses.
        Devices = "devices",
        /// Connection records.
        Accountings = "accountings",
    }
}

/// On which legal bases a controller holds each category of data (Art. 6(1) GDPR); nothing is known where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LegalBases {
    /// Of the profile: words of `consent`, `contract`, `legal_obligation`, `vital_interests`, `public_task`,
    /// `legitimate_interest`.
    #[schemars(with = "Vec<String>")]
    pub profile: Vec<LegalBasis>,
    /// Of visits and other events.
    #[schemars(with = "Vec<String>")]
    pub events: Vec<LegalBasis>,
    /// Of devices.
    #[schemars(with = "Vec<String>")]
    pub devices: Vec<LegalBasis>,
    /// Of connection records.
    #[schemars(with = "Vec<String>")]
    pub accountings: Vec<LegalBasis>,
}

impl LegalBases {
    /// Those of one category.
    #[must_use]
    pub fn of(&self, category: DataCategory) -> &[LegalBasis] {
        match category {
            DataCategory::Profile => &self.profile,
            DataCategory::Events => &self.events,
            DataCategory::Devices => &self.devices,
            DataCategory::Accountings => &self.accountings,
        }
    }

    /// The categories to which a ground applies. One that asks for a legal basis applies to no category of which none is
    /// configured: nobody knows then.
    #[must_use]
    pub fn concerned_by(&self, ground: ErasureGround) -> Vec<DataCategory> {
        let applies = |category: &DataCategory| {
            ground.bases().is_none_or(|bases| self.of(*category).iter().any(|basis| bases.contains(basis)))
        };
        DataCategory::ALL.iter().copied().filter(applies).collect()
    }

    /// The categories that the person may take along (Art. 20(1)(a) GDPR): those held by consent or contract.
    #[must_use]
    pub fn portable(&self) -> Vec<DataCategory> {
        let carries = |basis: &LegalBasis| matches!(basis, LegalBasis::Consent | LegalBasis::Contract);
        let portable = |category: &DataCategory| self.of(*category).iter().any(carries);
        DataCategory::ALL.iter().copied().filter(portable).collect()
    }

    /// The categories that have no other legal basis than the person's consent.
    #[must_use]
    pub fn on_consent_alone(&self) -> Vec<DataCategory> {
        let alone = |category: &DataCategory| {
            let bases = self.of(*category);
            !bases.is_empty() && bases.iter().all(|basis| *basis == LegalBasis::Consent)
        };
        DataCategory::ALL.iter().copied().filter(alone).collect()
    }
}

/// What a controller says about the grounds of erasures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErasureRules {
    /// The ground of Art. 17(1) GDPR that an erasure has where whoever hands it in names none: `no_longer_needed`,
    /// `consent_withdrawn`, `objection`, `unlawful`, `legal_obligation` or `child`. Without it such an erasure has none on
    /// record. It refuses nothing and changes nothing of what is erased.
    #[schemars(with = "Option<String>")]
    pub ground: Option<ErasureGround>,
    /// On which legal bases each category of data is held (Art. 6(1) GDPR): the categories to which a ground applies follow
    /// from it.
    pub legal_bases: LegalBases,
    /// So many days after a withdrawal of consent was carried out, what rested on the consent alone follows: the erasure of
    /// the contact where every category does, else a task for a person. Unless the consent was given again. Off without it;
    /// fewer than `upkeep.contact_ids_days`. No default.
    pub consent_follow_up_days: Option<u32>,
    /// For how many days after an erasure backups of the platform and of this service may hold copies: the person is told until
    /// which day, and that nobody uses them. Nothing is said of backups without it; at most `upkeep.contact_ids_days`. No
    /// default.
    pub backup_days: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_38_a_ground_concerns_the_categories_with_its_legal_basis() {
        let bases = LegalBases {
            profile: vec![LegalBasis::Contract, LegalBasis::Consent],
            events: vec![LegalBasis::Consent],
            devices: vec![LegalBasis::LegitimateInterest],
            accountings: Vec::new(),
        };
        let concerned = |ground: ErasureGround| {
            let all = bases.concerned_by(ground);
            all.iter().map(|category| category.as_str()).collect::<Vec<_>>().join(" ")
        };
        let shown: Vec<String> = ErasureGround::ALL
            .iter()
            .map(|ground| format!("{} {ground}: {}", ground.letter(), concerned(*ground)))
            .collect();
        assert_eq!(
            shown,
            [
                "a no_longer_needed: profile events devices accountings",
                "b consent_withdrawn: profile events",
                "c objection: devices",
                "d unlawful: profile events devices accountings",
                "e legal_obligation: profile events devices accountings",
                "f child: profile events",
            ]
        );
        assert!(LegalBases::default().concerned_by(ErasureGround::ConsentWithdrawn).is_empty());
        assert_eq!(bases.on_consent_alone(), [DataCategory::Events]);
        assert!(LegalBases::default().on_consent_alone().is_empty());
        assert_eq!(bases.portable(), [DataCategory::Profile, DataCategory::Events]);
        assert!(LegalBases::default().portable().is_empty());
    }
}
