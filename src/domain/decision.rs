//! The words of what persons decide: which contact is meant, that a request is refused, how one ended that a person
//! carried out, that a row is no request.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::request::vocabulary;
use super::{Outcome, RequestKind};

vocabulary! {
    /// How it became known which of several contacts belongs to the person who asked.
    ChoiceReason, "reason of a choice" {
        /// The person said so, asked by an address or number that the contact carries.
        ToldByPerson = "told_by_person",
        /// What the person wrote agrees with this contact only.
        DetailsMatch = "details_match",
        /// Their identity was checked, for example at a venue.
        IdentityChecked = "identity_checked",
    }
}

vocabulary! {
    /// Why a producer's parked row does not become a request.
    DiscardReason, "reason to discard" {
        /// The same request was handed in by another row or another way.
        Duplicate = "duplicate",
        /// Somebody tried the interface; no person asked anything.
        Test = "test",
        /// What came is not a request of a data subject.
        NotARequest = "not_a_request",
    }
}

vocabulary! {
    /// How a request ended that a person carried out. A refusal is a decision of its own, with a ground.
    AnsweredOutcome, "outcome of an answer" {
        /// All that was asked was done.
        Fulfilled = "fulfilled",
        /// Part of it was done; what is missing, and why, is in the answer.
        PartlyFulfilled = "partly_fulfilled",
        /// Nothing is held about the person, so there was nothing to do.
        FulfilledNoData = "fulfilled_no_data",
    }
}

impl From<AnsweredOutcome> for Outcome {
    fn from(answered: AnsweredOutcome) -> Self {
        match answered {
            AnsweredOutcome::Fulfilled => Self::Fulfilled,
            AnsweredOutcome::PartlyFulfilled => Self::PartlyFulfilled,
            AnsweredOutcome::FulfilledNoData => Self::FulfilledNoData,
        }
    }
}

vocabulary! {
    /// What was checked before a request went on that somebody hands in for the person. What was shown is not kept.
    AcceptanceReason, "reason of an acceptance" {
        /// A power of attorney, a custody, a certificate of inheritance was seen.
        AuthorityChecked = "authority_checked",
        /// The person themselves confirmed it.
        ConfirmedByPerson = "confirmed_by_person",
    }
}

vocabulary! {
    /// Kinds of decision that an organisation may want two persons for.
    DecisionKind, "kind of decision" {
        /// A request is not followed.
        Refusal = "refusal",
        /// More time is needed.
        Extension = "extension",
        /// A person carried a request out.
        Answer = "answer",
        /// Somebody may ask for the data subject.
        Acceptance = "acceptance",
        /// A fee is asked for.
        Fee = "fee",
    }
}

vocabulary! {
    /// What happened in a breach of personal data (Art. 4(12) GDPR).
    IncidentCause, "cause of an incident" {
        /// An answer went to somebody else.
        Misdirected = "misdirected",
        /// Data became known to somebody whom they do not concern.
        Disclosed = "disclosed",
        /// Data are gone that should be there.
        Lost = "lost",
        /// Data are not what they were.
        Altered = "altered",
    }
}

vocabulary! {
    /// Which data a breach affects.
    IncidentCategory, "category of data" {
        /// The contact's profile.
        Profile = "profile",
        /// Visits and other events.
        Events = "events",
        /// Devices.
        Devices = "devices",
        /// Connections.
        Accountings = "accountings",
        /// The request itself.
        Request = "request",
    }
}

vocabulary! {
    /// How a breach ended, as far as the authority is concerned.
    IncidentEnd, "end of an incident" {
        /// The authority was told (Art. 33(1) GDPR).
        Reported = "reported",
        /// It need not be, because a risk is unlikely; the controller's record of breaches says why (Art. 33(5) GDPR).
        NoRisk = "no_risk",
    }
}

vocabulary! {
    /// Why more time is needed (Art. 12(3) GDPR). Large effort alone, or a steady high volume, is no reason (EDPB
    /// guidelines 01/2022, paragraph 164).
    ExtensionReason, "reason of an extension" {
        /// The request is complex.
        Complexity = "complexity",
        /// The person, or an exceptional number of people, made many requests.
        NumberOfRequests = "number_of_requests",
    }
}

vocabulary! {
    /// Why a person is asked what they mean.
    ClarificationReason, "reason of a question" {
        /// So much is held about the person that they may want to say what they look for (recital 63 GDPR).
        MuchData = "much_data",
        /// What is asked cannot be understood.
        Unclear = "unclear",
    }
}

