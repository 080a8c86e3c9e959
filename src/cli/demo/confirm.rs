//! The people of the demonstration read their mails, and confirm by the page of the link that an erasure is theirs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::package::{link_in, list_mails};
use super::script::Asked;
use crate::config::Settings;

/// Reads the mails as their recipients would.
#[derive(Debug)]
pub(super) struct Reader {
    mails: PathBuf,
    base_url: String,
    read: BTreeSet<PathBuf>,
}

impl Reader {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            mails: settings.delivery.file.dir.clone().unwrap_or_else(|| settings.data_dir.join("mail")),
            base_url: settings.delivery.link_base_url.clone(),
            read: BTreeSet::new(),
        }
    }

    /// Opens the links of mails that came since the last time, and confirms there with what the request was made with.
    pub(super) async fn confirm(&mut self, asked: &mut [Asked]) -> anyhow::Result<()> {
        if !self.mails.exists() {
            return Ok(());
        }
        for mail in list_mails(&self.mails)? {
            if self.read.contains(&mail) {
                continue;
            }
            let text = fs::read_to_string(&mail)?;
            let link = link_in(&text, &format!("{}/identity/", self.base_url));
            if let Some(link) = link
                && let Some(person) = asked.iter_mut().find(|each| !each.confirmed && is_to(&text, each))
            {
                confirm(&link, person).await.with_context(|| told(&mail))?;
                person.confirmed = true;
            }
            self.read.insert(mail);
        }
        Ok(())
    }
}

fn told(mail: &Path) -> String {
    format!("the request in {} could not be confirmed", mail.display())
}

/// Whether a mail went to the address with which somebody asked.
fn is_to(mail: &str, asked: &Asked) -> bool {
    let address = asked.identifier.given().expose().to_lowercase();
    let head = mail.split("\r\n\r\n").next().unwrap_or_default();
    asked.request.is_some()
        && head
            .lines()
            .any(|line| line.to_lowercase().strip_prefix("to: ").is_some_and(|to| to.contains(&address)))
}

/// Looks at the page and presses its button.
async fn confirm(link: &str, person: &Asked) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
    client.get(link).send().await?.error_for_status()?;
    let body = format!("answer={}", form_encoded(person.identifier.given().expose()));
    let content_type = "application/x-www-form-urlencoded";
    client.post(link).header("content-type", content_type).body(body).send().await?.error_for_status()?;
    Ok(())
}

fn form_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|each| {
        if each.is_ascii_alphanumeric() || b"-._".contains(&each) {
            char::from(each).to_string()
        } else {
            format!("%{each:02X}")
        }
    });
    encoded.collect()
}
