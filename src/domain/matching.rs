//! What was compared to find out who asks, where the law says how much that must be (R-20; 11 CCR 7060 to 7063).
//!
//! California tells how many details of a person who has no account must match what the business holds: two for a reasonable
//! degree of certainty, three with a declaration signed under penalty of perjury for a reasonably high one (11 CCR 7062). Only
//! the names of the fields are known here, never what stood in them. They are of a closed vocabulary, without what everybody
//! knows of somebody: a name or a birth date proves nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::deadline::RegimeCode;
use super::request::vocabulary;
use super::{Handling, IdentityMethod, IdentityRules, Personal, RequestKind};

vocabulary! {
    /// A field in which what the person says is what the profile holds.
    MatchingPoint, "matching point" {
        /// The e-mail address.
        Email = "email",
        /// The telephone number.
        Phone = "phone",
        /// The user name.
        Username = "username",
        /// The customer number, or another id in a system of the controller.
        ExternalId = "external_id",
        /// The postal code.
        PostalCode = "postal_code",
        /// The day of a visit.
        DateOfVisit = "date_of_visit",
        /// The place of a visit.
        Venue = "venue",
        /// A device, by what it is or by its address.
        Device = "device",
        /// The day of signing up.
        SignUpDate = "sign_up_date",
    }
}

/// What must have been compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MatchingNeed {
    /// So many different fields.
    pub points: u32,
    /// And a declaration under penalty of perjury, signed by the person.
    pub declaration: bool,
}

/// A reasonable degree of certainty (11 CCR 7062(b)).
const REASONABLE: u32 = 2;
/// A reasonably high degree, for specific pieces of information (11 CCR 7062(c)).
const HIGH: u32 = 3;
/// So many fields can be told apart.
pub(super) const MOST_POINTS: u32 = 9;

impl MatchingNeed {
    /// What a person of the controller who found out by `method` must have compared before that counts; `None` where nothing.
    ///
    /// Under the law of California that is each method but an account of the person's own, for which 11 CCR 7061 holds: three
    /// fields and the declaration for a copy of the data (specific pieces of information), as many as the controller's risk asks for
    /// and two at least for an erasure (11 CCR 7062(d)), two for everything else. An opt-out must not be verified at all (11 CCR
    /// 7026(d)). Elsewhere only the comparing itself needs two.
    #[must_use]
    pub fn of(
        regime: RegimeCode,
        rules: &IdentityRules,
        kind: RequestKind,
        method: IdentityMethod,
    ) -> Option<Self> {
        let applies = match method {
            IdentityMethod::Account => false,
            IdentityMethod::MatchedData => true,
            IdentityMethod::InPerson | IdentityMethod::ContactPoint | IdentityMethod::AgentAuthority => {
                regime == RegimeCode::CALIFORNIA
            }
        };
        if !applies || kind.handling() == Handling::OptOut {
            return None;
        }
        if regime != RegimeCode::CALIFORNIA {
            return Some(Self { points: REASONABLE, declaration: false });
        }
        Some(match kind.handling() {
            Handling::Access | Handling::Portability => Self { points: HIGH, declaration: true },
            Handling::Erasure => {
                Self { points: rules.erasure_matching_points.max(REASONABLE), declaration: false }
            }
            Handling::OptOut | Handling::Person => Self { points: REASONABLE, declaration: false },
        })
    }
}

impl fmt::Display for MatchingNeed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} matching points", self.points)?;
        if self.declaration {
            formatter.write_str(" and a declaration signed under penalty of perjury")?;
        }
        Ok(())
    }
}

/// A declaration under penalty of perjury: where it is kept, and when it was signed. What it says stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    reference: Personal<String>,
    signed_on: NaiveDate,
}

/// A reference is cut off by nobody: a longer one is refused.
const LONGEST_REFERENCE: usize = 100;

