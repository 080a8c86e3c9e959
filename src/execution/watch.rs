//! Looks at the platform after an erasure or opt-out was proven, and what follows when it did not last (R-48, R-53, F-39).
//!
//! A look is taken, the platform is read without a transaction, and what was seen is recorded with its audit entry in one.
//! What each verdict means:
//!
//! | Seen | What follows |
//! |---|---|
//! | as it was left | the next look |
//! | policies on again, nothing tells that anybody acted since | the opt-out is applied again by a request of its own, once; a second time a person decides |
//! | a policy that the profile does not name any more | a person decides; that policy is never switched off again, for nothing would ever show that it is off |
//! | the contact back, nothing tells that anybody acted since | a person decides: have it erased again, or leave it |
//! | back, and acted upon since, or the person was taken off the suppression list since | a person decides; it is never done again by itself or by us: the newer will stands |
//! | another contact with the same identifier, created since | recorded; a sign-up of their own is allowed |
//! | another contact that seems older | a person decides; the erased one is looked at as before |
//!
//! Why an erasure is not repeated by itself although an opt-out is: a policy can be switched on again, a deletion cannot be
//! taken back.

use std::collections::BTreeSet;

use serde::Serialize;
use uuid::Uuid;

use super::Site;
use super::effect::{bare, is_on};
use super::replay::acted_since;
use crate::audit::{self, Action, Actor, Detail, Event};
use crate::domain::{
    Channel, ContactId, FollowsBecause, Origin, Reference, RequestId, RequestKind, RequesterRole,
    SubjectIdentifier,
};
use crate::intake::{self, Desk, IntakeError, Submission};
use crate::platform::{Contact, Coverage, Created, PlatformError, Urgency};
use crate::store::{PgConnection, Store, StoreError, Tx};
use crate::suppression::watch::{self, Ended, Look, Novelty, Seen, Settings, SettledAs};
use crate::suppression::{self, Purpose};

/// Who looks.
const ACTOR: Actor = Actor::Process("watch");

/// Where somebody looks.
#[derive(Clone, Copy, Debug)]
pub struct Lookout<'a> {
    /// The database.
    pub store: &'a Store,
    /// Keys and clock.
    pub desk: &'a Desk,
    /// The organisation and its contacts.
    pub site: &'a Site,
    /// When to look, and how.
    pub settings: &'a Settings,
}

/// What a round of looks led to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LookedAgain {
    /// Looks that ended.
    pub looked: u64,
    /// Of these, those that found something that was not known.
    pub found: u64,
    /// Requests by which an opt-out is applied again.
    pub applied_again: Vec<Reference>,
    /// Looks that the platform did not answer; they are due again soon.
    pub put_back: u64,
}

/// What a person decided about something found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// Have it done again.
    Again,
    /// Leave it as it is.
    Leave,
}

/// Why a look, or a decision about one, comes to no end.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The platform failed.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The request that does it again was not accepted.
    #[error("the request that would do it again was not accepted")]
    Intake(#[source] IntakeError),
    /// There is no such task.
    #[error("no such finding waits for a decision; see `dsrd suppression watch`")]
    NotFound,
    /// Somebody acted since.
    #[error(
        "it is not done again: the person, or somebody, acted upon the contact since, and the older will does not overrule the \
         newer; ask them, then leave it, and hand in a new request when they ask again"
    )]
    NewerWill,
    /// It is another contact than the one that was erased.
    #[error(
        "it is not done again: this is another contact than the one that was erased, and nobody has shown whose it is; leave it, \
         and hand in a new request when the person asks"
    )]
    OtherContact,
    /// The profile does not name what would be switched off.
    #[error(
        "it is not done again: the profile does not name the policy any more, and nothing would ever show that it is off; look \
         whether it was renamed at the platform, correct opt_out_policies, leave this, and hand in an opt-out for the new name"
    )]
    NotNamed,
    /// The platform shows it as it was left.
    #[error("it is not done again: the platform shows it as it was left by now; leave it")]
    StillSo,
}

