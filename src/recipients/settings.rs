//! The register of recipients, as it stands in the settings.

use std::collections::BTreeSet;
use std::path::PathBuf;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::delivery;
use crate::domain::deadline::RegimeCode;
use crate::report::Section;
use crate::webhook::check_url;

/// One recipient of personal data (Art. 4(9) GDPR): processors and other controllers alike.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// Short name in commands and in the audit log: `a-z`, `0-9` and `-`. Never given to another recipient afterwards.
    pub id: String,
    /// Its name, as access reports give it to people.
    pub name: String,
    /// What it is: `processor`, `controller`, `joint_controller` or `authority`.
    pub role: Role,
    /// The sections of data that it gets: `profile`, `consents`, `events`, `devices`, `accountings`.
    pub categories: Vec<Section>,
    /// The country where it keeps them: ISO 3166 code, for example `IT`.
    pub country: String,
    /// The safeguard for a country outside of the law's own area (Art. 44 to 49 GDPR), for example `standard contractual
    /// clauses of 2024-03-01`. Required there.
    pub safeguard: Option<String>,
    /// The first day on which it got data.
    #[schemars(with = "String")]
    pub from: NaiveDate,
    /// The last day on which it held data. Left out while it does.
    #[schemars(with = "Option<String>")]
    pub until: Option<NaiveDate>,
    /// How it is told of erasures: `mail`, `webhook`, or `person` where somebody does so by hand.
    pub channel: ChannelKind,
    /// For `mail`: its address.
    pub mail_to: Option<String>,
    /// For `webhook`: where it listens, with `https://`; `http://` on this host only.
    pub url: Option<String>,
    /// For `webhook`: file with the secret that signs the calls, at least 32 characters.
    pub secret_file: Option<PathBuf>,
    /// For `webhook`: lets the call go to an address of a private network or of this host.
    pub allow_private_address: Option<bool>,
    /// Within how many days it shall answer; an open task is an alert afterwards. 30 when left out.
    pub answer_within_days: Option<u16>,
    /// Whether it is told of erasures by retention rules, too. It is when left out.
    pub told_of_sweeps: Option<bool>,
    /// Whether it is told of opt-outs from marketing and of withdrawn consents, too: for one that markets with your data or in
    /// your name. It is not when left out. Of a request of kind `ccpa_opt_out` every recipient is
    /// told.
    pub told_of_opt_outs: Option<bool>,
    /// The language of mails to it: `en`, `de`, `fr`, `it`, `es`. That of the organisation when left out.
    pub language: Option<String>,
}

/// What a recipient is in the words of the law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Acts for the controller (Art. 28 GDPR).
    Processor,
    /// Decides itself.
    Controller,
    /// Decides together with the controller (Art. 26 GDPR).
    JointController,
    /// A public authority.
    Authority,
}

/// How a recipient is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelKind {
    /// A mail.
    Mail,
    /// A signed call over HTTPS.
    Webhook,
    /// By hand.
    Person,
}

impl ChannelKind {
    /// The word as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
            Self::Person => "person",
        }
    }
}

/// Days for an answer where the settings name none: as long as the person waits for one.
const ANSWER_WITHIN_DAYS: u16 = 30;

/// The European Economic Area: the Union, Iceland, Liechtenstein and Norway.
const EEA: [&str; 30] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS", "IT",
    "LI", "LT", "LU", "LV", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// Stands in tasks for those who use data that the controller made public (Art. 17(2) GDPR).
pub(super) const PUBLIC: &str = "public";

impl Recipient {
    /// Days for an answer.
    #[must_use]
    pub fn answer_within_days(&self) -> u16 {
        self.answer_within_days.unwrap_or(ANSWER_WITHIN_DAYS)
    }

    /// Whether it is told of erasures by retention rules.
    #[must_use]
    pub fn is_told_of_sweeps(&self) -> bool {
        self.told_of_sweeps.unwrap_or(true)
    }

    /// Whether it is told of opt-outs from marketing. Those of California it is told of in any case.
    #[must_use]
    pub fn is_told_of_opt_outs(&self) -> bool {
        self.told_of_opt_outs.unwrap_or(false)
    }

    /// Whether its calls may go to a private network.
    #[must_use]
    pub fn may_be_private(&self) -> bool {
        self.allow_private_address.unwrap_or(false)
    }

    /// Everything that is wrong with the register, each in a sentence that begins with the key within it.
    #[must_use]
    pub fn refused(register: &[Self], regime: RegimeCode) -> Vec<String> {
        let mut refused = Vec::new();
        let mut ids = BTreeSet::new();
        for (index, recipient) in register.iter().enumerate() {
            let mut refuse = |text: String| refused.push(format!("recipients[{index}].{text}"));
            if !ids.insert(recipient.id.as_str()) {
                refuse("id is the id of another recipient, too".to_owned());
            }
            recipient.refuse_description(regime, &mut refuse);
            recipient.refuse_channel(&mut refuse);
        }
        refused
    }

