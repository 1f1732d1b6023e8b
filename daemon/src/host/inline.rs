//! A child that is no process: the plugin runs inside the daemon, by the same conversation, over channels (the plugin host's
//! `Inline`).
//!
//! What it may run at all is asked of a child process first (`may_run`), so that nothing of a plugin that cannot share a
//! process ever runs in this one. Nobody can kill it: a call that does not return at its deadline is waited for until it does
//! ([`outlast`]), so its delivery is never tried a second time beside it, and its worker is lost meanwhile; an instance that
//! is to end and cannot is left behind ([`follow`]). Only the daemon's end ends either. Its library stays mapped ([`mapped`]).

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookyard_plugin_host::protocol::{Facts, FromChild, ToChild};
use hookyard_plugin_host::{Inline, Listener};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::child::{CallEnd, Child, How, Outbox};
use super::death::Cause;
use super::drive::{Ended, Heard, Ready, listen, settle};
use super::library::Checked;
use super::pool::Place;
use super::shared::Shared;
use super::supervise::Seat;
use super::{HostError, HostProgram, inspect};
use crate::model::ids::{DeliveryId, HandlerName};
use crate::model::limits::{HOST_EXIT_MAX, INLINE_INBOX_MAX};

/// The hashes of every library that was loaded into this process.
static MAPPED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The hashes of the libraries that were loaded into this process: each stays mapped until it ends.
pub fn mapped() -> BTreeSet<String> {
    MAPPED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Why a plugin of these facts cannot run inside the daemon.
pub(super) fn refusal(facts: &Facts) -> Option<HostError> {
    let (flag, meaning) = match facts {
        Facts { panic_aborts: true, .. } => {
            ("HOOKYARD_F_PANIC_ABORTS", "it is built without unwinding, so a panic would end the daemon")
        }
        Facts { needs_isolation: true, .. } => (
            "HOOKYARD_F_NEEDS_ISOLATION",
            "it wants a process for itself, for a runtime such as Go's, or for SQLite, whose locks hold between processes \
             only",
        ),
        _ => return None,
    };
    Some(HostError::NeedsProcess { flag, meaning })
}

/// Has a child process load the library and say what it is, and refuses one that needs a process for itself.
pub(super) async fn may_run(
    program: &HostProgram,
    handler: &HandlerName,
    library: &Checked,
) -> Result<(), HostError> {
    let facts = inspect::facts(program, handler, library).await?;
    refusal(&facts).map_or(Ok(()), Err)
}

/// Begins to load the plugin; what it says is to be heard.
pub(super) fn begin(shared: &Shared) -> Result<(Arc<Child>, mpsc::Receiver<FromChild>), HostError> {
    let (says, heard) = mpsc::channel(INLINE_INBOX_MAX);
    let listener = Listener::new(move |message| says.blocking_send(message).is_ok());
    MAPPED.lock().unwrap_or_else(PoisonError::into_inner).insert(shared.library.sha256.clone());
    let inline = Inline::start(shared.start.clone(), listener).map_err(HostError::Thread)?;
    Ok((Arc::new(Child::new(None, Outbox::Inline(inline))), heard))
}

/// Follows the instance until it is destroyed, or left behind.
pub(super) async fn follow(
    seat: Seat,
    child: Arc<Child>,
    heard: mpsc::Receiver<FromChild>,
    ready: Ready,
) -> Ended {
    let shared = Arc::clone(&seat.shared);
    let mut talk = Box::pin(listen(seat, Arc::clone(&child), Heard::Inline(heard), ready));
    let (cause, mut gone) = tokio::select! {
        said = &mut talk => (said.map_or_else(Cause::Breach, |()| Cause::Itself), true),
        cause = child.to_end() => (cause, false),
        () = shared.gone.cancelled() => (Cause::Dropped, false),
    };
    // It never waits, so it always arrives.
    drop(child.send(ToChild::Stop).await);
    if !gone {
        let patience = if child.has_hanging() { Duration::ZERO } else { HOST_EXIT_MAX };
        gone = timeout(patience, &mut talk).await.is_ok();
    }
    let what = words(&cause);
    if gone || !matches!(cause, Cause::Retired) {
        settle(&shared, &child).await;
        child.lost(&what, false);
    } else {
        let handler = &shared.spec.handler;
        tracing::error!(%handler, "{what}, and cannot end: it is left behind, and only a restart of the daemon ends it");
        let what = what.clone();
        tokio::spawn(async move {
            // Its calls may still return, and record what they did.
            tokio::select! {
                _ = &mut talk => {}
                () = shared.ended() => {}
            }
            settle(&shared, &child).await;
            child.lost(&what, false);
        });
    }
    Ended { what, cause, of: "stop".to_owned() }
}

/// Waits for a call that did not return at its deadline. Until it does its delivery is under way, so nobody tries it again.
pub(super) async fn outlast(
    shared: &Shared,
    place: &mut Place,
    id: u64,
    delivery: &DeliveryId,
    ended: Pin<&mut impl Future<Output = CallEnd>>,
) -> CallEnd {
    let (handler, limit) = (&shared.spec.handler, shared.spec.timeout);
    place.hang();
    place.child.hang(id);
    let what = format!(
        "a call hangs inside the daemon: it did not return within {limit:?}, its worker is lost, and only a restart of the \
         daemon ends it"
    );
    tracing::error!(%handler, %delivery, "{what}");
    shared.tell_fault(&what);
    let end = ended.await;
    if matches!(end.how, How::Returned { .. }) {
        tracing::warn!(%handler, %delivery, "a call that hung has returned: its worker is free again");
    }
    end
}

/// Says what a delivery is told that the instance held.
fn words(cause: &Cause) -> String {
    match cause {
        Cause::Breach(what) => format!("the plugin inside the daemon broke the protocol: {what}"),
        Cause::Retired => "the plugin inside the daemon is replaced because it had panicked".to_owned(),
        Cause::Stopped | Cause::Dropped => {
            "the plugin inside the daemon was stopped while it held the delivery".to_owned()
        }
        Cause::Itself | Cause::Hung { .. } => "the plugin inside the daemon ended by itself".to_owned(),
    }
}
