//! What hookyard is measured against, made by ourselves so that it is the best that could be:
//!
//! - `disk`: what one fdatasync costs here;
//! - `log`: one thread that appends the same bytes to a preallocated file, group commit, fdatasync: the raw limit;
//! - `sled`: sled alone with the rows that the store writes for an accepted event, one writer, flush and fdatasync;
//! - `http`: hyper that reads the body and answers 200 without looking at it.
//!
//! `tests/load/bench` runs each in a directory of its own. Nothing here is kept.
#![forbid(unsafe_code)]

mod disk;
mod event_rows;
mod group;
mod http_server;
mod log_file;
mod sled_tree;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use hookyard_load::failure::{self, EXIT_CODES, Failure};
use hookyard_load::report;

/// The programs that hookyard is measured against.
#[derive(Debug, Parser)]
#[command(name = "hookyard-baseline", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Append 4 KB and fdatasync, one after another: what a sync costs on this disk
    Disk(Measured),
    /// One thread appends what is submitted to a preallocated file, with group commit and fdatasync
    Log(Submitted),
    /// One thread writes the rows of accepted events to sled, with group commit, flush and fdatasync
    Sled(Submitted),
    /// Serve HTTP: read the body, answer 200. Prints its address and runs until it is killed
    Http,
}

/// Where and how long.
#[derive(Debug, Args)]
struct Measured {
    /// A directory on the disk under measurement; files in it are written over
    #[arg(long)]
    dir: PathBuf,
    /// How long is measured
    #[arg(long, default_value = "10s", value_parser = hookyard_load::duration)]
    duration: Duration,
    /// How long is written before that, uncounted
    #[arg(long, default_value = "2s", value_parser = hookyard_load::duration)]
    warm_up: Duration,
}

#[derive(Debug, Args)]
struct Submitted {
    #[command(flatten)]
    measured: Measured,
    /// How many submit at once, each its next event when the one before is on disk
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    submitters: u16,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    match run(&cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("hookyard-baseline"),
    }
}

fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Disk(measured) => report::print_json(&disk::measure(measured)?),
        Command::Log(submitted) => {
            let log = log_file::LogFile::create(&submitted.measured.dir)?;
            report::print_json(&group::measure(submitted, log)?);
        }
        Command::Sled(submitted) => {
            let tree = sled_tree::SledTree::open(&submitted.measured.dir)?;
            report::print_json(&group::measure(submitted, tree)?);
        }
        Command::Http => http_server::serve()?,
    }
    Ok(())
}

/// What a failed disk operation is told as.
fn disk_failed(doing: &str, error: &std::io::Error) -> Failure {
    Failure::Storage(format!("cannot {doing}: {error}"))
}
