//! Access packages: who may open them, and their end.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{DeliveryError, sql};
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{MasterKey, OrganisationId, Personal, RequestId};
use crate::queue::{self, Lease};
use crate::store::{PgConnection, Store, StoreError};

/// Id of one package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageId(pub Uuid);

impl fmt::Display for PackageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A package that was built and stored as a file.
#[derive(Clone, Debug)]
pub struct NewPackage {
    /// For which organisation.
    pub organisation: OrganisationId,
    /// For which request; there is one package for a request.
    pub request: RequestId,
    /// Its id.
    pub package_id: PackageId,
    /// The name of its file in the directory of packages: `a-z`, `0-9`, `.` and `-`.
    pub file_name: String,
    /// The secret that opens the file. Kept sealed only.
    pub identity: Personal<String>,
    /// The secret of the hand-over link. Kept as its SHA-256 only.
    pub token: Personal<String>,
    /// SHA-256 of the encrypted file.
    pub sha256: [u8; 32],
    /// Length of the encrypted file.
    pub bytes: u64,
    /// Records per source and other counts.
    pub manifest: serde_json::Value,
    /// When it was built.
    pub created_at: DateTime<Utc>,
    /// When it is destroyed.
    pub expires_at: DateTime<Utc>,
}

/// Records a package in the caller's transaction: the file must be complete and on disk by then.
pub async fn record_package(
    connection: &mut PgConnection,
    keys: &MasterKey,
    package: NewPackage,
) -> Result<(), StoreError> {
    let identity = Personal::new(package.identity.expose().clone().into_bytes());
    let sealed = keys.sealing(PURPOSE).seal(&package.package_id.to_string(), &identity);
    let token_sha256 = digest(&package.token);
    sql::insert_package(connection, &package, &sealed, &token_sha256).await
}

const PURPOSE: &str = "package";

/// The form in which the secret of a link is kept. It has 256 bits, so that a plain hash cannot be guessed back.
pub(super) fn digest(token: &Personal<String>) -> [u8; 32] {
    Sha256::digest(token.expose().as_bytes()).into()
}

/// Opens the sealed identity of a package.
pub(super) fn open_identity(
    keys: &MasterKey,
    row: &sql::PackageRow,
) -> Result<Personal<String>, DeliveryError> {
    let what = "dsrd.package.sealed_identity";
    let sealed = row.sealed_identity.as_deref().unwrap_or_default();
    let clear = keys
        .sealing(PURPOSE)
        .open(&row.package_id.to_string(), sealed)
        .map_err(|source| DeliveryError::Sealed { what, source })?;
    String::from_utf8(clear.into_exposed())
        .map(Personal::new)
        .map_err(|_| StoreError::unreadable("delivery.open_identity", what).into())
}

/// A package that may be decrypted.
#[derive(Debug)]
pub struct OpenedPackage {
    /// Its id.
    pub id: PackageId,
    /// Where its encrypted file lies.
    pub path: PathBuf,
    /// The secret that opens it.
    pub identity: Personal<String>,
    /// SHA-256 of the encrypted file.
    pub sha256: Vec<u8>,
    /// When it is destroyed.
    pub expires_at: DateTime<Utc>,
}

/// Ends the hand-over link of a request in the caller's transaction, because somebody else has it; returns whether it worked until
/// now. The package itself stays until its expiry, and staff can give it to the person.
pub async fn end_link(
    connection: &mut PgConnection,
    organisation: &OrganisationId,
    request: RequestId,
) -> Result<bool, StoreError> {
    sql::end_link_of(connection, organisation, request).await
}

/// Where the file of a package lies that has not expired.
pub(super) async fn file_of(package_dir: &Path, file_name: &str) -> Result<PathBuf, DeliveryError> {
    let path = package_dir.join(file_name);
    match tokio::fs::try_exists(&path).await {
        Ok(true) => Ok(path),
        Ok(false) => Err(DeliveryError::PackageNotHere { directory: package_dir.to_owned() }),
        Err(source) => Err(DeliveryError::Files { operation: "looking at a package", path, source }),
    }
}

/// How many packages that have not expired have no file in a directory, so that nobody can fetch them from there.
pub async fn count_not_here(store: &Store, package_dir: &Path) -> Result<usize, DeliveryError> {
    let mut missing = Vec::new();
    for file_name in sql::living_files(&mut *store.connection().await?).await? {
        match file_of(package_dir, &file_name).await {
            Ok(_) => {}
            Err(DeliveryError::PackageNotHere { .. }) => missing.push(file_name),
            Err(error) => return Err(error),
        }
    }
    if missing.is_empty() {
        return Ok(0);
    }
    // One that expired meanwhile lost its file for that.
    let living: HashSet<String> =
        sql::living_files(&mut *store.connection().await?).await?.into_iter().collect();
    Ok(missing.iter().filter(|file_name| living.contains(*file_name)).count())
}

