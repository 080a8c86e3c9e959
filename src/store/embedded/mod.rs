//! The private PostgreSQL cluster: what the daemon uses when no database is configured.
//!
//! # In and out
//! [`discover`] finds server programs, [`install`](install()) fetches them (only when a person, the demonstration or a test asks
//! for it), [`Cluster::start`] creates the cluster if there is none and runs its server as a child of this process.
//! Out come [`Cluster::options`] for the driver and [`Cluster::url`] for people.
//!
//! # Invariants
//! - There is no TCP listener and no password. The only way in is a unix socket that only the server's account and root
//!   can reach, and the operating system vouches for who is calling (peer authentication with an ident map).
//! - An answered commit is on disk: `fsync` cannot be switched off.
//! - The server's log never holds a statement, a parameter or an error caused by one, because these may name people.
//! - One process at a time runs the server, proved by an advisory lock on `postgres/lock`. Any other process on the same
//!   data directory (a second daemon, the command line) attaches as a guest. When the runner ends, a guest takes over
//!   within a second and its pool reconnects.
//! - The server ends with the process that runs it, also after `kill -9`: the kernel sends it the fast-shutdown signal.
//! - A server that ends on its own is started again, as long as the [`Cluster`] lives.
//!
//! # Why it is so
//! The death signal of Linux fires when the *thread* that made the child ends, not when the process does. A thread of an
//! async runtime may be retired any time, and the server would go with it. Each cluster therefore has a thread of its
//! own (`keeper`) that starts the server, waits for it, and ends after it.
//!
//! PostgreSQL refuses to run as root; `account` explains whom a root daemon steps down to. Programs come from the
//! distribution where possible, because the distribution also fixes them; see `install`.
//!
//! # How to add another source of server programs
//! Add a function to `install`, unpack below the cache directory under a name that carries the major version, and teach
//! `candidates` in `binaries` to look there.

mod account;
mod binaries;
mod cluster;
mod control;
mod error;
mod initialise;
mod install;
mod keeper;
mod layout;
mod pidfile;
mod settings;
mod sql;

pub use account::account_name;
pub use binaries::{Binaries, OLDEST_MAJOR, discover};
pub use cluster::{Cluster, DATABASE};
pub use control::Part;
pub use error::EmbeddedError;
pub use initialise::ROLE;
pub use install::install;
pub use layout::has_cluster;
pub use settings::Settings;
