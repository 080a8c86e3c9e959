//! Scroll ids: a snapshot of what a list found, read page by page.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::people::id_of;

/// Scrolls that are kept at once; the one unused for the longest time goes first.
const LARGEST_NUMBER: usize = 256;

/// A scroll in progress over a snapshot `S`.
#[derive(Debug)]
pub(crate) struct Scroll<S> {
    pub(crate) snapshot: Arc<S>,
    /// Items given so far.
    pub(crate) position: usize,
    /// Page size of the first call; it may not change.
    pub(crate) size: usize,
    used: Instant,
}

impl<S> Clone for Scroll<S> {
    fn clone(&self) -> Self {
        Self {
            snapshot: Arc::clone(&self.snapshot),
            position: self.position,
            size: self.size,
            used: self.used,
        }
    }
}

/// The scrolls of one organisation.
#[derive(Debug)]
pub(crate) struct Scrolls<S> {
    open: HashMap<String, Scroll<S>>,
    life: Duration,
    number: u64,
}

impl<S> Scrolls<S> {
    pub(crate) fn new(life: Duration) -> Self {
        Self { open: HashMap::new(), life, number: 0 }
    }

    fn forget_old(&mut self) {
        let life = self.life;
        self.open.retain(|_, scroll| scroll.used.elapsed() < life);
        while self.open.len() >= LARGEST_NUMBER {
            let oldest = self.open.iter().min_by_key(|(_, scroll)| scroll.used).map(|(id, _)| id.clone());
            if let Some(id) = oldest {
                self.open.remove(&id);
            }
        }
    }

    /// Opens a scroll and answers its id.
    pub(crate) fn open(&mut self, snapshot: Arc<S>, position: usize, size: usize) -> String {
        self.forget_old();
        self.number += 1;
        // Long and with characters that must be percent-encoded, as such ids are.
        let id = format!("{}{}+/==", id_of(self.number, 5), id_of(self.number, 6));
        self.open.insert(id.clone(), Scroll { snapshot, position, size, used: Instant::now() });
        id
    }

    /// The scroll of an id, if it has not expired.
    pub(crate) fn get(&mut self, id: &str) -> Option<Scroll<S>> {
        let life = self.life;
        let scroll = self.open.get_mut(id).filter(|scroll| scroll.used.elapsed() < life)?;
        scroll.used = Instant::now();
        Some(scroll.clone())
    }

    /// Moves a scroll to the place of its next page.
    pub(crate) fn advance(&mut self, id: &str, position: usize) {
        if let Some(scroll) = self.open.get_mut(id) {
            scroll.position = position;
        }
    }

    /// Closes a scroll.
    pub(crate) fn close(&mut self, id: &str) {
        self.open.remove(id);
    }

    /// Closes all scrolls.
    pub(crate) fn close_all(&mut self) {
        self.open.clear();
    }
}
