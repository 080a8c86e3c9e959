//! Kinds, states, outcomes and reasons of a request: the closed vocabulary that is stored, shown and audited.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A stored or typed word that the vocabulary does not hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown {what} (known: {known})")]
pub struct UnknownWord {
    what: &'static str,
    known: String,
}

impl UnknownWord {
    pub(crate) fn new(what: &'static str, known: &[&str]) -> Self {
        Self { what, known: known.join(", ") }
    }
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every word, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word as stored, shown and audited. Never renamed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl FromStr for $name {
            type Err = $crate::domain::UnknownWord;

            fn from_str(text: &str) -> Result<Self, $crate::domain::UnknownWord> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|each| each.as_str() == text)
                    .ok_or_else(|| $crate::domain::UnknownWord::new($what, &[$($word,)+]))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.as_str())
            }
        }
    };
}
pub(super) use vocabulary;

vocabulary! {
    /// What a data subject asks. Immutable after receipt (S-13).
    RequestKind, "request kind" {
        /// Art. 15 GDPR: what is held about the person.
        Access = "access",
        /// Art. 17 GDPR: to be forgotten.
        Erasure = "erasure",
        /// Art. 21(2)-(3) and 7(3) GDPR: no more marketing. Needs no proof of identity and knows no refusal. Producers may
        /// write `marketing_objection` as well.
        #[serde(alias = "marketing_objection")]
        OptOut = "opt_out",
        /// Art. 16 GDPR: wrong data corrected, incomplete data completed.
        Rectification = "rectification",
        /// Art. 18 GDPR: data kept and not used.
        Restriction = "restriction",
        /// Art. 20 GDPR: what the person provided, in a form that another provider can read.
        Portability = "portability",
        /// Art. 21(1) GDPR: objection to a use on other grounds than marketing.
        Objection = "objection",
        /// Art. 7(3) GDPR: a consent taken back. Carried out as an opt-out; no proof of identity, no refusal.
        ConsentWithdrawal = "consent_withdrawal",
        /// Art. 22 GDPR: a decision by a machine looked at by a person.
        AutomatedDecision = "automated_decision",
        /// A complaint to the controller about how it treats personal data.
        Complaint = "complaint",
        /// Civ. Code 1798.120: no sale and no sharing of data. Carried out as an opt-out; no proof of identity, no refusal.
        CcpaOptOut = "ccpa_opt_out",
        /// Anything else; what it is, a person finds out.
        Other = "other",
    }
}

/// Who carries a kind of request out, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// The machine, by the procedure of access.
    Access,
    /// The machine, by the procedure of erasure.
    Erasure,
    /// The machine, by the procedure of the opt-out.
    OptOut,
    /// The machine, by the procedure of portability; a person where nothing is configured as held by consent or contract.
    Portability,
    /// A person, who records what was done. The machine keeps the clock, the list and the notices.
    Person,
}

impl RequestKind {
    /// The kinds that the machine carries out by itself.
    pub const AUTOMATED: &'static [Self] = &[
        Self::Access,
        Self::Erasure,
        Self::OptOut,
        Self::Portability,
        Self::ConsentWithdrawal,
        Self::CcpaOptOut,
    ];

    /// Who carries it out, and how.
    #[must_use]
    pub const fn handling(self) -> Handling {
        match self {
            Self::Access => Handling::Access,
            Self::Erasure => Handling::Erasure,
            Self::OptOut | Self::ConsentWithdrawal | Self::CcpaOptOut => Handling::OptOut,
            Self::Portability => Handling::Portability,
            Self::Rectification
            | Self::Restriction
            | Self::Objection
            | Self::AutomatedDecision
            | Self::Complaint
            | Self::Other => Handling::Person,
        }
    }

    /// Whether a ground exists on which it can be refused: not for Art. 21(2), Art. 7(3) GDPR and the opt-out of the CCPA.
    #[must_use]
    pub const fn can_be_refused(self) -> bool {
        !matches!(self.handling(), Handling::OptOut)
    }

    /// Reads a kind as producers and people write it: the stored words, and `marketing_objection` for an opt-out.
    pub fn read(text: &str) -> Result<Self, UnknownWord> {
        if text == "marketing_objection" { Ok(Self::OptOut) } else { text.parse() }
    }
}

vocabulary! {
    /// Where the case stands. What the machine does with it at the moment is the queue's own business.
    RequestState, "request state" {
        /// Accepted into the queue; nothing was done yet.
        Received = "received",
        /// A procedure has begun.
        InProgress = "in_progress",
        /// Waits until it is known well enough who asks (Art. 12(6) GDPR).
        NeedsIdentity = "needs_identity",
        /// The person was asked what they mean.
        NeedsClarification = "needs_clarification",
        /// Waits for a person; the reason says why.
        Manual = "manual",
        /// Ended; the outcome says how.
        Closed = "closed",
    }
}

vocabulary! {
    /// How a request ended.
    Outcome, "outcome" {
        /// Done in full and read back.
        Fulfilled = "fulfilled",
        /// Done: nothing is held about the person under the identifiers given.
        FulfilledNoData = "fulfilled_no_data",
        /// Done in part; what is missing is recorded and told.
        PartlyFulfilled = "partly_fulfilled",
        /// Refused by a person, on a ground of the law; the data subject was told which.
        Refused = "refused",
        /// It did not become known well enough who asks; the person was told why and what would help (Art. 12(4) GDPR).
        NotIdentified = "not_identified",
        /// Withdrawn by the person.
        Withdrawn = "withdrawn",
        /// A sweep's candidate that does not fall under the rule when looked at again; nothing was done.
        OutOfScope = "out_of_scope",
        /// A reminder of an open request, which goes on with its first date; nothing of its own was done.
        Superseded = "superseded",
    }
}

