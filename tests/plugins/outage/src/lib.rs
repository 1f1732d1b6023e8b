//! A plugin that is up or down as a file says: `tests/load/outage` and `tests/it/outage.rs` take a handler down with it
//! while others stay up.
//!
//! Each call that ends well is one line in a second file, which stands for the rest of the world: it shows what was
//! done, how often, and how many calls ran at once.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};
use serde::Deserialize;

/// How often a call that waits looks whether it may go on.
const LOOK: Duration = Duration::from_millis(5);

/// Where its files are, and how long it works.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How it is: `refuse` (every call fails at once), `hang` (every call waits until its deadline); up where this is
    /// missing.
    down: PathBuf,
    /// One line for each call that was done.
    calls: PathBuf,
    /// How long it works on an event.
    #[serde(default)]
    work_ms: u64,
}

/// The handler.
#[derive(Debug)]
pub struct Outage {
    down: PathBuf,
    calls: File,
    work: Duration,
    at_once: AtomicUsize,
}

impl Handler for Outage {
    type Settings = Settings;

    fn create(settings: Settings, _host: &Host<'_>) -> Result<Self, CreateError> {
        let calls = OpenOptions::new().create(true).append(true).open(&settings.calls);
        let calls =
            calls.map_err(|error| CreateError::new(format!("{}: {error}", settings.calls.display())))?;
        let work = Duration::from_millis(settings.work_ms);
        Ok(Self { down: settings.down, calls, work, at_once: AtomicUsize::new(0) })
    }

    fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        self.wait_until_up(cx)?;
        let (called, at_once) = (unix_micros(), self.at_once.fetch_add(1, Ordering::SeqCst) + 1);
        thread::sleep(self.work);
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        self.write_down(event, called, at_once)?;
        Ok(Outcome::done())
    }
}

impl Outage {
    fn wait_until_up(&self, cx: &Cx<'_>) -> Result<(), Failure> {
        loop {
            match std::fs::read_to_string(&self.down) {
                Err(_) => return Ok(()),
                Ok(how) if how.trim() != "hang" => return Err(Failure::retry("down", "nobody answers here")),
                Ok(_) if cx.remaining().is_zero() => {
                    return Err(Failure::retry("down", "nobody answered in time"));
                }
                Ok(_) => thread::sleep(LOOK),
            }
        }
    }

    /// `EVENT RECEIVED_UNIX_MS CALLED_UNIX_US ATTEMPT AT_ONCE`, whole: the file is only appended to.
    fn write_down(&self, event: &Event<'_>, called: u64, at_once: usize) -> Result<(), Failure> {
        let (id, received, attempt) = (event.id(), event.received_unix_ms(), event.attempt());
        let line = format!("{id} {received} {called} {attempt} {at_once}\n");
        (&self.calls).write_all(line.as_bytes()).map_err(|error| Failure::retry("calls", error.to_string()))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a plugin has no clock of hookyard's, and tells only what it read"
)]
fn unix_micros() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
}

hookyard_plugin::export!(Outage, id = "com.hookyard.test.outage");
