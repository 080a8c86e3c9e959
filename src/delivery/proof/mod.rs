//! What proves that a person was told: notices and packages of a request, without addresses, texts and secrets.

mod sql;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

pub use sql::{list_notice_proofs, list_package_proofs};

/// A notice, as far as it proves something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NoticeProof {
    /// Its id, by which the entries of the log name it.
    pub notice: Uuid,
    /// What it says, by its word.
    pub kind: String,
    /// Its Message-ID, which the mail server's own log repeats; made of the notice's id.
    pub message_id: String,
    /// Language of the text.
    pub language: String,
    /// Name and version of the text.
    pub template: Option<String>,
    /// SHA-256 of the text sent, without the secret of a link, in hexadecimal digits.
    pub text_sha256: Option<String>,
    /// `pending`, `sent` or `refused`.
    pub state: String,
    /// How often it was handed to the mail server.
    pub attempts: i32,
    /// The mail server's last reply code, or why there was none.
    pub last_code: Option<String>,
    /// When it was written.
    pub enqueued_at: DateTime<Utc>,
    /// When the mail server took it.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it was reported that it came back.
    pub bounced_at: Option<DateTime<Utc>>,
    /// When the person was told by other means after that, or after it was refused.
    pub made_good_at: Option<DateTime<Utc>>,
}

/// An access package, as far as it proves something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageProof {
    /// Its id, by which the entries of the log name it.
    pub package: Uuid,
    /// SHA-256 of the encrypted file, in hexadecimal digits.
    pub sha256: String,
    /// Length of that file.
    pub bytes: i64,
    /// When it was built.
    pub created_at: DateTime<Utc>,
    /// Until when it could be fetched.
    pub expires_at: DateTime<Utc>,
    /// When the person began to fetch it; how that ended stands in the log (`package.fetched`).
    pub fetched_at: Option<DateTime<Utc>>,
    /// When it was destroyed.
    pub destroyed_at: Option<DateTime<Utc>>,
}
