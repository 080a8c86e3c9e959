//! Mails in memory, for tests of everything that sends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Effect, Failure};
use crate::delivery::Outgoing;
use crate::domain::Personal;

/// How a planned sending goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// No connection: nothing goes out.
    NoConnection,
    /// The message goes out, but the answer is lost.
    AnswerLost,
    /// The server answers with this code: 4xx for later, 5xx for never.
    Reply(u16),
}

/// A message that went out.
#[derive(Clone, Debug)]
pub struct SentMail {
    /// Its Message-ID, with angle brackets.
    pub message_id: String,
    /// To whom.
    pub to: Personal<String>,
    /// Its subject.
    pub subject: String,
    /// Its plain text. Holds the secret of a link, hence the wrapper.
    pub text: Personal<String>,
    /// Its HTML.
    pub html: Personal<String>,
    /// The secret of its link, if it has one.
    pub link: Option<Personal<String>>,
    /// The whole message as it would cross the network.
    pub raw: Personal<Vec<u8>>,
}

/// Keeps what was sent; clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryTransport {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    sent: Vec<SentMail>,
    plans: VecDeque<Plan>,
    tried: usize,
}

impl MemoryTransport {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the next `times` sendings go wrong, after those planned before.
    pub fn plan(&self, plan: Plan, times: usize) {
        self.with(|inner| inner.plans.extend(std::iter::repeat_n(plan, times)));
    }

    /// What went out, in order; also what went out without an answer.
    #[must_use]
    pub fn sent(&self) -> Vec<SentMail> {
        self.with(|inner| inner.sent.clone())
    }

    /// What went out to one address.
    #[must_use]
    pub fn sent_to(&self, address: &str) -> Vec<SentMail> {
        self.sent().into_iter().filter(|mail| mail.to.expose() == address).collect()
    }

    /// How many sendings were tried.
    #[must_use]
    pub fn tried(&self) -> usize {
        self.with(|inner| inner.tried)
    }

    pub(super) fn send(&self, mail: &Outgoing) -> Result<String, Failure> {
        self.with(|inner| {
            inner.tried += 1;
            let plan = inner.plans.pop_front();
            if matches!(plan, None | Some(Plan::AnswerLost)) {
                inner.sent.push(mail.to_sent());
            }
            match plan {
                None => Ok("250".to_owned()),
                Some(Plan::NoConnection) => Err(Failure::temporary("connection", Effect::None)),
                Some(Plan::AnswerLost) => Err(Failure::temporary("connection", Effect::Unknown)),
                Some(Plan::Reply(code)) if code >= 500 => Err(Failure::permanent(code.to_string())),
                Some(Plan::Reply(code)) => Err(Failure::temporary(code.to_string(), Effect::None)),
            }
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
