//! `hookyard plugin testkit`: what the SDK's test kit drives. It reads questions line by line from standard input and answers
//! on standard output, each as soon as it can; it ends with its input, so a test that dies takes it along. What the plugin asks
//! over HTTP it asks the kit in turn.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use hookyard_plugin::testkit::wire::{Answer, Ask, FromKit, Make, VERSION};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::tried::log_only;
use crate::cli::output::say;
use crate::cli::{Common, Failure};
use crate::observe::with_causes;
use crate::workshop::Subject;
use crate::workshop::kit::Kit;
use crate::workshop::testkit::{Testkit, TestkitError};

/// What a test's author sees on standard error: what the plugin prints and warns of, also while it is made.
const TOLD: &str = "off,hookyard::host::process=warn,hookyard::host::drive=warn";
/// One line: an event of some megabytes, each byte as a number.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Lines that were read and not yet looked at.
const LINES_MAX: usize = 64;

pub(super) async fn run(common: &Common) -> Result<(), Failure> {
    log_only(common, TOLD)?;
    let (read, mut lines) = mpsc::channel(LINES_MAX);
    // Reading blocks, and nobody waits for this thread at the end.
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Some(said) = line(&mut input).transpose() {
            if read.blocking_send(said).is_err() {
                return;
            }
        }
    });
    let kit = Arc::new(Kit::new(|line| say!("{line}")));
    let mut testkit: Option<Arc<Testkit>> = None;
    let mut deliveries = JoinSet::new();
    while let Some(said) = lines.recv().await {
        let (number, ask) = match said.map_err(Failure::bad_data)? {
            FromKit::Ask { number, ask } => (number, ask),
            FromKit::HttpAnswer { number, answer } => {
                kit.hear(number, answer);
                continue;
            }
        };
        match (ask, &testkit) {
            (Ask::Make(make), None) => match made(make, &kit).await {
                Ok(made) => {
                    testkit = Some(Arc::new(made));
                    kit.tell(number, Answer::Did);
                }
                Err(answer) => kit.tell(number, answer),
            },
            (Ask::Deliver { event, crash_at }, Some(testkit)) => {
                let (testkit, kit) = (Arc::clone(testkit), Arc::clone(&kit));
                deliveries.spawn(async move {
                    let delivered = testkit.deliver(&event, crash_at).await;
                    kit.tell(number, delivered.map_or_else(|error| failed(&error), Answer::Delivered));
                });
            }
            (ask, Some(testkit)) => kit.tell(number, answer(testkit, ask)),
            (_, None) => kit.tell(number, Answer::Failed("no plugin was made".to_owned())),
        }
        while deliveries.try_join_next().is_some() {}
    }
    kit.end();
    deliveries.shutdown().await;
    if let Some(testkit) = testkit {
        testkit.stop().await;
    }
    Ok(())
}

/// The next line; `None` at the end of the input.
fn line(input: &mut impl BufRead) -> Result<Option<FromKit>, String> {
    let mut line = String::new();
    let read = input.take(LINE_BYTES_MAX).read_line(&mut line);
    match read.map_err(|error| format!("standard input cannot be read: {error}"))? {
        0 => Ok(None),
        _ => serde_json::from_str(&line)
            .map(Some)
            .map_err(|error| format!("that is no line of the test kit's: {error}; use the same release of hookyard and of the test's hookyard-plugin")),
    }
}

/// The plugin, or what is answered instead.
async fn made(make: Make, kit: &Arc<Kit>) -> Result<Testkit, Answer> {
    if make.version != VERSION {
        return Err(Answer::Failed(format!(
            "this hookyard speaks the test kit's version {VERSION}, and the test's hookyard-plugin {}: use the same release of both",
            make.version
        )));
    }
    let secrets = make.secrets.into_iter().map(|(name, value)| (name, value.into())).collect();
    let http = kit.far_side();
    let subject = Subject { library: make.library, settings: make.settings, secrets, http };
    Testkit::start(subject).await.map_err(|error| match error {
        TestkitError::Refused { why } => Answer::Refused(why),
        error => failed(&error),
    })
}

fn answer(testkit: &Testkit, ask: Ask) -> Answer {
    match ask {
        Ask::Make(_) => Answer::Failed("a plugin was made before".to_owned()),
        Ask::Deliver { .. } => unreachable!("answered in a task of its own"),
        Ask::MakeUnsure { event_id, step } => match testkit.make_unsure(&event_id, &step) {
            Ok(()) => Answer::Did,
            Err(error) => failed(&error),
        },
        Ask::Kv { key } => Answer::Pair(testkit.pair(&key).map(|pair| (pair.value, pair.version))),
        Ask::Keep => {
            testkit.keep();
            Answer::Did
        }
        Ask::Restore => {
            testkit.restore();
            Answer::Did
        }
    }
}

fn failed(error: &TestkitError) -> Answer {
    Answer::Failed(with_causes(error))
}
