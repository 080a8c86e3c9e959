//! What a person can do about a request that waits for one, by its reason, with the exact commands.

use crate::domain::{Handling, ParkReason, RefusalGround, RequestKind, RequestState};
use crate::intake::Case;

/// What can be done while the person is asked something; none when they are not.
fn while_the_person_is_asked(case: &Case) -> Option<Vec<String>> {
    let reference = case.reference.as_str();
    match case.state {
        RequestState::NeedsIdentity => Some(vec![
            format!("send the link once more: dsrd request ask-again {reference}"),
            format!(
                "or record how you found out who asks: dsrd decide identity {reference} --method in_person"
            ),
            format!("or refuse it on a ground of the law: dsrd decide refuse {reference} --ground RF-NN"),
        ]),
        RequestState::NeedsClarification => Some(vec![
            format!("when the person answers: dsrd request clarified {reference}"),
            format!("or when they do not: dsrd request clarified {reference} --no-answer"),
        ]),
        _ => None,
    }
}

/// What has to be mended before a request that waits for this reason is sent on its way again.
const fn to_mend(reason: ParkReason) -> Option<&'static str> {
    match reason {
        ParkReason::VerificationFailed => Some(
            "look at the contact in the platform; when it is as it should be or after a ticket with the vendor",
        ),
        ParkReason::PlatformForbidden => {
            Some("give the platform's key the rights that the log names, run dsrd check")
        }
        ParkReason::PlatformRejected => {
            Some("look at the contact in the platform, carry it out or mend it there")
        }
        ParkReason::PackageTooLarge => {
            Some("raise report.largest_records_bytes or report.largest_package_bytes, restart")
        }
        ParkReason::SearchNotHonoured => Some("correct platform.dialect or set platform.full_scan, restart"),
        ParkReason::PlatformUnreadable
        | ParkReason::RecordUnreadable
        | ParkReason::AttemptsExhausted
        | ParkReason::Poison
        | ParkReason::CheckpointUnreadable => Some("mend the cause that the log names (see the runbook)"),
        _ => None,
    }
}

/// Whether what was refused may have been the question who asks: nothing was carried out or decided, and that was wanted.
fn asks_who(case: &Case) -> bool {
    case.identity_until.is_some() && !case.is_settled()
}

/// Whether an opt-out switches off what the configuration names.
fn has_configured_policies(case: &Case) -> bool {
    case.kind.handling() == Handling::OptOut && !case.policies_named
}

/// How a person finds out who asks.
fn find_out(reference: &str) -> String {
    format!(
        "find out who asks, for example by calling the number in the profile, then: dsrd decide identity {reference} --method contact_point"
    )
}

