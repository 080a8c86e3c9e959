//! What a contact can be found by.
//!
//! Normalised once, here, and only in documented ways; never fuzzily (S-8):
//!
//! | kind | normal form |
//! |---|---|
//! | e-mail | trimmed; domain to ASCII (UTS 46, non-transitional) and lower case; local part lower case |
//! | phone | E.164 (`+` and digits), national forms read with the organisation's country |
//! | username, external id, external properties | trimmed; otherwise exact |
//!
//! Plus-tags and dots are kept, because to a mail server they are different addresses.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{KeyError, MasterKey, OrganisationId, Personal, RequestId, SubjectRef, UnknownWord};

/// Why a text is no identifier. Never repeats the text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdentifierError {
    /// Nothing was given.
    #[error("{0} is empty")]
    Empty(IdentifierKind),
    /// More than 320 characters, or control characters inside.
    #[error("{0} is longer than 320 characters or holds control characters")]
    Unusable(IdentifierKind),
    /// Not of the form `local@domain.tld`.
    #[error("email is not of the form name@domain.example")]
    Email,
    /// No telephone number that exists; a national number needs the country.
    #[error("phone is not a valid number; write it with its country code, for example +39 06 1234 5678")]
    Phone,
    /// A national number was given and the organisation has no default country.
    #[error("phone has no country code and the organisation has no default_country; write it as +39 …")]
    PhoneCountry,
}

/// The kinds of identifier that the platform can search by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentifierKind {
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// The name under which the contact signs in.
    Username,
    /// The id that a system of the controller gave the contact.
    ExternalId,
    /// The first free property beside the external id.
    #[serde(rename = "external_property_1")]
    ExternalProperty1,
    /// The second free property beside the external id.
    #[serde(rename = "external_property_2")]
    ExternalProperty2,
}

impl IdentifierKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Email,
        Self::Phone,
        Self::Username,
        Self::ExternalId,
        Self::ExternalProperty1,
        Self::ExternalProperty2,
    ];

    /// The word as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Username => "username",
            Self::ExternalId => "external_id",
            Self::ExternalProperty1 => "external_property_1",
            Self::ExternalProperty2 => "external_property_2",
        }
    }
}

impl fmt::Display for IdentifierKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl std::str::FromStr for IdentifierKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownWord::new("identifier kind", &Self::ALL.map(Self::as_str)))
    }
}

/// One identifier of a data subject: as given, and in its normal form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SubjectIdentifier {
    kind: IdentifierKind,
    given: Personal<String>,
    normalised: Personal<String>,
}

const LONGEST: usize = 320;

