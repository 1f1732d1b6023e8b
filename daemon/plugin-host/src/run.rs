//! The life of the child: take the socket, give up rights, agree on the build, load, create, work, destroy, end.
//!
//! `hookyard plugin-host` calls [`run`] and returns what it returns. The reader thread runs no plugin code, so it can
//! end the process whatever the plugin does: when the daemon is gone, nothing of this outlives the grace.

use std::ffi::OsStr;
use std::io::{self, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::child::{self, Busy, CallState, Child, Link};
use crate::handover::FirstWords;
use crate::library::{Instance, Library, Source};
use crate::protocol::{
    self, FrameError, FromChild, Stage, Start, TO_CHILD_BYTES_MAX, ToChild, WORKER_STACK_BYTES,
};
use crate::rlimits;

/// How long the plugin has to end by itself once the daemon is gone or says stop; then the process is killed.
const EXIT_GRACE: Duration = Duration::from_secs(2);
/// What is read of the socket at once: several calls with usual events.
const READ_AHEAD_BYTES: usize = 64 * 1024;
/// Private descriptors begin above the standard three.
const FD_MIN: i32 = 3;

/// Why this process could not become a host.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(
        "stdin is not the daemon's socket; this command is for hookyard itself, which starts it for each handler"
    )]
    NotASocket,
    #[error("this process could not be confined: {what}")]
    Confine { what: &'static str, source: io::Error },
    #[error(
        "the daemon is another build than this plugin host: it said {said:?} and this is {}",
        protocol::BUILD
    )]
    OtherBuild { said: String },
    #[error("the daemon's first message is not the one that starts a plugin")]
    NotStarted,
    #[error("a thread could not be started")]
    Thread(#[source] io::Error),
    #[error("the link to the daemon broke")]
    Link(#[from] FrameError),
}

/// Runs the child until the daemon says stop or is gone. The exit code is 0 then, and 1 where this process could not
/// become a host; stderr says why.
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), RunError> {
    let mut socket = take_socket()?;
    confine()?;
    socket.write_all(&protocol::preamble()).map_err(FrameError::Io)?;
    let in_memory = agree(&socket)?;
    let socket_to_read = socket.try_clone().map_err(FrameError::Io)?;
    let mut reader = BufReader::with_capacity(READ_AHEAD_BYTES, socket_to_read);
    let Some(start) = first_message(&mut reader)? else { return Ok(()) };
    let child = Child::begin(Link::socket(socket), start.level);
    if let Err(why) = keep_within(&start) {
        return Ok(child.link.send(FromChild::Failed { stage: Stage::Load, why })?);
    }

    let (sender, queue) = sync_channel(child::calls_waiting_max(&start));
    let for_reader = Arc::clone(&child);
    spawn("reader", move || read(&for_reader, reader, sender)).map_err(RunError::Thread)?;
    match make(&child, &start, in_memory.as_ref().map(AsFd::as_fd)) {
        Ok((facts, None)) => child.link.send(FromChild::Ready(facts))?,
        Ok((facts, Some(instance))) => {
            child.created();
            child.link.send(FromChild::Ready(facts))?;
            work(&instance, queue, start.workers)?;
            instance.destroy();
        }
        Err((stage, why)) => child.link.send(FromChild::Failed { stage, why })?,
    }
    Ok(())
}

/// Moves the socket from stdin to a descriptor of its own, which no program started from here inherits.
fn take_socket() -> Result<UnixStream, RunError> {
    let stdin = io::stdin();
    rustix::net::sockopt::socket_domain(&stdin).map_err(|_| RunError::NotASocket)?;
    let moved =
        move_stdin().map_err(|source| RunError::Confine { what: "stdin could not be moved", source })?;
    Ok(UnixStream::from(moved))
}

fn move_stdin() -> io::Result<OwnedFd> {
    let moved = rustix::io::fcntl_dupfd_cloexec(io::stdin(), FD_MIN)?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(moved)
}

/// No core files (they would hold customers' data) and no way to more rights.
fn confine() -> Result<(), RunError> {
    rlimits::no_core_files()
        .map_err(|source| RunError::Confine { what: "no limit on core files", source })?;
    #[cfg(target_os = "linux")]
    rustix::thread::set_no_new_privs(true)
        .map_err(|error| RunError::Confine { what: "no ban on new privileges", source: error.into() })?;
    leave_signals_to_the_daemon()
}

/// A service manager's stop, and Ctrl-C, reach every process of the daemon: the daemon lets attempts under way finish and
/// then ends its hosts by their sockets, so here those signals must do nothing.
fn leave_signals_to_the_daemon() -> Result<(), RunError> {
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))
            .map_err(|source| RunError::Confine { what: "no handler for the daemon's signals", source })?;
    }
    Ok(())
}

/// Compares the builds. Returns the library, where it came along.
fn agree(socket: &UnixStream) -> Result<Option<OwnedFd>, RunError> {
    let mut first = FirstWords::from(socket);
    let said = protocol::read_frame(&mut first, TO_CHILD_BYTES_MAX)?.unwrap_or_default();
    if said == protocol::BUILD.as_bytes() {
        return Ok(first.into_library());
    }
    let said = String::from_utf8_lossy(&said[..said.len().min(100)]).into_owned();
    Err(RunError::OtherBuild { said })
}

