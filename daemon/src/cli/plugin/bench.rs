//! `hookyard plugin bench`.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::subject::SubjectArgs;
use super::tried::{PRINTED, counted, failure, is_finished, log_only, millis};
use crate::cli::output::{self, say};
use crate::cli::{Common, Failure};
use crate::workshop::bench::{Load, Measured, Series, bench};

/// As many as a handler may have.
const AT_ONCE_MAX: i64 = crate::config::CONCURRENCY_MAX as i64;

#[derive(Debug, Args)]
pub(in crate::cli) struct BenchArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// The event's type (default: the body's own `type`)
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Attempts at once in the second half
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=AT_ONCE_MAX))]
    concurrency: u16,
    /// How long each half lasts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Seconds that one attempt may take
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct BenchView {
    ready_ms: f64,
    alone: SeriesView,
    together: SeriesView,
    concurrency: u16,
    outcomes: BTreeMap<&'static str, u64>,
    resident_bytes_before: Option<u64>,
    resident_bytes_after: Option<u64>,
}

#[derive(Debug, Serialize)]
struct SeriesView {
    attempts: usize,
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    longest_us: f64,
}

pub(super) async fn run(common: &Common, args: BenchArgs) -> Result<(), Failure> {
    log_only(common, PRINTED)?;
    let (subject, event) = args.subject.read(args.event_type.as_deref())?;
    let load = Load {
        lasts: Duration::from_secs(args.seconds),
        at_once: args.concurrency.into(),
        timeout: Duration::from_secs(args.timeout),
    };
    let measured = bench(subject, event, load).await.map_err(|error| failure(&error))?;
    let view = view(measured, args.concurrency);
    if common.json {
        output::json(&view)?;
    } else {
        print(&view);
    }
    match view.outcomes.keys().find(|outcome| !is_finished(outcome)) {
        None => Ok(()),
        Some(other) => {
            Err(Failure::bad_data(format!("the plugin was not always done with the event: {other}")))
        }
    }
}

fn view(measured: Measured, concurrency: u16) -> BenchView {
    BenchView {
        ready_ms: millis(measured.ready),
        alone: series(&measured.alone),
        together: series(&measured.together),
        concurrency,
        outcomes: measured.outcomes,
        resident_bytes_before: measured.resident_bytes.map(|(before, _)| before),
        resident_bytes_after: measured.resident_bytes.map(|(_, after)| after),
    }
}

fn series(series: &Series) -> SeriesView {
    let micros = |took: Duration| took.as_secs_f64() * 1_000_000.0;
    SeriesView {
        attempts: series.attempts,
        per_second: series.per_second,
        p50_us: micros(series.p50),
        p99_us: micros(series.p99),
        longest_us: micros(series.longest),
    }
}

fn print(view: &BenchView) {
    say!("ready         in {:.1} ms", view.ready_ms);
    print_series("one at a time", &view.alone);
    print_series(&format!("{} at once", view.concurrency), &view.together);
    say!("outcomes      {}", counted(&view.outcomes));
    if let (Some(before), Some(after)) = (view.resident_bytes_before, view.resident_bytes_after) {
        let megabytes = |bytes: u64| bytes as f64 / 1_048_576.0;
        say!("memory        {:.1} MB before, {:.1} MB after", megabytes(before), megabytes(after));
    }
}

fn print_series(name: &str, series: &SeriesView) {
    say!(
        "{name:<13} {:.0} a second; {:.0} µs in the middle, {:.0} µs at 99 %, {:.0} µs at most",
        series.per_second,
        series.p50_us,
        series.p99_us,
        series.longest_us
    );
}
