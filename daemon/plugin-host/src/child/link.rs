//! The plugin's end of the conversation: messages to the daemon, over a child's socket or by hand where the plugin runs
//! inside the daemon, and upcalls that wait for their replies.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use hookyard_plugin::abi;

use crate::protocol::{self, Ask, FROM_CHILD_BYTES_MAX, FrameError, FromChild, Reply};

/// The way to the daemon.
#[derive(Debug)]
pub(crate) struct Link {
    out: Out,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
enum Out {
    Socket(Mutex<UnixStream>),
    /// `None` once the instance is gone.
    Inline(Mutex<Option<Listener>>),
}

/// Takes what a plugin inside the daemon says. Called on the plugin's threads, where it may block while the daemon is
/// behind; `false` where nobody listens any more.
#[derive(Clone)]
pub struct Listener(Arc<dyn Fn(FromChild) -> bool + Send + Sync>);

/// Upcalls that wait, by their id.
#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    /// The daemon is gone: nothing will be answered.
    closed: bool,
    replies: HashMap<u64, SyncSender<Reply>>,
}

impl Link {
    pub(crate) fn socket(writer: UnixStream) -> Self {
        Self { out: Out::Socket(Mutex::new(writer)), waiting: Mutex::default() }
    }

    pub(crate) fn inline(listener: Listener) -> Self {
        Self { out: Out::Inline(Mutex::new(Some(listener))), waiting: Mutex::default() }
    }

    /// Sends one message; blocks while the daemon is behind.
    pub(crate) fn send(&self, message: FromChild) -> Result<(), FrameError> {
        match &self.out {
            Out::Socket(writer) => {
                let frame = protocol::encode(&message, FROM_CHILD_BYTES_MAX)?;
                let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                writer.write_all(&frame).map_err(FrameError::Io)
            }
            Out::Inline(listener) => {
                let listener = listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let heard = listener.is_some_and(|listener| (listener.0)(message));
                if heard { Ok(()) } else { Err(FrameError::Io(io::ErrorKind::BrokenPipe.into())) }
            }
        }
    }

    /// Asks the daemon and waits. A daemon that is gone refuses with `E_CANCELLED`.
    pub(crate) fn ask(&self, call: Option<u64>, ask: Ask) -> Reply {
        let (sender, receiver) = sync_channel(1);
        let upcall = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.closed {
                return Reply::Refused(abi::E_CANCELLED);
            }
            waiting.last += 1;
            let upcall = waiting.last;
            waiting.replies.insert(upcall, sender);
            upcall
        };
        match self.send(FromChild::Upcall { upcall, call, ask }) {
            Ok(()) => receiver.recv().unwrap_or(Reply::Refused(abi::E_CANCELLED)),
            Err(error) => {
                self.forget(upcall);
                Reply::Refused(status_of(&error))
            }
        }
    }

    /// Hands a reply to the thread that waits for it.
    pub(crate) fn reply(&self, upcall: u64, reply: Reply) {
        if let Some(sender) = self.forget(upcall) {
            // The receiver waits in ask(), and the channel has room for its one reply.
            drop(sender.try_send(reply));
        }
    }

    /// The daemon is gone, or the instance is: every upcall, waiting or to come, is refused.
    pub(crate) fn close(&self) {
        if let Out::Inline(listener) = &self.out {
            listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.closed = true;
        waiting.replies.clear();
    }

    fn forget(&self, upcall: u64) -> Option<SyncSender<Reply>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).replies.remove(&upcall)
    }
}

impl Listener {
    pub fn new(hear: impl Fn(FromChild) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

fn status_of(error: &FrameError) -> i32 {
    match error {
        FrameError::TooLarge { .. } => abi::E_TOO_LARGE,
        FrameError::Truncated
        | FrameError::Malformed(_)
        | FrameError::Trailing { .. }
        | FrameError::Io(_) => abi::E_CANCELLED,
    }
}
