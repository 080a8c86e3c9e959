//! Settings of mails, links and packages.

use std::net::IpAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::message::settings_address;
use super::{DeliveryError, NoticeKind};

/// Settings of mails, links and packages.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How mails leave: `smtp`, or `file` to write them into a directory (demo and tests).
    pub transport: TransportKind,
    /// The address that mails come from, for example `privacy@venue.example`.
    pub from_address: String,
    /// The name beside it; the name of the organisation when empty.
    pub from_name: Option<String>,
    /// Where answers to a mail go, if not to `from_address`.
    pub reply_to_address: Option<String>,
    /// How people reach the pages: scheme, host and optional path, without `/handover` and `/identity`.
    pub link_base_url: String,
    /// Directory of the encrypted access packages; `packages` below the data directory when empty.
    pub package_dir: Option<PathBuf>,
    /// After how many days an access package and its link expire; more than `give_up_after_days`.
    pub package_expiry_days: u32,
    /// For how long after its first beginning a download that broke off may be begun again, in seconds.
    pub download_retry_secs: u32,
    /// How long one sending may take from connecting to the server's last answer, in seconds.
    pub send_timeout_secs: u32,
    /// How long to wait after a first failed sending, in seconds; the wait doubles with every further one.
    pub retry_first_secs: u32,
    /// The longest such wait, in seconds.
    pub retry_max_secs: u32,
    /// After how many days of failed sendings a notice counts as refused, so that a person looks at it.
    pub give_up_after_days: u32,
    /// The mail server.
    pub smtp: SmtpSettings,
    /// The directory of the `file` transport.
    pub file: FileSettings,
}

/// How mails leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransportKind {
    /// To a mail server.
    Smtp,
    /// Into files, one a mail.
    File,
}

/// Settings of the mail server.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmtpSettings {
    /// Its name, as in its certificate.
    pub host: String,
    /// Its port: 587 for STARTTLS, 465 for TLS from the first byte.
    pub port: u16,
    /// How the connection is protected: `starttls` (required, never optional), `tls` or `none`.
    pub security: Security,
    /// Lets `security = "none"` be used with a server that is not on this host. Addresses then cross the network in
    /// clear.
    pub plain_text_allowed: bool,
    /// Login name; no login when empty.
    pub username: Option<String>,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
    /// PEM file with a certificate authority to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// The name with which the daemon greets the server; the host's name when empty.
    pub hello_name: Option<String>,
    /// How many mails may be under way at once.
    pub max_connections: u16,
}

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// Plain greeting, then STARTTLS; a server that does not offer it is not used.
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// No encryption: for a mail server on the same host.
    None,
}

/// Settings of the `file` transport.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// Directory into which mails are written; `mail` below the data directory when empty.
    pub dir: Option<PathBuf>,
}

impl Settings {
    /// Finds what a deserialiser cannot: contradictions and texts that are no address or URL.
    pub fn check(&self) -> Result<(), DeliveryError> {
        let wrong =
            |setting, problem: &str| Err(DeliveryError::Setting { setting, problem: problem.to_owned() });
        if settings_address(&self.from_address).is_err() {
            return wrong("from_address", "write an address, for example privacy@venue.example");
        }
        if self.reply_to_address.as_ref().is_some_and(|text| settings_address(text).is_err()) {
            return wrong("reply_to_address", "write an address, for example privacy@venue.example");
        }
        if !self.link_base_url.starts_with("https://") && !self.link_base_url.starts_with("http://")
            || self.link_base_url.chars().any(|each| each.is_whitespace() || each.is_control())
            || self.link_base_url.contains(['"', '<', '>', '?', '#'])
        {
            return wrong("link_base_url", "write https://host, without query or white space");
        }
        if self.link_base_url.starts_with("http://") && !is_loopback_url(&self.link_base_url) {
            return wrong(
                "link_base_url",
                "links to another host need https://, because the link is a secret",
            );
        }
        for (setting, value) in [
            ("package_expiry_days", self.package_expiry_days),
            ("send_timeout_secs", self.send_timeout_secs),
            ("retry_first_secs", self.retry_first_secs),
            ("retry_max_secs", self.retry_max_secs),
            ("give_up_after_days", self.give_up_after_days),
        ] {
            if value == 0 {
                return wrong(setting, "must be at least 1");
            }
        }
        if self.package_expiry_days <= self.give_up_after_days {
            return wrong(
                "package_expiry_days",
                "must be more than give_up_after_days: a link must outlast the days in which its mail may fail",
            );
        }
        if self.transport == TransportKind::Smtp { self.smtp.check() } else { Ok(()) }
    }

