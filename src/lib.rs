//! dsrd, the data-subject request daemon.
//!
//! The modules in the order in which a request flows through them. Each may use only modules above it, and only
//! those that `tests/architecture.rs` lists for it.
//!
//! | module | what it is |
//! |---|---|
//! | [`domain`] | the words of the law and of the platform as types, without I/O |
//! | [`store`] | the only door to PostgreSQL, and the private cluster that runs when none is configured |
//! | [`telemetry`] | how the service speaks to its operators without naming people |
//! | [`secret_file`] | files that hold secrets, read by one rule |
//! | [`audit`] | append-only memory of every decision and effect |
//! | [`platform`] | what we may ask of a contact platform, and Cloud4Wi's dialect of it |
//! | [`webhook`] | signed calls to servers that the controller names |
//! | [`report`] | from collected records to the package that the person receives |
//! | [`holds`] | who must not be erased for now, and on which ground |
//! | [`suppression`] | who must not come back: keyed hashes, and the ledger for the time after a restore |
//! | [`queue`] | fair, leased, at-least-once hand-out of requests |
//! | [`delivery`] | mails and packages brought to their recipient, with proof |
//! | [`intake`] | the only way a request comes into being |
//! | [`identity`] | who asks: links by which people prove it, and what persons record of it |
//! | [`triage`] | what persons decide about parked requests |
//! | [`recipients`] | those to whom data was given: named to people, told of erasures |
//! | [`execution`] | one leased request carried through its steps |
//! | [`retention`] | contacts past their time found and submitted for erasure |
//! | [`self_test`] | an invented contact taken through its rights every day |
//! | [`figures`] | how requests are answered, counted from the audit log; which dates will be missed |
//! | [`alert`] | staff told in time of what is due, late or failed |
//! | [`upkeep`] | the service's own copies forgotten in time |
//! | [`evidence`] | what was done about a request or in a period, in one file that proves itself |
//! | [`http`] | the pages where a person proves who asks, and fetches the package |
//! | [`config`] | settings of all modules, layered, checked, explained |
//! | [`daemon`] | composition root: roles, lifecycle, signals |
//! | [`cli`] | one file per subcommand |

pub mod alert;
pub mod audit;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod delivery;
pub mod domain;
pub mod evidence;
pub mod execution;
pub mod figures;
pub mod holds;
pub mod http;
pub mod identity;
pub mod intake;
pub mod platform;
pub mod queue;
pub mod recipients;
pub mod report;
pub mod retention;
pub mod secret_file;
pub mod self_test;
pub mod store;
pub mod suppression;
pub mod telemetry;
pub mod triage;
pub mod upkeep;
pub mod webhook;
