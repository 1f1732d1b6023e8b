//! `hookyard plugin`: what a plugin's author needs, and what an operator who runs it does.

mod bench;
mod check;
mod fuzz;
mod inspect;
mod lock;
mod new;
mod run;
mod running;
mod subject;
mod testkit;
mod tried;

use clap::Subcommand;

use super::{Common, Failure, output};

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
    /// Measure a plugin in a real child process: one attempt at a time, and many at once
    Bench(bench::BenchArgs),
    /// Make up events that no provider sends, until one makes a plugin crash, hang or panic
    Fuzz(fuzz::FuzzArgs),
    /// Hold a plugin for the tests of its author, which drive this by themselves (HOOKYARD_TEST=process)
    #[command(hide = true)]
    Testkit,
    /// Pin the libraries as they stand at their paths now: writes `sha256` into the configuration
    Lock(lock::LockArgs),
    /// Have the running daemon take the library that stands at a plugin's path now, whole or for a share of new events
    Reload(running::ReloadArgs),
    /// Have the running daemon give everything to a library that has a share
    Promote(running::PromoteArgs),
    /// Have the running daemon take a library that ran before, or end a canary
    Rollback(running::RollbackArgs),
    /// Which library took whose place, when, and at whose word
    History(running::HistoryArgs),
}

pub(super) async fn run(common: &Common, command: PluginCommand) -> Result<(), Failure> {
    match command {
        PluginCommand::New(args) => new::run(&args),
        PluginCommand::Inspect(args) => inspect::run(common, &args),
        PluginCommand::Check(args) => check::run(common, args).await,
        PluginCommand::Run(args) => run::run(common, args).await,
        PluginCommand::Bench(args) => bench::run(common, args).await,
        PluginCommand::Fuzz(args) => fuzz::run(common, args).await,
        PluginCommand::Testkit => testkit::run(common).await,
        PluginCommand::Lock(args) => lock::run(common, &args),
        PluginCommand::Reload(args) => running::reload(common, &args).await,
        PluginCommand::Promote(args) => running::promote(common, &args).await,
        PluginCommand::Rollback(args) => running::roll_back(common, &args).await,
        PluginCommand::History(args) => running::history(common, &args).await,
    }
}
