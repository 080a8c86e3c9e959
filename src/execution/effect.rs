//! The two outside effects at the platform, and how each is looked for.

use crate::audit::Action;
use crate::domain::ContactId;
pub(super) use crate::domain::bare_policy as bare;
use crate::platform::{Call, Contact, ContactPlatform, EffectAnswer, Leave, PlatformError, Urgency};

use super::Step;

/// An effect at the platform, ready to be carried out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect<'a> {
    /// Switch one policy off.
    SwitchOff {
        /// Of whom.
        contact: &'a ContactId,
        /// Which.
        policy: &'a str,
    },
    /// Delete the contact.
    Delete {
        /// Whom.
        contact: &'a ContactId,
        /// On whose behalf.
        urgency: Urgency,
    },
}

impl<'a> Effect<'a> {
    pub(super) const fn step(&self) -> Step {
        match self {
            Self::SwitchOff { .. } => Step::SwitchOff,
            Self::Delete { .. } => Step::Delete,
        }
    }

    /// Which of a step's several effects it is.
    pub(super) const fn item(&self) -> &'a str {
        match self {
            Self::SwitchOff { policy, .. } => policy,
            Self::Delete { .. } => "",
        }
    }

    pub(super) const fn began(&self) -> Action {
        match self {
            Self::SwitchOff { .. } => Action::PolicyBegan,
            Self::Delete { .. } => Action::DeletionBegan,
        }
    }

    pub(super) const fn ended(&self) -> Action {
        match self {
            Self::SwitchOff { .. } => Action::PolicyEnded,
            Self::Delete { .. } => Action::DeletionEnded,
        }
    }

    /// Reads whether the effect is in place. A contact that is gone receives no marketing either.
    pub(super) async fn is_in_place(&self, platform: &dyn ContactPlatform) -> Result<bool, PlatformError> {
        match self {
            Self::SwitchOff { contact, policy } => {
                let found = platform.find_contact(contact, Urgency::Request).await?;
                Ok(found.is_none_or(|contact| contact.policies.get(bare(policy)) == Some(&false)))
            }
            Self::Delete { contact, urgency } => {
                // One that is marked as deleted may only be disabled, and a deletion is safe to repeat (API file, 7.7).
                Ok(platform.find_contact(contact, *urgency).await?.is_none())
            }
        }
    }

    pub(super) fn call(&self, platform: &'a dyn ContactPlatform, leave: Leave<'a>) -> Call<'a, EffectAnswer> {
        match self {
            Self::SwitchOff { contact, policy } => platform.set_policy(contact, policy, false, leave),
            Self::Delete { contact, .. } => platform.delete_contact(contact, leave),
        }
    }
}

/// Whether a policy is on, as far as the profile tells. One that it does not name is not seen to be off; a contact that is marked
/// as deleted may have lost its profile, so that of it only what is named counts. One that is merely disabled is there, and
/// may be enabled again with all that is on.
pub(super) fn is_on(contact: &Contact, policy: &str) -> bool {
    contact.policies.get(bare(policy)).copied().unwrap_or(!contact.deleted)
}
