//! The content of an entry bundle: each entry after its length as two bytes, the higher one first (tlog-tiles).

use super::tile::Bundle;

/// The longest entry that fits a bundle, in bytes.
pub const MAX_ENTRY_BYTES: usize = u16::MAX as usize;

/// Entries that cannot be written, or bytes that are not a bundle.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum BundleError {
    /// An entry is longer than 65,535 bytes.
    #[error("entry {position} of the bundle has {bytes} bytes, more than the 65,535 that a bundle can hold")]
    EntryTooLong {
        /// Zero-based position within the bundle.
        position: usize,
        /// Its length.
        bytes: usize,
    },
    /// The bytes end within an entry or its length.
    #[error("the entry bundle ends within entry {position}")]
    Truncated {
        /// Zero-based position within the bundle.
        position: usize,
    },
    /// More or fewer entries than the bundle's name says.
    #[error("the entry bundle does not hold the {width} entries that its name promises")]
    Width {
        /// What the name promises.
        width: u16,
    },
}

/// Writes entries as a bundle's content. The caller keeps to at most 256.
pub fn write<'e>(entries: impl IntoIterator<Item = &'e [u8]>) -> Result<Vec<u8>, BundleError> {
    let mut content = Vec::new();
    for (position, entry) in entries.into_iter().enumerate() {
        let length = u16::try_from(entry.len())
            .map_err(|_| BundleError::EntryTooLong { position, bytes: entry.len() })?;
        content.extend_from_slice(&length.to_be_bytes());
        content.extend_from_slice(entry);
    }
    Ok(content)
}

/// Reads a bundle's content, which must hold exactly as many entries as its name says.
pub fn read(bundle: Bundle, content: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::with_capacity(usize::from(bundle.width()));
    let mut rest = content;
    for position in 0..usize::from(bundle.width()) {
        if rest.is_empty() {
            return Err(BundleError::Width { width: bundle.width() });
        }
        let (length, after) = rest.split_first_chunk::<2>().ok_or(BundleError::Truncated { position })?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(BundleError::Truncated { position })?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(BundleError::Width { width: bundle.width() }) }
}
