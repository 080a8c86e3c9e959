//! Which state of a case follows which, as data: the one table that the program asks, the database mirrors
//! (`dsrd.case_transition`) and `docs/states.md` draws.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::request::vocabulary;
use super::{Outcome, RequestState};

vocabulary! {
    /// What happens to a case.
    CaseEvent, "event of a case" {
        /// The machine takes the request up, or finishes a step of it.
        Work = "work",
        /// The machine cannot go on: a person is needed.
        Park = "park",
        /// A person sends it on its way: resumed, decided, answered, accepted, told.
        Decide = "decide",
        /// The person is asked to prove who they are.
        AskIdentity = "ask_identity",
        /// They did, or the time for it is over.
        SettleIdentity = "settle_identity",
        /// The person is asked what they mean, or for a fee.
        AskClarification = "ask_clarification",
        /// They answered, or will not.
        Clarify = "clarify",
        /// It goes back to the person who carries it out.
        GiveBack = "give_back",
        /// The term is extended, once. What it is in does not change.
        Extend = "extend",
        /// The person takes the request back.
        Withdraw = "withdraw",
        /// The person was told the outcome.
        Close = "close",
    }
}

use CaseEvent as E;
use RequestState as S;

/// From which state which event leads where. What is not listed does not happen.
pub const TRANSITIONS: &[(RequestState, CaseEvent, RequestState)] = &[
    (S::Received, E::Work, S::InProgress),
    (S::Received, E::Park, S::Manual),
    (S::Received, E::AskIdentity, S::NeedsIdentity),
    (S::Received, E::AskClarification, S::NeedsClarification),
    (S::Received, E::Extend, S::Received),
    (S::Received, E::Withdraw, S::Closed),
    (S::InProgress, E::Work, S::InProgress),
    (S::InProgress, E::Park, S::Manual),
    (S::InProgress, E::AskIdentity, S::NeedsIdentity),
    (S::InProgress, E::AskClarification, S::NeedsClarification),
    (S::InProgress, E::Extend, S::InProgress),
    (S::InProgress, E::Withdraw, S::Closed),
    (S::InProgress, E::Close, S::Closed),
    (S::NeedsIdentity, E::SettleIdentity, S::InProgress),
    (S::NeedsIdentity, E::Decide, S::InProgress),
    (S::NeedsIdentity, E::Park, S::Manual),
    (S::NeedsIdentity, E::Extend, S::NeedsIdentity),
    (S::NeedsIdentity, E::Withdraw, S::Closed),
    (S::NeedsIdentity, E::Close, S::Closed),
    (S::NeedsClarification, E::Clarify, S::InProgress),
    (S::NeedsClarification, E::GiveBack, S::Manual),
    (S::NeedsClarification, E::Extend, S::NeedsClarification),
    (S::NeedsClarification, E::Withdraw, S::Closed),
    (S::Manual, E::Decide, S::InProgress),
    (S::Manual, E::AskClarification, S::NeedsClarification),
    (S::Manual, E::Extend, S::Manual),
    (S::Manual, E::Withdraw, S::Closed),
];

impl RequestState {
    /// The state after an event; nothing where the event does not happen in this state. Nothing happens to a closed case
    /// (I-7): who asks again hands in a new request.
    #[must_use]
    pub fn after(self, event: CaseEvent) -> Option<Self> {
        TRANSITIONS.iter().find(|(from, by, _)| *from == self && *by == event).map(|(.., to)| *to)
    }
}

