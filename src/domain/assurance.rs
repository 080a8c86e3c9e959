//! How well it is known who asks, and how well it must be (Art. 12(6) GDPR; ).

use std::fmt;
use std::str::FromStr;

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::deadline::RegimeCode;
use super::matching::MOST_POINTS;
use super::request::vocabulary;
use super::{Handling, RequestKind};

vocabulary! {
    /// How it is known who asks.
    Assurance, "assurance" {
        /// Nothing is known beyond what was typed.
        None = "none",
        /// Details were compared that not everybody knows. Never enough to disclose records of use.
        MatchedData = "matched_data",
        /// Somebody acts for the person, and their authority was seen.
        AgentProof = "agent_proof",
        /// The person answered by a contact point that is on record.
        VerifiedChannelLoop = "verified_channel_loop",
        /// The person was signed in, or recognised by somebody.
        AuthenticatedSession = "authenticated_session",
    }
}

vocabulary! {
    /// Why more has to be known before a request goes on; nobody is asked without one of these.
    IdentityDoubt, "doubt" {
        /// Nothing is known of who asks.
        NoProof = "no_proof",
        /// Something is, but less than the right needs.
        NotEnough = "not_enough",
        /// It was proven too long ago for something that cannot be undone.
        TooOld = "too_old",
    }
}

vocabulary! {
    /// How a person of the controller found out who asks. The method is recorded, never a document.
    IdentityMethod, "method" {
        /// They came in person and were recognised.
        InPerson = "in_person",
        /// They were signed in to an account of theirs while they were asked.
        Account = "account",
        /// They answered by an address or number that the profile holds.
        ContactPoint = "contact_point",
        /// Somebody acts for them, whose authority was seen.
        AgentAuthority = "agent_authority",
        /// What they say of themselves was compared with what the profile holds, and is the same.
        MatchedData = "matched_data",
    }
}

impl IdentityMethod {
    /// What is known afterwards.
    #[must_use]
    pub const fn assurance(self) -> Assurance {
        match self {
            Self::InPerson | Self::Account => Assurance::AuthenticatedSession,
            Self::ContactPoint => Assurance::VerifiedChannelLoop,
            Self::AgentAuthority => Assurance::AgentProof,
            Self::MatchedData => Assurance::MatchedData,
        }
    }
}

/// That it was known how well who asks, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// How well.
    pub assurance: Assurance,
    /// When it was proven.
    pub at: DateTime<Utc>,
}

/// What a right needs, and how it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityRules {
    /// Which assurances are enough for a copy of the data: words of `authenticated_session`, `verified_channel_loop`,
    /// `agent_proof`, `matched_data`. With `matched_data`, events and connections are disclosed to whoever knows details of
    /// the person.
    #[schemars(with = "Vec<String>")]
    pub access: Vec<Assurance>,
    /// Whether the hand-over is the proof for a copy of the data: its link goes to the address in the profile only, and opens
    /// with what the request was made with. Without it a person is asked before anything is collected.
    pub access_by_hand_over: bool,
    /// Which assurances are enough for an erasure: words as for `access`.
    #[schemars(with = "Vec<String>")]
    pub erasure: Vec<Assurance>,
    /// How old a proof may be when a contact is deleted, in hours, at most 720; after that it is asked for anew.
    pub erasure_proof_hours: u32,
    /// Under the law of California: how many details must match what the profile holds before an erasure, where staff found out
    /// who asks (11 CCR 7062(d)). 2 to 9; a copy of the data always needs 3 and a signed declaration.
    pub erasure_matching_points: u32,
    /// How long the link works by which a person proves that a contact point is theirs, in hours.
    pub link_hours: u32,
    /// After how many hours without an answer the person is reminded, once.
    pub remind_after_hours: u32,
    /// After how many days without an answer a request ends as not identified.
    pub wait_max_days: u32,
    /// So many days before the due date it ends in any case, so that the person is told in time.
    pub answer_margin_days: u32,
    /// How a person is asked whose profile holds a telephone number and no e-mail address: by a code in a text message. A
    /// person of the controller finds out where nothing is named.
    pub text_messages: Option<TextMessages>,
}

