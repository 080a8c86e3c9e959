//! The code of a link: the same proof for where nobody can click.
//!
//! It stands beside the link in the mail, and alone in a text message. The person types it, with their reference, on a page
//! that everybody can open, or tells it to staff whom they called. Like the link it works once, until the link expires, and
//! for its request only.
//!
//! A page that everybody can open is a place to guess: a wrong code counts against all codes of the request, the fifth ends
//! them (their links go on working), and the answer is the same whether it was wrong, too late, locked, or belongs to no
//! request at all (S-5). How many tries are left is told to staff only.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{Controller, OneTimeCode, Personal, Reference, RequestId};
use crate::intake::{self, CaseError, Desk};
use crate::store::Tx;

use super::error::IdentityError;
use super::link::{ACTOR, MOST_WRONG_ANSWERS, ProofBy, ProofLanding, ProofPage, prove};
use super::sql::{self, LinkRow};

/// What became of a code that was typed on the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeAnswer {
    /// It does not work; alike for every reason.
    NoSuchCode,
    /// It works, and nothing is confirmed yet.
    Shown(ProofLanding),
    /// It is proven, and the request goes on.
    Confirmed(ProofLanding),
}

/// What became of a code that was told to staff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeCheck {
    /// It is proven, and the request goes on.
    Proven,
    /// It is wrong, and so many tries are left.
    Wrong(u16),
    /// There is no code that works.
    NoneWorks,
}

/// A typed code compared with those that work.
enum Compared {
    Fits(Box<LinkRow>),
    Wrong(u16),
    NoneWorks,
}

impl ProofPage {
    /// Shows what the code stands for, if it works. A wrong one is counted.
    pub async fn look_by_code(
        &self,
        reference: &str,
        code: &Personal<String>,
    ) -> Result<CodeAnswer, IdentityError> {
        let Some((reference, code)) = read(reference, code) else { return Ok(CodeAnswer::NoSuchCode) };
        let mut tx = self.store.begin("identity.look_by_code").await?;
        let compared =
            compare(&mut tx, &self.desk, &self.organisations(), (&reference, &code), ACTOR).await?;
        tx.commit().await?;
        let Compared::Fits(row) = compared else { return Ok(CodeAnswer::NoSuchCode) };
        Ok(self.landing(&row).map_or(CodeAnswer::NoSuchCode, CodeAnswer::Shown))
    }

    /// Takes a code as the proof. A right one uses all links and codes of the request up, and lets it go on.
    pub async fn confirm_by_code(
        &self,
        reference: &str,
        code: &Personal<String>,
    ) -> Result<CodeAnswer, IdentityError> {
        let Some((reference, code)) = read(reference, code) else { return Ok(CodeAnswer::NoSuchCode) };
        let mut tx = self.store.begin("identity.confirm_by_code").await?;
        // Job and case before the link, in the order of everybody else who writes them.
        let mut waiting = BTreeMap::new();
        for (organisation, request) in sql::requests_of(&mut tx, &self.organisations(), &reference).await? {
            match intake::lock_waiting(&mut tx, &organisation, request).await {
                Ok(case) => drop(waiting.insert(request, case)),
                Err(CaseError::Store(error)) => return Err(error.into()),
                Err(_) => {}
            }
        }
        let mut answer = CodeAnswer::NoSuchCode;
        if let Compared::Fits(row) =
            compare(&mut tx, &self.desk, &self.organisations(), (&reference, &code), ACTOR).await?
            && let (Some(case), Some(controller), Some(landing)) = (
                waiting.get(&RequestId(row.request_id)),
                self.controllers.get(&row.organisation()?),
                self.landing(&row),
            )
        {
            let now = self.desk.clock.now();
            prove(&mut tx, controller, &row, case, (ProofBy::Code, ACTOR), now).await?;
            answer = CodeAnswer::Confirmed(landing);
        }
        tx.commit().await?;
        Ok(answer)
    }

    fn organisations(&self) -> Vec<String> {
        self.controllers.keys().map(ToString::to_string).collect()
    }
}

fn read(reference: &str, code: &Personal<String>) -> Option<(Reference, OneTimeCode)> {
    Some((Reference::typed(reference)?, OneTimeCode::read(code)?))
}

/// Takes the code that a person told to staff. A wrong one is counted: commit the transaction whatever becomes of it.
pub async fn record_code(
    tx: &mut Tx,
    desk: &Desk,
    controller: &Controller,
    request: RequestId,
    code: &Personal<String>,
    actor: Actor,
) -> Result<CodeCheck, IdentityError> {
    let code = OneTimeCode::read(code).ok_or(IdentityError::NoCode)?;
    let waiting = intake::lock_waiting(tx, &controller.id, request).await?;
    waiting.takes_a_proof()?;
    let (organisations, reference) = ([controller.id.to_string()], Reference::of(request));
    match compare(tx, desk, &organisations, (&reference, &code), actor.clone()).await? {
        Compared::Fits(row) if RequestId(row.request_id) == request => {
            prove(tx, controller, &row, &waiting, (ProofBy::Code, actor), desk.clock.now()).await?;
            Ok(CodeCheck::Proven)
        }
        Compared::Wrong(left) => Ok(CodeCheck::Wrong(left)),
        Compared::Fits(_) | Compared::NoneWorks => Ok(CodeCheck::NoneWorks),
    }
}

/// Compares a code with those of a reference that work, and counts it if it is wrong.
async fn compare(
    tx: &mut Tx,
    desk: &Desk,
    organisations: &[String],
    (reference, code): (&Reference, &OneTimeCode),
    actor: Actor,
) -> Result<Compared, IdentityError> {
    let now = desk.clock.now();
    let rows = sql::lock_codes(tx, organisations, reference, MOST_WRONG_ANSWERS, now).await?;
    let mut cases = BTreeSet::new();
    for row in rows {
        if OneTimeCode::of_digest(&desk.keys, &row.token_sha256()?).is(code) {
            return Ok(Compared::Fits(Box::new(row)));
        }
        cases.insert((row.organisation()?, RequestId(row.request_id)));
    }
    let mut most_left = None;
    for (organisation, request) in cases {
        let wrong = sql::count_wrong_code(tx, &organisation, request, MOST_WRONG_ANSWERS, now).await?;
        let left = u16::try_from(MOST_WRONG_ANSWERS - wrong).unwrap_or_default();
        let detail =
            Detail::none().word("method", "code").count("tries_left", left.into()).flag("locked", left == 0);
        let event = Event::of(&organisation, request, Action::IdentityRefused, actor.clone(), now);
        audit::append(tx, event.with(detail)).await?;
        most_left = most_left.max(Some(left));
    }
    Ok(most_left.map_or(Compared::NoneWorks, Compared::Wrong))
}
