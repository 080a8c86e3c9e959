//! The secrets with which calls to recipients and to gateways of text messages are signed.

use std::path::Path;

use zeroize::Zeroizing;

use super::StartError;
use crate::config::{self, Organisation};
use crate::delivery::{TextGateway, TextGateways};
use crate::recipients::Secrets;
use crate::webhook::SHORTEST_SECRET;

/// Reads the secrets of all webhooks.
pub(super) fn secrets(organisations: &[Organisation]) -> Result<Secrets, StartError> {
    let mut secrets = Secrets::new();
    for (index, organisation) in organisations.iter().enumerate() {
        for (number, recipient) in organisation.recipients.iter().enumerate() {
            let Some(path) = &recipient.secret_file else { continue };
            let key = format!("organisations[{index}].recipients[{number}].secret_file");
            secrets.insert((organisation.id.clone(), recipient.id.clone()), secret(key, path)?);
        }
    }
    Ok(secrets)
}

/// The gateways of text messages, with their secrets.
pub(super) fn text_gateways(organisations: &[Organisation]) -> Result<TextGateways, StartError> {
    let mut gateways = TextGateways::new();
    for (index, organisation) in organisations.iter().enumerate() {
        let Some(texts) = &organisation.identity.text_messages else { continue };
        let key = format!("organisations[{index}].identity.text_messages.secret_file");
        let gateway = TextGateway::new(texts.clone(), secret(key, &texts.secret_file)?);
        gateways.insert(organisation.id.clone(), gateway);
    }
    Ok(gateways)
}

/// A secret of a file, refused where it is too short to sign with.
fn secret(key: String, path: &Path) -> Result<Zeroizing<String>, StartError> {
    let secret = config::read_secret(&key, path)?;
    if secret.chars().count() < SHORTEST_SECRET {
        return Err(StartError::WebhookSecret { key, shortest: SHORTEST_SECRET });
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_that_is_too_short_to_sign_with_is_refused_by_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.secret");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            secret("organisations[0].identity.text_messages.secret_file".to_owned(), &path)
        };
        let refused = read(&"x".repeat(SHORTEST_SECRET - 1)).unwrap_err().to_string();
        let wanted = ["organisations[0].identity.text_messages.secret_file", &SHORTEST_SECRET.to_string()];
        assert!(wanted.iter().all(|part| refused.contains(part)), "{refused}");
        assert!(!refused.contains("xxx"), "{refused}");
        assert!(read(&"x".repeat(SHORTEST_SECRET)).is_ok());
    }
}
