//! A plugin that does what a plugin must not, on request: the event's type says what. `tests/it/plugin_abi` loads it into
//! a real host and looks at what each fault costs.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use hookyard_plugin::{CreateError, Cx, Event, Expect, Failure, Handler, Host, KvPut, Level, Outcome};
use serde::Deserialize;

/// How often a call that waits looks whether it may go on.
const LOOK: Duration = Duration::from_millis(5);

/// What is to go wrong while it is made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(default)]
    create: Create,
    /// It is not made before this file is there.
    wait_for: Option<PathBuf>,
    /// A secret to ask for while it is made.
    secret: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Create {
    #[default]
    Well,
    Refuse,
    CheckRefuses,
    Panic,
    Abort,
}

/// Where a step crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Well,
    CrashInside,
    CrashAfter,
}

/// The handler.
#[derive(Debug)]
pub struct Misbehave {
    secret: Option<String>,
}

impl Handler for Misbehave {
    type Settings = Settings;

    fn check(settings: &Settings) -> Result<(), CreateError> {
        match settings.create {
            Create::CheckRefuses => Err(CreateError::new("the check refuses, as it was told")),
            _ => Ok(()),
        }
    }

    fn create(settings: Settings, host: &Host<'_>) -> Result<Self, CreateError> {
        match settings.create {
            Create::Well | Create::CheckRefuses => {}
            Create::Refuse => return Err(CreateError::new("no database answers at db.example:5432")),
            Create::Panic => panic!("made to panic while it is made"),
            Create::Abort => std::process::abort(),
        }
        while settings.wait_for.as_deref().is_some_and(|file| !file.exists()) {
            thread::sleep(LOOK);
        }
        host.log(Level::Info, "made", &[]);
        Ok(Self { secret: settings.secret.map(|name| host.secret(&name)).transpose()? })
    }

    fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        match event.event_type() {
            "well" => Ok(Outcome::done().with_result(serde_json::json!({ "attempt": event.attempt() }))),
            "echo" => echo(event),
            "secret" => Ok(Outcome::done().with_message(self.secret.clone().unwrap_or_default())),
            "retry" => Err(Failure::retry("later", "not now").after(Duration::from_millis(1500))),
            "reject" => Err(Failure::reject("never", "not ever")),
            "ignore" => Ok(Outcome::ignore("other", "not mine")),
            "fragile" => {
                let body: serde_json::Value = event.json()?;
                assert!(body["amount"].is_number(), "an amount is a number");
                Ok(Outcome::done())
            }
            "library.logs" => Ok(library_logs()),
            "reach.read" => reached(std::fs::read(path_in(event)).map(drop)),
            "reach.write" => reached(std::fs::write(path_in(event), "reached")),
            "reach.network" => reached(std::net::UdpSocket::bind("127.0.0.1:0").map(drop)),
            "reach.process" => {
                reached(match std::process::Command::new("unshare").arg("-U").arg("true").status() {
                    Ok(status) if status.success() => Ok(()),
                    Ok(_) => Err(std::io::ErrorKind::PermissionDenied.into()),
                    Err(error) => Err(error),
                })
            }
            "who" => Ok(Outcome::done().with_message(who()?)),
            "segfault" => segfault(cx),
            "abort" => abort(),
            "overflow" => Ok(Outcome::done().with_message(overflow(0).to_string())),
            "panic" => panic!("made to panic"),
            "hang" => hang(),
            "hang.politely" => hang_politely(cx),
            "wait" => wait(cx),
            "exit" => std::process::exit(0),
            "print" => print(),
            "leak" => leak(),
            "log" => log(cx),
            "open" => open(),
            "allocate" => Ok(Outcome::done().with_message(allocate().to_string())),
            "step" => step(cx, End::Well),
            "step.crash_inside" => step(cx, End::CrashInside),
            "step.crash_after" => step(cx, End::CrashAfter),
            "kv" => kv(cx),
            other => Err(Failure::reject("unknown", format!("no misbehaviour is called {other}"))),
        }
    }
}

/// As a library does that knows nothing of hookyard.
fn library_logs() -> Outcome {
    let _span = tracing::info_span!("a span", of = "a library").entered();
    tracing::info!(rows = 3, table = "orders", "by tracing");
    log::warn!(target: "lettre", "by log");
    let elsewhere = thread::spawn(|| tracing::warn!(thread = "its own", "from elsewhere"));
    Outcome::done().with_message(if elsewhere.join().is_ok() { "logged" } else { "it panicked" })
}

/// Who this thread is to the kernel, and what it may do beyond that.
fn who() -> Result<String, Failure> {
    let status = std::fs::read_to_string("/proc/thread-self/status");
    let status = status.map_err(|error| Failure::reject("unreadable", error.to_string()))?;
    let wanted = |line: &&str| ["Uid:", "Gid:", "Groups:", "CapEff:"].iter().any(|key| line.starts_with(key));
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(status.lines().filter(wanted).map(words).collect::<Vec<_>>().join(", "))
}

/// The path that the event's body is.
fn path_in(event: &Event<'_>) -> String {
    String::from_utf8_lossy(event.body()).into_owned()
}

