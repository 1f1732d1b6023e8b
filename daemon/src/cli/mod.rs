//! The command line: words in, one exit code out.
//!
//! `serve` runs the daemon; `plugin-host` is what the daemon runs for each handler; the rest are an operator's, and speak
//! to a running daemon over its two listeners like anybody else would, but `store`, which needs the daemon stopped.

mod check;
mod client;
mod config;
mod deliveries;
mod doctor;
mod erase;
mod events;
mod exit;
mod explain;
mod output;
mod page;
mod plugin;
mod reload;
mod replay;
mod send;
mod serve;
mod status;
mod store;
mod target;
mod test;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::ConfigError;
pub use exit::Failure;

/// Where the config is looked for when nobody names it.
const CONFIG_DEFAULT: &str = "config/hookyard.toml";

#[derive(Debug, Parser)]
#[command(name = "hookyard", version, about, disable_help_subcommand = true)]
#[command(about = "A webhook router: verifies, stores durably, routes by rules, hands to plugins.")]
#[command(after_help = exit::HELP)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Common {
    /// The configuration file
    #[arg(long, short, global = true, env = "HOOKYARD_CONFIG", default_value = CONFIG_DEFAULT)]
    config: PathBuf,
    /// Machine-readable output
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Serve(serve::ServeArgs),
    /// Check the configuration and report every fault
    Check(check::CheckArgs),
    /// Run the tests that stand beside the rules, and say which rules they reach
    Test(test::TestArgs),
    /// Say why each rule takes an event, or does not: every clause, with the value that it found
    Explain(explain::ExplainArgs),
    /// Sign an event file as Stripe would, post it, and show what became of it
    Send(send::SendArgs),
    /// Look at stored events
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Look at deliveries
    #[command(subcommand)]
    Deliveries(deliveries::DeliveriesCommand),
    /// Have the running daemon read its configuration again: whole, or not at all
    Reload(reload::ReloadArgs),
    /// Look at the configurations that ran here last, and roll back to one
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// How the daemon, its handlers and its store are
    Status(status::StatusArgs),
    /// Say whether this installation keeps the promises: disk, clock, file modes, store, plugins, configuration
    Doctor(doctor::DoctorArgs),
    /// Look after the store itself, while no daemon runs
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Write, look at and try plugins; pin them, and exchange one while the daemon runs
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Hold one plugin for the daemon (the daemon runs this itself)
    #[command(hide = true)]
    PluginHost,
}

/// Runs the command that `args` name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(usage) => return exit::usage(&usage),
    };
    // Before any runtime or thread exists: the host must be small.
    if matches!(cli.command, Command::PluginHost) {
        return hookyard_plugin_host::run();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return exit::report(&Failure::internal(format!("no threads could be started: {error}")));
        }
    };
    match runtime.block_on(dispatch(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => exit::report(&failure),
    }
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    let common = cli.common;
    match cli.command {
        Command::Serve(args) => serve::run(&common, args).await,
        Command::Check(args) => check::run(&common, &args).await,
        Command::Test(args) => test::run(&common, &args),
        Command::Explain(args) => explain::run(&common, &args).await,
        Command::Send(args) => send::run(&common, &args).await,
        Command::Events(command) => events::run(&common, command).await,
        Command::Deliveries(command) => deliveries::run(&common, command).await,
        Command::Reload(args) => reload::run(&common, &args).await,
        Command::Config(command) => config::run(&common, command).await,
        Command::Status(args) => status::run(&common, &args).await,
        Command::Doctor(args) => doctor::run(&common, &args).await,
        Command::Store(command) => store::run(&common, command).await,
        Command::Plugin(command) => plugin::run(&common, command).await,
        Command::PluginHost => unreachable!("answered before the runtime was made"),
    }
}

/// Every fault of a configuration, told; or that there is no such file.
fn config_failure(path: &Path, faults: &ConfigError) -> Failure {
    let text = faults.render(color_on_stderr());
    if path.exists() { Failure::config(text) } else { Failure::no_input(text) }
}

/// Whether a person watches standard error, and has not asked for no colour.
fn color_on_stderr() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
