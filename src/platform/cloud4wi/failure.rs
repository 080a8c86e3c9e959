//! What can go wrong with one attempt of a call, and what follows from it: another attempt, a pause for everybody, or
//! an error of the port.

use std::time::Duration;

use tokio::time::sleep;

use super::settings::secs;
use super::transport::{Spec, Transport};
use crate::domain::random;
use crate::platform::PlatformError;

/// Why one attempt gave no answer. No text holds personal data.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request never left: no connection.
    NotSent(String),
    /// The request may have arrived; the answer did not, or not whole.
    Broken(String),
    /// The platform failed (5xx, 408).
    Server(String),
    /// 429, with what `Retry-After` asked for.
    Throttled(Option<Duration>),
    /// 401 or 403 for the token of this generation.
    Denied { status: u16, generation: u64 },
    /// The platform refused for good.
    Refused { status: u16, detail: String },
    /// A whole answer that makes no sense.
    Unreadable(String),
    /// More than a limit allows.
    TooLarge(String),
    /// Another call on the way, such as the log-in, failed for good.
    Final(PlatformError),
}

/// An error of the port with the status that led to it, where one did.
#[derive(Debug)]
pub(super) struct CallError {
    pub(super) error: PlatformError,
    pub(super) status: Option<u16>,
}

impl From<CallError> for PlatformError {
    fn from(from: CallError) -> Self {
        from.error
    }
}

impl From<PlatformError> for CallError {
    fn from(error: PlatformError) -> Self {
        Self { error, status: None }
    }
}

/// The longest pause between two attempts of one call.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How much longer one call is tried.
#[derive(Debug)]
pub(super) struct Patience<'a> {
    transport: &'a Transport,
    operation: &'static str,
    effect: bool,
    repeatable: bool,
    failed: u32,
    throttled: u32,
    waited: Duration,
    unreadable: u32,
    /// Whether the token was renewed for this call already.
    pub(super) renewed: bool,
}

impl<'a> Patience<'a> {
    pub(super) fn new(transport: &'a Transport, spec: &Spec<'_>) -> Self {
        Self {
            transport,
            operation: spec.operation,
            effect: spec.effect,
            repeatable: spec.repeatable,
            failed: 0,
            throttled: 0,
            waited: Duration::ZERO,
            unreadable: 0,
            renewed: false,
        }
    }

    /// Waits as long as the failure asks for and returns, for another attempt; or says that there must be none.
    pub(super) async fn recover(&mut self, failure: Failure) -> Result<(), CallError> {
        let operation = self.operation;
        match failure {
            Failure::Broken(detail)
            | Failure::Server(detail)
            | Failure::Unreadable(detail)
            | Failure::TooLarge(detail)
                if self.effect =>
            {
                Err(PlatformError::AnswerLost { operation, detail }.into())
            }
            Failure::Broken(detail) | Failure::Server(detail) if !self.repeatable => {
                Err(PlatformError::Unavailable { operation, detail }.into())
            }
            Failure::NotSent(detail) | Failure::Broken(detail) | Failure::Server(detail) => {
                self.try_again(PlatformError::Unavailable { operation, detail }).await
            }
            Failure::Throttled(asked) => self.throttle(asked).await,
            Failure::Denied { status, .. } => {
                Err(CallError { error: PlatformError::BadCredentials { operation }, status: Some(status) })
            }
            Failure::Refused { status, detail } => {
                Err(CallError { error: PlatformError::Rejected { operation, detail }, status: Some(status) })
            }
            Failure::Unreadable(detail) => {
                // Once more, because a login page or an empty body may come from a proxy in trouble; not more often,
                // because most likely the platform speaks a dialect that we do not know.
                self.unreadable += 1;
                let error = PlatformError::Unreadable { operation, detail };
                if self.unreadable > 1 || !self.repeatable {
                    Err(error.into())
                } else {
                    self.try_again(error).await
                }
            }
            Failure::TooLarge(limit) => Err(PlatformError::TooLarge { operation, limit }.into()),
            Failure::Final(error) => Err(error.into()),
        }
    }

    async fn try_again(&mut self, error: PlatformError) -> Result<(), CallError> {
        self.failed += 1;
        if self.failed >= self.transport.settings.rate.attempts {
            return Err(error.into());
        }
        tracing::debug!(operation = self.operation, attempt = self.failed, %error, "platform call is tried again");
        pause_before(self.transport, self.failed).await;
        Ok(())
    }

    async fn throttle(&mut self, asked: Option<Duration>) -> Result<(), CallError> {
        let rate = &self.transport.settings.rate;
        self.throttled += 1;
        let cap = Duration::from_secs(rate.pause_cap_secs);
        let wait = asked.unwrap_or_else(|| jittered(Duration::from_secs(1), self.throttled)).min(cap);
        tracing::warn!(
            operation = self.operation,
            wait_secs = wait.as_secs(),
            "the platform limits the rate; all calls of this key pause"
        );
        self.transport.budget.pause(wait).await;
        self.waited += wait;
        if self.throttled >= rate.attempts || self.waited > Duration::from_secs(rate.patience_secs) {
            let error = PlatformError::Throttled { operation: self.operation, wait };
            return Err(CallError { error, status: Some(429) });
        }
        Ok(())
    }
}

/// The pause before another attempt.
pub(super) async fn pause_before(transport: &Transport, attempt: u32) {
    sleep(jittered(secs(transport.settings.rate.retry_pause_secs), attempt)).await;
}

/// Full jitter: anything between nothing and the doubled pause, so that workers do not come back together.
fn jittered(first: Duration, attempt: u32) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1).min(16)));
    doubled.min(LONGEST_PAUSE).mul_f64(random::fraction())
}
