//! One run of a command: feed its stdin, read its two outputs, wait for its end or the end of the time, all in one loop
//! over file descriptors. Nothing that the command does with its pipes can hold the loop up: it may close stdin early,
//! never read it, write without end, or leave a child behind that keeps an output open.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::group::Group;
use crate::output::Output;

/// How often a run asks whether it may go on.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Between SIGTERM and SIGKILL: half of what hookyard grants a call beyond its time.
const TERM_GRACE: Duration = Duration::from_secs(1);
/// Reads at once: what a pipe holds.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that are read of an output once the command has ended: a child that it left may write for ever.
const LAST_PIECES_MAX: usize = 16;

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) how: Ended,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Exit(i32),
    Signal(i32),
    /// It was ended, because its time was over.
    OutOfTime,
}

/// Why there was no run, or no end of one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("the command cannot be started")]
    Start(#[source] io::Error),
    #[error("the command's process group cannot be made: is there a /bin/sh?")]
    Group(#[source] io::Error),
    #[error("the command cannot be watched")]
    Watch(#[source] io::Error),
}

/// Runs the command with this input until it ends, or until `time_is_over` says so.
pub(crate) fn run(
    mut command: Command,
    input: &[u8],
    time_is_over: impl Fn() -> bool,
) -> Result<Ran, RunError> {
    let group = Group::new().map_err(RunError::Group)?;
    group.takes(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(RunError::Start)?;
    let mut running = Running::new(child, input).map_err(RunError::Watch)?;
    let over = running.until_over(&group, time_is_over);
    // What it left behind would keep the pipes, and go on with nobody to know of it.
    group.kill();
    let status = running.child.wait().map_err(RunError::Watch)?;
    let out_of_time = over.map_err(RunError::Watch)?;
    running.read_the_rest();
    let how = if out_of_time { Ended::OutOfTime } else { ended(status) };
    Ok(Ran { how, stdout: running.stdout.kept, stderr: running.stderr.kept })
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exit(code),
        (None, signal) => Ended::Signal(signal.unwrap_or_default()),
    }
}

struct Running<'a> {
    child: Child,
    pidfd: OwnedFd,
    /// What is left of the input.
    input: &'a [u8],
    stdin: Option<ChildStdin>,
    stdout: Stream,
    stderr: Stream,
}

/// One output, `None` once it is closed.
struct Stream {
    pipe: Option<Box<dyn Pipe>>,
    kept: Output,
}

trait Pipe: Read + AsFd {}
impl<T: Read + AsFd> Pipe for T {}

impl<'a> Running<'a> {
    fn new(mut child: Child, input: &'a [u8]) -> io::Result<Self> {
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        let stdin = child.stdin.take();
        if let Some(stdin) = &stdin {
            do_not_block(stdin.as_fd())?;
        }
        let stdout = Stream::new(child.stdout.take())?;
        let stderr = Stream::new(child.stderr.take())?;
        Ok(Self { child, pidfd, input, stdin, stdout, stderr })
    }

    /// Ends with the command, or says that its time was over: then it was asked to end, and did or did not.
    fn until_over(&mut self, group: &Group, time_is_over: impl Fn() -> bool) -> io::Result<bool> {
        let mut asked: Option<Instant> = None;
        loop {
            if self.step()? {
                return Ok(asked.is_some());
            }
            match asked {
                None if time_is_over() => {
                    group.terminate();
                    asked = Some(now());
                }
                Some(asked) if now().duration_since(asked) >= TERM_GRACE => return Ok(true),
                None | Some(_) => {}
            }
        }
    }

    /// Waits a little for something to do, and does it. Says whether the command has ended.
    fn step(&mut self) -> io::Result<bool> {
        let ended = {
            let mut watched = vec![PollFd::new(&self.pidfd, PollFlags::IN)];
            watched.extend(self.stdin.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
            for stream in [&self.stdout, &self.stderr] {
                watched.extend(
                    stream.pipe.as_ref().map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)),
                );
            }
            let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK_EVERY.subsec_nanos()) };
            match poll(&mut watched, Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            watched[0].revents().contains(PollFlags::IN)
        };
        self.feed();
        self.stdout.read();
        self.stderr.read();
        Ok(ended)
    }

    /// Writes what the command takes now. A command that wants no more of it has said enough by closing it.
    fn feed(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        let piece = &self.input[..self.input.len().min(PIECE_BYTES)];
        match stdin.write(piece) {
            Ok(written) => self.input = &self.input[written..],
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(_) => self.input = &[],
        }
        if self.input.is_empty() {
            self.stdin = None;
        }
    }

    fn read_the_rest(&mut self) {
        for stream in [&mut self.stdout, &mut self.stderr] {
            for _ in 0..LAST_PIECES_MAX {
                if !stream.read() {
                    break;
                }
            }
        }
    }
}

impl Stream {
    fn new<P: Pipe + 'static>(pipe: Option<P>) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            do_not_block(pipe.as_fd())?;
        }
        Ok(Self { pipe: pipe.map(|pipe| Box::new(pipe) as Box<dyn Pipe>), kept: Output::default() })
    }

    /// Reads what is there. Says whether there was something.
    fn read(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else { return false };
        let mut piece = vec![0; PIECE_BYTES];
        match pipe.read(&mut piece) {
            Ok(0) => self.pipe = None,
            Ok(read) => {
                self.kept.take(&piece[..read]);
                return true;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.pipe = None,
        }
        false
    }
}

fn do_not_block(pipe: BorrowedFd<'_>) -> io::Result<()> {
    let flags = fcntl_getfl(pipe)?;
    Ok(fcntl_setfl(pipe, flags | OFlags::NONBLOCK)?)
}

#[expect(clippy::disallowed_methods, reason = "a plugin has no clock of hookyard's")]
fn now() -> Instant {
    Instant::now()
}
