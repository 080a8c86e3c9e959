//! The directory of a demonstration: made fresh, with a configuration that goes on working after it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use dsrd_simulator::OrganisationHandle;

use crate::cli::Failure;
use crate::config::Sources;
use crate::domain::random;

/// The short name of the invented organisation, here and at the simulated platform.
pub(super) const ORGANISATION: &str = "caffe-aurora";

/// Where everything of one demonstration lies.
#[derive(Clone, Debug)]
pub(super) struct Place {
    directory: PathBuf,
}

impl Place {
    /// Makes the directory that was asked for, or one of its own among the temporary files.
    pub(super) fn create(wanted: Option<&Path>, sources: &Sources) -> anyhow::Result<Self> {
        let directory = match wanted {
            Some(wanted) => wanted.to_owned(),
            None => Path::new(sources.variable("TMPDIR").unwrap_or("/tmp"))
                .join(format!("dsrd-demo-{}", hex::encode(random::bytes::<4>()))),
        };
        let refused = |error: &io::Error| {
            Failure::Usage.because(format!(
                "the directory {} cannot be used: {error}; name another with --directory",
                directory.display()
            ))
        };
        let made = make(&directory).map_err(|error| refused(&error))?;
        if made.to_str().is_none() {
            return Err(refused(&io::Error::other("its name is no text")));
        }
        Ok(Self { directory: made })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn configuration(&self) -> PathBuf {
        self.directory.join("dsrd.toml")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("dsrd.log")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(super) fn mails(&self) -> PathBuf {
        self.directory.join("mails")
    }

    pub(super) fn unpacked(&self) -> PathBuf {
        self.directory.join("what-the-person-receives")
    }

    /// The file of the daemon's log.
    pub(super) fn create_log(&self) -> anyhow::Result<File> {
        let path = self.log();
        private_file(&path).map_err(|error| cannot_write(&path, &error))
    }

    /// Writes the secrets and the configuration, as an operator would.
    pub(super) fn configure(
        &self,
        platform: &OrganisationHandle,
        base_url: &str,
        page: SocketAddr,
        keep_months: u32,
    ) -> anyhow::Result<()> {
        let secrets = self.directory.join("secrets");
        DirBuilder::new().mode(0o700).create(&secrets).map_err(|error| cannot_write(&secrets, &error))?;
        let (key, secret) = (secrets.join("cloud4wi.key"), secrets.join("cloud4wi.secret"));
        write_private(&key, platform.client_key())?;
        write_private(&secret, platform.client_secret())?;
        let text = include_str!("dsrd.toml")
            .replace("{data}", &quoted(&self.data()))
            .replace("{mails}", &quoted(&self.mails()))
            .replace("{key}", &quoted(&key))
            .replace("{secret}", &quoted(&secret))
            .replace("{page}", &page.to_string())
            .replace("{organisation}", ORGANISATION)
            .replace("{base_url}", base_url)
            .replace("{organisation_id}", platform.org_id())
            .replace("{keep_months}", &keep_months.to_string());
        write_private(&self.configuration(), &text)
    }
}

/// A fresh directory that others may pass through but not look around in: a server that is not root's must reach its
/// data below.
fn make(directory: &Path) -> io::Result<PathBuf> {
    match fs::read_dir(directory) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(io::Error::other("it is not empty"));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).create(directory)?;
            fs::set_permissions(directory, Permissions::from_mode(0o711))?;
        }
        Err(error) => return Err(error),
    }
    fs::canonicalize(directory)
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = private_file(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> anyhow::Error {
    Failure::Usage.because(format!(
        "{} cannot be written: {error}; name another directory with --directory",
        path.display()
    ))
}

/// A path as a TOML string, whose escapes are those of JSON.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.to_string_lossy()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_something_in_it_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let sources = Sources::default();
        assert!(Place::create(Some(directory.path()), &sources).is_ok(), "an empty one is taken");
        fs::write(directory.path().join("precious"), "").unwrap();
        let error = Place::create(Some(directory.path()), &sources).unwrap_err().to_string();
        assert!(error.contains("not empty") && error.contains("--directory"), "{error}");
    }

    #[test]
    fn paths_survive_the_configuration() {
        let path = Path::new("/tmp/a \"b\" \\c\u{e9}");
        let text = format!("path = {}", quoted(path));
        let read = config::Config::builder()
            .add_source(config::File::from_str(&text, config::FileFormat::Toml))
            .build()
            .unwrap();
        assert_eq!(read.get_string("path").unwrap(), path.to_str().unwrap());
    }
}
