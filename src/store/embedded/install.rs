//! Fetching server programs. Filled in by the next change.
