//! `hookyard serve`: the daemon's whole life on one screen.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Common, Failure, color_on_stderr, config_failure};
use crate::app::reload::{Loader, Origin, Reloader};
use crate::app::{Daemon, Ended, StartError};
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
    let (made_up, dev) = (MadeUp::default(), args.dev);
    let env = move |name: &str| std::env::var(name).ok().or_else(|| dev.then(|| made_up.secret(name)));
    let loader = Loader { path: common.config.clone(), dev, env: Arc::new(env) };
    let loaded = loader.files().map_err(|faults| config_failure(&common.config, &faults))?;
    for warning in &loaded.warnings {
        eprintln!("{}", warning.render(color_on_stderr()));
    }
    let mut signals = Signals::listen()?;
    let daemon = tokio::select! {
        biased;
        started = Daemon::start(loaded, loader) => started.map_err(|error| start_failure(&error))?,
        // What the door has accepted by now is on disk; dropping the half-started daemon ends its hosts.
        () = signals.stop() => return Ok(()),
    };
    if args.dev {
        greet(&daemon);
    }
    match run_until_signalled(daemon, signals).await? {
        Ended::Stopped => Ok(()),
        Ended::StoreFailed(why) => Err(Failure::storage(format!(
            "the store failed and nothing more is accepted: {why}\nLook at the disk before you start again: after a \
             failed sync, memory may show what the disk never got."
        ))),
    }
}

/// SIGHUP reloads; the first signal to stop stops in order, the second at once.
async fn run_until_signalled(daemon: Daemon, mut signals: Signals) -> Result<Ended, Failure> {
    let stop = CancellationToken::new();
    let reloader = daemon.reloader();
    let running = daemon.run_until(stop.clone().cancelled_owned());
    tokio::pin!(running);
    loop {
        tokio::select! {
            ended = &mut running => return Ok(ended),
            wanted = signals.next() => match wanted {
                Wanted::Reload => reload(&reloader),
                Wanted::Stop => break stop.cancel(),
            },
        }
    }
    tokio::select! {
        ended = &mut running => Ok(ended),
        () = signals.stop() => {
            Err(Failure::internal("stopped at once by a second signal; attempts under way are made again"))
        }
    }
}

/// Beside whatever else the daemon does; its log tells how it went.
fn reload(reloader: &Arc<Reloader>) {
    let reloader = Arc::clone(reloader);
    tokio::spawn(async move { drop(reloader.reload(Origin::Files, None).await) });
}

/// What a signal asks for.
enum Wanted {
    Stop,
    Reload,
}

/// SIGTERM, SIGINT and SIGHUP. Heard from the moment this is made, so that no early one kills.
#[derive(Debug)]
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
    /// Started by a person at a terminal.
    at_terminal: bool,
    /// A reload was asked for while only a stop was waited for.
    reload_waits: bool,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::internal(format!("no signals: {error}")));
        Ok(Self {
            term: listen(SignalKind::terminate())?,
            int: listen(SignalKind::interrupt())?,
            hup: listen(SignalKind::hangup())?,
            at_terminal: std::io::stdin().is_terminal(),
            reload_waits: false,
        })
    }

    async fn next(&mut self) -> Wanted {
        match std::mem::take(&mut self.reload_waits) {
            true => Wanted::Reload,
            false => self.heard().await,
        }
    }

    async fn heard(&mut self) -> Wanted {
        tokio::select! {
            _ = self.term.recv() => Wanted::Stop,
            _ = self.int.recv() => Wanted::Stop,
            // The same signal says that the terminal was closed: nobody is there any more to stop this daemon.
            _ = self.hup.recv() => match self.at_terminal && !std::io::stdin().is_terminal() {
                true => Wanted::Stop,
                false => Wanted::Reload,
            },
        }
    }

    /// Waits for one that stops. A reload that is asked for meanwhile is what [`Self::next`] says first.
    async fn stop(&mut self) {
        while matches!(self.heard().await, Wanted::Reload) {
            self.reload_waits = true;
        }
    }
}

/// Secrets for the variables that nobody set, the same for the same name.
#[derive(Debug, Default)]
struct MadeUp(Mutex<BTreeMap<String, String>>);

impl MadeUp {
    fn secret(&self, name: &str) -> String {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = made.entry(name.to_owned()).or_insert_with(|| {
            let random =
                [getrandom::u64(), getrandom::u64()].map(|half| half.expect("the kernel gives randomness"));
            format!("whsec_dev{:016x}{:016x}", random[0], random[1])
        });
        secret.clone()
    }
}

fn start_failure(error: &StartError) -> Failure {
    let text = observe::with_causes(error);
    match error {
        StartError::Store(_) | StartError::Leases(_) | StartError::RuntimeFile { .. } => {
            Failure::storage(text)
        }
        StartError::AdminListen { .. } | StartError::Door(_) => Failure::unavailable(text),
        StartError::Handler { source, .. } if source.may_pass() => Failure::unavailable(text),
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