    fn refuse_description(&self, regime: RegimeCode, refuse: &mut impl FnMut(String)) {
        let plain = |each: char| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '-';
        if !(1..=40).contains(&self.id.len())
            || !self.id.starts_with(|first: char| first.is_ascii_lowercase())
            || !self.id.chars().all(plain)
        {
            refuse("id must be 1 to 40 characters of a-z, 0-9 and '-', starting with a letter".to_owned());
        }
        for (key, text) in [("name", Some(&self.name)), ("safeguard", self.safeguard.as_ref())] {
            if text.is_some_and(|text| text.trim().is_empty() || text.chars().any(char::is_control)) {
                refuse(format!("{key} must be one line of text; people read it in access reports"));
            }
        }
        if self.categories.is_empty() {
            refuse(
                "categories is empty: a recipient of nothing does not belong into the register".to_owned(),
            );
        }
        if self.categories.contains(&Section::Requests) {
            refuse("categories: requests are this service's own records and are given to nobody".to_owned());
        }
        if self.until.is_some_and(|until| until < self.from) {
            refuse("until lies before from".to_owned());
        }
        if self.country.len() != 2 || !self.country.chars().all(|each| each.is_ascii_uppercase()) {
            refuse("country must be an ISO 3166 code of two capital letters, for example IT".to_owned());
        } else if self.safeguard.is_none() && is_third_country(&self.country, regime) {
            refuse(format!(
                "safeguard is missing: {} is a third country under the law of this organisation; name the decision on \
                 adequacy or the clauses on which the transfer rests (Art. 44 to 49 GDPR)",
                self.country
            ));
        }
        if self.id == PUBLIC {
            refuse("id must be another one: public stands for data that were made public".to_owned());
        }
        if self.language.as_deref().is_some_and(|language| !delivery::speaks(language)) {
            refuse("language must be one in which there are texts: en, de, fr, it or es".to_owned());
        }
        if self.answer_within_days == Some(0) {
            refuse("answer_within_days must be at least 1".to_owned());
        }
    }

    fn refuse_channel(&self, refuse: &mut impl FnMut(String)) {
        let needs = [
            ("mail_to", ChannelKind::Mail, self.mail_to.is_some()),
            ("url", ChannelKind::Webhook, self.url.is_some()),
            ("secret_file", ChannelKind::Webhook, self.secret_file.is_some()),
        ];
        for (key, channel, is_set) in needs {
            match (self.channel == channel, is_set) {
                (true, false) => refuse(format!("{key} is needed for channel = \"{}\"", channel.as_str())),
                (false, true) => refuse(format!("{key} belongs to channel = \"{}\"", channel.as_str())),
                _ => {}
            }
        }
        if self.mail_to.as_ref().is_some_and(|address| {
            address.matches('@').count() != 1
                || address.starts_with('@')
                || address.ends_with('@')
                || !address.chars().all(|each| each.is_ascii_graphic())
        }) {
            refuse("mail_to must be an address, for example privacy@partner.example".to_owned());
        }
        if let Some(Err(problem)) = self.url.as_deref().map(check_url) {
            refuse(format!("url {problem}"));
        }
    }
}

/// Whether a country lies outside of the area in which a law lets data flow by itself.
fn is_third_country(country: &str, regime: RegimeCode) -> bool {
    match regime.as_str() {
        "EU" | "EU-suspend" => !EEA.contains(&country),
        "UK" => country != "GB" && !EEA.contains(&country),
        "CH" => country != "CH" && country != "GB" && !EEA.contains(&country),
        "BR" => country != "BR",
        // The laws of the states of the USA ask for contracts, not for safeguards of transfers.
        _ => false,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::recipients) fn boring() -> Recipient {
        Recipient {
            id: "crm".to_owned(),
            name: "CRM Società".to_owned(),
            role: Role::Processor,
            categories: vec![Section::Profile, Section::Events],
            country: "IT".to_owned(),
            safeguard: None,
            from: NaiveDate::from_ymd_opt(2025, 1, 1).unwrap(),
            until: None,
            channel: ChannelKind::Mail,
            mail_to: Some("privacy@crm.example".to_owned()),
            url: None,
            secret_file: None,
            allow_private_address: None,
            answer_within_days: None,
            told_of_sweeps: None,
            told_of_opt_outs: None,
            language: None,
        }
    }

    fn refused(change: impl FnOnce(&mut Recipient)) -> Vec<String> {
        let mut recipient = boring();
        change(&mut recipient);
        Recipient::refused(&[recipient], RegimeCode::EU)
    }

    #[test]
    fn r_81_a_third_country_without_safeguard_is_refused() {
        assert_eq!(refused(|_| {}), Vec::<String>::new());
        let without = refused(|each| each.country = "US".to_owned());
        assert!(
            without.len() == 1 && without[0].starts_with("recipients[0].safeguard is missing"),
            "{without:?}"
        );
        let with = refused(|each| {
            each.country = "US".to_owned();
            each.safeguard = Some("standard contractual clauses of 2024-03-01".to_owned());
        });
        assert!(with.is_empty(), "{with:?}");
        for inside in ["NO", "IS", "LI"] {
            assert!(refused(|each| each.country = inside.to_owned()).is_empty());
        }
        assert_eq!(refused(|each| each.country = "GB".to_owned()).len(), 1);
    }

    #[test]
    fn a_channel_has_what_it_needs_and_nothing_else() {
        let webhook = |url: &str| {
            let url = url.to_owned();
            refused(move |each| {
                each.channel = ChannelKind::Webhook;
                each.mail_to = None;
                each.secret_file = Some("secret".into());
                each.url = Some(url);
            })
        };
        assert!(webhook("https://partner.example/hooks/dsrd").is_empty());
        assert!(webhook("http://127.0.0.1:8080/hook").is_empty(), "checked against its address when called");
        for wrong in [
            "http://partner.example/",
            "ftp://partner.example/",
            "https://user:pass@partner.example/",
            "partner",
        ] {
            assert_eq!(webhook(wrong).len(), 1, "{wrong}");
        }
        assert_eq!(refused(|each| each.mail_to = None).len(), 1);
        assert_eq!(refused(|each| each.mail_to = Some("two@at@signs".to_owned())).len(), 1);
        assert_eq!(refused(|each| each.channel = ChannelKind::Person).len(), 1, "mail_to belongs to mail");
        let twice = Recipient::refused(&[boring(), boring()], RegimeCode::EU);
        assert_eq!(twice, ["recipients[1].id is the id of another recipient, too"]);
    }
}
