//! What happens, followed in the audit log: the demonstration knows nothing else of the daemon's work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::audit::{self, Action, Entry, Filter};
use crate::store::{Store, StoreError};

/// The entries so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
}

impl Ledger {
    /// Reads the entries that were numbered since the last time.
    pub(super) async fn catch_up(&mut self, store: &Store) -> Result<(), StoreError> {
        const PAGE: i64 = 10_000;
        let mut connection = store.connection().await?;
        loop {
            let after = self.entries.last().map_or(0, |entry| entry.seq);
            let page = audit::list(&mut connection, &Filter::default(), after, PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            self.entries.extend(page);
        }
    }

    /// The same after the daemon has sealed what is there, or has had ten seconds for it.
    pub(super) async fn catch_up_with_all(&mut self, store: &Store) -> Result<(), StoreError> {
        const PAUSE: Duration = Duration::from_millis(100);
        for _ in 0..100 {
            if audit::pending(&mut *store.connection().await?).await? == 0 {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.catch_up(store).await
    }

    fn of(&self, action: Action) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.action == action.as_str())
    }

    fn cases(&self, action: Action) -> BTreeSet<Uuid> {
        self.of(action).filter_map(|entry| entry.case).collect()
    }

    pub(super) fn number(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) fn count(&self, action: Action) -> u64 {
        self.of(action).count() as u64
    }

    /// The numbers that are missing between 1 and the last one.
    pub(super) fn gaps(&self) -> u64 {
        let expected = 1..;
        expected.zip(&self.entries).filter(|(number, entry)| entry.seq != *number).count() as u64
    }

    /// Effects outside of the database: how many were announced, and how many of those ended.
    pub(super) fn effects(&self) -> (u64, u64) {
        let ended: BTreeSet<Uuid> = self.entries.iter().filter_map(|entry| entry.intent).collect();
        let began = || self.entries.iter().filter(|entry| entry.action.rsplit('.').next() == Some("began"));
        (began().count() as u64, began().filter(|entry| ended.contains(&entry.id)).count() as u64)
    }

    /// Cases that ended or wait for a person.
    pub(super) fn settled(&self) -> BTreeSet<Uuid> {
        let mut settled = self.cases(Action::RequestClosed);
        settled.extend(self.cases(Action::RequestParked));
        settled
    }

    /// Cases that a sweep handed in: those that were not received one by one, but stand on a page of a sweep.
    pub(super) fn of_sweeps(&self) -> BTreeSet<Uuid> {
        let received = self.cases(Action::RequestReceived);
        let all: BTreeSet<Uuid> = self.entries.iter().filter_map(|entry| entry.case).collect();
        all.difference(&received).copied().collect()
    }

    /// Cases of which an effect was proved by reading back.
    pub(super) fn read_back(&self) -> BTreeSet<Uuid> {
        let mut proved = self.cases(Action::DeletionVerified);
        proved.extend(self.cases(Action::PolicyVerified));
        proved
    }

    /// Notices that are owed to people, and notices that the mail transport took. An acknowledgement that the answer
    /// overtook is not owed any more.
    pub(super) fn notices(&self) -> (u64, u64) {
        let sent = self.of(Action::NoticeEnded).filter(|entry| entry.outcome.as_deref() == Some("done"));
        (self.count(Action::NoticeEnqueued) - self.superseded(), sent.count() as u64)
    }

    /// Acknowledgements that were dropped because the answer was ready first, as happens on a busy machine.
    pub(super) fn superseded(&self) -> u64 {
        self.count(Action::NoticeSuperseded)
    }

    /// The numbers that stand beside the making of a package.
    pub(super) fn package_counts(&self, case: Uuid) -> BTreeMap<String, u64> {
        let built = self.of(Action::PackageBuilt).find(|entry| entry.case == Some(case));
        let detail = built.and_then(|entry| entry.detail.as_object());
        let count = |(key, value): (&String, &Value)| Some((key.clone(), value.as_u64()?));
        detail.into_iter().flatten().filter_map(count).collect()
    }
}
