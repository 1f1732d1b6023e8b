//! `hookyard-load`: words in, figures out. The work is in the library.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use hookyard_load::connection::Protocol;
use hookyard_load::event::Size;
use hookyard_load::failure::{self, EXIT_CODES, Failure};
use hookyard_load::mix::Shares;
use hookyard_load::report;
use hookyard_load::run::{self, Settings};
use hookyard_load::target::{Target, Wanted};
use http::HeaderName;
use tokio::task::LocalSet;

const CONNECTIONS_MAX: i64 = 256;

/// Plays Stripe under load: posts freshly signed events to a hookyard on this machine, each with an id of its own, and
/// says how many were answered a second, how long each answer took, and with which word.
///
/// Without --rate the loop is closed: each connection posts its next event when it has its answer, which finds the most
/// that the server can do. With --rate it is open: events leave at that rate whatever becomes of the answers, and the
/// latency of one that found every connection busy counts from the moment at which it was meant to leave.
///
/// Run it in the folder of a daemon that was started with `hookyard serve --dev`: address and secret are found there.
#[derive(Debug, Parser)]
#[command(name = "hookyard-load", version, after_help = EXIT_CODES)]
struct Cli {
    /// The configuration of the daemon
    #[arg(long, short, env = "HOOKYARD_CONFIG", default_value = "config/hookyard.toml")]
    config: PathBuf,
    /// The source to post to (default: the first of the configuration)
    #[arg(long)]
    source: Option<String>,
    /// Post to this URL instead of the source's own; only addresses of this machine are taken
    #[arg(long)]
    url: Option<String>,
    /// The variable that holds the source's signing secret (default: a --dev daemon's own)
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,
    /// How many connections post at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=CONNECTIONS_MAX))]
    connections: u16,
    /// Open loop: so many events a second
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// Speak HTTP/2 instead of HTTP/1.1, one request at a time on each connection
    #[arg(long)]
    http2: bool,
    /// How large the events are: 1k, 4k or 46k
    #[arg(long, default_value = "4k")]
    size: Size,
    /// Which share of the requests repeats an event that was accepted, from 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    duplicates: f64,
    /// Which share of the requests has a signature that does not hold, from 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    bad_signatures: f64,
    /// How long is measured
    #[arg(long, default_value = "10s", value_parser = duration)]
    duration: Duration,
    /// How long is posted before that, uncounted
    #[arg(long, default_value = "2s", value_parser = duration)]
    warm_up: Duration,
    /// Also send the MAC of the body alone in this header, for receivers that know nothing of Stripe
    #[arg(long, value_name = "NAME")]
    body_mac_header: Option<HeaderName>,
    /// The report as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    match measure(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report("hookyard-load"),
    }
}

fn measure(cli: &Cli) -> Result<(), Failure> {
    let settings = settings(cli)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Internal(format!("no runtime: {error}")))?;
    let report = LocalSet::new().block_on(&runtime, run::run(&settings))?;
    if report.whole_run.sum() == report.whole_run.others.get("error").copied().unwrap_or(0) {
        return Err(Failure::Unavailable(format!("{} gave not one answer", report.target)));
    }
    if cli.json {
        report::print_json(&report);
    } else {
        report::print(&report.lines().join("\n"));
    }
    Ok(())
}

fn settings(cli: &Cli) -> Result<Settings, Failure> {
    let shares = Shares { duplicates: cli.duplicates, bad_signatures: cli.bad_signatures };
    if shares.duplicates + shares.bad_signatures > 1.0 {
        return Err(Failure::Usage("--duplicates and --bad-signatures are shares of one whole".to_owned()));
    }
    let target = Target::find(Wanted {
        config: &cli.config,
        source: cli.source.as_deref(),
        url: cli.url.as_deref(),
        secret_env: cli.secret_env.as_deref(),
    })?;
    Ok(Settings {
        target,
        rate: cli.rate,
        connections: usize::from(cli.connections),
        protocol: if cli.http2 { Protocol::Http2 } else { Protocol::Http1 },
        size: cli.size,
        shares,
        warm_up: cli.warm_up,
        duration: cli.duration,
        body_mac: cli.body_mac_header.clone(),
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    hookyard_load::duration(text)
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "a share is a number such as 0.1".to_owned())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("a share is from 0 to 1".to_owned()) }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a rate is a number of events a second".to_owned())?;
    if rate > 0.0 && rate.is_finite() { Ok(rate) } else { Err("a rate is above 0".to_owned()) }
}
