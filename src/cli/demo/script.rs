//! Who asks for what, how it comes in, and what should become of it.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::people::{Cast, international};
use super::sql::{Producer, ProducerRow};
use crate::daemon::Foundation;
use crate::domain::{
    Channel, Controller, IdentifierKind, Origin, Outcome, ParkReason, Personal, RequestKind, RequesterRole,
    SubjectIdentifier,
};
use crate::intake::{self, Submission};
use crate::report::MaskedIdentifier;

/// One request of the demonstration.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// For people.
    pub(super) what: &'static str,
    pub(super) identifier: SubjectIdentifier,
    pub(super) door: Door,
    pub(super) expected: Expected,
    /// The producer's own id of it.
    pub(super) key: String,
    /// The request, once there is one.
    pub(super) request: Option<Uuid>,
    /// Whether the person confirmed by a link that the request is theirs.
    pub(super) confirmed: bool,
    /// Why the row was parked, once it was.
    pub(super) parked: Option<String>,
}

/// By which way it comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// The function behind `dsrd request submit`.
    CommandLine(RequestKind),
    /// A row in `dsrd.intake`, with whatever the producer takes for a kind.
    Insert(&'static str),
}

impl Door {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::CommandLine(_) => "request submit",
            Self::Insert(_) => "SQL INSERT",
        }
    }
}

/// What should become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Closed(Outcome),
    Waits(ParkReason),
}

impl Asked {
    /// The identifier in a form that only its owner recognises.
    pub(super) fn masked(&self) -> String {
        MaskedIdentifier::of(&self.identifier).masked
    }

    /// Whether nothing more will come of it by itself, given the requests that ended or wait.
    pub(super) fn is_settled(&self, settled: &std::collections::BTreeSet<Uuid>) -> bool {
        self.parked.is_some() || self.request.is_some_and(|request| settled.contains(&request))
    }
}

/// All requests of the demonstration.
pub(super) fn script(cast: &Cast, controller: &Controller) -> anyhow::Result<Vec<Asked>> {
    use Expected::{Closed, Waits};
    use RequestKind::{Access, Erasure, OptOut};
    let country = controller.default_country.as_deref();
    let asked = |what, door, kind, text: &str, expected| {
        let identifier = SubjectIdentifier::parse(kind, text, country)?;
        let key = Uuid::now_v7().to_string();
        anyhow::Ok(Asked {
            what,
            identifier,
            door,
            expected,
            key,
            request: None,
            confirmed: false,
            parked: None,
        })
    };
    let foreign = |phone: &str| international(phone).unwrap_or_else(|| phone.to_owned());
    let (email, phone) = (IdentifierKind::Email, IdentifierKind::Phone);
    let line = Door::CommandLine;
    Ok(vec![
        // Written in capitals, and with another spelling of the number, than the platform stores.
        asked(
            "a copy of the data",
            line(Access),
            email,
            &cast.access.email.to_uppercase(),
            Closed(Outcome::Fulfilled),
        )?,
        asked(
            "no more marketing",
            line(OptOut),
            phone,
            &foreign(&cast.opt_out.phone),
            Closed(Outcome::Fulfilled),
        )?,
        asked("to be forgotten", line(Erasure), email, &cast.erasure.email, Closed(Outcome::Fulfilled))?,
        asked(
            "a copy of the data",
            line(Access),
            phone,
            &foreign(&cast.sharing.phone),
            Waits(ParkReason::AmbiguousMatch),
        )?,
        asked(
            "to be forgotten",
            line(Erasure),
            email,
            "nobody.here@people.example",
            Closed(Outcome::FulfilledNoData),
        )?,
        asked(
            "to be forgotten",
            Door::Insert("erasure"),
            email,
            &cast.by_producer.email,
            Closed(Outcome::Fulfilled),
        )?,
        asked(
            "\"forget me\"",
            Door::Insert("forget me"),
            email,
            &cast.by_producer.email,
            Waits(ParkReason::NotAutomated),
        )?,
    ])
}

/// Hands one request in, by its door.
pub(super) async fn hand_in(
    asked: &mut Asked,
    foundation: &Foundation,
    controller: &Controller,
    producer: &mut Producer,
) -> anyhow::Result<()> {
    let received_at: DateTime<Utc> = foundation.desk.clock.now() - TimeDelta::minutes(1);
    match asked.door {
        Door::CommandLine(kind) => {
            let submission = Submission {
                kind,
                also: Vec::new(),
                kind_unknown: false,
                requester_role: RequesterRole::Own,
                origin: Origin::Subject,
                channel: Channel::Email,
                received_at,
                language: None,
                identifiers: vec![asked.identifier.clone()],
                policies: Vec::new(),
                ground: None,
                // They wrote a mail, which proves nothing: they are asked where the right needs more.
                proof: None,
                producer: "cli".to_owned(),
                idempotency_key: asked.key.clone(),
                handed_in_by: None,
                sweep_target: None,
                follows: None,
            };
            let receipt =
                intake::submit_request(&foundation.store, &foundation.desk, controller, submission).await?;
            asked.request = Some(receipt.request.0);
        }
        Door::Insert(kind) => {
            let email = Personal::new(asked.identifier.given().expose().clone());
            let row = ProducerRow { key: &asked.key, kind, received_at, email };
            producer.insert(&controller.id, &row).await?;
        }
    }
    Ok(())
}
