//! Who asks: how a person proves it, and how it is recorded (Art. 12(6) GDPR; ).
//!
//! How well it must be known who asks for what stands in the controller's rules ([`crate::domain::IdentityRules`]). The engine
//! compares it with the request before it discloses or deletes anything, on whatever way the request came there. Where
//! something is missing it calls [`ask`]: a link goes to the contact point *in the profile*. The person opens its page
//! ([`ProofPage`]), which changes nothing, and confirms there; the request then goes on by itself. A link can be sent again
//! ([`ask_again`], [`ask_after_outage`]), and a person of the controller can record that they found out in another way ([`record_check`]).
//! A code stands for the link where nobody can click: in a text message, on another device, on the telephone ([`record_code`]).
//!
//! Invariants:
//! - Nobody is asked without a recorded doubt, and who is known well enough is not asked.
//! - A link goes to the contact point of the profile, never to an address that was merely typed.
//! - Of a link only the SHA-256 is kept, bound to one request and one purpose; it works once and for a time. Its page asks for a
//!   second proof, as the hand-over does; wrong answers are counted in the database, and the fifth locks the link.
//! - All links that do not work look alike, for whatever reason (S-2, S-5), and so do all codes.
//! - A proof is a row that is never changed: how, by whom, when. No document is asked for, and there is no place for one
//!
//! - Where the law says how much must match, the fields that did are counted, and only their names are kept; a signed declaration
//!   is a reference and a day, sealed.
//! - Proof, state, job and log entry change in one transaction.
//!
//! Why the page of a link asks for a second proof and that of a code does not: mail scanners open links and some press buttons;
//! what they do must neither confirm an erasure nor use a link up. No scanner types a code.
//!
//! To add a way of proving: a word in `domain::IdentityMethod` and in the CHECK of `dsrd.identity_proof`.

mod asking;
mod check;
mod code;
mod error;
mod link;
mod sql;

pub use asking::{
    Asked, Occasion, ask, ask_after_outage, ask_again, contact_point, end_links, may_ask_again,
};
pub use check::{Check, declaration_of, record_check};
pub use code::{CodeAnswer, CodeCheck, record_code};
pub use error::IdentityError;
pub use link::{Confirmation, ProofLanding, ProofPage};
pub use sql::{ProofView, matching_points_of, proofs_of, purge};
