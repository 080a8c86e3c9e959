//! What every command that does something begins with: settings, the log, and the person at the keyboard.

use std::path::PathBuf;

use chrono_tz::Tz;

use crate::audit::Actor;
use crate::config::{self, Loaded, Settings, Sources};
use crate::daemon::Foundation;
use crate::domain::{Controller, OrganisationId};
use crate::store::embedded;
use crate::telemetry;

use super::Failure;

/// Settings with their sources.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) sources: Sources,
    pub(super) loaded: Loaded,
}

impl Context {
    /// Loads the settings; the log speaks warnings only, so that a command's own words stand out.
    pub(super) fn load(files: &[PathBuf]) -> anyhow::Result<Self> {
        let context = Self::read(files)?;
        let quiet = telemetry::Settings { filter: "warn".to_owned(), ..context.settings().telemetry.clone() };
        telemetry::init(&quiet)?;
        Ok(context)
    }

    /// The same, with the checks of a running service.
    pub(super) fn load_checked(files: &[PathBuf]) -> anyhow::Result<Self> {
        let context = Self::load(files)?;
        config::check(context.settings())?;
        Ok(context)
    }

    /// For the daemon itself: checked, and with the log as configured.
    pub(super) fn load_service(files: &[PathBuf]) -> anyhow::Result<Self> {
        let context = Self::read(files)?;
        config::check(context.settings())?;
        telemetry::init(&context.settings().telemetry)?;
        Ok(context)
    }

    /// With the log as configured and without the checks of a service: for what needs no organisation.
    pub(super) fn load_speaking(files: &[PathBuf]) -> anyhow::Result<Self> {
        let context = Self::read(files)?;
        telemetry::init(&context.settings().telemetry)?;
        Ok(context)
    }

    fn read(files: &[PathBuf]) -> anyhow::Result<Self> {
        let sources = Sources::of_process(files)?;
        let loaded = config::load(&sources)?;
        Ok(Self { sources, loaded })
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.loaded.settings
    }

    /// The person at the keyboard.
    pub(super) fn person(&self) -> Actor {
        Actor::Person(self.login_name())
    }

    /// Who works, from the system and not from the environment, which anybody can set: the login, and where it works under
    /// another account, that one as well (`anna.as.dsrd`).
    pub(super) fn login_name(&self) -> String {
        let name = |uid| embedded::account_name(uid).unwrap_or_else(|| format!("uid-{uid}"));
        let uid = rustix::process::getuid().as_raw();
        name_of_login(uid, login_uid(), self.sources.variable("SUDO_USER"), name)
    }

    /// The time zone in which an organisation's instants are shown to people. JSON keeps RFC 3339.
    pub(super) fn zone(&self, organisation: &OrganisationId) -> Tz {
        self.settings().find_organisation(organisation).map_or(Tz::UTC, |each| each.time_zone)
    }

    /// The organisation named, or the only one that is configured.
    pub(super) fn organisation(&self, named: Option<&OrganisationId>) -> anyhow::Result<OrganisationId> {
        let organisations = &self.settings().organisations;
        let known = || organisations.iter().map(|each| each.id.to_string()).collect::<Vec<_>>().join(", ");
        match (named, organisations.as_slice()) {
            (Some(id), _) if self.settings().find_organisation(id).is_some() => Ok(id.clone()),
            (Some(_), _) => Err(Failure::NotFound
                .because(format!("no such organisation is configured; configured are: {}", known()))),
            (None, [only]) => Ok(only.id.clone()),
            (None, _) => Err(Failure::Usage.because(format!("name one with --organisation: {}", known()))),
        }
    }

    /// The same, as it is registered in the database.
    pub(super) fn controller<'f>(
        &self,
        named: Option<&OrganisationId>,
        foundation: &'f Foundation,
    ) -> anyhow::Result<&'f Controller> {
        let organisation = self.organisation(named)?;
        let registered = foundation.controllers.get(&organisation).map(AsRef::as_ref);
        registered.ok_or_else(|| {
            Failure::NotFound.because(format!("organisation {organisation} is not registered"))
        })
    }
}

/// The account that logged in. The kernel keeps it through `sudo` and `su`; there is none where nobody logged in (a container, a
/// service) or no module of the login sets it. See `pam_loginuid(8)`.
fn login_uid() -> Option<u32> {
    const UNSET: u32 = u32::MAX;
    let text = std::fs::read_to_string("/proc/self/loginuid").ok()?;
    text.trim().parse().ok().filter(|uid| *uid != UNSET)
}

/// The name of whoever logged in, with the account under which they work where that is another one.
///
/// Without a login, only root's environment is believed, where `sudo` leaves the name: whoever can set it there can become
/// anybody. In that of any other account it may be made up, so that all who work under that account have its name alone.
fn name_of_login(
    uid: u32,
    login: Option<u32>,
    sudo_user: Option<&str>,
    name: impl Fn(u32) -> String,
) -> String {
    let account = name(uid);
    match (login, sudo_user) {
        (Some(login), _) if login != uid => format!("{}.as.{account}", name(login)),
        (None, Some(person)) if uid == 0 => format!("{person}.as.{account}"),
        _ => account,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_acts_is_told_by_the_login_and_never_by_what_anybody_can_set() {
        let name = |uid| match uid {
            0 => "root".to_owned(),
            998 => "dsrd".to_owned(),
            1_000 => "anna".to_owned(),
            other => format!("uid-{other}"),
        };
        for (uid, login, sudo_user, expected) in [
            // sudo -u dsrd dsrd …, sudo dsrd …, and her own account.
            (998, Some(1_000), Some("anna"), "anna.as.dsrd"),
            (0, Some(1_000), Some("anna"), "anna.as.root"),
            (1_000, Some(1_000), None, "anna"),
            // Whatever the environment says.
            (998, Some(1_000), Some("bea"), "anna.as.dsrd"),
            (0, Some(1_000), Some("bea"), "anna.as.root"),
            (1_000, Some(1_000), Some("bea"), "anna"),
            (998, Some(4_321), None, "uid-4321.as.dsrd"),
            // Nobody logged in: what sudo tells root, and nothing that another account says.
            (0, None, Some("anna"), "anna.as.root"),
            (0, None, None, "root"),
            (998, None, Some("anna"), "dsrd"),
            (65_532, None, None, "uid-65532"),
        ] {
            let told = name_of_login(uid, login, sudo_user, name);
            assert_eq!(told, expected, "{uid} {login:?} {sudo_user:?}");
        }
    }
}
