//! Follows one child from its first word to its end: hands on what it says, and when it dies, or is to, sees it dead,
//! lets what it had begun to record reach the disk, and only then ends the calls that it held. One inside the daemon is
//! followed by `inline`, which shares the listening.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;

use hookyard_plugin_host::protocol::{
    self, FROM_CHILD_BYTES_MAX, Facts, FrameError, FromChild, Stage, ToChild,
};
use tokio::io::BufReader;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::child::{CallName, Child};
use super::death::{self, Cause};
use super::error::HostError;
use super::process::Process;
use super::shared::Shared;
use super::supervise::Seat;
use super::{report, upcall, wire};
use crate::model::limits::{HOST_EXIT_MAX, HOST_LAST_WORDS_MAX, HOST_SETTLE_MAX, LOG_LINE_BYTES_MAX};
use crate::observe::with_causes;

/// Where the plugin's readiness, or the reason why it is not, goes: once.
pub(super) type Ready = oneshot::Sender<Result<Facts, HostError>>;

/// What a child says.
#[derive(Debug)]
pub(super) enum Heard {
    Socket(BufReader<OwnedReadHalf>),
    Inline(mpsc::Receiver<FromChild>),
}

/// How a child ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) what: String,
    pub(super) cause: Cause,
    /// What it died of, in one word.
    pub(super) of: String,
}

/// Follows the child to its end.
pub(super) async fn drive(
    seat: Seat,
    child: Arc<Child>,
    mut process: Process,
    reader: OwnedReadHalf,
    ready: Ready,
) -> Ended {
    let shared = &seat.shared;
    let (cause, status) = {
        let talk = talk(seat.clone(), Arc::clone(&child), BufReader::new(reader), ready);
        tokio::pin!(talk);
        tokio::select! {
            said = &mut talk => after_talk(said, &mut process).await,
            status = process.child.wait() => {
                // What it said before it ended still counts.
                drop(timeout(HOST_LAST_WORDS_MAX, &mut talk).await);
                (Cause::Itself, Some(status))
            }
            cause = child.to_end() => {
                if matches!(cause, Cause::Retired | Cause::Stopped) {
                    // It may still log while it ends, so it is listened to.
                    let gentle = timeout(HOST_EXIT_MAX, end_gently(&child, &mut process));
                    drop(tokio::join!(gentle, timeout(HOST_EXIT_MAX, &mut talk)));
                }
                (cause, None)
            }
            () = shared.gone.cancelled() => (Cause::Dropped, None),
        }
    };
    let status = match status {
        Some(status) => Some(status),
        None => kill(shared, &mut process).await,
    };
    settle(shared, &child).await;
    let what = death::words(&cause, status.as_ref(), &process.last_lines().await);
    child.lost(&what, matches!(cause, Cause::Hung { .. }));
    let of = death::word(&cause, status.as_ref());
    Ended { what, cause, of }
}

/// The child is gone: a step that was being recorded is recorded, or is not, before the next attempt asks.
pub(super) async fn settle(shared: &Shared, child: &Child) {
    child.end_requests();
    child.upcalls.close();
    if timeout(HOST_SETTLE_MAX, child.upcalls.wait()).await.is_err() {
        tracing::error!(handler = %shared.spec.handler, "the store still works on what a dead plugin host asked for");
    }
}

/// The connection ended first: a breach, or a death whose status comes in a moment.
async fn after_talk(
    said: Result<(), String>,
    process: &mut Process,
) -> (Cause, Option<io::Result<ExitStatus>>) {
    match said {
        Err(breach) => (Cause::Breach(breach), None),
        Ok(()) => (Cause::Itself, timeout(HOST_LAST_WORDS_MAX, process.child.wait()).await.ok()),
    }
}

async fn end_gently(child: &Child, process: &mut Process) {
    // Stop is a few bytes, and a child that is gone needs none.
    drop(child.send(ToChild::Stop).await);
    if let Err(error) = process.child.wait().await {
        tracing::warn!(%error, "a plugin host cannot be waited for");
    }
}

/// Kills the child, if it lives, and waits until it does not. `None` where it ended only by this.
async fn kill(shared: &Shared, process: &mut Process) -> Option<io::Result<ExitStatus>> {
    if let Ok(Some(status)) = process.child.try_wait() {
        return Some(Ok(status));
    }
    if let Err(error) = process.child.start_kill() {
        tracing::error!(handler = %shared.spec.handler, %error, "a plugin host cannot be killed");
    }
    if timeout(HOST_EXIT_MAX, process.child.wait()).await.is_err() {
        tracing::error!(handler = %shared.spec.handler, "a plugin host was killed and is not gone");
    }
    None
}

/// Agrees with the child's process, then listens.
async fn talk(
    seat: Seat,
    child: Arc<Child>,
    mut reader: BufReader<OwnedReadHalf>,
    ready: Ready,
) -> Result<(), String> {
    match agree(&seat.shared, &child, &mut reader, ready).await? {
        Some(ready) => listen(seat, child, Heard::Socket(reader), ready).await,
        None => Ok(()),
    }
}