impl SubjectIdentifier {
    /// Reads an identifier. `default_country` is the ISO 3166 code with which national telephone numbers are read.
    pub fn parse(
        kind: IdentifierKind,
        text: &str,
        default_country: Option<&str>,
    ) -> Result<Self, IdentifierError> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(IdentifierError::Empty(kind));
        }
        if trimmed.chars().count() > LONGEST || trimmed.chars().any(char::is_control) {
            return Err(IdentifierError::Unusable(kind));
        }
        let normalised = match kind {
            IdentifierKind::Email => normalise_email(trimmed)?,
            IdentifierKind::Phone => normalise_phone(trimmed, default_country)?,
            IdentifierKind::Username
            | IdentifierKind::ExternalId
            | IdentifierKind::ExternalProperty1
            | IdentifierKind::ExternalProperty2 => trimmed.to_owned(),
        };
        Ok(Self { kind, given: Personal::new(trimmed.to_owned()), normalised: Personal::new(normalised) })
    }

    /// Everything that a text can be read as, whatever kind of identifier its writer had in mind.
    pub fn readings<'a>(text: &'a str, default_country: Option<&'a str>) -> impl Iterator<Item = Self> + 'a {
        IdentifierKind::ALL.into_iter().filter_map(move |kind| Self::parse(kind, text, default_country).ok())
    }

    /// What kind of identifier it is.
    #[must_use]
    pub const fn kind(&self) -> IdentifierKind {
        self.kind
    }

    /// As it was written by whoever handed it in.
    #[must_use]
    pub const fn given(&self) -> &Personal<String> {
        &self.given
    }

    /// In its normal form (see the module's table).
    #[must_use]
    pub const fn normalised(&self) -> &Personal<String> {
        &self.normalised
    }

    /// Its keyed pseudonym within one organisation.
    #[must_use]
    pub fn reference(&self, master: &MasterKey, organisation: &OrganisationId) -> SubjectRef {
        master.subject(organisation).reference(self.kind.as_str(), &self.normalised)
    }

    /// The identifier as it was given, encrypted for its row of `dsrd.identifier`: it opens there only.
    #[must_use]
    pub fn seal(
        &self,
        master: &MasterKey,
        organisation: &OrganisationId,
        request: RequestId,
        number: i16,
    ) -> Vec<u8> {
        // Both forms, so that a change of the default country never makes an old row unreadable. Neither can hold a line
        // feed: control characters are refused when an identifier is read.
        let clear = format!("{}\n{}", self.given.expose(), self.normalised.expose()).into_bytes();
        master.sealing("identifier").seal(&row_name(organisation, request, number), &Personal::new(clear))
    }

    /// Decrypts what [`SubjectIdentifier::seal`] made for the same row.
    pub fn open(
        master: &MasterKey,
        (organisation, request, number): (&OrganisationId, RequestId, i16),
        kind: IdentifierKind,
        sealed: &[u8],
    ) -> Result<Self, KeyError> {
        let clear = master.sealing("identifier").open(&row_name(organisation, request, number), sealed)?;
        let text = String::from_utf8(clear.into_exposed()).map_err(|_| KeyError::DoesNotOpen)?;
        let (given, normalised) = text.split_once('\n').ok_or(KeyError::DoesNotOpen)?;
        Ok(Self {
            kind,
            given: Personal::new(given.to_owned()),
            normalised: Personal::new(normalised.to_owned()),
        })
    }

    /// Whether a value that the platform holds is this identifier, compared in normal form. A value that cannot be
    /// normalised is compared as written; telephone numbers also by their digits, with and without `00`.
    #[must_use]
    pub fn matches(&self, held: &str, default_country: Option<&str>) -> bool {
        let held_trimmed = held.trim();
        if let Ok(other) = Self::parse(self.kind, held_trimmed, default_country)
            && other.normalised == self.normalised
        {
            return true;
        }
        match self.kind {
            IdentifierKind::Email => held_trimmed.to_lowercase() == self.given.expose().to_lowercase(),
            IdentifierKind::Phone => {
                let digits: String = held_trimmed.chars().filter(char::is_ascii_digit).collect();
                let own = self.normalised.expose().trim_start_matches('+');
                !digits.is_empty() && digits.trim_start_matches("00") == own
            }
            _ => held_trimmed == self.given.expose(),
        }
    }
}

fn row_name(organisation: &OrganisationId, request: RequestId, number: i16) -> String {
    format!("{organisation}/{request}/{number}")
}

fn normalise_email(text: &str) -> Result<String, IdentifierError> {
    let (local, domain) = text.rsplit_once('@').ok_or(IdentifierError::Email)?;
    let acceptable_local = !local.is_empty()
        && local.len() <= 64
        && !local.contains(['@', ',', ';', '<', '>', '"', '(', ')', '[', ']', '\\', ':'])
        && !local.chars().any(|each| each.is_whitespace() || is_invisible(each));
    if !acceptable_local {
        return Err(IdentifierError::Email);
    }
    let domain =
        idna::domain_to_ascii_strict(domain.trim_end_matches('.')).map_err(|_| IdentifierError::Email)?;
    if domain.is_empty() || !domain.contains('.') {
        return Err(IdentifierError::Email);
    }
    Ok(format!("{}@{domain}", local.to_lowercase()))
}

/// Zero-width and direction marks: a person cannot see them, so they must not make two addresses out of one.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