/// What a look saw.
struct Sight {
    seen: Seen,
    /// Other contacts that were not expected.
    strangers: Vec<ContactId>,
    searches: u64,
    /// The policies of an opt-out that can be switched off again: those that the profile names, where any of them is on.
    again: Vec<String>,
    /// The identifiers that the profile of an opt-out shows which did not last.
    shown: Vec<SubjectIdentifier>,
}

impl Sight {
    const fn of(seen: Seen) -> Self {
        Self { seen, strangers: Vec::new(), searches: 0, again: Vec::new(), shown: Vec::new() }
    }

    /// Whether nothing is left out when it is done again.
    fn covers(&self, look: &Look) -> bool {
        self.again.len() == look.policies.len()
    }
}

/// Draws the sample of the day and looks at everything that is due, until `halt` says to stop or the platform does not answer.
/// Any number of daemons may call it at any time.
pub async fn look_again(
    lookout: Lookout<'_>,
    halt: impl Fn() -> bool + Send,
) -> Result<LookedAgain, WatchError> {
    let Lookout { store, desk, site, settings } = lookout;
    let organisation = &site.controller.id;
    let mut done = LookedAgain::default();
    let mut tx = store.begin("execution.draw_sample").await?;
    watch::draw_sample(&mut tx, &desk.keys, organisation, settings, desk.clock.now()).await?;
    tx.commit().await?;
    while !halt() {
        let mut connection = store.connection().await?;
        let Some(look) = watch::take_due(&mut connection, &desk.keys, organisation, desk.clock.now()).await?
        else {
            break;
        };
        let identifiers = identifiers_of(lookout, &mut connection, &look).await?;
        drop(connection);
        match see(site, &look, &identifiers).await {
            Ok(sight) => {
                let sight = heed_revocation(lookout, &look, sight).await?;
                if record(lookout, &look, &sight, &mut done).await? {
                    done.looked += 1;
                }
            }
            Err(error) => {
                let mut connection = store.connection().await?;
                watch::put_back(&mut connection, &look, code_of(&error)).await?;
                done.put_back += 1;
                tracing::warn!(%organisation, %error, "a look at what was erased or opted out did not succeed; it is repeated");
                // What one contact's answer is about does not concern the others.
                if !matches!(error, PlatformError::Unreadable { .. } | PlatformError::TooLarge { .. }) {
                    break;
                }
            }
        }
    }
    Ok(done)
}

/// The identifiers to search by: those of the request, each once, while the service still knows them.
async fn identifiers_of(
    lookout: Lookout<'_>,
    connection: &mut PgConnection,
    look: &Look,
) -> Result<Vec<SubjectIdentifier>, StoreError> {
    let (Purpose::ReCreation, true, Some(request)) =
        (look.purpose, lookout.settings.watch_searches, look.request)
    else {
        return Ok(Vec::new());
    };
    let known = intake::identifiers(connection, &lookout.desk.keys, &look.organisation, request).await?;
    let mut distinct: Vec<SubjectIdentifier> = Vec::new();
    for each in known {
        let is_there = distinct.iter().any(|other| {
            other.kind() == each.identifier.kind() && other.normalised() == each.identifier.normalised()
        });
        if !is_there {
            distinct.push(each.identifier);
        }
    }
    Ok(distinct)
}

async fn see(site: &Site, look: &Look, identifiers: &[SubjectIdentifier]) -> Result<Sight, PlatformError> {
    let found = site.platform.find_contact(&look.contact, Urgency::Sweep).await?;
    match look.purpose {
        Purpose::Marketing => {
            let on = |found: &Contact| look.policies.iter().any(|policy| is_on(found, policy));
            let Some(found) = found.filter(on) else { return Ok(Sight::of(Seen::StillSo)) };
            // One that the profile does not name is not seen to be off, and would not be after it is switched off.
            let shown = |policy: &&String| found.policies.get(bare(policy)).copied();
            let named: Vec<&String> = look.policies.iter().filter(|policy| shown(policy).is_some()).collect();
            let is_back = named.iter().any(|policy| shown(policy) == Some(true));
            let again = if is_back { named.into_iter().cloned().collect() } else { Vec::new() };
            let seen = back_or_newer(&found, look);
            Ok(Sight { again, shown: found.identifiers, ..Sight::of(seen) })
        }
        Purpose::ReCreation => match found {
            Some(found) => Ok(Sight::of(back_or_newer(&found, look))),
            None => search(site, look, identifiers).await,
        },
    }
}

