//! The secrets with which calls to recipients are signed.

use super::StartError;
use crate::config::{self, Organisation};
use crate::recipients::Secrets;

/// The shortest secret that signs anything, in characters: 128 bits in hexadecimal digits.
const SHORTEST: usize = 32;

/// Reads the secrets of all webhooks.
pub(super) fn secrets(organisations: &[Organisation]) -> Result<Secrets, StartError> {
    let mut secrets = Secrets::new();
    for (index, organisation) in organisations.iter().enumerate() {
        for (number, recipient) in organisation.recipients.iter().enumerate() {
            let Some(path) = &recipient.secret_file else { continue };
            let key = format!("organisations[{index}].recipients[{number}].secret_file");
            let secret = config::read_secret(&key, path)?;
            if secret.chars().count() < SHORTEST {
                return Err(StartError::WebhookSecret { key, shortest: SHORTEST });
            }
            secrets.insert((organisation.id.clone(), recipient.id.clone()), secret);
        }
    }
    Ok(secrets)
}
