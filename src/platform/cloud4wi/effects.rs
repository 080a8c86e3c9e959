//! The two calls that change something: writing a policy and deleting a contact.
//!
//! An effect is attempted again only when it surely did not happen: no connection, 401, 403 and 429. A server error, a
//! time-out or a cut answer is [`PlatformError::AnswerLost`], and the caller reads back before it decides anything.

use reqwest::Method;
use serde_json::json;

use super::Cloud4Wi;
use super::api::Small;
use super::failure::{Failure, Patience};
use super::settings::{PolicyBody, PolicyMethod, secs};
use super::transport::{Spec, error_words};
use super::wire;
use crate::domain::ContactId;
use crate::platform::{EffectAnswer, Leave, PlatformError, Urgency};

impl Cloud4Wi {
    /// The body of [`crate::platform::ContactPlatform::set_policy`].
    pub(super) async fn write_policy(
        &self,
        id: &ContactId,
        policy: &str,
        accepted: bool,
        leave: Leave<'_>,
    ) -> Result<EffectAnswer, PlatformError> {
        let policies = &self.api.transport.settings.policies;
        let method = match policies.method {
            PolicyMethod::Put => Method::PUT,
            PolicyMethod::Post => Method::POST,
            PolicyMethod::Patch => Method::PATCH,
        };
        let body = match policies.body {
            PolicyBody::Single => json!({ "policyKey": policy, "accepted": accepted }),
            PolicyBody::List => json!({ "policies": [{ "policyKey": policy, "accepted": accepted }] }),
            PolicyBody::Map => json!({ "policies": { policy: accepted } }),
        };
        let path = vec!["v1", "customers", id.as_str(), "policies"];
        let operation = "set policy";
        let answer = self.change(operation, method, path, Some(body.to_string().into_bytes()), leave).await?;
        // A wrong method or path answers 404 as well. A deletion is not asked about here: it is proven by reading, with
        // patience, because a copy of the platform's data may lag behind it.
        if answer == EffectAnswer::Absent
            && self.read_contact(id, Urgency::Request).await?.is_some_and(|found| !found.deleted)
        {
            return Err(PlatformError::Rejected {
                operation,
                detail: "status 404 although the contact exists; check policies.method".to_owned(),
            });
        }
        Ok(answer)
    }

    /// The body of [`crate::platform::ContactPlatform::delete_contact`].
    pub(super) async fn erase(
        &self,
        id: &ContactId,
        leave: Leave<'_>,
    ) -> Result<EffectAnswer, PlatformError> {
        self.change("delete contact", Method::DELETE, vec!["v1", "customers", id.as_str()], None, leave).await
    }

    async fn change(
        &self,
        operation: &'static str,
        method: Method,
        path: Vec<&str>,
        body: Option<Vec<u8>>,
        leave: Leave<'_>,
    ) -> Result<EffectAnswer, PlatformError> {
        let spec = Spec {
            operation,
            method,
            path,
            query: Vec::new(),
            body,
            effect: true,
            repeatable: false,
            urgency: Urgency::Request,
            scopes: "organization_write, customer_write",
            absence_is_answer: true,
            leave,
            quiet: false,
            patience: secs(self.api.transport.settings.limits.total_timeout_secs),
        };
        let mut patience = Patience::new(&self.api.transport, &spec);
        let answer = loop {
            match self.change_once(&spec).await {
                Ok(answer) => break answer,
                Err(failure) => self.api.recover(&mut patience, &spec, failure).await?,
            }
        };
        if answer == EffectAnswer::Absent {
            self.api.confirm_absence(operation).await?;
        }
        Ok(answer)
    }

    async fn change_once(&self, spec: &Spec<'_>) -> Result<EffectAnswer, Failure> {
        let mut answer = self.api.open(spec).await?;
        if answer.status == 404 {
            return Ok(EffectAnswer::Absent);
        }
        // The status has said that it was accepted; a body that is cut, empty or no JSON takes nothing of that away.
        let body = answer.body.read_up_to(64 * 1024).await;
        refusal(&Small { status: answer.status, body }, spec)?;
        self.api.prove(spec.operation);
        Ok(EffectAnswer::Accepted)
    }
}

/// A refusal in the body of a success.
fn refusal(small: &Small, spec: &Spec<'_>) -> Result<(), Failure> {
    #[derive(serde::Deserialize)]
    struct StatusWire<'a> {
        #[serde(borrow, default)]
        status: Option<&'a serde_json::value::RawValue>,
    }
    let ko = serde_json::from_slice::<StatusWire<'_>>(&small.body)
        .ok()
        .and_then(|wire| wire.status)
        .is_some_and(|status| wire::is_ko(status.get().as_bytes()));
    if ko {
        let detail = format!("status KO{}", error_words(&small.body, spec));
        return Err(Failure::Refused { status: small.status, detail });
    }
    Ok(())
}
