//! `hookyard plugin fuzz`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::subject::SubjectArgs;
use super::tried::{counted, failure, log_only};
use crate::cli::output::{self, say};
use crate::cli::{Common, Failure};
use crate::workshop::fuzz::{Effort, Finding, fuzz};

#[derive(Debug, Args)]
pub(in crate::cli) struct FuzzArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// How long events are made up; the first that the plugin cannot bear ends it
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Where the events begin (default: somewhere)
    #[arg(long)]
    seed: Option<u64>,
    /// Only the event of this seed, again
    #[arg(long, value_name = "SEED", conflicts_with = "seed")]
    reproduce: Option<u64>,
    /// Seconds that one attempt may take
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct FuzzView {
    seed: u64,
    events: u64,
    outcomes: BTreeMap<&'static str, u64>,
    finding: Option<FindingView>,
}

#[derive(Debug, Serialize)]
struct FindingView {
    seed: u64,
    what: String,
    /// Where the event's body was written.
    event: String,
}

pub(super) async fn run(common: &Common, args: FuzzArgs) -> Result<(), Failure> {
    // A plugin that dies is a finding of the run, not a line of its log.
    log_only(common, "off")?;
    let (subject, event) = args.subject.read(None)?;
    let library = subject.library.display().to_string();
    let effort = Effort {
        seed: args.reproduce.or(args.seed).unwrap_or_else(|| fastrand::u64(..1_000_000_000)),
        lasts: Duration::from_secs(if args.reproduce.is_some() { 0 } else { args.seconds }),
        timeout: Duration::from_secs(args.timeout),
    };
    let fuzzed = fuzz(subject, event, effort).await.map_err(|error| failure(&error))?;
    let view = FuzzView {
        seed: effort.seed,
        events: fuzzed.events,
        outcomes: fuzzed.outcomes,
        finding: fuzzed.finding.map(kept).transpose()?,
    };
    if common.json {
        output::json(&view)?;
    } else {
        print(&view, &library);
    }
    match view.finding {
        None => Ok(()),
        Some(finding) => {
            Err(Failure::bad_data(format!("the plugin cannot bear the event of seed {}", finding.seed)))
        }
    }
}

/// Writes the event where the author stands, to be looked at and delivered again.
fn kept(finding: Finding) -> Result<FindingView, Failure> {
    let event = format!("fuzz-{}.json", finding.seed);
    std::fs::write(Path::new(&event), &finding.body)
        .map_err(|error| Failure::storage(format!("the event cannot be written to {event}: {error}")))?;
    Ok(FindingView { seed: finding.seed, what: finding.what, event })
}

fn print(view: &FuzzView, library: &str) {
    say!("{} events from seed {} on: {}", view.events, view.seed, counted(&view.outcomes));
    match &view.finding {
        None => say!("none of them made it crash, hang or panic"),
        Some(finding) => {
            say!("finding   seed {}: {}", finding.seed, finding.what);
            say!("event     {}", finding.event);
            say!(
                "again     hookyard plugin fuzz {library} --reproduce {} (with the same --event and --settings)",
                finding.seed
            );
        }
    }
}
