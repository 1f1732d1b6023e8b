//! `hookyard doctor`: whether this installation keeps the promises, line by line.

use clap::Args;
use jiff::Timestamp;

use super::client::Operator;
use super::output::say;
use super::target::Target;
use super::{Common, Failure, output};
use crate::admin::view::{EventView, PageView, StatusView};
use crate::doctor::{Check, Daemon, Request, examine};
use crate::model::clock::UnixMillis;
use crate::observe::{self, LogFormat};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Write the store's derived rows (keys, marks, indexes, totals) anew; only while no daemon runs on it
    #[arg(long)]
    repair: bool,
    /// Look as `serve --dev` would: secrets that are not set and libraries without a pin are no faults
    #[arg(long)]
    dev: bool,
}

pub(super) async fn run(common: &Common, args: &DoctorArgs) -> Result<(), Failure> {
    // What opening the store has to say goes beside the report.
    let format = if common.json { LogFormat::Json } else { LogFormat::Text };
    observe::init(format, "warn").map_err(|error| Failure::internal(error.to_string()))?;
    let daemon = ask(common).await;
    let runs_dev = matches!(&daemon, Daemon::Answers { status, .. } if status.dev);
    let env = |name: &str| std::env::var(name).ok();
    let request = Request {
        config: &common.config,
        dev: args.dev || runs_dev,
        repair: args.repair,
        env: &env,
        daemon: &daemon,
    };
    let mut tell = |check: &Check| {
        if !common.json {
            say!("{}", check.line());
        }
    };
    let report = examine(request, &mut tell).await;
    if common.json {
        output::json(&report)?;
    } else {
        say!("\n{}", report.summary());
    }
    match report.faults {
        0 => Ok(()),
        1 => Err(Failure::config("doctor found a fault; its line says what to do next")),
        faults => {
            Err(Failure::config(format!("doctor found {faults} faults; each line says what to do next")))
        }
    }
}

/// What the daemon says that this configuration starts; most of all whether there is one.
async fn ask(common: &Common) -> Daemon {
    let target = match Target::running(common) {
        Ok(target) => target,
        Err(_) => return Daemon::Silent("the configuration does not say where it would listen".to_owned()),
    };
    match answers(&target).await {
        Ok(daemon) => daemon,
        Err(failure) => Daemon::Silent(failure.to_string()),
    }
}

async fn answers(target: &Target) -> Result<Daemon, Failure> {
    let operator = Operator::at(target)?;
    let status: StatusView = operator.get("/v1/status").await?;
    let newest: PageView<EventView> = operator.get("/v1/events?limit=1&newest=true").await?;
    let newest_event = newest.rows.first().and_then(|event| event.received.parse::<Timestamp>().ok());
    let newest_event = newest_event.and_then(|at| u64::try_from(at.as_millisecond()).ok()).map(UnixMillis);
    Ok(Daemon::Answers { status: Box::new(status), newest_event })
}
