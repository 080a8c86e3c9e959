//! `dsrd upkeep`: the service's own copies forgotten in time.

use clap::Subcommand;

use super::context::Context;
use super::output::{Output, pairs};
use crate::audit::Actor;
use crate::daemon::Foundation;
use crate::upkeep::Upkeep;

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Forget now what is past its term, and tell how much that was.
    Run,
}

pub(super) async fn run(command: Command, context: Context, output: &Output) -> anyhow::Result<()> {
    let Command::Run = command;
    let foundation = Foundation::open_ready(&context.loaded, &context.sources).await?;
    let upkeep = Upkeep {
        store: foundation.store.clone(),
        desk: foundation.desk.clone(),
        settings: foundation.settings.upkeep.clone(),
    };
    let forgotten = upkeep.run(&Actor::Person(context.login_name())).await;
    foundation.close().await;
    let forgotten = forgotten?;
    output.show(&forgotten, |forgotten| {
        pairs([
            ("requests whose identifiers were emptied", forgotten.identifiers_of.to_string()),
            ("requests that name their contact no more", forgotten.contacts_of.to_string()),
            ("cases deleted", forgotten.requests.to_string()),
            ("candidates of sweeps deleted", forgotten.candidates.to_string()),
            ("items of sweeps that open no more", forgotten.page_items.to_string()),
            ("sweeps deleted", forgotten.sweeps.to_string()),
            ("ended processes deleted", forgotten.instances.to_string()),
            ("cases that the log ties to nobody any more", forgotten.unlinked.to_string()),
            ("entries of the log announced for pruning", forgotten.announced.to_string()),
            ("entries of the log pruned", forgotten.pruned.to_string()),
        ])
    })
}