impl Declaration {
    /// A declaration that is kept under `reference` in a system of the controller.
    ///
    /// # Errors
    /// [`MatchingError::Reference`] for one that is empty, too long or not one line.
    pub fn new(reference: &str, signed_on: NaiveDate) -> Result<Self, MatchingError> {
        let reference = reference.trim();
        let length = reference.chars().count();
        if !(1..=LONGEST_REFERENCE).contains(&length) || reference.chars().any(char::is_control) {
            return Err(MatchingError::Reference);
        }
        Ok(Self { reference: Personal::new(reference.to_owned()), signed_on })
    }

    /// Where it is kept.
    #[must_use]
    pub const fn reference(&self) -> &Personal<String> {
        &self.reference
    }

    /// When it was signed.
    #[must_use]
    pub const fn signed_on(&self) -> NaiveDate {
        self.signed_on
    }

    /// The clear text of what is sealed of it: the day, a space, the reference.
    #[must_use]
    pub fn to_text(&self) -> Personal<String> {
        Personal::new(format!("{} {}", self.signed_on, self.reference.expose()))
    }

    /// Reads what [`Declaration::to_text`] gave.
    ///
    /// # Errors
    /// [`MatchingError::Reference`] for anything else.
    pub fn of_text(text: &str) -> Result<Self, MatchingError> {
        let (day, reference) = text.split_once(' ').ok_or(MatchingError::Reference)?;
        Self::new(reference, day.parse().map_err(|_| MatchingError::Reference)?)
    }
}

/// What was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// The fields, each once however often it was named.
    pub points: BTreeSet<MatchingPoint>,
    /// The declaration, where one was signed.
    pub declaration: Option<Declaration>,
}

/// What is missing of what must have been compared. Names no person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatchingError {
    /// Too few fields.
    #[error(
        "a request of kind {kind} needs {need}, and {found} different fields were named: state each field in which what the person \
         says is what the profile holds with --matched, one of email, phone, username, external_id, postal_code, date_of_visit, venue, \
         device, sign_up_date"
    )]
    TooFew {
        /// What is asked.
        kind: RequestKind,
        /// What it needs.
        need: MatchingNeed,
        /// So many different fields were named.
        found: usize,
    },
    /// No declaration.
    #[error(
        "a request of kind {kind} needs {need}: state where the signed declaration is kept with --declaration, and the day of its \
         signature with --declared-on"
    )]
    NoDeclaration {
        /// What is asked.
        kind: RequestKind,
        /// What it needs.
        need: MatchingNeed,
    },
    /// Nobody signs ahead.
    #[error("the declaration is signed on {0}, which is still to come")]
    SignedAhead(NaiveDate),
    /// A reference that nobody could look up.
    #[error(
        "the reference of a declaration is where it is kept, in one line of up to {LONGEST_REFERENCE} characters, for example a file number"
    )]
    Reference,
}

