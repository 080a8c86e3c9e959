//! Login, logout, and the service behind a key.

use std::sync::atomic::Ordering;

use serde::Deserialize;

use crate::answer::Answer;
use crate::faults::{CallFaults, Fault};
use crate::server::{Call, Outcome, Shared, lock};

/// The body of a login.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Credentials {
    client_key: String,
    client_secret: String,
}

impl Credentials {
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// The place of the organisation that has this key.
    pub(crate) fn owner(&self, shared: &Shared) -> Option<usize> {
        shared
            .organisations
            .iter()
            .position(|organisation| organisation.settings.client_key == self.client_key)
    }
}

/// Gives a token.
pub(crate) fn login(shared: &Shared, credentials: Option<&Credentials>, faults: &CallFaults) -> Outcome {
    let generated = &shared.generated;
    let Some(credentials) = credentials else {
        return Answer::ko(409, generated, "clientKey and clientSecret are needed").into();
    };
    let known = credentials.owner(shared).filter(|&at| {
        let organisation = &shared.organisations[at];
        organisation.settings.client_secret == credentials.client_secret
            && !organisation.key_revoked.load(Ordering::Acquire)
    });
    let Some(at) = known else {
        return Answer::ko(401, generated, "wrong client key or secret").into();
    };
    let organisation = &shared.organisations[at];
    let token = lock(&shared.tokens).give(
        at,
        &organisation.settings.service_id,
        shared.settings.token_life,
        shared.settings.token_claims,
        organisation.directory.now_ms(),
    );
    let body = if faults.has(&Fault::TokenOnlyInHeader) {
        format!(r#"{{"status":"OK","generated":"{generated}"}}"#)
    } else {
        format!(r#"{{"token":"{token}"}}"#)
    };
    let answer = Answer::json(200, body);
    if faults.has(&Fault::TokenOnlyInBody) {
        return answer.into();
    }
    answer.header("authorization", &format!("Bearer {token}")).into()
}

/// Revokes the token of the call.
pub(super) fn logout(call: &Call<'_>) -> Outcome {
    lock(&call.shared.tokens).revoke(call.token);
    Answer::empty(200).into()
}

/// Names the organisations of a service.
pub(super) fn service(call: &Call<'_>) -> Outcome {
    let settings = &call.organisation.settings;
    if call.route.id != settings.service_id {
        return call.refuse(403, "service is not authorised for this resource");
    }
    let body = serde_json::json!({
        "status": "OK",
        "generated": call.shared.generated,
        "id": settings.service_id,
        "domains": {"service": {"organizations": [settings.organisation_id]}},
    });
    Answer::json(200, body.to_string()).into()
}
