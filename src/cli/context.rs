//! What every command that does something begins with: settings, the log, and the person at the keyboard.

use std::path::PathBuf;

use chrono_tz::Tz;

use crate::audit::Actor;
use crate::config::{self, Loaded, Settings, Sources};
use crate::domain::OrganisationId;
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

    /// The person at the keyboard, by the account under which the process runs.
    pub(super) fn person(&self) -> Actor {
        Actor::Person(self.login_name())
    }

    /// That account's name, from the system and not from the environment, which anybody can set. Only of root's own
    /// environment the name is taken that `sudo` put there.
    pub(super) fn login_name(&self) -> String {
        let user = rustix::process::getuid();
        let account =
            embedded::account_name(user.as_raw()).unwrap_or_else(|| format!("uid-{}", user.as_raw()));
        match self.sources.variable("SUDO_USER") {
            Some(person) if user.is_root() => format!("{person}.as.{account}"),
            _ => account,
        }
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
}
