//! The package that a person receives: unpacked, because this person is invented, and its link looked at.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::place::Place;
use crate::cli::context::Context;
use crate::daemon::Foundation;
use crate::domain::{OrganisationId, Reference, RequestId};
use crate::{delivery, report};

/// Where the parts of a package lie.
#[derive(Clone, Debug)]
pub(super) struct Unpacked {
    /// The encrypted package, as the daemon keeps it.
    pub(super) encrypted: PathBuf,
    /// The archive in clear.
    pub(super) archive: PathBuf,
    /// The page to read.
    pub(super) page: PathBuf,
}

/// Opens the package as a member of staff may, which stands in the audit log, and unpacks it.
pub(super) async fn unpack(
    context: &Context,
    foundation: &Foundation,
    place: &Place,
    organisation: &OrganisationId,
    (request, reference): (RequestId, &Reference),
) -> anyhow::Result<Unpacked> {
    let opened = delivery::open_for_staff(
        &foundation.store,
        &foundation.desk.keys,
        &foundation.settings.report.directory,
        organisation,
        request,
        context.person(),
        foundation.desk.clock.now(),
    )
    .await?
    .with_context(|| format!("request {reference} has no package"))?;
    let key = report::PackageKey::parse(opened.identity.expose())?;
    let directory = place.unpacked();
    let archive = directory.join(format!("{reference}.zip"));
    let (encrypted, target) = (opened.path.clone(), archive.clone());
    tokio::task::spawn_blocking(move || {
        DirBuilder::new().mode(0o700).create(&directory)?;
        report::open_package(&opened.path, &key, &mut create(&target)?)?;
        extract(&target, &directory)
    })
    .await??;
    Ok(Unpacked { encrypted, archive, page: place.unpacked().join(report::HTML_NAME) })
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn extract(archive: &Path, directory: &Path) -> anyhow::Result<()> {
    let mut archive = zip::ZipArchive::new(File::open(archive)?)?;
    for name in report::FILE_NAMES {
        // A section without records has no table.
        match archive.by_name(name) {
            Ok(mut entry) => {
                io::copy(&mut entry, &mut create(&directory.join(name))?)?;
            }
            Err(zip::result::ZipError::FileNotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A mail, and the link in it.
#[derive(Clone, Debug)]
pub(super) struct LinkMail {
    pub(super) file: PathBuf,
    pub(super) link: String,
}

/// Finds the mail with a hand-over link, as its recipient would.
pub(super) fn find_link(mails: &[PathBuf], base_url: &str) -> anyhow::Result<Option<LinkMail>> {
    let beginning = format!("{base_url}/handover/");
    for file in mails {
        if let Some(link) = link_in(&fs::read_to_string(file)?, &beginning) {
            return Ok(Some(LinkMail { file: file.clone(), link }));
        }
    }
    Ok(None)
}

/// The link in a mail that begins like this, as its recipient would copy it.
pub(super) fn link_in(mail: &str, beginning: &str) -> Option<String> {
    // Quoted-printable: a line that ends in `=` goes on in the next one.
    let text = mail.replace("=\r\n", "").replace("=\n", "");
    let (_, rest) = text.split_once(beginning)?;
    let token = |each: &char| each.is_ascii_alphanumeric() || matches!(each, '-' | '_');
    Some(format!("{beginning}{}", rest.chars().take_while(token).collect::<String>()))
}

/// The mails in a directory, in the order of their names.
pub(super) fn list_mails(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut mails = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("{} cannot be read", directory.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "eml") {
            mails.push(path);
        }
    }
    mails.sort();
    Ok(mails)
}

/// Whether the hand-over page opens. Looking at it does not use the link up.
pub(super) async fn page_opens(link: &str) -> bool {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build();
    let Ok(client) = client else { return false };
    client.get(link).send().await.is_ok_and(|answer| answer.status().is_success())
}