/// The gateway that sends text messages to telephones, called as docs/identity.md tells.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextMessages {
    /// Where it listens, with `https://`; `http://` on this host only.
    pub url: String,
    /// File with the secret that signs the calls, at least 32 characters.
    pub secret_file: PathBuf,
    /// Lets the call go to an address of a private network or of this host. Not when left out.
    pub allow_private_address: Option<bool>,
}

/// The longest that a proof may be good for a deletion: a month.
const LONGEST_PROOF_HOURS: u32 = 720;

impl Default for IdentityRules {
    fn default() -> Self {
        let known = vec![Assurance::AuthenticatedSession, Assurance::VerifiedChannelLoop];
        Self {
            access: known.clone(),
            access_by_hand_over: true,
            erasure: known,
            erasure_proof_hours: 24,
            erasure_matching_points: 2,
            link_hours: 72,
            remind_after_hours: 72,
            wait_max_days: 14,
            answer_margin_days: 5,
            text_messages: None,
        }
    }
}

impl IdentityRules {
    /// The doubt that stands in the way of a right, if there is one. An opt-out needs to know nothing.
    #[must_use]
    pub fn doubt(
        &self,
        kind: RequestKind,
        proof: Option<Proof>,
        now: DateTime<Utc>,
    ) -> Option<IdentityDoubt> {
        let (enough, oldest) = match kind.handling() {
            Handling::Access | Handling::Portability => (&self.access, None),
            Handling::Erasure => (&self.erasure, Some(TimeDelta::hours(self.erasure_proof_hours.into()))),
            // What a person carries out, a person judges.
            Handling::OptOut | Handling::Person => return None,
        };
        let Some(proof) = proof.filter(|proof| proof.assurance != Assurance::None) else {
            return Some(IdentityDoubt::NoProof);
        };
        if !enough.contains(&proof.assurance) {
            return Some(IdentityDoubt::NotEnough);
        }
        oldest.filter(|oldest| now - proof.at > *oldest).map(|_| IdentityDoubt::TooOld)
    }

    /// The settings that let less be enough than the strict defaults do, each with what is loose about it.
    #[must_use]
    pub fn loosened(&self) -> Vec<(&'static str, String)> {
        let strict = Self::default();
        let mut found = Vec::new();
        for (key, enough, known) in [
            ("identity.access", &self.access, &strict.access),
            ("identity.erasure", &self.erasure, &strict.erasure),
        ] {
            let weaker: Vec<&str> =
                enough.iter().filter(|each| !known.contains(each)).map(|each| each.as_str()).collect();
            if !weaker.is_empty() {
                found.push((key, format!("lets {} be enough", weaker.join(" and "))));
            }
        }
        if self.erasure_proof_hours > strict.erasure_proof_hours {
            let (hours, most) = (self.erasure_proof_hours, strict.erasure_proof_hours);
            found.push(("identity.erasure_proof_hours", format!("is {hours}, more than {most} hours")));
        }
        found
    }

    /// What is wrong with the rules, in a sentence; nothing when they can be used.
    #[must_use]
    pub fn refused(&self) -> Option<&'static str> {
        if self.access.is_empty() || self.erasure.is_empty() {
            return Some("identity.access and identity.erasure must each name an assurance that is enough");
        }
        if self.access.contains(&Assurance::None) || self.erasure.contains(&Assurance::None) {
            return Some(
                "identity.access and identity.erasure must not name none: nothing known is never enough",
            );
        }
        if self.erasure_proof_hours == 0 || self.link_hours == 0 || self.remind_after_hours == 0 {
            return Some(
                "identity.erasure_proof_hours, link_hours and remind_after_hours must be at least 1",
            );
        }
        if self.erasure_proof_hours > LONGEST_PROOF_HOURS {
            return Some(
                "identity.erasure_proof_hours must be at most 720: what was proven more than a month ago is no fresh proof \
                 (R-25)",
            );
        }
        if !(2..=MOST_POINTS).contains(&self.erasure_matching_points) {
            return Some("identity.erasure_matching_points must be from 2 to 9 (11 CCR 7062)");
        }
        let in_range = (1..=60).contains(&self.wait_max_days) && (1..=20).contains(&self.answer_margin_days);
        (!in_range).then_some("identity.wait_max_days must be from 1 to 60, answer_margin_days from 1 to 20")
    }
}

