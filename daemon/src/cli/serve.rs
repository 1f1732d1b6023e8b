//! `hookyard serve`: the daemon's whole life on one screen.

use std::cell::RefCell;
use std::collections::BTreeMap;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Common, Failure, color_on_stderr, exit};
use crate::app::{Daemon, Ended, StartError};
use crate::config::{self, LoadOptions};
use crate::observe::{self, LogFormat};

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Run at once on this machine: secrets that are not set are made up for this run, libraries need no pin
    #[arg(long)]
    dev: bool,
    /// What to log: a level, or `target=level` pairs
    #[arg(long, env = "HOOKYARD_LOG", default_value = "info")]
    log: String,
}

pub(super) async fn run(common: &Common, args: ServeArgs) -> Result<(), Failure> {
    let format = if common.json { LogFormat::Json } else { LogFormat::Text };
    observe::init(format, &args.log).map_err(|error| Failure::bad_data(error.to_string()))?;
    let made_up = MadeUp::default();
    let env = |name: &str| std::env::var(name).ok().or_else(|| args.dev.then(|| made_up.secret(name)));
    let loaded = config::load(LoadOptions { path: &common.config, dev: args.dev, env: &env })
        .map_err(|faults| Failure::config(faults.render(color_on_stderr())))?;
    for warning in &loaded.warnings {
        eprintln!("{}", warning.render(color_on_stderr()));
    }
    let asked = stop_signal()?;
    let daemon = Daemon::start(loaded.snapshot, args.dev).await.map_err(|error| start_failure(&error))?;
    if args.dev {
        greet(&daemon);
    }
    match daemon.run_until(asked).await {
        Ended::Stopped => Ok(()),
        Ended::StoreFailed(why) => Err(Failure::storage(format!(
            "the store failed and nothing more is accepted: {why}\nEverything that was acknowledged is on disk. \
             Look at the disk, then start again."
        ))),
    }
}

/// Secrets for the variables that nobody set, the same for the same name.
#[derive(Debug, Default)]
struct MadeUp(RefCell<BTreeMap<String, String>>);

impl MadeUp {
    fn secret(&self, name: &str) -> String {
        let mut made = self.0.borrow_mut();
        let secret = made.entry(name.to_owned()).or_insert_with(|| {
            let random =
                [getrandom::u64(), getrandom::u64()].map(|half| half.expect("the kernel gives randomness"));
            format!("whsec_dev{:016x}{:016x}", random[0], random[1])
        });
        secret.clone()
    }
}

/// Resolves at SIGTERM or SIGINT. Listening begins at once, so that no early signal kills.
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::internal(format!("no signals: {error}")));
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

fn start_failure(error: &StartError) -> Failure {
    let text = exit::with_causes(error);
    match error {
        StartError::Store(_) | StartError::Leases(_) | StartError::RuntimeFile { .. } => {
            Failure::storage(text)
        }
        StartError::AdminListen { .. } | StartError::Door(_) => Failure::unavailable(text),
        StartError::Handler { .. } | StartError::Scheme { .. } => Failure::config(text),
    }
}

fn greet(daemon: &Daemon) {
    eprintln!(
        "\nhookyard is ready (--dev: throw-away secrets, mails are written to files)\n\
         \n  door      http://{}\n  operator  {}\n\
         \nSend it a purchase from another terminal in this folder:\n\
         \n  target/release/hookyard send tests/fixtures/01_checkout_completed_sumo_paid.json\n",
        daemon.door(),
        daemon.admin().map_or_else(|| "none".to_owned(), |admin| format!("http://{admin}")),
    );
}
