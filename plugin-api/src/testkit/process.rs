//! The bench in a real process: `hookyard plugin testkit`, a child of the test, holds the plugin's library in a plugin host
//! as the daemon does, with steps and pairs in memory. This is the kit's end of that conversation: it asks, one thread
//! hands on what is said, and another answers what the plugin asks over HTTP, by the test's script.
//!
//! What keeps a test from running so at all (no such program, no library) panics with what to do about it: a test that
//! expects an error of the handler's must not take that for one.

use std::any::type_name;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use super::wire::{Answer, Ask, FromKit, FromProgram, HttpAnswer, Make, VERSION};
use super::{Asked, Delivered, FarSide, TestEvent};

/// The program, where it is not on the `PATH`.
const PROGRAM: &str = "HOOKYARD_BIN";
/// The library, where it does not stand beside the test.
const LIBRARY: &str = "HOOKYARD_LIBRARY";
/// Requests that wait for the test's script: as many as a plugin can have under way.
const REQUESTS_MAX: usize = 64;

/// A plugin in a process.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    talk: Arc<Talk>,
    next: AtomicU64,
    reader: Option<JoinHandle<()>>,
}

/// The conversation.
#[derive(Debug)]
struct Talk {
    /// Closed to end the child.
    stdin: Mutex<Option<ChildStdin>>,
    waiting: Mutex<Waiting>,
    far_side: FarSide,
}

/// Who waits for the answer of that number; `None` once there will be no more.
type Waiting = Option<HashMap<u64, Sender<Answer>>>;

impl Process {
    /// Starts it and makes the handler; an error is the handler's own sentence.
    pub(super) fn start<H>(settings: &Value, secrets: BTreeMap<String, String>) -> Result<Self, String> {
        let library = library(type_name::<H>()).unwrap_or_else(|why| panic!("{why}"));
        let process = Self::spawn().unwrap_or_else(|why| panic!("{why}"));
        let make = Make { version: VERSION, library, settings: settings.clone(), secrets };
        match process.ask(Ask::Make(make)) {
            Answer::Did => Ok(process),
            Answer::Refused(why) => Err(why),
            other => panic!("hookyard answered {other:?}"),
        }
    }

    pub(super) fn deliver(&self, event: &TestEvent, crash_at: Option<usize>) -> Delivered {
        match self.ask(Ask::Deliver { event: event.clone(), crash_at }) {
            Answer::Delivered(delivered) => delivered,
            other => panic!("hookyard answered {other:?}"),
        }
    }

    pub(super) fn far_side(&self) -> &FarSide {
        &self.talk.far_side
    }

    pub(super) fn make_unsure(&self, event_id: &str, step: &str) {
        self.ask(Ask::MakeUnsure { event_id: event_id.to_owned(), step: step.to_owned() });
    }

    pub(super) fn kv(&self, key: &[u8]) -> Option<(Vec<u8>, u64)> {
        match self.ask(Ask::Kv { key: key.to_owned() }) {
            Answer::Pair(pair) => pair,
            other => panic!("hookyard answered {other:?}"),
        }
    }

    pub(super) fn keep(&self) {
        self.ask(Ask::Keep);
    }

    pub(super) fn restore(&self) {
        self.ask(Ask::Restore);
    }

    fn spawn() -> Result<Self, String> {
        let program = std::env::var_os(PROGRAM).unwrap_or_else(|| "hookyard".into());
        let spawned = Command::new(&program)
            .args(["plugin", "testkit"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = spawned.map_err(|error| {
            format!(
                "HOOKYARD_TEST=process needs the program hookyard, and `{}` cannot be started ({error}): put it on the \
                 PATH, or name it in {PROGRAM}",
                program.display()
            )
        })?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("it was asked for"));
        let (stdin, waiting) = (Mutex::new(stdin), Mutex::new(Some(HashMap::new())));
        let talk = Arc::new(Talk { stdin, waiting, far_side: FarSide::default() });
        let (ask, requests) = sync_channel(REQUESTS_MAX);
        let (hears, answers) = (Arc::clone(&talk), Arc::clone(&talk));
        let reader = thread::spawn(move || hears.read(stdout, &ask));
        // Nobody waits for its end: a script may take longer than its test.
        thread::spawn(move || answers.answer(&requests));
        Ok(Self { child, talk, next: AtomicU64::new(1), reader: Some(reader) })
    }

    /// Asks, and waits for the answer. Several threads may.
    fn ask(&self, ask: Ask) -> Answer {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, hear) = channel();
        match &mut *lock(&self.talk.waiting) {
            Some(waiting) => drop(waiting.insert(number, tell)),
            // Nobody will tell.
            None => drop(tell),
        }
        let asked = self.talk.write(&FromKit::Ask { number, ask });
        match asked.ok().and_then(|()| hear.recv().ok()) {
            Some(Answer::Failed(why)) => panic!("{why}"),
            Some(answer) => answer,
            None => panic!(
                "`hookyard plugin testkit` ended before it answered; standard error says why. Is that hookyard as new as \
                 this hookyard-plugin?"
            ),
        }
    }
}

