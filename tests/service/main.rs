//! The service as a whole, in one process: each promise of the catalogues as a test named after its id. Every test
//! ends with the oracle.

#![expect(clippy::unwrap_used, reason = "what fails while a test is set up fails the test")]

#[path = "../support/proxy.rs"]
#[expect(dead_code, reason = "these tests need some of its faults only")]
mod proxy;
#[path = "../support/mod.rs"]
mod support;

mod access;
mod alert_rules;
mod alerts;
mod alerts_again;
mod append;
mod bucket;
mod california;
mod carried_over;
mod cases;
mod clocks;
mod conflicts;
mod crash;
mod cutting;
mod deadlines;
mod decide;
mod enumeration;
mod erasure;
mod every_commit;
mod fees;
mod figures;
mod floods;
mod following;
mod forecast;
mod gate;
mod grounds;
mod hold_edges;
mod holds;
mod identity;
mod identity_codes;
mod identity_paths;
mod identity_texts;
mod identity_wait;
mod intake;
mod invariants;
mod killed;
mod lanes;
mod later_names;
mod leaks;
mod log_rights;
mod mail_crash;
mod model;
mod newer_will;
mod notices;
mod opt_out;
mod oracle;
mod organisations;
mod outage;
mod parked;
mod personal;
mod portability;
mod printed;
mod progress;
mod publishing;
mod publishing_holes;
mod recipients;
mod reminders;
mod reminders_apart;
mod removal;
mod replay;
mod restriction;
mod rig;
mod rules;
mod sealing;
mod second_looks;
mod self_test;
mod silent;
mod storage;
mod suppression;
mod undelivered;
mod unknown_commit;
mod upkeep;
mod watch;
mod watch_again;
mod wire;