/// Done where it could be reached, and a dead letter with the system's words where not.
fn reached(result: std::io::Result<()>) -> Result<Outcome, Failure> {
    match result {
        Ok(()) => Ok(Outcome::done()),
        Err(error) => Err(Failure::reject("unreachable", error.to_string())),
    }
}

#[expect(unsafe_code, reason = "a segmentation fault needs it")]
fn segfault(cx: &Cx<'_>) -> Result<Outcome, Failure> {
    cx.info("about to write where nothing is");
    // SAFETY: there is none: this is the fault.
    unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
    Ok(Outcome::done())
}

fn abort() -> Result<Outcome, Failure> {
    eprintln!("the very last words");
    std::process::abort()
}

/// Never comes back: the stack is used up first.
#[expect(unconditional_recursion, reason = "this is the fault")]
fn overflow(depth: u64) -> u64 {
    std::hint::black_box([depth; 128])[0] + overflow(depth + 1)
}

/// Ignores that no time is left.
fn hang() -> Result<Outcome, Failure> {
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

/// Returns when no time is left.
fn hang_politely(cx: &Cx<'_>) -> Result<Outcome, Failure> {
    while !cx.remaining().is_zero() {
        thread::sleep(LOOK);
    }
    Err(Failure::retry("no_time", "stopped at the deadline"))
}

/// Opens files until one is refused.
fn open() -> Result<Outcome, Failure> {
    let mut held = Vec::new();
    let error = loop {
        match std::fs::File::open("/dev/null") {
            Ok(file) => held.push(file),
            Err(error) => break error,
        }
    };
    Err(Failure::retry("open", format!("{} were open: {error}", held.len())))
}

/// Takes address space, which costs no memory while nothing is written there: up to two GiB. Says how many MiB came.
fn allocate() -> usize {
    let mut held: Vec<Vec<u8>> = Vec::new();
    while held.len() < 128 {
        held.push(Vec::with_capacity(16 * 1024 * 1024));
        std::hint::black_box(&held);
    }
    held.len() * 16
}

/// Returns when the pair `go` is there: a test says when.
fn wait(cx: &Cx<'_>) -> Result<Outcome, Failure> {
    cx.info("waiting");
    while cx.kv_get("go")?.is_none() {
        thread::sleep(LOOK);
    }
    Ok(Outcome::done())
}

#[expect(clippy::print_stdout, reason = "this is the fault")]
fn print() -> Result<Outcome, Failure> {
    println!("{}", "to stdout, which a naive protocol would be on ".repeat(100));
    Ok(Outcome::done())
}

fn leak() -> Result<Outcome, Failure> {
    Vec::leak(vec![1_u8; 8 * 1024 * 1024]);
    Ok(Outcome::done())
}

fn log(cx: &Cx<'_>) -> Result<Outcome, Failure> {
    for line in 0..100 {
        cx.log(Level::Info, "line", &[("number", &line.to_string())]);
    }
    cx.warn("with\na newline and \u{1b}[31ma colour");
    Ok(Outcome::done())
}

fn echo(event: &Event<'_>) -> Result<Outcome, Failure> {
    let body: serde_json::Value = event.json()?;
    Ok(Outcome::done().with_result(serde_json::json!({
        "id": event.id(),
        "source": event.source(),
        "rule": event.rule(),
        "attempt": event.attempt(),
        "received": event.received_unix_ms(),
        "content_type": event.content_type(),
        "header": event.header("X-Test"),
        "body": body,
    })))
}

/// One step that remembers its key. The message tells how it stood: `run`, `unsure`, or `done` where it was not run.
fn step(cx: &Cx<'_>, end: End) -> Result<Outcome, Failure> {
    let mut stood = "done";
    let key: String = cx.step("charge", |step| {
        stood = if step.unsure() { "unsure" } else { "run" };
        if end == End::CrashInside {
            abort()?;
        }
        Ok(step.key().to_owned())
    })?;
    if end == End::CrashAfter {
        abort()?;
    }
    Ok(Outcome::done().with_message(stood).with_result(key.into()))
}

fn kv(cx: &Cx<'_>) -> Result<Outcome, Failure> {
    let first = cx.kv_put("balance", "10", Expect::Absent)?;
    let again = cx.kv_put("balance", "20", Expect::Absent)?;
    let found = cx.kv_get("balance")?;
    let version = found.as_ref().map_or(0, |(_, version)| *version);
    let third = cx.kv_put("balance", "30", Expect::Version(version))?;
    let right = (first, again, third) == (KvPut::Written, KvPut::Conflict, KvPut::Written)
        && found == Some((b"10".to_vec(), 1));
    let too_large = cx.kv_put("large", vec![0; 4096], Expect::Anything);
    let message = too_large.err().map(|failure| failure.message().to_owned()).unwrap_or_default();
    if right {
        Ok(Outcome::done().with_message(message))
    } else {
        Err(Failure::reject("kv", format!("{found:?}")))
    }
}

hookyard_plugin::export!(Misbehave, id = "com.hookyard.test.misbehave");
