//! Whether mails could leave.

use super::Findings;
use crate::cli::context::Context;
use crate::delivery::{self, Transport, TransportKind};
use crate::domain::StaffRole;

pub(super) async fn check(context: &Context, findings: &mut Findings) {
    const CHECK: &str = "mail";
    let settings = &context.settings().delivery;
    if let Err(error) = delivery::check_texts() {
        findings.fail_with("mail texts", &error);
    }
    for organisation in &context.settings().organisations {
        let id = &organisation.id;
        if !delivery::speaks(&organisation.language) {
            findings.warn(
                format!("language of {id}"),
                format!("there are no texts in {:?}: notices are in English", organisation.language),
                "set organisations.language to en, de, fr, it or es",
            );
        }
        if StaffRole::ALL.iter().all(|role| organisation.escalation.address_of(*role).is_none()) {
            findings.warn(
                format!("staff of {id}"),
                "nobody is told of requests that are due, late or failed",
                "set organisations.escalation.dpo to a mail address",
            );
        }
    }
    // Whatever is wrong with the settings was told before.
    if settings.check().is_err() {
        return;
    }
    if settings.transport == TransportKind::File {
        findings.warn(
            CHECK,
            "mails are written into files",
            "set delivery.transport to smtp for real people",
        );
        return;
    }
    let server = format!("{}:{}", settings.smtp.host, settings.smtp.port);
    match Transport::open(settings, &context.settings().data_dir).await {
        Ok(transport) => match transport.check().await {
            Ok(()) => findings.ok(CHECK, format!("{server} takes our connection")),
            Err(failure) => findings.fail(
                CHECK,
                format!("{server} does not take our connection ({})", failure.code),
                "check delivery.smtp: host, port, security, username and password_file",
            ),
        },
        Err(error) => findings.fail_with(CHECK, &error),
    }
}
