//! The page where a person confirms that a request is theirs, the hand-over page where they fetch the package, two health
//! answers, and the answers of a witness.
//!
//! A witness is another program run by somebody else ([`witness_router`]); what follows is about the two pages.
//!
//! A person comes with the link of a mail: `GET /handover/<token>` shows what the link is for, and changes nothing,
//! because mail scanners and link previews follow links too; `POST` to the same address, from the page's one form, needs
//! what the request was made with as a second proof, uses the link up and sends the archive. Every link that does not work, for whatever reason, gets the same page with the
//! same status.
//!
//! `GET /identity/<token>` and `POST` to it are the same for the link by which a person proves who asks; `/identity` is for
//! the code that stands for such a link. Everybody can open it, so that every answer to a typed code takes as long as any other.
//!
//! Invariants:
//! - The secret of a link appears in no log: requests are not logged at all.
//! - Every answer forbids storing, framing, sniffing, scripts and referrers.
//! - Of a request's body one small form field is read, never logged; heads and bodies are bounded in size and time,
//!   connections in number.
//!
//! TLS is the business of the reverse proxy in front; links to another host must be `https` (checked by
//! `delivery::Settings::check`), and then every answer carries `Strict-Transport-Security`.
//!
//! To add a page: a file under `templates/pages`, a handler in `pages`, a route in [`router`].

mod code;
mod error;
mod identity;
mod pages;
mod server;
mod settings;
mod witness;
mod words;

pub use error::HttpError;
pub use pages::{AppState, router};
pub use server::{bind, serve};
pub use settings::Settings;
pub use witness::witness_router;