/// Gives a member of staff the package of a request, for a person who cannot use the link. `None` when there is none, or
/// none any more. The log says who did it before anything is given out; where its file is not here, nothing can be.
pub async fn open_for_staff(
    store: &Store,
    keys: &MasterKey,
    package_dir: &Path,
    organisation: &OrganisationId,
    request: RequestId,
    actor: Actor,
    at: DateTime<Utc>,
) -> Result<Option<OpenedPackage>, DeliveryError> {
    let mut tx = store.begin("delivery.open_for_staff").await?;
    let Some(row) = sql::find_of_request(&mut tx, organisation, request).await? else {
        return Ok(None);
    };
    let opened = OpenedPackage {
        id: PackageId(row.package_id),
        path: file_of(package_dir, &row.file_name).await?,
        identity: open_identity(keys, &row)?,
        sha256: row.sha256,
        expires_at: row.expires_at,
    };
    let event = Event::of(organisation, request, Action::PackageOpened, actor, at)
        .with(Detail::none().word("package", &opened.id.to_string()));
    audit::append(&mut tx, event).await?;
    tx.commit().await?;
    Ok(Some(opened))
}

/// Destroys the packages that expired at `now` and returns how many. The key goes first, in the database: from then on
/// the file is noise, whatever happens to it. A file that could not be deleted is left to [`remove_leftovers`], and the
/// error is returned after all the others were seen to.
pub async fn destroy_expired(
    store: &Store,
    package_dir: &Path,
    now: DateTime<Utc>,
) -> Result<u64, DeliveryError> {
    destroy(store, package_dir, None, now).await
}

/// Destroys all packages of an organisation that is removed, in the same way, whether they have expired or not.
pub async fn destroy_of(
    store: &Store,
    package_dir: &Path,
    organisation: &OrganisationId,
    now: DateTime<Utc>,
) -> Result<u64, DeliveryError> {
    destroy(store, package_dir, Some(organisation), now).await
}

async fn destroy(
    store: &Store,
    package_dir: &Path,
    removed: Option<&OrganisationId>,
    now: DateTime<Utc>,
) -> Result<u64, DeliveryError> {
    let mut count = 0;
    let mut failed = None;
    loop {
        let mut tx = store.begin("delivery.destroy_expired").await?;
        let destroyed = sql::destroy_keys(&mut tx, removed, now, 100).await?;
        if destroyed.is_empty() {
            break;
        }
        for row in &destroyed {
            let organisation = row.organisation_id.parse().map_err(|_| {
                StoreError::unreadable("delivery.destroy_expired", "dsrd.package.organisation_id")
            })?;
            let event = Event::of(
                &organisation,
                RequestId(row.request_id),
                Action::PackageDestroyed,
                Actor::Process("upkeep"),
                now,
            )
            .with(Detail::none().word("package", &row.package_id.to_string()).flag("fetched", row.fetched));
            audit::append(&mut tx, event).await?;
        }
        tx.commit().await?;
        for row in destroyed {
            count += 1;
            if let Err(error) = remove(&package_dir.join(row.file_name)).await {
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(count), Err)
}

/// Deletes files that no living package names: halves of a building that broke off, packages that were never recorded, and
/// files of destroyed packages. A file whose name tells the lease under which it was written is deleted as soon as that
/// lease is not held any more; another one when it was last changed before `before`, which should lie a few hours back, so
/// that a file that somebody has just finished, and is about to record, stays. Returns how many were deleted.
pub async fn remove_leftovers(
    store: &Store,
    package_dir: &Path,
    before: DateTime<Utc>,
) -> Result<u64, DeliveryError> {
    let failed = |operation, path: &Path| {
        let path = path.to_owned();
        move |source| DeliveryError::Files { operation, path, source }
    };
    let mut entries = match tokio::fs::read_dir(package_dir).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        other => other.map_err(failed("listing packages", package_dir))?,
    };
    // Listed before the rows are read: a file that appears in between is not in the list.
    let mut candidates = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(failed("listing packages", package_dir))? {
        let path = entry.path();
        let metadata = entry.metadata().await.map_err(failed("looking at a package", &path))?;
        let changed_at = metadata.modified().map_err(failed("looking at a package", &path))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let lease = Lease::of_file(&name);
        if metadata.is_file() && (lease.is_some() || DateTime::<Utc>::from(changed_at) < before) {
            candidates.push((name, lease, path));
        }
    }
    if candidates.is_empty() {
        return Ok(0);
    }
    // The leases before the rows: who is not writing a file any more has recorded it by then, or never will.
    let running = queue::running(&mut *store.connection().await?).await?;
    let living: HashSet<String> =
        sql::living_files(&mut *store.connection().await?).await?.into_iter().collect();
    let mut count = 0;
    for (name, lease, path) in candidates {
        let is_written = lease.is_some_and(|lease| running.contains(&lease));
        if !is_written && !living.contains(&name) {
            remove(&path).await?;
            count += 1;
        }
    }
    Ok(count)
}

async fn remove(path: &Path) -> Result<(), DeliveryError> {
    match tokio::fs::remove_file(path).await {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(DeliveryError::Files { operation: "deleting a package", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