impl Proof {
    /// What of a proof counts that somebody merely states. In California compared details, and an agent's authority, prove
    /// something only with what was compared (11 CCR 7062, 7063), which is recorded by whoever compared it and stated by nobody
    ///
    #[must_use]
    pub fn stated(self, regime: RegimeCode) -> Option<Self> {
        let needs_more = matches!(self.assurance, Assurance::MatchedData | Assurance::AgentProof);
        (regime != RegimeCode::CALIFORNIA || !needs_more).then_some(self)
    }

    /// Whether the person is known as such: not merely by details that others may know, and not by an agent. To anybody
    /// else nothing is told that would show whether a person is in the data (S-5).
    #[must_use]
    pub const fn is_of_the_person(self) -> bool {
        matches!(self.assurance, Assurance::AuthenticatedSession | Assurance::VerifiedChannelLoop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn proven(assurance: Assurance, hours_ago: i64) -> Proof {
        Proof { assurance, at: now() - TimeDelta::hours(hours_ago) }
    }

    #[test]
    fn r_20_the_strict_defaults_of_the_matrix() {
        use Assurance::{
            AgentProof, AuthenticatedSession, MatchedData, None as Nothing, VerifiedChannelLoop,
        };
        let rules = IdentityRules::default();
        let doubt = |kind, assurance| rules.doubt(kind, Some(proven(assurance, 1)), now());
        for assurance in Assurance::ALL {
            assert_eq!(doubt(RequestKind::OptOut, *assurance), None, "an opt-out needs no proof");
        }
        for kind in [RequestKind::Access, RequestKind::Erasure] {
            assert_eq!(rules.doubt(kind, None, now()), Some(IdentityDoubt::NoProof));
            assert_eq!(doubt(kind, Nothing), Some(IdentityDoubt::NoProof));
            assert_eq!(doubt(kind, MatchedData), Some(IdentityDoubt::NotEnough), "r_19");
            assert_eq!(doubt(kind, AgentProof), Some(IdentityDoubt::NotEnough));
            assert_eq!(doubt(kind, VerifiedChannelLoop), None);
            assert_eq!(doubt(kind, AuthenticatedSession), None);
        }
    }

    #[test]
    fn r_25_a_proof_for_an_erasure_grows_old() {
        let rules = IdentityRules::default();
        let doubt =
            |kind, hours| rules.doubt(kind, Some(proven(Assurance::AuthenticatedSession, hours)), now());
        assert_eq!(doubt(RequestKind::Erasure, 24), None);
        assert_eq!(doubt(RequestKind::Erasure, 25), Some(IdentityDoubt::TooOld));
        assert_eq!(doubt(RequestKind::Erasure, 240), Some(IdentityDoubt::TooOld));
        assert_eq!(doubt(RequestKind::Access, 240), None);
    }

    #[test]
    fn rules_that_would_let_anybody_in_are_refused() {
        assert_eq!(IdentityRules::default().refused(), None);
        let open = IdentityRules { erasure: vec![Assurance::None], ..IdentityRules::default() };
        assert!(open.refused().is_some_and(|why| why.contains("none")));
        let nobody = IdentityRules { access: Vec::new(), ..IdentityRules::default() };
        assert!(nobody.refused().is_some());
        let endless = IdentityRules { wait_max_days: 90, ..IdentityRules::default() };
        assert!(endless.refused().is_some());
        let hours = |erasure_proof_hours| IdentityRules { erasure_proof_hours, ..IdentityRules::default() };
        assert_eq!(hours(720).refused(), None);
        assert!(hours(721).refused().is_some_and(|why| why.contains("erasure_proof_hours")));
    }
}
