//! `hookyard plugin`: what a plugin's author needs.

mod check;
mod inspect;
mod new;
mod run;
mod subject;

use clap::Subcommand;

use super::{Common, Failure};

#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Make a plugin's project that builds, passes its tests and loads as it is
    New(new::NewArgs),
    /// Read what a library says of itself, without running anything of it
    Inspect(inspect::InspectArgs),
    /// Hold a library to the contract, check by check, each in a process of its own
    Check(check::CheckArgs),
    /// Hand one event to a plugin in a real child process, and print what came of it
    Run(run::RunArgs),
}

pub(super) async fn run(common: &Common, command: PluginCommand) -> Result<(), Failure> {
    match command {
        PluginCommand::New(args) => new::run(&args),
        PluginCommand::Inspect(args) => inspect::run(common, &args),
        PluginCommand::Check(args) => check::run(common, args).await,
        PluginCommand::Run(args) => run::run(common, args).await,
    }
}