/// What is back is wanted by whoever was taken off the suppression list since, whatever brought it back.
async fn heed_revocation(lookout: Lookout<'_>, look: &Look, sight: Sight) -> Result<Sight, StoreError> {
    let (Seen::Back, Some(request)) = (sight.seen, look.request) else { return Ok(sight) };
    let (keys, organisation) = (&lookout.desk.keys, &look.organisation);
    let mut connection = lookout.store.connection().await?;
    let known = intake::identifiers(&mut connection, keys, organisation, request).await?;
    let known: Vec<SubjectIdentifier> = known.into_iter().map(|each| each.identifier).collect();
    let is_revoked = match look.purpose {
        _ if !known.is_empty() => {
            suppression::lacks_any(&mut connection, keys, organisation, look.purpose, &known).await?
        }
        // Forgotten: all that the profile showed was put on the list. Where it shows another one since, a person decides.
        Purpose::Marketing => {
            suppression::lacks_any(&mut connection, keys, organisation, look.purpose, &sight.shown).await?
        }
        // A person decides about it anyway.
        Purpose::ReCreation => false,
    };
    Ok(if is_revoked { Sight { seen: Seen::NewerWill, ..sight } } else { sight })
}

fn back_or_newer(found: &Contact, look: &Look) -> Seen {
    if acted_since(found, look.since) { Seen::NewerWill } else { Seen::Back }
}

/// Looks for other contacts with one of the person's identifiers.
async fn search(site: &Site, look: &Look, identifiers: &[SubjectIdentifier]) -> Result<Sight, PlatformError> {
    let (mut searches, mut older, mut newer) = (0, BTreeSet::new(), BTreeSet::new());
    for identifier in identifiers {
        let answer = site.platform.search(identifier).await?;
        if answer.unreadable > 0 {
            return Err(PlatformError::Unreadable {
                operation: "search",
                detail: "records that cannot be read may be the contact".to_owned(),
            });
        }
        if answer.coverage == Coverage::FilterNotHonoured {
            continue;
        }
        searches += 1;
        for found in answer.contacts {
            let is_newer = match found.created {
                Created::At(created) | Created::About(created) => created > look.since,
                Created::Unknown => false,
            };
            if is_newer {
                newer.insert(found.id)
            } else {
                older.insert(found.id)
            };
        }
    }
    // Those that were there when the erasure was proven are none of its business.
    let strangers: Vec<ContactId> = older.into_iter().filter(|_| look.others == 0).collect();
    let seen = match (strangers.is_empty(), newer.is_empty()) {
        (false, _) => Seen::OtherContact,
        (true, false) => Seen::SignedUp,
        (true, true) => Seen::StillSo,
    };
    Ok(Sight { strangers, searches, ..Sight::of(seen) })
}

pub(super) const fn code_of(error: &PlatformError) -> &'static str {
    match error {
        PlatformError::Throttled { .. } => "throttled",
        PlatformError::Unavailable { .. } => "platform_unavailable",
        PlatformError::AnswerLost { .. } => "answer_lost",
        PlatformError::Rejected { .. } => "platform_rejected",
        PlatformError::BadCredentials { .. } => "bad_credentials",
        PlatformError::Forbidden { .. } => "platform_forbidden",
        PlatformError::Unreadable { .. } => "platform_unreadable",
        PlatformError::TooLarge { .. } => "answer_too_large",
        PlatformError::Withheld { .. } => "withheld",
        PlatformError::ReadOnly { .. } => "read_only",
    }
}

