//! The call to a recipient's webhook.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::settings::Recipient;
use super::task::TaskAction;
use crate::domain::{ContactId, Personal};
use crate::webhook::{self, Call};

/// What is told, whatever the channel.
pub(super) struct Telling<'a> {
    pub(super) organisation: &'a str,
    pub(super) task: Uuid,
    pub(super) action: TaskAction,
    pub(super) object: Personal<ContactId>,
    pub(super) categories: &'a [String],
    pub(super) answer_by: NaiveDate,
    pub(super) at: DateTime<Utc>,
}

/// The body of a call. Its form is told in docs/recipients.md.
#[derive(Serialize)]
struct Body<'a> {
    form: &'static str,
    task: Uuid,
    organisation: &'a str,
    action: TaskAction,
    system: &'static str,
    object: &'a str,
    categories: &'a [String],
    answer_by: NaiveDate,
    sent_at: DateTime<Utc>,
}

/// What a recipient may answer: that it is done already.
#[derive(Deserialize)]
struct Answer {
    status: Option<String>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The recipient took it.
    Taken,
    /// It took it and says that it is done.
    Confirmed,
}

/// Calls a webhook once. An error is a short word: what the server answered, or why it did not; and whether the call may have
/// arrived all the same.
pub(super) async fn call(
    recipient: &Recipient,
    secret: &str,
    telling: &Telling<'_>,
) -> Result<Told, (String, bool)> {
    let before = |code: &str| (code.to_owned(), false);
    let url = recipient.url.as_deref().ok_or_else(|| before("no_url"))?;
    let body = Body {
        form: "dsrd-recipient/1",
        task: telling.task,
        organisation: telling.organisation,
        action: telling.action,
        system: "cloud4wi",
        object: telling.object.expose().as_str(),
        categories: telling.categories,
        answer_by: telling.answer_by,
        sent_at: telling.at,
    };
    let body = serde_json::to_vec(&body).map_err(|_| before("no_body"))?;
    let call = Call {
        url,
        may_be_private: recipient.may_be_private(),
        secret,
        subject: ("dsrd-task", telling.task.to_string()),
        body,
        at: telling.at,
    };
    let answered = webhook::post(call).await;
    let answered = answered.map_err(|failed| (failed.code.to_owned(), failed.may_have_arrived))?;
    if !(200..300).contains(&answered.status) {
        return Err((format!("http_{}", answered.status), false));
    }
    let status = serde_json::from_slice::<Answer>(&answered.body).ok().and_then(|answer| answer.status);
    Ok(if status.as_deref() == Some("confirmed") { Told::Confirmed } else { Told::Taken })
}