fn first_message(reader: &mut BufReader<UnixStream>) -> Result<Option<Start>, RunError> {
    match protocol::read_frame(reader, TO_CHILD_BYTES_MAX)? {
        None => Ok(None),
        Some(frame) => match protocol::decode(&frame)? {
            ToChild::Start(start) => Ok(Some(start)),
            _ => Err(RunError::NotStarted),
        },
    }
}

/// Confines this process, while it has but one thread, where that is asked for; and limits it. The limits last: they need no
/// right, and looking up what is confined needs what they bound.
fn keep_within(start: &Start) -> Result<(), String> {
    keep_apart(start)?;
    rlimits::set(start.limits).map_err(|error| chain(&error))
}

fn keep_apart(start: &Start) -> Result<(), String> {
    let Some(wanted) = &start.confine else { return Ok(()) };
    #[cfg(target_os = "linux")]
    return crate::confine::confine(wanted, Path::new(OsStr::from_bytes(&start.library.0)))
        .map_err(|error| chain(&error));
    #[cfg(not(target_os = "linux"))]
    Err(format!("confine: only Linux can keep a plugin within bounds ({wanted:?})"))
}

/// Loads the library, and makes the instance where one is wanted.
pub(crate) fn make(
    child: &Child,
    start: &Start,
    in_memory: Option<BorrowedFd<'_>>,
) -> Result<(protocol::Facts, Option<Instance>), (Stage, String)> {
    let path = Path::new(OsStr::from_bytes(&start.library.0));
    let source = Source { in_memory, path, named: &start.named };
    let library = Library::open(&source).map_err(|error| (Stage::Load, chain(&error)))?;
    if start.load_only {
        return Ok((library.facts().clone(), None));
    }
    let instance = library
        .create(&child::HOST, child.ctx(), &start.settings_json)
        .map_err(|refused| (refused.stage, refused.why))?;
    Ok((library.facts().clone(), Some(instance)))
}

/// Runs the workers until the queue is closed and each has finished its call.
fn work(instance: &Instance, queue: Receiver<Arc<CallState>>, workers: u16) -> Result<(), RunError> {
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        let mut running = Vec::new();
        for number in 1..=workers.max(1) {
            let builder =
                thread::Builder::new().name(format!("worker-{number}")).stack_size(WORKER_STACK_BYTES);
            let worker = builder.spawn_scoped(scope, || child::work(instance, &queue));
            running.push(worker.map_err(RunError::Thread)?);
        }
        for worker in running {
            match worker.join() {
                Ok(ended) => ended?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    })
}

/// The reader's loop. Its end, for whatever reason, is the end of the process: see [`end_soon`].
fn read(child: &Arc<Child>, mut reader: BufReader<UnixStream>, queue: SyncSender<Arc<CallState>>) {
    let mut queue = Some(queue);
    let ended = loop {
        match next(&mut reader) {
            Ok(Some(ToChild::Call(call))) => enqueue(child, queue.as_ref(), call),
            Ok(Some(ToChild::Cancel { call })) => child.calls.cancel(call),
            Ok(Some(ToChild::Reply { upcall, reply })) => child.link.reply(upcall, reply),
            Ok(Some(ToChild::Stop)) => {
                queue = None;
                child.calls.cancel_all();
                end_soon();
            }
            Ok(Some(ToChild::Start(_))) => break Some("the daemon started the plugin twice".to_owned()),
            Ok(None) => break None,
            Err(error) => break Some(chain(&error)),
        }
    };
    drop(queue);
    child.calls.cancel_all();
    child.link.close();
    end_soon();
    if let Some(why) = ended {
        say(&why);
    }
}

/// Says why on stderr, where anybody still reads it: a daemon that was killed took the other end with it.
fn say(why: &str) {
    let _nobody_reads = writeln!(io::stderr(), "hookyard plugin-host: {why}");
}

fn next(reader: &mut BufReader<UnixStream>) -> Result<Option<ToChild>, FrameError> {
    let Some(frame) = protocol::read_frame(reader, TO_CHILD_BYTES_MAX)? else { return Ok(None) };
    protocol::decode(&frame).map(Some)
}

/// Queues a call. One too many is sent back: the reader must never wait for the plugin.
fn enqueue(child: &Arc<Child>, queue: Option<&SyncSender<Arc<CallState>>>, call: protocol::Call) {
    if let Err(Busy { call, outcome, detail }) = child::enqueue(child, queue, call) {
        // Where this fails the daemon is gone, and the loop is about to see it.
        drop(child.link.send(FromChild::Ended { call, outcome, detail }));
    }
}

/// Kills this process after the grace, whatever its other threads do.
fn end_soon() {
    let killer = spawn("end", || {
        thread::sleep(EXIT_GRACE);
        kill_self();
    });
    if killer.is_err() {
        kill_self();
    }
}

fn kill_self() {
    let kill = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    if kill.is_err() {
        std::process::abort();
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// An error and its causes, as one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
