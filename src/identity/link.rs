//! The page of a link by which a person proves that a contact point is theirs.
//!
//! Looking changes nothing. Confirming needs a second proof, as the hand-over does: what the request was made with, or the
//! address to which the link went, compared by its keyed pseudonym.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::asking::end_links;
use super::error::IdentityError;
use super::sql::{self, LinkRow, NewProof};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::delivery::{self, VocabularyOf, vocabulary};
use crate::domain::{
    Assurance, Controller, Handling, IdentifierKind, OrganisationId, Personal, Proof, RequestId, RequestKind,
    SubjectIdentifier, link_digest,
};
use crate::intake::{self, CaseError, Desk, WaitingCase};
use crate::store::{Store, StoreError, Tx};

/// So many wrong answers lock a link, and so many wrong codes a code. Mirrored by CHECKs of `dsrd.proof_link`.
pub(super) const MOST_WRONG_ANSWERS: i16 = 5;

/// Who confirms, in the log: the person, of whom it knows no more.
pub(super) const ACTOR: Actor = Actor::Process("identity");

/// Serves the pages of links.
#[derive(Clone, Debug)]
pub struct ProofPage {
    pub(super) store: Store,
    pub(super) desk: Desk,
    pub(super) controllers: BTreeMap<OrganisationId, Arc<Controller>>,
}

/// What the page says. Nothing of it is about the person beyond what they know who were sent the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofLanding {
    /// The reference of the request.
    pub reference: String,
    /// The controller's name.
    pub organisation: String,
    /// How to reach its data protection officer.
    pub contact: String,
    /// The language of the request, in which all of this is.
    pub language: String,
    /// The heading.
    pub title: String,
    /// What was asked for, in a sentence.
    pub asked: String,
    /// What happens after the confirmation.
    pub consequences: Vec<String>,
    /// The words on the button.
    pub button: String,
    /// When the request reached the controller, for people.
    pub received_on: String,
    /// Until when the link works, in the controller's time zone, for people.
    pub expires: String,
}

/// What became of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The link does not work; alike for every reason.
    NoSuchLink,
    /// The answer is not what the request was made with.
    Unproven {
        /// What the page says.
        landing: ProofLanding,
        /// How many answers are left; `None` when nothing was answered, which counts as no try.
        tries_left: Option<u16>,
    },
    /// The answer was wrong, and the last one: the link is locked.
    Locked,
    /// It is proven, and the request goes on.
    Confirmed(ProofLanding),
}

impl ProofPage {
    /// Serves the links of these organisations.
    #[must_use]
    pub const fn new(
        store: Store,
        desk: Desk,
        controllers: BTreeMap<OrganisationId, Arc<Controller>>,
    ) -> Self {
        Self { store, desk, controllers }
    }

    /// What a link leads to; `None` alike when it is malformed, unknown, expired, locked or used.
    pub async fn look(&self, token: &str) -> Result<Option<ProofLanding>, IdentityError> {
        let Some(token_sha256) = well_formed(token) else { return Ok(None) };
        let mut connection = self.store.connection().await?;
        let now = self.desk.clock.now();
        let row = sql::find_link(&mut connection, &token_sha256, MOST_WRONG_ANSWERS, now).await?;
        Ok(row.and_then(|row| self.landing(&row)))
    }

    /// Takes an answer. A right one proves who asks, uses all links of the request up, and lets it go on.
    pub async fn confirm(
        &self,
        token: &str,
        answer: &Personal<String>,
    ) -> Result<Confirmation, IdentityError> {
        let Some(token_sha256) = well_formed(token) else { return Ok(Confirmation::NoSuchLink) };
        let now = self.desk.clock.now();
        let mut tx = self.store.begin("identity.confirm").await?;
        let Some(row) = sql::find_link(&mut tx, &token_sha256, MOST_WRONG_ANSWERS, now).await? else {
            return Ok(Confirmation::NoSuchLink);
        };
        let (organisation, request) = (row.organisation()?, RequestId(row.request_id));
        let Some(landing) = self.landing(&row) else { return Ok(Confirmation::NoSuchLink) };
        if answer.expose().trim().is_empty() {
            return Ok(Confirmation::Unproven { landing, tries_left: None });
        }
        // Job and case before the link, in the order of everybody else who writes them.
        let waiting = match intake::lock_waiting(&mut tx, &organisation, request).await {
            Ok(waiting) => waiting,
            Err(CaseError::Store(error)) => return Err(error.into()),
            Err(_) => return Ok(Confirmation::NoSuchLink),
        };
        let Some(wrong) = sql::lock_link(&mut tx, &token_sha256, MOST_WRONG_ANSWERS).await? else {
            return Ok(Confirmation::NoSuchLink);
        };
        if !self.is_right(&mut tx, &organisation, request, answer).await? {
            sql::count_wrong_answer(&mut tx, &token_sha256).await?;
            let left = u16::try_from(MOST_WRONG_ANSWERS - wrong - 1).unwrap_or_default();
            let detail = Detail::none().count("tries_left", left.into()).flag("locked", left == 0);
            let event = Event::of(&organisation, request, Action::IdentityRefused, ACTOR, now);
            audit::append(&mut tx, event.with(detail)).await?;
            tx.commit().await?;
            return Ok(match left {
                0 => Confirmation::Locked,
                left => Confirmation::Unproven { landing, tries_left: Some(left) },
            });
        }
        let Some(controller) = self.controllers.get(&organisation) else {
            return Ok(Confirmation::NoSuchLink);
        };
        prove(&mut tx, controller, &row, &waiting, (ProofBy::Link, ACTOR), now).await?;
        tx.commit().await?;
        Ok(Confirmation::Confirmed(landing))
    }