/// `docs/states.md`: the states as a drawing and a table, made from the data.
#[must_use]
pub fn states_document() -> String {
    let drawn = TRANSITIONS.iter().filter(|(from, _, to)| from != to);
    let drawn: Vec<String> = drawn.map(|(from, event, to)| format!("    {from} --> {to}: {event}")).collect();
    let events: Vec<String> = CaseEvent::ALL.iter().map(|event| format!(" {event} |")).collect();
    let answer = |state: RequestState, event: CaseEvent| {
        state.after(event).map_or_else(|| " – |".to_owned(), |next| format!(" `{next}` |"))
    };
    let rows: Vec<String> = RequestState::ALL
        .iter()
        .map(|state| {
            let cells: String = CaseEvent::ALL.iter().map(|event| answer(*state, *event)).collect();
            format!("| `{state}` |{cells}")
        })
        .collect();
    let outcomes: Vec<String> = Outcome::ALL.iter().map(|outcome| format!("`{outcome}`")).collect();
    format!(
        "# States of a case\n\n\
         Made from `src/domain/lifecycle.rs`; `cargo test --test documents` says when it is stale. The database refuses every other \
         change of state (`dsrd.case_transition`).\n\n\
         A case begins as `received`, as `manual` where a person carries it out or has to check who asks, or as `closed` where it is \
         a reminder of an open one (`superseded`). What the machine does with it at the moment stands in the queue, not here. \
         `overdue` is computed, never stored.\n\n\
         ```mermaid\nstateDiagram-v2\n    [*] --> received\n    [*] --> manual\n    [*] --> closed: reminder\n{}\n    \
         closed --> [*]\n```\n\n\
         | state |{}\n|---|{}\n{}\n\n\
         – means that it does not happen. Outcomes of `closed`: {}. None but `withdrawn` and `superseded` is reached before the \
         person was told; a sweep's candidate tells nobody.\n",
        drawn.join("\n"),
        events.concat(),
        "---|".repeat(CaseEvent::ALL.len()),
        rows.join("\n"),
        outcomes.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event_has_one_answer_and_a_closed_case_has_none() {
        for state in RequestState::ALL {
            for event in CaseEvent::ALL {
                let answers = TRANSITIONS.iter().filter(|(from, by, _)| from == state && by == event).count();
                assert!(answers <= 1, "{state} {event}");
                let next = state.after(*event);
                let open = *state != RequestState::Closed;
                match event {
                    CaseEvent::Withdraw => assert_eq!(next, open.then_some(RequestState::Closed), "{state}"),
                    CaseEvent::Extend => assert_eq!(next, open.then_some(*state), "{state}"),
                    CaseEvent::Decide => {
                        let by_person = matches!(state, RequestState::Manual | RequestState::NeedsIdentity);
                        assert_eq!(next.is_some(), by_person, "{state}");
                    }
                    _ if !open => assert_eq!(next, None, "{event}"),
                    _ => {}
                }
                // Nobody is told anything while something is waited for, unless that is what the wait was for.
                if *event == CaseEvent::Close {
                    let told = matches!(state, RequestState::InProgress | RequestState::NeedsIdentity);
                    assert_eq!(next.is_some(), told, "{state}");
                }
            }
        }
    }

    /// Every state by every event, as the law sees the life of a case (law section 3). A change of the table above is a change
    /// of what may happen to a person's request: it is made here as well, on purpose.
    #[test]
    fn every_cell_of_state_and_event_is_as_written_here() {
        const EVENTS: [CaseEvent; 11] = [
            E::Work,
            E::Park,
            E::Decide,
            E::AskIdentity,
            E::SettleIdentity,
            E::AskClarification,
            E::Clarify,
            E::GiveBack,
            E::Extend,
            E::Withdraw,
            E::Close,
        ];
        const CELLS: &str = "
            state               | work | park | decide | ask_id | settle | ask_cl | clarify | back | extend | withdraw | close
            received            | prog | man  | -      | id     | -      | clar   | -       | -    | recv   | closed   | -
            in_progress         | prog | man  | -      | id     | -      | clar   | -       | -    | prog   | closed   | closed
            needs_identity      | -    | man  | prog   | -      | prog   | -      | -       | -    | id     | closed   | closed
            needs_clarification | -    | -    | -      | -      | -      | -      | prog    | man  | clar   | closed   | -
            manual              | -    | -    | prog   | -      | -      | clar   | -       | -    | man    | closed   | -
            closed              | -    | -    | -      | -      | -      | -      | -       | -    | -      | -        | -
        ";
        let state_of = |word: &str| match word {
            "recv" => Some(S::Received),
            "prog" => Some(S::InProgress),
            "id" => Some(S::NeedsIdentity),
            "clar" => Some(S::NeedsClarification),
            "man" => Some(S::Manual),
            "closed" => Some(S::Closed),
            "-" => None,
            other => panic!("{other} is no word of this table"),
        };
        assert_eq!(EVENTS.as_slice(), CaseEvent::ALL, "a new event has a column");
        let rows: Vec<Vec<&str>> = CELLS
            .lines()
            .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
            .filter(|cells| cells.len() > 1)
            .skip(1)
            .collect();
        let states: Vec<&str> = rows.iter().map(|row| row[0]).collect();
        let known: Vec<&str> = RequestState::ALL.iter().map(|state| state.as_str()).collect();
        assert_eq!(states, known, "a new state has a row");
        for row in rows {
            let state: RequestState = row[0].parse().unwrap();
            assert_eq!(row.len(), EVENTS.len() + 1, "{state}");
            for (event, cell) in EVENTS.iter().zip(&row[1..]) {
                assert_eq!(state.after(*event), state_of(cell), "{state} after {event}");
            }
        }
    }

    #[test]
    fn every_state_can_be_reached_and_left() {
        for state in RequestState::ALL {
            let begins = matches!(state, RequestState::Received | RequestState::Manual);
            assert!(begins || TRANSITIONS.iter().any(|(from, _, to)| to == state && from != to), "{state}");
            let left = TRANSITIONS.iter().any(|(from, _, to)| from == state && from != to);
            assert_eq!(left, *state != RequestState::Closed, "{state}");
        }
    }
}
