//! Composition root: everything built, started and ended.
//!
//! [`Foundation`] is what commands and the daemon share: database (configured, or the private cluster), schema,
//! master key, organisations. [`Service`] adds platforms, mail and workers and runs the parts ([`Part`]) until it is
//! told to stop.
//!
//! Invariants:
//! - A daemon starts while its database or its platform is away, says so at most once a minute, and goes on by itself
//!   when they come back. It ends only for faults that a person must mend ([`StartError`]): they would make a service
//!   manager start it again and again, so each names its remedy.
//! - A platform that was away at start gets no work, no sweep and no other call before its key was checked.
//! - It never works with a schema of another version, with another master key than the one that sealed the stored
//!   identifiers, or with a platform key of another organisation.
//! - Nothing is sealed, claimed or mailed before the log was compared with what was published of it (`outside`), and
//!   nothing while both do not fit. Where they did and do not any more, the parts end and begin anew with what the database
//!   holds then: what they knew of it, and what they would account for, was of another copy.
//! - First signal: nothing new is begun, the step in hand is finished, leases are released, within ten seconds. Second
//!   signal: the end, now. What was interrupted is taken up again by the rules of `execution`.
//! - No statics: everything is handed down, so that tests can run several daemons in one process.
//!
//! To add a background task: a function in `tasks` and its start in `parts`.

mod budget;
pub mod clocks;
mod database;
mod error;
mod foundation;
pub mod halves;
mod log_key;
mod master_key;
mod notify;
mod outside;
mod parts;
mod platforms;
mod service;
mod signals;
mod sql;
mod tasks;
mod webhooks;
mod witness;

pub use budget::SharedBudget;
pub use database::Database;
pub use error::StartError;
pub use foundation::Foundation;
pub use log_key::{LogKeyLock, ensure_log_keys, load_log_keys, open_restored_sealer, open_sealer};
pub use master_key::load_or_create_master_key;
pub use outside::open_publisher;
pub use parts::CONNECTIONS_BESIDE_POOL;
pub use platforms::{
    build_platform, check_organisation, check_platform_settings, ignored_filters, record_ignored_searches,
    sites,
};
pub use service::{Part, Service};
pub use signals::Stop;
pub use sql::{RoleRights, Stranded, find_fingerprint, find_stranded, role_rights, server_settings};
pub use tasks::{
    keep_holds_once, look_whether_it_lasts_once, look_whether_it_serves, place_lost_holds_once,
    purge_ledger_once,
};
pub use witness::{WitnessPlan, open_witness, serve_witness};