fn normalise_phone(text: &str, default_country: Option<&str>) -> Result<String, IdentifierError> {
    let international = text.strip_prefix("00").map(|rest| format!("+{rest}"));
    let text = international.as_deref().unwrap_or(text);
    let country = default_country.and_then(|code| code.parse::<phonenumber::country::Id>().ok());
    if !text.starts_with('+') && country.is_none() {
        return Err(IdentifierError::PhoneCountry);
    }
    let number = phonenumber::parse(country, text).map_err(|_| IdentifierError::Phone)?;
    if !phonenumber::is_valid(&number) {
        return Err(IdentifierError::Phone);
    }
    Ok(number.format().mode(phonenumber::Mode::E164).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(kind: IdentifierKind, text: &str) -> Result<String, IdentifierError> {
        SubjectIdentifier::parse(kind, text, Some("IT")).map(|found| found.normalised.into_exposed())
    }

    #[test]
    fn a_sealed_identifier_opens_in_its_row_only() {
        let (master, organisation) = (MasterKey::generate(), "venue".parse().unwrap());
        let request = RequestId(uuid::Uuid::from_u128(7));
        let whole = SubjectIdentifier::parse(IdentifierKind::Email, "Ada@Fa\u{df}.example", None).unwrap();
        let sealed = whole.seal(&master, &organisation, request, 1);
        let open = |number| {
            let row = (&organisation, request, number);
            SubjectIdentifier::open(&master, row, IdentifierKind::Email, &sealed)
        };
        assert_eq!(open(1), Ok(whole));
        assert_eq!(open(2), Err(KeyError::DoesNotOpen));
    }

    #[test]
    fn s_8_only_documented_spellings_are_equal() {
        let email = |text| normal(IdentifierKind::Email, text);
        assert_eq!(email(" User+tag@EXAMPLE.com "), Ok("user+tag@example.com".to_owned()));
        assert_eq!(email("user@faß.example"), Ok("user@xn--fa-hia.example".to_owned()));
        assert_ne!(email("user@example.com"), email("u.ser@example.com"));
        assert_ne!(email("user@example.com"), email("user+tag@example.com"));
        for wrong in ["user", "@example.com", "a b@example.com", "user@localhost", "u\u{200B}ser@example.com"]
        {
            assert_eq!(email(wrong), Err(IdentifierError::Email), "{wrong:?}");
        }
        let phone = |text| normal(IdentifierKind::Phone, text);
        for same in ["+39 06 1234 5678", "0039 06 12345678", "06 12345678", "+39-06-1234-5678"] {
            assert_eq!(phone(same), Ok("+390612345678".to_owned()), "{same}");
        }
        assert_eq!(phone("123"), Err(IdentifierError::Phone));
    }

    #[test]
    fn errors_never_repeat_what_was_given() {
        for kind in IdentifierKind::ALL {
            let error = SubjectIdentifier::parse(kind, "canary\u{7}canary", None).unwrap_err();
            assert!(!error.to_string().contains("canary"));
        }
    }

    #[test]
    fn a_held_value_matches_in_its_other_spellings_and_no_prefix_does() {
        let phone = SubjectIdentifier::parse(IdentifierKind::Phone, "+39 06 1234 5678", None).unwrap();
        for held in ["+390612345678", "390612345678", "00390612345678"] {
            assert!(phone.matches(held, None), "{held}");
        }
        assert!(phone.matches("0612345678", Some("IT")));
        assert!(!phone.matches("+3906123456789", None));
        let email = SubjectIdentifier::parse(IdentifierKind::Email, "ada@people.example", None).unwrap();
        assert!(email.matches("ADA@People.Example", None));
        assert!(!email.matches("ada@people.example.org", None));
        let username = SubjectIdentifier::parse(IdentifierKind::Username, "Ada", None).unwrap();
        assert!(!username.matches("ada", None));
    }

    /// Spellings of one address that the documentation calls the same.
    fn same_addresses(local: &str, domain: &str) -> Vec<String> {
        vec![
            format!("{}@{domain}", local.to_uppercase()),
            format!("{local}@{}", domain.to_uppercase()),
            format!("  {local}@{domain}\u{a0}"),
            format!("{local}@{domain}."),
        ]
    }

    /// Spellings that look alike and are other addresses, or none.
    fn other_addresses(local: &str, domain: &str) -> Vec<String> {
        let (first, rest) = local.split_at(1);
        vec![
            format!("{local}+tag@{domain}"),
            format!("{first}.{rest}@{domain}"),
            format!("{local}@{domain}.org"),
            format!("{local}@sub.{domain}"),
            format!("x{local}@{domain}"),
            format!("{local}x@{domain}"),
            format!("{local}@x{domain}"),
            // Cyrillic, zero-width, full-width, a mark that turns the direction of writing.
            format!("{}@{domain}", local.replacen('a', "\u{430}", 1)),
            format!("{local}@{}", domain.replacen('a', "\u{430}", 1)),
            format!("{first}\u{200b}{rest}@{domain}"),
            format!("{first}\u{2060}{rest}@{domain}"),
            format!("\u{202e}{local}@{domain}"),
            format!("{}@{domain}", local.replacen('a', "\u{ff41}", 1)),
            format!("{local}@{}", domain.replace(".example", ".examp1e")),
        ]
    }

    proptest! {
        #[test]
        fn s_8_no_confusable_address_is_the_same_one(rest in "[a-z0-9]{1,12}", name in "[a-z0-9]{1,10}") {
            let (local, domain) = (format!("a{rest}"), format!("a{name}.example"));
            let plain = SubjectIdentifier::parse(IdentifierKind::Email, &format!("{local}@{domain}"), None).unwrap();
            for same in same_addresses(&local, &domain) {
                let read = SubjectIdentifier::parse(IdentifierKind::Email, &same, None).unwrap();
                prop_assert_eq!(read.normalised(), plain.normalised(), "{:?}", same);
                prop_assert!(plain.matches(&same, None), "{:?}", same);
                prop_assert_eq!(read.given().expose(), same.trim(), "as written is kept, too");
            }
            for other in other_addresses(&local, &domain) {
                if let Ok(read) = SubjectIdentifier::parse(IdentifierKind::Email, &other, None) {
                    prop_assert_ne!(read.normalised(), plain.normalised(), "{:?}", other);
                }
                prop_assert!(!plain.matches(&other, None), "{:?}", other);
            }
        }

        #[test]
        fn s_8_an_international_domain_is_one_in_both_its_forms(name in "[a-z]{1,8}") {
            let unicode = format!("ada@{name}ü.example");
            let ascii = normal(IdentifierKind::Email, &unicode).unwrap();
            prop_assert!(ascii.contains("xn--"), "{}", ascii);
            prop_assert_eq!(normal(IdentifierKind::Email, &ascii), Ok(ascii.clone()));
            prop_assert_ne!(Ok(ascii), normal(IdentifierKind::Email, &format!("ada@{name}u.example")));
        }

        #[test]
        fn s_8_a_number_is_one_in_its_documented_spellings_and_no_prefix_of_it(line in 1_000_000_u32..9_999_999) {
            let plain = format!("+39333{line}");
            let number = SubjectIdentifier::parse(IdentifierKind::Phone, &plain, Some("IT")).unwrap();
            let digits = line.to_string();
            for same in [
                format!("0039333{line}"),
                format!("333{line}"),
                format!("+39 333 {} {}", &digits[..3], &digits[3..]),
                format!("(+39) 333-{line}"),
            ] {
                prop_assert_eq!(normal(IdentifierKind::Phone, &same), Ok(plain.clone()), "{}", same);
            }
            // Digits of other scripts are either the same number or none, never another one.
            let wide: String = plain.chars().map(|each| match each.to_digit(10) {
                Some(digit) => char::from_u32(0xff10 + digit).unwrap(),
                None => each,
            }).collect();
            if let Ok(read) = normal(IdentifierKind::Phone, &wide) {
                prop_assert_eq!(read, plain.clone());
            }
            for other in [format!("+39333{}", &digits[..6]), format!("+44333{line}"), format!("{plain}0"), format!("333{line}")] {
                prop_assert!(!number.matches(&other, Some("US")), "{}", other);
            }
            for other in ["User", "user ", "us\u{200b}er", "us\u{0435}r"] {
                let user = SubjectIdentifier::parse(IdentifierKind::Username, "user", None).unwrap();
                prop_assert_eq!(user.matches(other, None), other.trim() == "user", "{:?}", other);
            }
        }
        #[test]
        fn s_8_normalising_twice_changes_nothing(local in "[a-zA-Z0-9.+_-]{1,20}", domain in "[a-z]{1,10}\\.example") {
            if let Ok(once) = normal(IdentifierKind::Email, &format!("{local}@{domain}")) {
                prop_assert_eq!(normal(IdentifierKind::Email, &once), Ok(once.clone()));
            }
        }

        #[test]
        fn reading_any_text_never_panics(text in ".{0,400}") {
            for kind in IdentifierKind::ALL {
                let parsed = SubjectIdentifier::parse(kind, &text, Some("DE"));
                prop_assert!(parsed.is_err() || !text.trim().is_empty());
            }
        }
    }
}
