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
    /// Bucket of an S3-compatible store that gets the same files as the directory: `https://<host>/<bucket>`, perhaps with
    /// `/<prefix>`. Best in an account of somebody else, with Object Lock. None is used when empty.
    pub bucket_url: String,
    /// Region for which requests are signed, for example `eu-south-1`; for a store without regions `us-east-1`.
    pub bucket_region: String,
    /// File that holds the id of an access key and its secret, with a space between them, readable by its owner only. The
    /// key needs the rights to list the bucket and to read and write objects, and none to delete.
    pub bucket_key_file: PathBuf,
    /// How often the bucket gets a checkpoint while the log grows, in seconds.
    pub bucket_every_secs: u32,
    /// For how many days each object is locked so that nobody can delete or replace it (Object Lock, compliance mode); 0
    /// leaves that to the bucket's own rule.
    pub bucket_retain_days: u32,
    /// Time-stamping authority (RFC 3161) that is asked to stamp the newest checkpoint: `https://…`. It sees a hash. None is
    /// asked when empty.
    pub timestamp_url: String,
    /// How often it is asked while the log grows, in seconds.
    pub timestamp_every_secs: u32,
    /// File with the certificate of the authority, or of who issued it, in PEM form: a time-stamp that does not lead there is
    /// not kept.
    pub timestamp_certificate_file: PathBuf,
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