vocabulary! {
    /// The grounds on which a person may refuse a request, in whole or in what is left of it. An opt-out knows none
    /// (Art. 21(2)-(3) and 7(3) GDPR).
    RefusalGround, "refusal ground" {
        /// Manifestly unfounded (Art. 12(5) GDPR).
        ManifestlyUnfounded = "RF-01",
        /// Excessive, in particular repetitive, or abusive (Art. 12(5) GDPR).
        Excessive = "RF-02",
        /// The person cannot be identified in the data (Art. 11(2) and 12(2) GDPR).
        NotIdentifiable = "RF-03",
        /// Their identity was not confirmed (Art. 12(6) GDPR).
        IdentityNotConfirmed = "RF-04",
        /// Rights of others (Art. 15(4) GDPR): limits part of an access answer, never the whole.
        RightsOfOthers = "RF-05",
        /// A national restriction (Art. 23 GDPR).
        NationalRestriction = "RF-06",
        /// Freedom of expression and information (Art. 17(3)(a) GDPR).
        Expression = "RF-07",
        /// A legal obligation to keep the data (Art. 17(3)(b) GDPR).
        LegalObligation = "RF-08",
        /// Public health, archives, research or statistics (Art. 17(3)(c) and (d) GDPR).
        PublicInterest = "RF-09",
        /// Legal claims (Art. 17(3)(e) GDPR).
        LegalClaims = "RF-10",
        /// No ground for erasure: the data is still needed and lawfully held (Art. 17(1) GDPR).
        StillNeeded = "RF-11",
        /// No case for a restriction (Art. 18(1) GDPR).
        NoRestriction = "RF-12",
        /// Not portable (Art. 20 GDPR).
        NotPortable = "RF-13",
        /// Compelling grounds against an objection (Art. 21(1) GDPR).
        CompellingGrounds = "RF-14",
        /// No correction is due (Art. 16 GDPR).
        NotWrong = "RF-15",
        /// A law outside of the GDPR does not give the right in this case.
        NotCovered = "RF-16",
        /// Not a request under data protection law, or one for another controller.
        NotARequest = "RF-17",
    }
}

impl RefusalGround {
    /// Whether a whole request of this kind can be refused on this ground.
    #[must_use]
    pub const fn applies_to(self, kind: RequestKind) -> bool {
        if !kind.can_be_refused() {
            return false;
        }
        match self {
            Self::ManifestlyUnfounded
            | Self::Excessive
            | Self::NotIdentifiable
            | Self::IdentityNotConfirmed
            | Self::NationalRestriction
            | Self::NotCovered
            | Self::NotARequest => true,
            Self::Expression
            | Self::LegalObligation
            | Self::PublicInterest
            | Self::LegalClaims
            | Self::StillNeeded => matches!(kind, RequestKind::Erasure),
            Self::NoRestriction => matches!(kind, RequestKind::Restriction),
            Self::NotPortable => matches!(kind, RequestKind::Portability),
            Self::CompellingGrounds => matches!(kind, RequestKind::Objection),
            Self::NotWrong => matches!(kind, RequestKind::Rectification),
            // A limit to a part of an answer, never to the whole.
            Self::RightsOfOthers => false,
        }
    }

    /// The grounds on which a request of this kind can be refused; none for an opt-out.
    pub fn of(kind: RequestKind) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |ground| ground.applies_to(kind))
    }

    /// What the controller must say in support of it, because the burden of proof is the controller's. `None` where the
    /// ground says it all.
    #[must_use]
    pub const fn needed_facts(self) -> Option<&'static str> {
        match self {
            Self::ManifestlyUnfounded => Some("from which facts it is manifest"),
            Self::Excessive => Some("the earlier requests with their dates, and what makes this one abusive"),
            Self::NotIdentifiable => {
                Some("why the person cannot be found in the data, and which details would help")
            }
            Self::IdentityNotConfirmed => {
                Some("which doubt there is, what was asked of the person, and when")
            }
            Self::NationalRestriction => Some("which statute restricts the right, and until when"),
            Self::LegalObligation => {
                Some("which statute, which categories of data, and until when they are kept")
            }
            Self::LegalClaims => Some("which claim, and until when the data is kept"),
            Self::StillNeeded => Some("for which purpose, on which legal basis, and until when"),
            Self::NotARequest => Some("what it is instead, or who is responsible"),
            Self::NotPortable => Some("which data, and on which legal basis they are held instead"),
            Self::CompellingGrounds => Some("which grounds outweigh those of the person"),
            Self::NotWrong => Some("why the data are correct and complete"),
            Self::RightsOfOthers
            | Self::Expression
            | Self::PublicInterest
            | Self::NoRestriction
            | Self::NotCovered => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opt_out_knows_no_ground_and_access_none_of_erasure() {
        let words = |kind| RefusalGround::of(kind).map(RefusalGround::as_str).collect::<Vec<_>>();
        for kind in [RequestKind::OptOut, RequestKind::ConsentWithdrawal, RequestKind::CcpaOptOut] {
            assert!(words(kind).is_empty(), "{kind}");
        }
        assert_eq!(
            words(RequestKind::Access),
            ["RF-01", "RF-02", "RF-03", "RF-04", "RF-06", "RF-16", "RF-17"]
        );
        assert!(words(RequestKind::Erasure).contains(&"RF-08"));
        assert!(words(RequestKind::Objection).contains(&"RF-14"));
        assert!(!words(RequestKind::Objection).contains(&"RF-08"));
        assert_eq!(RefusalGround::ALL.len(), 17);
    }
}