vocabulary! {
    /// Why a request waits for a person.
    ParkReason, "park reason" {
        /// More than one contact matches; nobody is merged.
        AmbiguousMatch = "ambiguous_match",
        /// The identifiers given point to different contacts.
        IdentifiersDisagree = "identifiers_disagree",
        /// The contact that a person chose is gone, or carries no identifier of the request any more; or that one that was
        /// found before does not, or has another address than the one to which the link to its data would go.
        ChosenContactChanged = "chosen_contact_changed",
        /// It is not known well enough who asks, and the profile holds no address by which they could be asked.
        IdentityUnproven = "identity_unproven",
        /// There is no address to which the answer may be sent.
        NoContactPoint = "no_contact_point",
        /// The mail server refused the address for good.
        NoticeRefused = "notice_refused",
        /// The notice could not be made or its address not be read; nothing that waiting would mend.
        NoticeFailed = "notice_failed",
        /// The effect was accepted by the platform, but reading back did not show it.
        VerificationFailed = "verification_failed",
        /// The platform refused the call for good.
        PlatformRejected = "platform_rejected",
        /// The platform's key lacks a right that the procedure needs.
        PlatformForbidden = "platform_forbidden",
        /// The platform's answers could not be read, again and again; never taken for "no data".
        PlatformUnreadable = "platform_unreadable",
        /// A record of this person could not be read in full.
        RecordUnreadable = "record_unreadable",
        /// The platform does not honour the search by this identifier, so absence cannot be known.
        SearchNotHonoured = "search_not_honoured",
        /// The package would exceed the configured size.
        PackageTooLarge = "package_too_large",
        /// The allowed attempts are used up.
        AttemptsExhausted = "attempts_exhausted",
        /// The request brought its worker down, again and again.
        Poison = "poison",
        /// A stored intermediate result is of a form that this version cannot read.
        CheckpointUnreadable = "checkpoint_unreadable",
        /// An access request of the same person, which goes first, waits for a person itself or does not end in time.
        WaitsForAccess = "waits_for_access",
        /// No policy to opt out of is configured or named.
        NothingToOptOutOf = "nothing_to_opt_out_of",
        /// A hold counts from the last record of a category, and the records do not tell their dates; or it knows another contact, and has
        /// nothing but a telephone number in common with this one.
        HoldUnclear = "hold_unclear",
        /// The database was restored, and the ledger outside of it says that this was carried out in the time that was lost.
        DoneBeforeRestore = "done_before_restore",
        /// The person acted after the request: signed up anew or opted in again. The older will does not overrule it.
        NewerWill = "newer_will",
        /// A kind of request that a person carries out and records.
        NotAutomated = "not_automated",
        /// No category of data is configured as held by consent or contract, so that nobody knows what the person may take
        /// along (Art. 20 GDPR).
        NothingPortable = "nothing_portable",
        /// Somebody asks for the person: their authority has to be checked first.
        RequesterNotSelf = "requester_not_self",
        /// The person was asked for a fee and did not answer: a person refuses the request, or lets it go on for nothing.
        FeeUnanswered = "fee_unanswered",
    }
}

vocabulary! {
    /// Who asks.
    RequesterRole, "requester role" {
        /// The data subject.
        Own = "self",
        /// Somebody whom the person authorised.
        Agent = "agent",
        /// Who has parental responsibility.
        Parent = "parent",
        /// Who may ask about somebody who died.
        Heir = "heir",
        /// Somebody else for the person.
        Other = "other",
    }
}

vocabulary! {
    /// By which way a request reached the controller.
    Channel, "channel" {
        /// A web form.
        Web = "web",
        /// A mail.
        Email = "email",
        /// A letter.
        Letter = "letter",
        /// A telephone call.
        Phone = "phone",
        /// In person, at a venue or desk.
        InPerson = "in_person",
        /// A program of the controller or of an agent.
        Api = "api",
        /// The retention sweep of this daemon.
        Retention = "retention",
        /// The daily self-test of this daemon.
        SelfTest = "self_test",
    }
}

impl Channel {
    /// Whether only this daemon itself hands requests in by it; nobody else may name it.
    #[must_use]
    pub const fn is_internal(self) -> bool {
        matches!(self, Self::Retention | Self::SelfTest)
    }
}

vocabulary! {
    /// Who set a request in motion.
    Origin, "origin" {
        /// The data subject, or somebody for them.
        Subject = "subject",
        /// A retention rule of the controller. Nobody is told by mail.
        Retention = "retention",
        /// The daily self-test, about an invented contact of the controller. Carried out and told like a person's, and
        /// counted nowhere as one.
        SelfTest = "self_test",
    }
}

impl Origin {
    /// Whether somebody is told by mail what became of it: of all but what a rule submits.
    #[must_use]
    pub const fn is_told(self) -> bool {
        !matches!(self, Self::Retention)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_as_what_they_were() {
        for kind in RequestKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        for reason in ParkReason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
        }
        assert!(
            "please delete"
                .parse::<RequestKind>()
                .unwrap_err()
                .to_string()
                .contains("access, erasure, opt_out")
        );
        assert_eq!(RequestKind::read("marketing_objection"), Ok(RequestKind::OptOut));
    }

    #[test]
    fn the_machine_carries_out_what_it_says() {
        let automated = RequestKind::ALL.iter().copied().filter(|kind| kind.handling() != Handling::Person);
        assert_eq!(automated.collect::<Vec<_>>(), RequestKind::AUTOMATED);
    }
}