/// Listens until the conversation ends. An error is a breach of the protocol.
pub(super) async fn listen(
    seat: Seat,
    child: Arc<Child>,
    mut heard: Heard,
    ready: Ready,
) -> Result<(), String> {
    let (shared, child, mut ready) = (&seat.shared, &child, Some(ready));
    loop {
        let Some(message) = heard.next().await? else { return Ok(()) };
        match message {
            FromChild::Ready(facts) => {
                let first = child.facts.set(facts.clone()).is_ok();
                answer(&mut ready, Ok(facts)).filter(|()| first).ok_or("it was ready twice")?;
            }
            FromChild::Failed { stage, why } => {
                answer(&mut ready, Err(failed(stage, &why)))
                    .ok_or("it failed to start after it had started")?;
            }
            FromChild::Log { call, level, message, fields } => {
                log(shared, child, call, level, &report::log_line(&message, &fields));
            }
            FromChild::Upcall { upcall, call, ask } => upcall::accept(shared, child, upcall, call, ask)?,
            FromChild::Ended { call, outcome, detail } => {
                if !child.returned(call, outcome, detail) {
                    return Err("it ended a call that it did not have".to_owned());
                }
                if child.is_first_answer() {
                    seat.answered();
                }
            }
        }
    }
}

impl Heard {
    /// The next message; `None` at the end.
    async fn next(&mut self) -> Result<Option<FromChild>, String> {
        match self {
            Self::Socket(reader) => {
                let frame = wire::read(reader, FROM_CHILD_BYTES_MAX).await.or_else(broken)?;
                frame.map(|frame| protocol::decode(&frame)).transpose().map_err(|error| with_causes(&error))
            }
            Self::Inline(messages) => Ok(messages.recv().await),
        }
    }
}

/// Looks at the child's build, then says what to load. `None` at the end of the connection.
async fn agree(
    shared: &Shared,
    child: &Child,
    reader: &mut BufReader<OwnedReadHalf>,
    ready: Ready,
) -> Result<Option<Ready>, String> {
    let Some(said) = wire::read(reader, FROM_CHILD_BYTES_MAX).await.or_else(broken)? else {
        return Ok(None);
    };
    if said != protocol::BUILD.as_bytes() {
        let said = report::clean(&String::from_utf8_lossy(&said), LOG_LINE_BYTES_MAX);
        answer(&mut Some(ready), Err(HostError::OtherBuild { said, ours: protocol::BUILD }));
        return Err("it is another build".to_owned());
    }
    let start = ToChild::Start(shared.start.clone());
    child.send(start).await.map_err(|error| with_causes(&error))?;
    Ok(Some(ready))
}

/// A connection that fails is one that ends; the rest are breaches.
fn broken(error: FrameError) -> Result<Option<Vec<u8>>, String> {
    match error {
        FrameError::Io(_) => Ok(None),
        error => Err(with_causes(&error)),
    }
}

/// Tells the one who waits for the start; `None` where it was told before.
fn answer(ready: &mut Option<Ready>, result: Result<Facts, HostError>) -> Option<()> {
    let ready = ready.take()?;
    // One who waits no longer has killed the child.
    drop(ready.send(result));
    Some(())
}

pub(super) fn failed(stage: Stage, why: &str) -> HostError {
    let why = report::clean(why, usize::MAX);
    match stage {
        Stage::Load => HostError::Load { why },
        Stage::Settings => HostError::Settings { why },
        Stage::Create => HostError::Create { why },
    }
}

/// Keeps a plugin's line with its attempt, and hands it to the log.
fn log(shared: &Shared, child: &Child, call: Option<u64>, level: u32, line: &str) {
    let handler = &shared.spec.handler;
    if let Some(id) = call {
        child.keep_line(id, line.to_owned());
    }
    match call.and_then(|id| child.name(id)) {
        Some(CallName { delivery, attempt, .. }) => {
            let event = delivery.event;
            match level {
                0 => tracing::trace!(%event, %handler, attempt, "plugin: {line}"),
                1 => tracing::debug!(%event, %handler, attempt, "plugin: {line}"),
                2 => tracing::info!(%event, %handler, attempt, "plugin: {line}"),
                3 => tracing::warn!(%event, %handler, attempt, "plugin: {line}"),
                _ => tracing::error!(%event, %handler, attempt, "plugin: {line}"),
            }
        }
        None => match level {
            0 => tracing::trace!(%handler, "plugin: {line}"),
            1 => tracing::debug!(%handler, "plugin: {line}"),
            2 => tracing::info!(%handler, "plugin: {line}"),
            3 => tracing::warn!(%handler, "plugin: {line}"),
            _ => tracing::error!(%handler, "plugin: {line}"),
        },
    }
}
