//! Mails and packages brought to their recipient, with proof.
//!
//! A notice enters through [`enqueue`], in the transaction of the decision that it tells about, as one row of
//! `dsrd.notice`: kind, plain [`Facts`], language and the number of the identifier to which it goes. It leaves through
//! [`Mailer::deliver`] (a step of the procedure waits for the answer) or [`Mailer::pump_once`] (in the background).
//! A package enters through [`record_package`] and leaves through the [`Handover`] link, once, or through
//! [`open_for_staff`]; [`destroy_expired`] ends it.
//!
//! Invariants:
//! - A notice exists once per request and kind, those that may have to be repeated ([`enqueue_again`]) once per round; nothing is said
//!   of an open request after its answer, and a confirmation of receipt does not follow that to the same address; its Message-ID is fixed when it is written, so that a repetition after
//!   a crash is recognised as one (at least once, at most one extra per crash).
//! - Every attempt stands in the audit log before it happens, and has exactly one end there: whoever empties
//!   `dsrd.notice.intent` writes it, in the same transaction. An attempt whose end nobody saw is ended as
//!   `outcome_unknown` before it is repeated, and when its request is parked or withdrawn.
//! - What a pump has claimed goes to another one as soon as its instance is declared dead ([`take_back_claims`]).
//! - Text is made from a template and facts at the moment of sending, in one pass, and never holds personal data beyond
//!   the reference and what the controller itself wrote to the person. The stored digest is that of the text without the
//!   secret of the link and without those words.
//! - Only the sealed row knows the address; it appears in the envelope, the `To` header and nowhere else. To a telephone goes
//!   one notice only, the question who asks, as a text message through the controller's [`TextGateway`].
//! - Of a link only the SHA-256 is kept; of a package's key only a sealed copy, emptied before its file is deleted.
//!
//! Why SMTP is spoken command by command (through lettre's connection) instead of through its pool: the pool reports a
//! failure without its phase, and whether the message body had been sent decides between "failed" and "unknown", just
//! as the phase decides whether a 5xx concerns the recipient or our own set-up.
//!
//! To add a notice: add a [`NoticeKind`] (and its word to the CHECK of `dsrd.notice`), its text in every
//! `templates/mail/<language>/`, its file and its manifest in `text::catalogue`, and its row in `docs/notices.md`. To add
//! a language: add its folder and its line in `text::catalogue`. A changed text gets a new version number; the test of
//! digests says so.

mod bounce;
mod error;
mod handover;
mod mailer;
mod message;
mod notice;
mod package;
mod plain;
mod proof;
mod recipient;
mod settings;
mod sql;
mod text;
mod transport;

pub use bounce::{BounceError, make_good, record_bounce};
pub use error::DeliveryError;
pub use handover::{Download, Handover, Landing, Piece, Redemption};
pub use mailer::{
    Announced, Answered, Attempt, Delivery, Mailer, TextGateways, end_open_attempts, is_given_up,
};
pub use message::Outgoing;
pub use notice::{
    EnqueuedNotice, Facts, Kept, NewNotice, NoticeId, NoticeKind, OtherRequest, Refusal, Sender,
    TIME_TO_ANSWER, WhyLonger, enqueue, enqueue_again, supersede_acknowledgement,
};
pub use package::{
    NewPackage, OpenedPackage, PackageId, count_not_here, destroy_expired, destroy_of, end_link,
    open_for_staff, record_package, remove_leftovers,
};
pub use plain::{StaffLetter, is_mail_address, send_plain, send_to_staff};
pub use proof::{NoticeProof, PackageProof, list_notice_proofs, list_package_proofs};
pub use recipient::{PreparedLetter, RecipientLetter, prepare_letter, send_letter};
pub use settings::{FileSettings, Security, Settings, SmtpSettings, TransportKind};
pub use sql::{
    NoticeView, Reach, answer_may_be_out, drop_unsent, drop_unsent_answers, drop_unsent_question,
    forget_secrets, has_answer, notices_of, purge, reach_of, reopen_refused, take_back_claims, told_at,
    waits_to_be_sent,
};
pub use text::{
    TextError, Vocabulary, VocabularyOf, check_template, check_texts, day_in_words, instant_in_words,
    placeholders, speaks, vocabulary,
};
pub use transport::{
    Effect, Failure, FileTransport, MemoryTransport, Plan, SentMail, SmtpTransport, TextGateway, Transport,
};
