//! The one thing about a person that a recipient is told: the platform's id of the contact, sealed at rest.

use uuid::Uuid;

use crate::domain::{ContactId, KeyError, MasterKey, Personal};

/// The purpose under which it is sealed.
const OBJECT: &str = "recipient_object";

pub(super) fn seal(keys: &MasterKey, task: Uuid, contact: &ContactId) -> Vec<u8> {
    let clear = Personal::new(contact.as_str().as_bytes().to_vec());
    keys.sealing(OBJECT).seal(&task.to_string(), &clear)
}

pub(super) fn open(keys: &MasterKey, task: Uuid, sealed: &[u8]) -> Result<Personal<ContactId>, KeyError> {
    let clear = keys.sealing(OBJECT).open(&task.to_string(), sealed)?;
    let text = String::from_utf8(clear.into_exposed()).map_err(|_| KeyError::DoesNotOpen)?;
    text.parse().map(Personal::new).map_err(|_| KeyError::DoesNotOpen)
}