/// One line an act; none for a request that waits for nobody. Contacts are searched for by what was given, if anything was.
#[expect(clippy::too_many_lines, reason = "one arm a reason for which a request waits")]
pub(super) fn what_you_can_do(case: &Case, is_given: bool) -> Vec<String> {
    let reference = case.reference.as_str();
    if let Some(acts) = while_the_person_is_asked(case) {
        return acts;
    }
    let Some(reason) = case.park_reason else { return Vec::new() };
    let resume = |cause: &str| format!("{cause}, then: dsrd request resume {reference}");
    let tell = |how: &str| {
        format!("tell the person by letter or telephone{how}, then: dsrd request informed {reference}")
    };
    let with_package = matches!(case.kind.handling(), Handling::Access | Handling::Portability);
    let package = if with_package && case.verified_at.is_some() && case.refusal.is_none() {
        format!(" (the data: dsrd request package {reference} --out FILE)")
    } else {
        String::new()
    };
    let choose = |what: &str| {
        vec![
            format!("{what}: dsrd decide candidates {reference}"),
            format!(
                "then choose the one that is meant: dsrd decide choose {reference} --contact CODE --reason told_by_person"
            ),
        ]
    };
    let mut acts = match reason {
        ParkReason::AmbiguousMatch => choose("look at the contacts that match, masked"),
        ParkReason::IdentifiersDisagree => {
            choose("look at the contacts that the identifiers lead to, masked")
        }
        ParkReason::ChosenContactChanged if case.located => vec![
            resume(if with_package {
                "if the profile carries an identifier of the request again, and the address to which the link would go"
            } else {
                "if the profile carries an identifier of the request again"
            }),
            format!(
                "or when the person takes it back, because nobody else can be chosen for it any more: dsrd request withdraw {reference}, and hand in a new request with the identifiers as they are now: dsrd request submit"
            ),
        ],
        ParkReason::ChosenContactChanged => {
            let mut acts = choose("look at the contacts that match now, masked");
            acts.push(resume("or when nobody is left to choose"));
            acts
        }
        ParkReason::WaitsForAccess => vec![
            format!(
                "end the access request {} first, then: dsrd request resume {reference}",
                case.waits_for.as_deref().unwrap_or("of the same person")
            ),
            format!("or delete although it is open: dsrd request resume {reference} --despite-access"),
        ],
        ParkReason::IdentityUnproven => vec![find_out(reference)],
        ParkReason::NoContactPoint => vec![tell(&package)],
        ParkReason::NoticeRefused if asks_who(case) => vec![
            find_out(reference),
            resume("or mend the mail server, if it was at fault, and let them be asked again"),
        ],
        ParkReason::NoticeRefused => vec![resume("mend the mail server, if it was at fault"), tell(&package)],
        ParkReason::NoticeFailed => {
            vec![resume("mend the cause that the log names"), tell(&package)]
        }
        ParkReason::DoneBeforeRestore => vec![
            "look at what was done, and settle it: dsrd ledger replay".to_owned(),
            resume("if it is to be done again after all, settle it"),
            format!(
                "or when it is not: dsrd request informed {reference}, dsrd decide refuse {reference} or dsrd request withdraw {reference}"
            ),
        ],
        ParkReason::NewerWill => {
            let mut acts = if is_given {
                choose("ask the person what they want now; if still this, look at the contact, masked")
            } else {
                vec!["ask the person what they want now; if still this, hand in a new request: dsrd request submit".to_owned()]
            };
            if let Some(restriction) = &case.waits_for {
                acts.push(resume(&format!("or once the restriction {restriction} is lifted")));
            }
            acts.push(format!("or if not any more: dsrd request withdraw {reference}"));
            acts
        }
        ParkReason::NothingToOptOutOf => vec![resume("set opt_out_policies, restart")],
        ParkReason::VerificationFailed | ParkReason::PlatformRejected if has_configured_policies(case) => {
            let mut acts = vec![resume(
                "if a name in opt_out_policies is wrong (dsrd check says which the platform knows): correct it, restart",
            )];
            acts.extend(to_mend(reason).map(|cause| resume(&format!("or {cause}"))));
            acts
        }
        ParkReason::NotAutomated => vec![format!(
            "carry it out, write what you did into a file, then: dsrd request answered {reference} --outcome fulfilled --answer-file FILE"
        )],
        ParkReason::NothingPortable => vec![
            resume(
                "say on which legal bases each category is held (erasure.legal_bases: consent or contract), restart",
            ),
            format!(
                "or carry it out yourself, write what you did into a file, then: dsrd request answered {reference} --outcome fulfilled --answer-file FILE"
            ),
        ],
        ParkReason::FeeUnanswered => vec![resume("carry it out without a fee")],
        ParkReason::HoldUnclear => match &case.waits_for {
            Some(holds) => vec![
                format!(
                    "look at {}, of somebody with the same telephone number: if it is about this person as well, dsrd hold place \
                     --request {reference}, then: dsrd request resume {reference}",
                    holds.replace(' ', ", ")
                ),
                format!(
                    "or if it is about somebody else: dsrd request resume {reference} --held-is-another {}",
                    holds.replace(' ', ",")
                ),
            ],
            None => vec![resume(
                "the records do not tell when the hold ends: place one with a last day (dsrd hold place --until), end the other \
                 (dsrd hold lift)",
            )],
        },
        ParkReason::RequesterNotSelf => vec![format!(
            "check that the {} may ask for the data subject, then: dsrd decide accept {reference} --reason authority_checked",
            case.requester_role
        )],
        ParkReason::VerificationFailed
        | ParkReason::PlatformForbidden
        | ParkReason::PlatformRejected
        | ParkReason::PackageTooLarge
        | ParkReason::SearchNotHonoured
        | ParkReason::PlatformUnreadable
        | ParkReason::RecordUnreadable
        | ParkReason::AttemptsExhausted
        | ParkReason::Poison
        | ParkReason::CheckpointUnreadable => to_mend(reason).map(resume).into_iter().collect(),
    };
    let carried_out = case.verified_at.is_some() && package.is_empty();
    acts.extend(other_ends(case, reason, carried_out));
    acts
}

/// What may be done instead.
fn other_ends(case: &Case, reason: ParkReason, carried_out: bool) -> Vec<String> {
    let reference = case.reference.as_str();
    let mut acts = Vec::new();
    if case.kind == RequestKind::Other && reason == ParkReason::NotAutomated {
        acts.push(
            "or when it turns out to be another right, hand that in with the same date: dsrd request submit --kind KIND, and answer this one"
                .to_owned(),
        );
    }
    if case.refusal.is_none()
        && case.answered.is_none()
        && !carried_out
        && RefusalGround::of(case.kind).next().is_some()
    {
        acts.push(format!(
            "or refuse it on a ground of the law: dsrd decide refuse {reference} --ground RF-NN"
        ));
    }
    acts
}