/// Records what was seen with its audit entry, and has an opt-out applied again that did not last; false when somebody else had
/// the look.
async fn record(
    lookout: Lookout<'_>,
    look: &Look,
    sight: &Sight,
    done: &mut LookedAgain,
) -> Result<bool, WatchError> {
    let Lookout { store, desk, settings, .. } = lookout;
    let now = desk.clock.now();
    let mut tx = store.begin("execution.look").await?;
    // Asked before it is recorded, so that this look is not the one.
    let may_apply = look.purpose == Purpose::Marketing
        && sight.seen == Seen::Back
        && sight.covers(look)
        && !watch::was_done_again(&mut tx, look).await?;
    let ended = Ended { seen: sight.seen, strangers: &sight.strangers, searches: sight.searches, at: now };
    let novelty = watch::record(&mut tx, &desk.keys, settings, look, &ended).await?;
    if novelty == Novelty::Overtaken {
        return Ok(false);
    }
    if sight.seen == Seen::StillSo || novelty == Novelty::Known {
        tx.commit().await?;
        return Ok(true);
    }
    let detail = Detail::none()
        .word("look", &look.id.to_string())
        .word("purpose", look.purpose.as_str())
        .word("seen", sight.seen.as_str())
        .word("cause", look.cause.as_str())
        .count("after_days", look.after_days.into());
    audit::append(&mut tx, about(look, Action::Reappeared, ACTOR, now).with(detail)).await?;
    if may_apply {
        let reference = do_again(lookout, &mut tx, (look, &sight.again), ACTOR).await?;
        done.applied_again.push(reference);
    }
    tx.commit().await?;
    done.found += 1;
    tracing::warn!(
        organisation = %look.organisation, kind = %look.purpose, reason = sight.seen.as_str(),
        "what was erased or opted out is not as it was left; see dsrd suppression watch"
    );
    Ok(true)
}

/// Hands in the request that does it again, of an opt-out for these policies, and settles the look by it.
async fn do_again(
    lookout: Lookout<'_>,
    tx: &mut Tx,
    (look, policies): (&Look, &[String]),
    actor: Actor,
) -> Result<Reference, WatchError> {
    let Lookout { desk, site, .. } = lookout;
    let now = desk.clock.now();
    let former = match look.request {
        Some(request) => intake::find_case(tx, &look.organisation, request).await?,
        None => None,
    };
    let submission = Submission {
        kind: match look.purpose {
            Purpose::ReCreation => RequestKind::Erasure,
            Purpose::Marketing => {
                former.as_ref().and_then(intake::Case::opt_out_again).unwrap_or(RequestKind::OptOut)
            }
        },
        also: Vec::new(),
        kind_unknown: false,
        requester_role: RequesterRole::Own,
        origin: Origin::Subject,
        channel: Channel::Api,
        received_at: now,
        language: former.as_ref().filter(|case| case.language_named).map(|case| case.language.clone()),
        identifiers: Vec::new(),
        ground: former.as_ref().filter(|_| look.purpose == Purpose::ReCreation).and_then(|case| case.ground),
        policies: policies.to_vec(),
        // What was known of who asked, and since when: nobody proves anything anew here.
        proof: former.as_ref().and_then(intake::Case::proof),
        producer: "watch".to_owned(),
        handed_in_by: Some(actor.clone()),
        idempotency_key: look.id.to_string(),
        sweep_target: Some((look.contact.clone(), now)),
        follows: former.as_ref().map(|case| case.followed(&site.controller, FollowsBecause::Again)),
    };
    let receipt = intake::submit(tx, desk, &site.controller, submission).await.map_err(WatchError::Intake)?;
    let again = (SettledAs::Again, Some((receipt.request, &receipt.reference)));
    // Nothing else than what is back is done again.
    settle(tx, (look, Seen::Back), again, actor, now).await?;
    Ok(receipt.reference)
}

