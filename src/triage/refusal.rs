//! That a request, or what is left of it, is not followed.

use uuid::Uuid;

use super::error::TriageError;
use super::second::Deciders;
use super::sql::{self, Act};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::delivery;
use crate::domain::{Handling, MasterKey, OrganisationId, Personal, RefusalGround, RequestId};
use crate::intake::{self, Desk, ParkedCase};
use crate::store::{PgConnection, Tx};

/// What the controller says in support of a ground, in words for the person: a few lines.
#[derive(Clone, Debug)]
pub struct Facts(Personal<String>);

const MOST_LINES: usize = 10;
const LONGEST_LINE: usize = 400;

impl Facts {
    /// Reads facts; empty lines and white space around lines are dropped.
    pub fn read(text: &str) -> Result<Self, TriageError> {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let usable = (1..=MOST_LINES).contains(&lines.len())
            && lines
                .iter()
                .all(|line| line.chars().count() <= LONGEST_LINE && !line.chars().any(char::is_control));
        if usable { Ok(Self(Personal::new(lines.join("\n")))) } else { Err(TriageError::FactsUnusable) }
    }

    /// Reads what a person is told of a breach: three or more blocks with an empty line between them.
    pub fn read_breach(text: &str) -> Result<Self, TriageError> {
        let blocks: Vec<String> = text
            .replace("\r\n", "\n")
            .split("\n\n")
            .map(|block| Self::read(block).map(|Self(lines)| lines.into_exposed()))
            .collect::<Result<_, _>>()?;
        Self(Personal::new(blocks.join("\n\n"))).in_three_parts()
    }

    /// The same text, if it says what happened, what it may mean and what is done (Art. 34(2) GDPR).
    pub(super) fn in_three_parts(self) -> Result<Self, TriageError> {
        if self.0.expose().split("\n\n").count() >= 3 { Ok(self) } else { Err(TriageError::BreachUnusable) }
    }

    /// The text, as the person reads it.
    pub(super) fn words(&self) -> Personal<String> {
        self.0.clone()
    }
}

/// The purpose under which facts are sealed.
const FACTS: &str = "decision_facts";

/// Facts as they are stored beside a decision.
pub(super) fn seal(desk: &Desk, act: &Act<'_>, Facts(text): Facts) -> Vec<u8> {
    let clear = Personal::new(text.into_exposed().into_bytes());
    desk.keys.sealing(FACTS).seal(&act.decision.to_string(), &clear)
}

/// Records that a parked request is refused, and sends it on its way: its procedure tells the person and closes it. What
/// was carried out and read back is not refused any more; what was begun is read again first.
pub async fn refuse(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
    ground: RefusalGround,
    facts: Option<Facts>,
    actor: Actor,
) -> Result<(), TriageError> {
    refuse_as(tx, desk, organisation, request, (ground, facts), Deciders::alone(actor)).await
}

/// Whether a parked request can be refused on this ground, with these facts.
pub(super) async fn check(
    tx: &mut Tx,
    organisation: &OrganisationId,
    request: RequestId,
    ground: RefusalGround,
    facts: Option<&Facts>,
) -> Result<ParkedCase, TriageError> {
    let parked = intake::lock_parked(tx, organisation, request).await?;
    if !parked.kind.can_be_refused() {
        return Err(TriageError::OptOut);
    }
    if parked.answered {
        return Err(TriageError::AlreadyAnswered);
    }
    if parked.refusal.is_some() {
        return Err(TriageError::AlreadyRefused);
    }
    if !ground.applies_to(parked.kind) {
        let known = RefusalGround::of(parked.kind).map(RefusalGround::as_str).collect::<Vec<_>>();
        return Err(TriageError::GroundDoesNotApply { ground, kind: parked.kind, known: known.join(", ") });
    }
    if let (Some(what), None) = (ground.needed_facts(), facts) {
        return Err(TriageError::FactsMissing { ground, what });
    }
    // A package that was built and never offered to anybody can still be withheld.
    let with_package = matches!(parked.kind.handling(), Handling::Access | Handling::Portability);
    let withheld = with_package && parked.contact.is_some();
    if parked.verified && !withheld {
        return Err(TriageError::NothingLeft);
    }
    if delivery::answer_may_be_out(tx, organisation, request).await? {
        return Err(TriageError::Answered);
    }
    Ok(parked)
}

/// The same as [`refuse`], by one person or by two.
pub(super) async fn refuse_as(
    tx: &mut Tx,
    desk: &Desk,
    organisation: &OrganisationId,
    request: RequestId,
    (ground, facts): (RefusalGround, Option<Facts>),
    deciders: Deciders,
) -> Result<(), TriageError> {
    let parked = check(tx, organisation, request, ground, facts.as_ref()).await?;
    let act = deciders.act(organisation, request, desk);
    let sealed = facts.map(|facts| seal(desk, &act, facts));
    let detail = Detail::none()
        .word("ground", ground.as_str())
        .flag("facts", sealed.is_some())
        .flag("effect_begun", parked.effect_begun);
    sql::insert_refusal(tx, &act, ground, sealed).await?;
    let event = Event::of(organisation, request, Action::RequestRefused, deciders.actor.clone(), act.at);
    audit::append(tx, event.with(detail)).await?;
    delivery::drop_unsent_answers(tx, organisation, request).await?;
    intake::continue_with(tx, desk, organisation, request, None, deciders.actor.clone()).await?;
    Ok(())
}

/// What the controller said in support of the refusal of a request, if it said anything.
pub async fn refusal_facts(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<Personal<String>>, TriageError> {
    facts_of(connection, keys, organisation, request, "refusal").await
}

/// What a person wrote for the data subject about how they carried a request out.
pub async fn answer_words(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<Option<Personal<String>>, TriageError> {
    facts_of(connection, keys, organisation, request, "answer").await
}

/// The facts of the newest decision of a kind, opened.
pub(super) async fn facts_of(
    connection: &mut PgConnection,
    keys: &MasterKey,
    organisation: &OrganisationId,
    request: RequestId,
    kind: &str,
) -> Result<Option<Personal<String>>, TriageError> {
    let Some((decision, sealed)) = sql::sealed_facts(connection, organisation, request, kind).await? else {
        return Ok(None);
    };
    Ok(Some(open_facts(keys, decision, &sealed)?))
}

/// Facts as they were written, from what stands beside a decision or its proposal.
pub(super) fn open_facts(
    keys: &MasterKey,
    decision: Uuid,
    sealed: &[u8],
) -> Result<Personal<String>, TriageError> {
    let clear = keys.sealing(FACTS).open(&decision.to_string(), sealed).map_err(TriageError::Sealed)?;
    let text = String::from_utf8(clear.into_exposed())
        .map_err(|_| TriageError::Sealed(crate::domain::KeyError::DoesNotOpen))?;
    Ok(Personal::new(text))
}
