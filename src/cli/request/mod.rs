//! `dsrd request`: data-subject requests.

mod acts;
mod answered;
mod ask;
mod bounced;
mod floods;
mod next;
mod package;
mod parked;
mod show;
mod submit;

use std::str::FromStr;

use clap::Subcommand;

use super::Failure;
use super::context::Context;
use super::output::Output;
use crate::audit::{self, Filter};
use crate::daemon::Foundation;
use crate::domain::{OrganisationId, RequestId};
use crate::intake;

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Hand in a request: from a file, from standard input, or by answering questions.
    ///
    /// Who the person is stands in the file or on standard input, never in an argument, because every user of a host can
    /// read the arguments of a process and shells keep them. At a terminal and without --from you are asked for what is
    /// missing.
    Submit(Box<submit::Args>),
    /// Show one request with its steps. Identifiers are shown with --reveal only.
    Show(show::ShowArgs),
    /// List requests of people: open ones first, by due date. Erasures of retention sweeps with --origin retention.
    List(show::ListArgs),
    /// End a request at the person's wish, as long as nothing was begun that cannot be taken back.
    Withdraw(acts::WithdrawArgs),
    /// Send a request that waits for a person on its way again.
    Resume(acts::ResumeArgs),
    /// Send the link once more by which a person proves that a request is theirs, to the address in their profile.
    AskAgain(acts::AskAgainArgs),
    /// Record that the person was told the outcome by other means, and let the request end.
    Informed(acts::Args),
    /// Record that you carried out a request of a kind that no procedure covers, and how. The person is told what you
    /// write; the request is closed when the mail server took that answer.
    Answered(answered::Args),
    /// Record that the person answered the question that dsrd decide ask-clarification put to them, and send the request on
    /// its way again. Time that stood still, where the law says so, is added to the date.
    Clarified(acts::ClarifiedArgs),
    /// Record that a notice came back after the mail server had taken it: the person was not told.
    ///
    /// The request stays as it ended; staff is alerted every day until the person was told by other means (`dsrd request
    /// informed`).
    Bounced(bounced::Args),
    /// Decrypt the access package of a request for a person who cannot use the link.
    Package(package::Args),
    /// Show in which hours and days more was handed in than the limits allow at once, by whom, and how much of it waits.
    Floods(floods::Args),
    /// Rows of producers that could not become a request: look at them, correct and hand them in, or remove them.
    #[command(subcommand)]
    Parked(parked::Command),
}

pub(super) use acts::{classed, unasked};
pub(super) use submit::received_at;

impl Command {
    /// What can be refused before anything is opened.
    pub(super) fn refuse_identifiers(&self) -> anyhow::Result<()> {
        match self {
            Self::Submit(args) => args.refuse_identifiers(),
            _ => Ok(()),
        }
    }
}

pub(super) async fn run(command: Command, context: Context, output: &Output) -> anyhow::Result<()> {
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let result = match command {
        Command::Submit(args) => submit::run(*args, &context, &foundation, output).await,
        Command::Show(args) => show::show(args, &context, &foundation, output).await,
        Command::List(args) => show::list(args, &context, &foundation, output).await,
        Command::Withdraw(args) => acts::withdraw(args, &context, &foundation, output).await,
        Command::Resume(args) => acts::resume(args, &context, &foundation, output).await,
        Command::Informed(args) => acts::run(acts::Act::Informed, args, &context, &foundation, output).await,
        Command::AskAgain(args) => acts::ask_again(args, &context, &foundation, output).await,
        Command::Clarified(args) => acts::clarified(args, &context, &foundation, output).await,
        Command::Answered(args) => answered::run(args, &context, &foundation, output).await,
        Command::Bounced(args) => bounced::run(args, &context, &foundation, output).await,
        Command::Floods(args) => floods::run(args, &context, &foundation, output).await,
        Command::Parked(command) => parked::run(command, &context, &foundation, output).await,
        Command::Package(args) => package::run(args, &context, &foundation, output).await,
    };
    foundation.close().await;
    result
}

/// A request as people name it: by id, or by the reference that stands in mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Id(RequestId),
    Reference(String),
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let reference = text.trim().to_uppercase();
        let plain = reference.chars().all(|each| each.is_ascii_alphanumeric() || each == '-');
        if reference.starts_with("DSR-") && plain {
            Ok(Self::Reference(reference))
        } else {
            Err("write the id of a request (a UUID) or its reference (DSR-XXXX-XXXX)".to_owned())
        }
    }
}

impl Case {
    /// The id, if there is such a request in the organisation.
    pub(super) async fn find(
        &self,
        foundation: &Foundation,
        organisation: &OrganisationId,
    ) -> anyhow::Result<RequestId> {
        self.look_for(foundation, organisation).await?.ok_or_else(|| {
            Failure::NotFound
                .because(format!("no such request of organisation {organisation}; see `dsrd request list`"))
        })
    }

    /// The id, if there is or was such a request in the organisation: its entries outlive it, where its evidence is past its term
    /// or the working tables are of an older moment. Then only the id leads to it, because the reference stood in its row.
    pub(super) async fn find_in_log(
        &self,
        foundation: &Foundation,
        organisation: &OrganisationId,
    ) -> anyhow::Result<RequestId> {
        if let Some(found) = self.look_for(foundation, organisation).await? {
            return Ok(found);
        }
        if let Self::Id(id) = self {
            let filter =
                Filter { organisation: Some(organisation.clone()), case: Some(*id), ..Filter::default() };
            let mut connection = foundation.store.connection().await?;
            if !audit::list(&mut connection, &filter, 0, 1).await?.is_empty() {
                return Ok(*id);
            }
        }
        Err(Failure::NotFound.because(format!(
            "no such request of organisation {organisation}; see `dsrd request list`, and name one that is deleted by its id"
        )))
    }

    async fn look_for(
        &self,
        foundation: &Foundation,
        organisation: &OrganisationId,
    ) -> anyhow::Result<Option<RequestId>> {
        let mut connection = foundation.store.connection().await?;
        Ok(match self {
            Self::Id(id) => {
                intake::find_case(&mut connection, organisation, *id).await?.map(|case| case.request)
            }
            Self::Reference(reference) => {
                intake::find_by_reference(&mut connection, organisation, reference).await?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_by_id_or_reference() {
        assert_eq!("dsr-abcd-2345".parse(), Ok(Case::Reference("DSR-ABCD-2345".to_owned())));
        assert!(matches!("0195d3e0-0000-7000-8000-000000000000".parse(), Ok(Case::Id(_))));
        assert!("ada@people.example".parse::<Case>().is_err());
    }
}
