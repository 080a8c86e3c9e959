//! The end: everything that can be looked at is gathered, compared and told.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use chrono::SecondsFormat;
use dsrd_simulator::Simulator;
use uuid::Uuid;

use super::package::{self, LinkMail, Unpacked};
use super::place::Place;
use super::play::{Play, Played};
use super::summary::{AskedView, AuditView, MailsView, PackageView, PlatformView, Summary, SweepView};
use super::verdict::{Evidence, Journal, in_plain_words};
use crate::domain::{RequestId, RequestKind, RequestState};
use crate::intake::{self, Case};
use crate::report::Section;

/// More requests than a demonstration can have.
const MOST_CASES: i64 = 10_000;

/// What the end needs.
pub(super) struct Closing<'a> {
    pub(super) play: &'a Play<'a>,
    pub(super) place: &'a Place,
    pub(super) simulator: &'a Simulator,
    pub(super) keeps_running: bool,
}

impl Closing<'_> {
    /// Opens the package, looks at the link, reads the log to its end, and compares.
    pub(super) async fn summarise(&self, mut played: Played, begun: Instant) -> anyhow::Result<Summary> {
        let foundation = self.play.foundation;
        let cases = self.cases().await?;
        let answered = played.asked.iter().find_map(|asked| {
            let case = cases.get(&asked.request?)?;
            (case.kind == RequestKind::Access && case.state == RequestState::Closed).then_some(case)
        });
        // Shown where somebody can try the page: the person is invented.
        let asked_with = self.keeps_running.then(|| {
            let by = answered
                .and_then(|case| played.asked.iter().find(|each| each.request == Some(case.request.0)));
            by.map(|asked| asked.identifier.given().expose().clone())
        });
        let unpacked = match answered {
            Some(case) => Some(self.unpack(case).await?),
            None => None,
        };
        let mails = package::list_mails(&self.place.mails())?;
        let mail = package::find_link(&mails, &foundation.settings.delivery.link_base_url)?;
        let link_works = match &mail {
            Some(mail) => package::page_opens(&mail.link).await,
            None => false,
        };
        played.ledger.catch_up_with_all(&foundation.store).await?;

        let evidence = Evidence {
            played: &played,
            cases: &cases,
            platform: self.play.platform,
            mails: mails.len() as u64,
            link_works,
        };
        let unexpected = evidence.unexpected();
        let package = unpacked.zip(answered).map(|(unpacked, case)| PackageView {
            link_asks_for: asked_with.flatten(),
            ..view_of_package(&unpacked, &played, case.request.0, mail.as_ref(), link_works)
        });
        Ok(Summary {
            as_expected: unexpected.is_empty(),
            unexpected,
            seconds: (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0,
            directory: shown(self.place.directory()),
            configuration: shown(&self.place.configuration()),
            log: shown(&self.place.log()),
            requests: views_of_requests(&evidence),
            sweep: self.view_of_sweep(&evidence),
            package,
            mails: MailsView {
                directory: shown(&self.place.mails()),
                written: mails.len() as u64,
                acknowledgements_overtaken: played.ledger.superseded(),
                with_link: mail.map(|mail| shown(&mail.file)),
            },
            audit: view_of_audit(&played),
            platform: self.view_of_platform(&evidence),
            keeps_running: self.keeps_running,
            commands: self.commands(answered),
        })
    }

    async fn cases(&self) -> anyhow::Result<BTreeMap<Uuid, Case>> {
        let mut connection = self.play.foundation.store.connection().await?;
        let organisation = &self.play.organisation.id;
        let cases = intake::list_cases(&mut connection, organisation, None, None, MOST_CASES).await?;
        Ok(cases.into_iter().map(|case| (case.request.0, case)).collect())
    }

    async fn unpack(&self, case: &Case) -> anyhow::Result<Unpacked> {
        let (context, foundation) = (self.play.context, self.play.foundation);
        let request: (RequestId, _) = (case.request, &case.reference);
        package::unpack(context, foundation, self.place, &case.organisation, request)
            .await
            .with_context(|| format!("the package of {} cannot be unpacked", case.reference))
    }

    fn view_of_sweep(&self, evidence: &Evidence<'_>) -> SweepView {
        let sweep = &evidence.played.sweep;
        SweepView {
            keep_months: self.play.organisation.retention.keep_months.unwrap_or_default(),
            created_before: sweep.created_before.to_rfc3339_opts(SecondsFormat::Secs, true),
            created_before_for_people: self.play.organisation.controller().local_time(sweep.created_before),
            contacts: sweep.contacts,
            past_their_time: sweep.candidates,
            submitted: sweep.submitted,
            erased: evidence.erased_by_sweep(),
        }
    }

    fn view_of_platform(&self, evidence: &Evidence<'_>) -> PlatformView {
        let journal = Journal::read(self.play.platform);
        PlatformView {
            base_url: self.simulator.base_url(),
            calls: self.simulator.journal().total_calls(),
            deletions: journal.deleted.len() as u64,
            deletions_approved: evidence.approved().len() as u64,
            policy_changes: journal.policies.len() as u64,
            contacts_before: evidence.played.contacts_before,
            contacts_after: self.play.platform.contact_number() as u64,
        }
    }

    /// How to go on. The commands start the private database by themselves where it does not run.
    fn commands(&self, answered: Option<&Case>) -> Vec<String> {
        let dsrd = format!("{} --config {}", program(), word(&shown(&self.place.configuration())));
        let mut commands = vec![format!("{dsrd} request list")];
        if let Some(case) = answered {
            commands.push(format!("{dsrd} request show {}", case.reference));
            commands.push(format!("{dsrd} request package {} --out {}.zip", case.reference, case.reference));
            commands.push(format!("{dsrd} audit show {}", case.reference));
        }
        commands.push(format!("{dsrd} retention list"));
        commands
    }
}