impl Matched {
    /// Checks that it is as much as is needed. `today` is the controller's local day.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(
        &self,
        need: Option<MatchingNeed>,
        kind: RequestKind,
        today: NaiveDate,
    ) -> Result<(), MatchingError> {
        if let Some(declaration) = &self.declaration
            && declaration.signed_on > today
        {
            return Err(MatchingError::SignedAhead(declaration.signed_on));
        }
        let Some(need) = need else { return Ok(()) };
        let found = self.points.len();
        if u32::try_from(found).unwrap_or(u32::MAX) < need.points {
            return Err(MatchingError::TooFew { kind, need, found });
        }
        if need.declaration && self.declaration.is_none() {
            return Err(MatchingError::NoDeclaration { kind, need });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MatchingPoint::{DateOfVisit, Device, Email, Venue};

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn matched(points: &[MatchingPoint], declared: bool) -> Matched {
        let declaration = declared.then(|| Declaration::new("file 118", day("2026-11-20")).unwrap());
        Matched { points: points.iter().copied().collect(), declaration }
    }

    #[test]
    fn r_20_california_two_points_for_categories_and_three_with_a_declaration_for_specific_pieces() {
        use IdentityMethod::{Account, AgentAuthority, ContactPoint, InPerson, MatchedData};
        let rules = IdentityRules::default();
        let eu = RegimeCode::EU;
        let need = |points, declaration| Some(MatchingNeed { points, declaration });
        for (kind, wanted) in [
            (RequestKind::Access, need(3, true)),
            (RequestKind::Portability, need(3, true)),
            (RequestKind::Erasure, need(2, false)),
            (RequestKind::Rectification, need(2, false)),
            (RequestKind::Restriction, need(2, false)),
            (RequestKind::OptOut, None),
            (RequestKind::CcpaOptOut, None),
        ] {
            for method in [InPerson, ContactPoint, AgentAuthority, MatchedData] {
                assert_eq!(
                    MatchingNeed::of(RegimeCode::CALIFORNIA, &rules, kind, method),
                    wanted,
                    "{kind} {method}"
                );
            }
            assert_eq!(MatchingNeed::of(RegimeCode::CALIFORNIA, &rules, kind, Account), None, "11 CCR 7061");
            assert_eq!(MatchingNeed::of(eu, &rules, kind, InPerson), None, "{kind}");
        }
        assert_eq!(MatchingNeed::of(eu, &rules, RequestKind::Access, MatchedData), need(2, false));
        let stricter = IdentityRules { erasure_matching_points: 3, ..IdentityRules::default() };
        let erasure = |rules| MatchingNeed::of(RegimeCode::CALIFORNIA, rules, RequestKind::Erasure, InPerson);
        assert_eq!(erasure(&stricter), need(3, false));
        // Whatever stands in the settings, it is never made less.
        let looser = IdentityRules { erasure_matching_points: 0, ..IdentityRules::default() };
        assert_eq!(erasure(&looser), need(2, false));
        assert!(looser.refused().is_some_and(|why| why.contains("erasure_matching_points")));
        assert_eq!(stricter.refused(), None);
    }

    #[test]
    fn r_20_california_what_is_missing_is_named() {
        let today = day("2026-11-23");
        let need = MatchingNeed { points: 3, declaration: true };
        let check = |matched: &Matched| matched.check(Some(need), RequestKind::Access, today);
        let kind = RequestKind::Access;
        assert_eq!(check(&matched(&[Email, Venue, Device], true)), Ok(()));
        assert_eq!(check(&matched(&[Email, Venue, Device, DateOfVisit], true)), Ok(()));
        // One field named often is one field.
        let often = matched(&[Email, Email, Email, Venue], true);
        assert_eq!(check(&often), Err(MatchingError::TooFew { kind, need, found: 2 }));
        assert_eq!(check(&Matched::default()), Err(MatchingError::TooFew { kind, need, found: 0 }));
        let unsigned = check(&matched(&[Email, Venue, Device], false)).unwrap_err();
        assert_eq!(unsigned, MatchingError::NoDeclaration { kind, need });
        assert!(
            unsigned
                .to_string()
                .contains("3 matching points and a declaration signed under penalty of perjury")
        );
        let ahead = Declaration::new("file 118", day("2026-11-24")).unwrap();
        let ahead = Matched { declaration: Some(ahead), ..matched(&[Email, Venue, Device], false) };
        assert_eq!(check(&ahead), Err(MatchingError::SignedAhead(day("2026-11-24"))));
        assert_eq!(Matched::default().check(None, kind, today), Ok(()));
    }

    #[test]
    fn r_20_california_a_declaration_is_a_reference_and_a_day() {
        let declaration = Declaration::new(" file 118, shelf 2 ", day("2026-11-20")).unwrap();
        assert_eq!(declaration.reference().expose(), "file 118, shelf 2");
        assert_eq!(Declaration::of_text(declaration.to_text().expose()), Ok(declaration.clone()));
        assert!(!format!("{declaration:?}").contains("shelf"), "never in a log");
        for wrong in ["", "  ", "two\nlines", &"x".repeat(101)] {
            assert_eq!(Declaration::new(wrong, day("2026-11-20")), Err(MatchingError::Reference), "{wrong}");
        }
        assert_eq!(MatchingPoint::ALL.len(), MOST_POINTS as usize);
        assert!(
            "name".parse::<MatchingPoint>().is_err() && "birth_date".parse::<MatchingPoint>().is_err(),
            "r_19"
        );
    }
}
