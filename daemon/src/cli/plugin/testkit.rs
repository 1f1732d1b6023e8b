//! `hookyard plugin testkit`: what the SDK's test kit drives. It reads questions line by line from standard input and answers
//! on standard output, each as soon as it can; it ends with its input, so a test that dies takes it along.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use hookyard_plugin::testkit::wire::{Answer, Answered, Ask, Asked, Make, VERSION};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::tried::log_only;
use crate::cli::output::say;
use crate::cli::{Common, Failure};
use crate::model::http_access::HttpAccess;
use crate::observe::with_causes;
use crate::workshop::Subject;
use crate::workshop::testkit::{Testkit, TestkitError};

/// What a test's author sees on standard error: what the plugin prints and warns of, also while it is made.
const TOLD: &str = "off,hookyard::host::process=warn,hookyard::host::drive=warn";
/// One question: an event of some megabytes, each byte as a number.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Questions that were read and not yet begun.
const QUESTIONS_MAX: usize = 64;

pub(super) async fn run(common: &Common) -> Result<(), Failure> {
    log_only(common, TOLD)?;
    let (read, mut questions) = mpsc::channel(QUESTIONS_MAX);
    // Reading blocks, and nobody waits for this thread at the end.
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Some(asked) = question(&mut input).transpose() {
            if read.blocking_send(asked).is_err() {
                return;
            }
        }
    });
    let mut testkit: Option<Arc<Testkit>> = None;
    let mut deliveries = JoinSet::new();
    while let Some(asked) = questions.recv().await {
        let Asked { number, ask } = asked.map_err(Failure::bad_data)?;
        match (ask, &testkit) {
            (Ask::Make(make), None) => match made(make).await {
                Ok(made) => {
                    testkit = Some(Arc::new(made));
                    tell(number, Answer::Did)?;
                }
                Err(answer) => tell(number, answer)?,
            },
            (Ask::Deliver { event, crash_at }, Some(testkit)) => {
                let testkit = Arc::clone(testkit);
                deliveries.spawn(async move {
                    let delivered = testkit.deliver(&event, crash_at).await;
                    tell(number, delivered.map_or_else(|error| failed(&error), Answer::Delivered))
                });
            }
            (ask, Some(testkit)) => tell(number, answer(testkit, ask))?,
            (_, None) => tell(number, Answer::Failed("no plugin was made".to_owned()))?,
        }
        while deliveries.try_join_next().is_some() {}
    }
    deliveries.shutdown().await;
    if let Some(testkit) = testkit {
        testkit.stop().await;
    }
    Ok(())
}

/// The next question; `None` at the end of the input.
fn question(input: &mut impl BufRead) -> Result<Option<Asked>, String> {
    let mut line = String::new();
    let read = input.take(LINE_BYTES_MAX).read_line(&mut line);
    match read.map_err(|error| format!("standard input cannot be read: {error}"))? {
        0 => Ok(None),
        _ => serde_json::from_str(&line)
            .map(Some)
            .map_err(|error| format!("that is no question of the test kit's: {error}")),
    }
}

/// The plugin, or what is answered instead.
async fn made(make: Make) -> Result<Testkit, Answer> {
    if make.version != VERSION {
        return Err(Answer::Failed(format!(
            "this hookyard speaks the test kit's version {VERSION}, and the test's hookyard-plugin {}: use the same release of both",
            make.version
        )));
    }
    let secrets = make.secrets.into_iter().map(|(name, value)| (name, value.into())).collect();
    // Whom a test's plugin asks is scripted, and only in memory.
    let http = HttpAccess::default();
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

fn tell(number: u64, answer: Answer) -> Result<(), Failure> {
    let line = serde_json::to_string(&Answered { number, answer });
    say!("{}", line.map_err(|error| Failure::internal(error.to_string()))?);
    Ok(())
}