    /// The address under which a person opens the link of a notice.
    pub(super) fn link(&self, kind: NoticeKind, token: &str) -> String {
        let page = match kind {
            NoticeKind::IdentityRequest => "identity",
            _ => "handover",
        };
        format!("{}/{page}/{token}", self.link_base_url.trim_end_matches('/'))
    }

    /// The page where people type the code that stands for a link.
    pub(super) fn code_page(&self) -> String {
        format!("{}/identity", self.link_base_url.trim_end_matches('/'))
    }
}

impl SmtpSettings {
    fn check(&self) -> Result<(), DeliveryError> {
        let wrong =
            |setting, problem: &str| Err(DeliveryError::Setting { setting, problem: problem.to_owned() });
        if self.host.is_empty() {
            return wrong("smtp.host", "name the mail server");
        }
        if self.security == Security::None && !self.plain_text_allowed && !is_loopback(&self.host) {
            return wrong(
                "smtp.security",
                "\"none\" is for a server on this host; use \"starttls\", or set smtp.plain_text_allowed",
            );
        }
        if self.username.is_some() != self.password_file.is_some() {
            return wrong("smtp.username", "username and password_file belong together");
        }
        if self.max_connections == 0 {
            return wrong("smtp.max_connections", "must be at least 1");
        }
        Ok(())
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_loopback_url(url: &str) -> bool {
    let authority = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    is_loopback(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn boring() -> Settings {
        Settings {
            transport: TransportKind::Smtp,
            from_address: "privacy@venue.example".to_owned(),
            from_name: None,
            reply_to_address: None,
            link_base_url: "https://privacy.venue.example".to_owned(),
            package_dir: None,
            package_expiry_days: 14,
            download_retry_secs: 900,
            send_timeout_secs: 60,
            retry_first_secs: 60,
            retry_max_secs: 1800,
            give_up_after_days: 5,
            smtp: SmtpSettings {
                host: "mail.venue.example".to_owned(),
                port: 587,
                security: Security::Starttls,
                plain_text_allowed: false,
                username: None,
                password_file: None,
                ca_file: None,
                hello_name: None,
                max_connections: 4,
            },
            file: FileSettings { dir: None },
        }
    }

    #[test]
    fn plain_text_leaves_the_host_only_when_that_was_said() {
        let mut settings = boring();
        assert!(settings.check().is_ok());
        settings.smtp.security = Security::None;
        assert!(settings.check().unwrap_err().to_string().contains("smtp.security"));
        settings.smtp.host = "127.0.0.1".to_owned();
        assert!(settings.check().is_ok());
        settings.smtp.host = "mail.venue.example".to_owned();
        settings.smtp.plain_text_allowed = true;
        assert!(settings.check().is_ok());
    }

    #[test]
    fn a_link_outlasts_the_days_in_which_its_mail_may_fail() {
        let mut settings = boring();
        settings.package_expiry_days = 6;
        assert!(settings.check().is_ok());
        settings.package_expiry_days = 5;
        assert!(settings.check().unwrap_err().to_string().contains("package_expiry_days"));
    }

    #[test]
    fn links_are_secrets_and_need_https_beyond_this_host() {
        let mut settings = boring();
        for (url, fine) in [
            ("https://privacy.venue.example/data", true),
            ("http://127.0.0.1:8085", true),
            ("http://[::1]:8085", true),
            ("http://localhost", true),
            ("http://privacy.venue.example", false),
            ("http://127.0.0.1.venue.example", false),
            ("ftp://venue.example", false),
            ("https://venue.example/\"><b>", false),
        ] {
            url.clone_into(&mut settings.link_base_url);
            assert_eq!(settings.check().is_ok(), fine, "{url}");
        }
    }
}
