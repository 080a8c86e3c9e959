//! Settings of the places outside of the database that get signed heads.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the signed heads of the audit log go.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishSettings {
    /// How often it is looked for a new checkpoint to publish, in seconds.
    pub every_secs: u32,
    /// Directory that gets the newest checkpoint and the tree in the layout of c2sp.org/tlog-tiles, for any web server, copy
    /// program or auditor. Empty means `log` in the data directory. It must not be restored together with the database:
    /// better another disk, best another machine.
    pub directory: PathBuf,
    /// Whether the directory also gets the entries themselves. Without them it holds hashes only.
    pub entries: bool,
    /// Witnesses that are asked to sign each published checkpoint: `url` (prefix of `add-checkpoint`) and `verifier_key`
    /// (what `dsrd witness serve` prints).
    pub witnesses: Vec<WitnessSettings>,
    /// Address to which a signed checkpoint is mailed, best one outside of your own organisation. None is mailed when
    /// empty.
    pub mail_to: String,
    /// How often one is mailed while the log grows, in seconds.
    pub mail_every_secs: u32,
}

/// A witness.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WitnessSettings {
    /// Where it listens, for example `https://witness.auditor.example`; `/add-checkpoint` is added.
    pub url: String,
    /// Its public key, `<name>+<id>+<key>`.
    pub verifier_key: String,
}
