//! Why a bundle cannot be taken or read.

use crate::audit::export::ExportError;
use crate::store::StoreError;

/// Why a bundle cannot be taken or read. What is wrong *in* a bundle is a finding of the check, not an error.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The database cannot be read.
    #[error("the cases cannot be read")]
    Store(#[from] StoreError),
    /// The log cannot be taken out.
    #[error(transparent)]
    Log(#[from] ExportError),
    /// The file cannot be written or read.
    #[error("the bundle cannot be written or read")]
    File(#[from] std::io::Error),
    /// It is no zip archive, or a damaged one.
    #[error("the bundle is no zip archive, or a damaged one")]
    Archive(#[from] zip::result::ZipError),
    /// It is an archive, and none of ours.
    #[error("the archive is no bundle of evidence: {0}")]
    Form(&'static str),
    /// A log without a signed head proves nothing.
    #[error("the audit log has no signed head yet; run the daemon, or dsrd audit verify, first")]
    NoHead,
}