    async fn is_right(
        &self,
        tx: &mut Tx,
        organisation: &OrganisationId,
        request: RequestId,
        answer: &Personal<String>,
    ) -> Result<bool, StoreError> {
        let known = intake::references(tx, organisation, request).await?;
        let country = self.controllers.get(organisation).and_then(|each| each.default_country.as_deref());
        Ok(SubjectIdentifier::readings(answer.expose(), country).any(|reading| {
            let reference = reading.reference(&self.desk.keys, organisation);
            known.iter().any(|each| each == reference.as_bytes())
        }))
    }

    pub(super) fn landing(&self, row: &LinkRow) -> Option<ProofLanding> {
        let controller = self.controllers.get(&row.organisation().ok()?)?;
        let kind: RequestKind = row.kind.parse().ok()?;
        let languages = [row.language.as_str(), controller.language.as_str()];
        let words = vocabulary(VocabularyOf::Pages, languages);
        let kind = word_of(kind.handling());
        let say = |what: &str| words.say(&format!("asked.{kind}.{what}"), &[]);
        // Where the code came by text message, a consequence may be another one.
        let suffix = if row.contact_point == IdentifierKind::Phone.as_str() { ".phone" } else { "" };
        let numbers = (1..).map(|number: u8| number.to_string());
        let received_on = row.received_at.with_timezone(&controller.time_zone).date_naive();
        Some(ProofLanding {
            reference: row.reference.clone(),
            organisation: controller.name.clone(),
            contact: controller.contact.clone(),
            language: words.tag().to_owned(),
            title: say("title"),
            asked: say("asked"),
            consequences: numbers
                .take_while(|number| words.has(&format!("asked.{kind}.{number}")))
                .map(|number| {
                    let own = format!("{number}{suffix}");
                    say(if words.has(&format!("asked.{kind}.{own}")) { &own } else { &number })
                })
                .collect(),
            button: say("button"),
            received_on: delivery::day_in_words(words.tag(), controller, received_on),
            expires: delivery::instant_in_words(words.tag(), controller, row.expires_at),
        })
    }
}

/// By which form of its secret a link proved that a contact point is somebody's.
#[derive(Clone, Copy, Debug)]
pub(super) enum ProofBy {
    /// Its page was opened and confirmed.
    Link,
    /// Its code was typed, or told to staff.
    Code,
}

impl ProofBy {
    /// The word as stored.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Code => "code",
        }
    }
}

/// Records that a link's contact point is the person's: uses up all links of the request and lets it go on.
pub(super) async fn prove(
    tx: &mut Tx,
    controller: &Controller,
    row: &LinkRow,
    waiting: &WaitingCase,
    (how, actor): (ProofBy, Actor),
    now: DateTime<Utc>,
) -> Result<(), IdentityError> {
    let (organisation, request) = (&controller.id, RequestId(row.request_id));
    let proof = Proof { assurance: Assurance::VerifiedChannelLoop, at: now };
    sql::use_link(tx, &row.token_sha256()?, now).await?;
    end_links(tx, organisation, request).await?;
    let by = actor.to_string();
    let recorded = NewProof {
        organisation,
        request,
        id: Uuid::now_v7(),
        proof,
        method: how.as_str(),
        by: &by,
        regime: controller.regime,
        points: Vec::new(),
        sealed_declaration: None,
    };
    sql::insert_proof(tx, &recorded).await?;
    let moved = intake::continue_proven(tx, controller, request, waiting, proof).await?;
    let detail = Detail::none().word("method", how.as_str()).word("assurance", proof.assurance.as_str());
    let event = Event::of(organisation, request, Action::IdentityProven, actor, now);
    audit::append(tx, event.with(intake::stood_still(detail, moved))).await?;
    Ok(())
}

/// The part of the keys that tells what was asked. Nobody is asked by a link for what a person carries out, nor for an
/// opt-out; whoever reaches those words confirms nothing that would change anything else.
const fn word_of(handling: Handling) -> &'static str {
    match handling {
        Handling::Access => "access",
        Handling::Portability => "portability",
        Handling::Erasure => "erasure",
        Handling::Person => "person",
        Handling::OptOut => "opt_out",
    }
}

/// The digest of a secret of the form that we draw.
fn well_formed(token: &str) -> Option<[u8; 32]> {
    let plain =
        token.len() == 64 && token.bytes().all(|each| each.is_ascii_digit() || (b'a'..=b'f').contains(&each));
    plain.then(|| link_digest(&Personal::new(token.to_owned())))
}