fn views_of_requests(evidence: &Evidence<'_>) -> Vec<AskedView> {
    let view = |asked| {
        let case = evidence.case_of(asked);
        AskedView {
            asked: asked.what.to_owned(),
            by: asked.masked(),
            came_by: asked.door.as_str(),
            reference: case.map(|case| case.reference.to_string()),
            state: case.map(|case| case.state.to_string()),
            result: case.and_then(|case| {
                let outcome = case.outcome.map(|outcome| outcome.to_string());
                outcome.or_else(|| case.park_reason.map(|reason| reason.to_string()))
            }),
            in_plain_words: in_plain_words(asked, case),
        }
    };
    evidence.played.asked.iter().map(view).collect()
}

fn view_of_package(
    unpacked: &Unpacked,
    played: &Played,
    request: Uuid,
    mail: Option<&LinkMail>,
    link_works: bool,
) -> PackageView {
    let counts = played.ledger.package_counts(request);
    PackageView {
        encrypted: shown(&unpacked.encrypted),
        archive: shown(&unpacked.archive),
        page: shown(&unpacked.page),
        records: Section::ALL.iter().filter_map(|section| counts.get(section.as_str())).sum(),
        link: mail.map(|mail| mail.link.clone()),
        link_opened: link_works,
        link_asks_for: None,
    }
}

fn view_of_audit(played: &Played) -> AuditView {
    let (announced, ended) = played.ledger.effects();
    AuditView {
        entries: played.ledger.number(),
        gaps: played.ledger.gaps(),
        effects_announced: announced,
        effects_ended: ended,
        effects_proved_by_reading_back: played.ledger.read_back().len() as u64,
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// This program as it can be typed from the present directory.
fn program() -> String {
    let Ok(program) = std::env::current_exe() else { return "dsrd".to_owned() };
    let here = std::env::current_dir().ok();
    let relative =
        here.and_then(|here| program.strip_prefix(here).ok().map(|rest| Path::new(".").join(rest)));
    word(&shown(&relative.unwrap_or(program)))
}

/// A word of a command line.
fn word(text: &str) -> String {
    let plain = |each: char| each.is_ascii_alphanumeric() || "/_-.".contains(each);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_spaces_are_one_word() {
        assert_eq!(word("/tmp/dsrd-demo-1/dsrd.toml"), "/tmp/dsrd-demo-1/dsrd.toml");
        assert_eq!(word("/tmp/my demo's"), r"'/tmp/my demo'\''s'");
    }
}