impl Talk {
    fn write(&self, said: &FromKit) -> std::io::Result<()> {
        let line = serde_json::to_string(said)? + "\n";
        match &mut *lock(&self.stdin) {
            Some(stdin) => stdin.write_all(line.as_bytes()),
            None => Ok(()),
        }
    }

    /// Hands each answer to who waits for it and each request on, until there are no more.
    fn read(&self, stdout: ChildStdout, requests: &SyncSender<(u64, Asked)>) {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            match serde_json::from_str::<FromProgram>(&line) {
                Ok(FromProgram::Answer { number, answer }) => {
                    let tell = lock(&self.waiting).as_mut().and_then(|waiting| waiting.remove(&number));
                    if let Some(tell) = tell {
                        // Who asked may have panicked meanwhile.
                        drop(tell.send(answer));
                    }
                }
                // The other thread waits for as long as this one may ask it.
                Ok(FromProgram::HttpAsk { number, asked }) => drop(requests.send((number, asked))),
                Err(_) => eprintln!("hookyard: {line}"),
            }
        }
        // Drops the senders: nobody waits for ever.
        *lock(&self.waiting) = None;
    }

    /// Answers each request by the script, one after the other.
    fn answer(&self, requests: &Receiver<(u64, Asked)>) {
        for (number, asked) in requests {
            let answer = match self.far_side.ask(asked) {
                Ok(answer) => {
                    let (status, headers, body) = answer.into_parts();
                    HttpAnswer::Answered { status, headers, body }
                }
                Err((status, words)) => HttpAnswer::NoAnswer { status, words },
            };
            // A program that is gone has nobody left who asked.
            drop(self.write(&FromKit::HttpAnswer { number, answer }));
        }
    }
}

impl Drop for Process {
    /// Waits until the handler was destroyed and the program has ended.
    fn drop(&mut self) {
        drop(lock(&self.talk.stdin).take());
        // One that is gone already is what is wanted.
        drop(self.child.wait());
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}

/// The library that the handler is in: named by the author, or the one of the handler's crate, which cargo puts beside the
/// test. One that is older than its sources would test something else than what is written.
fn library(handler: &str) -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os(LIBRARY) {
        return Ok(named.into());
    }
    let test = std::env::current_exe().map_err(|error| format!("the test cannot find itself: {error}"))?;
    let krate = handler.split("::").next().unwrap_or_default();
    let library = test.with_file_name(format!("lib{krate}{}", std::env::consts::DLL_SUFFIX));
    if !library.is_file() {
        return Err(format!(
            "HOOKYARD_TEST=process needs the library of {handler}, and {} is not there. The crate's type must be \
             [\"cdylib\", \"rlib\"]. `cargo test` builds it for tests in `tests/`; for others, and for `cargo test --lib`, run \
             `cargo build` first. {LIBRARY} names another",
            library.display()
        ));
    }
    match newer_source(&library, krate) {
        Some(source) => Err(format!(
            "{} is older than {}, so it is not what would be tested: run `cargo build` first",
            library.display(),
            source.display()
        )),
        None => Ok(library),
    }
}

/// A source of the library that was changed after it was built, by the list that the compiler left beside it.
fn newer_source(library: &Path, krate: &str) -> Option<PathBuf> {
    let built = fs::metadata(library).and_then(|library| library.modified()).ok()?;
    let list = fs::read_to_string(library.with_file_name(format!("{krate}.d"))).ok()?;
    let sources = list.lines().find_map(|line| line.split_once(&*format!("{}: ", library.display())))?.1;
    let is_newer = |source: &PathBuf| {
        fs::metadata(source).and_then(|source| source.modified()).is_ok_and(|changed| changed > built)
    };
    sources
        .replace("\\ ", "\0")
        .split(' ')
        .filter_map(|source| found(&source.replace('\0', " ")))
        .find(is_newer)
}

/// The compiler names sources from where it ran: the package's folder, or the workspace's above it.
fn found(source: &str) -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().map(|folder| folder.join(source)).find(|path| path.exists())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_told_with_what_to_do() {
        let why = library("no_such_crate::Handler").unwrap_err();
        for words in ["libno_such_crate.so is not there", "cargo build", LIBRARY, "[\"cdylib\", \"rlib\"]"] {
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn a_library_older_than_a_source_of_its_own_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (library, source) = (path("libgreeter.so"), path("the source.rs"));
        fs::write(&source, "").unwrap();
        fs::write(&library, "").unwrap();
        let escaped = source.display().to_string().replace(' ', "\\ ");
        let list =
            format!("{}: {escaped}\n\n{}: {escaped}\n", path("greeter.d").display(), library.display());
        fs::write(path("greeter.d"), list).unwrap();
        let built = fs::metadata(&library).unwrap().modified().unwrap();
        let touch = |seconds| {
            let file = fs::File::options().write(true).open(&source).unwrap();
            file.set_modified(built + std::time::Duration::from_secs(seconds)).unwrap();
        };
        touch(0);
        assert_eq!(newer_source(&library, "greeter"), None);
        touch(5);
        assert_eq!(newer_source(&library, "greeter"), Some(source));
    }
}