async fn settle(
    tx: &mut Tx,
    (look, seen): (&Look, Seen),
    (settled, again): (SettledAs, Option<(RequestId, &Reference)>),
    actor: Actor,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), StoreError> {
    let by = actor.to_string();
    watch::settle(tx, (look, seen), (settled, again.map(|(request, _)| request)), &by, now).await?;
    let mut detail = Detail::none().word("look", &look.id.to_string()).word("settled", settled.as_str());
    if let Some((_, reference)) = again {
        detail = detail.word("request", reference.as_str());
    }
    audit::append(tx, about(look, Action::ReappearanceSettled, actor, now).with(detail)).await.map(|_| ())
}

fn about(look: &Look, action: Action, actor: Actor, at: chrono::DateTime<chrono::Utc>) -> Event {
    match look.request {
        Some(request) => Event::of(&look.organisation, request, action, actor, at),
        None => Event::general(&look.organisation, action, actor, at),
    }
}

/// Settles something found as a person decided. The platform is read once more before: somebody may have acted meanwhile, and what is
/// as it was left by now needs no decision. Returns the request that does it again, if one does.
pub async fn settle_look(
    lookout: Lookout<'_>,
    look: Uuid,
    decided: Decided,
    actor: Actor,
) -> Result<Option<Reference>, WatchError> {
    let Lookout { store, desk, site, .. } = lookout;
    let organisation = &site.controller.id;
    let mut tx = store.begin("execution.read_look").await?;
    let found = watch::lock_open(&mut tx, &desk.keys, organisation, look).await?;
    tx.commit().await?;
    let (found, seen) = found.ok_or(WatchError::NotFound)?;
    let sight = match (decided, seen) {
        (_, Seen::Back) | (Decided::Leave, Seen::NewerWill) => {
            match see(site, &found, &[]).await {
                Ok(sight) => heed_revocation(lookout, &found, sight).await?,
                // What is left is left as it was found, whatever the platform shows or does not show by now.
                Err(_) if decided == Decided::Leave => Sight::of(seen),
                Err(error) => return Err(error.into()),
            }
        }
        (_, seen) => Sight::of(seen),
    };
    let left_as = if sight.seen == Seen::StillSo { SettledAs::Known } else { SettledAs::Left };
    let policies = match decided {
        Decided::Again => what_to_do_again(&found, sight)?,
        Decided::Leave => Vec::new(),
    };
    let mut tx = store.begin("execution.settle_look").await?;
    let found = watch::lock_open(&mut tx, &desk.keys, organisation, look).await?;
    let (found, seen) = found.ok_or(WatchError::NotFound)?;
    let again = match decided {
        Decided::Again => Some(do_again(lookout, &mut tx, (&found, &policies), actor).await?),
        Decided::Leave => {
            settle(&mut tx, (&found, seen), (left_as, None), actor, desk.clock.now()).await?;
            None
        }
    };
    tx.commit().await?;
    Ok(again)
}

/// The policies of an opt-out that are to be switched off again, none of an erasure; or why it is not done again.
fn what_to_do_again(found: &Look, sight: Sight) -> Result<Vec<String>, WatchError> {
    match sight.seen {
        Seen::Back if found.purpose == Purpose::Marketing && sight.again.is_empty() => {
            Err(WatchError::NotNamed)
        }
        Seen::Back => Ok(sight.again),
        Seen::NewerWill => Err(WatchError::NewerWill),
        Seen::StillSo => Err(WatchError::StillSo),
        Seen::OtherContact | Seen::SignedUp => Err(WatchError::OtherContact),
    }
}

/// Plans a look at once at everything whose contact is still known, and looks.
pub async fn look_now(lookout: Lookout<'_>) -> Result<LookedAgain, WatchError> {
    let Lookout { store, desk, site, .. } = lookout;
    let mut tx = store.begin("execution.look_now").await?;
    watch::look_at_all(&mut tx, &desk.keys, &site.controller.id, desk.clock.now()).await?;
    tx.commit().await?;
    look_again(lookout, || false).await
}
