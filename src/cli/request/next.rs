//! What a person can do about a request that waits for one, by its reason, with the exact commands.

use crate::domain::{ParkReason, RefusalGround, RequestKind, RequestState};
use crate::intake::Case;

/// One line an act; none for a request that waits for nobody.
pub(super) fn what_you_can_do(case: &Case) -> Vec<String> {
    let reference = case.reference.as_str();
    if case.state == RequestState::NeedsIdentity {
        return vec![
            format!("send the link once more: dsrd request ask-again {reference}"),
            format!(
                "or record how you found out who asks: dsrd decide identity {reference} --method in_person"
            ),
            format!("or refuse it on a ground of the law: dsrd decide refuse {reference} --ground RF-NN"),
        ];
    }
    let Some(reason) = case.park_reason else { return Vec::new() };
    let resume = |cause: &str| format!("{cause}, then: dsrd request resume {reference}");
    let tell = |how: &str| {
        format!("tell the person by letter or telephone{how}, then: dsrd request informed {reference}")
    };
    let package = if case.kind == RequestKind::Access && case.contact.is_some() && case.refusal.is_none() {
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
        ParkReason::IdentityUnproven => vec![format!(
            "find out who asks, for example by calling the number in the profile, then: dsrd decide identity {reference} --method contact_point"
        )],
        ParkReason::NoContactPoint => vec![tell(&package)],
        ParkReason::NoticeRefused => vec![resume("mend the mail server, if it was at fault"), tell(&package)],
        ParkReason::NoticeFailed => {
            vec![resume("mend the cause that the log names"), tell(&package)]
        }
        ParkReason::VerificationFailed => {
            vec![resume(
                "look at the contact in the platform; when it is as it should be or after a ticket with the vendor",
            )]
        }
        ParkReason::PlatformForbidden => {
            vec![resume("give the platform's key the rights that the log names, run dsrd check")]
        }
        ParkReason::PlatformRejected => {
            vec![resume("look at the contact in the platform, carry it out or mend it there")]
        }
        ParkReason::PackageTooLarge => {
            vec![resume("raise report.largest_records_bytes or report.largest_package_bytes, restart")]
        }
        ParkReason::SearchNotHonoured => {
            vec![resume("correct platform.dialect or set platform.full_scan, restart")]
        }
        ParkReason::NothingToOptOutOf => {
            vec!["set opt_out_policies and restart, or hand in a new request with --policy: dsrd request submit".to_owned()]
        }
        ParkReason::PlatformUnreadable
        | ParkReason::RecordUnreadable
        | ParkReason::AttemptsExhausted
        | ParkReason::Poison
        | ParkReason::CheckpointUnreadable => {
            vec![resume("mend the cause that the log names (see the runbook)")]
        }
    };
    let carried_out = case.verified_at.is_some() && package.is_empty();
    if case.refusal.is_none() && !carried_out && RefusalGround::of(case.kind).next().is_some() {
        acts.push(format!(
            "or refuse it on a ground of the law: dsrd decide refuse {reference} --ground RF-NN"
        ));
    }
    acts
}
