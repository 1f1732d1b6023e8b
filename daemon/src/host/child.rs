//! One child, in a process or inside the daemon, as the daemon holds it: the calls that it has, the way to send to it, and
//! why it is to end. `call` begins calls, `drive` ends them.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hookyard_plugin_host::protocol::{Detail, Facts, FrameError, Reply, ToChild};
use hookyard_plugin_host::{Busy, Inline};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::death::Cause;
use super::http::Trace;
use super::{report, wire};
use crate::model::ids::DeliveryId;
use crate::model::limits::{ATTEMPT_LOG_LINES_MAX, HOST_UPCALLS_MAX};

/// One child and what it holds.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: Option<u32>,
    /// Known once the plugin is ready.
    pub(super) facts: OnceLock<Facts>,
    /// What it asked for that is not yet answered.
    pub(super) upcalls: TaskTracker,
    pub(super) upcall_permits: Arc<Semaphore>,
    answered: AtomicBool,
    outbox: Outbox,
    end: watch::Sender<Option<Cause>>,
    calls: Mutex<Calls>,
}

/// The way to a child.
#[derive(Debug)]
pub(super) enum Outbox {
    /// Frames that are to be written to its process.
    Process(mpsc::Sender<Vec<u8>>),
    Inline(Inline),
}

#[derive(Debug)]
struct Calls {
    /// Takes new ones.
    open: bool,
    last: u64,
    running: HashMap<u64, Running>,
}

#[derive(Debug)]
struct Running {
    name: CallName,
    /// What is done for it and not kept, HTTP requests, ends with it.
    over: CancellationToken,
    log: VecDeque<String>,
    /// Long over its time, in a thread that nobody can end.
    hangs: bool,
    ended: oneshot::Sender<CallEnd>,
}

/// How a call ended, and the last lines that it logged.
#[derive(Debug)]
pub(super) struct CallEnd {
    pub(super) how: How,
    pub(super) log: Vec<String>,
}

/// How a call ended.
#[derive(Debug)]
pub(super) enum How {
    /// `handle` returned.
    Returned { outcome: i32, detail: Detail },
    /// The child ended first; `hung` where it was killed because a call did not return.
    Lost { what: String, hung: bool },
}

/// Which call a line or an upcall belongs to.
#[derive(Debug, Clone)]
pub(super) struct CallName {
    pub(super) delivery: DeliveryId,
    pub(super) attempt: u32,
    pub(super) trace: Trace,
}

impl Child {
    /// A child that takes calls; `pid` is its process's own, where it has one.
    pub(super) fn new(pid: Option<u32>, outbox: Outbox) -> Self {
        Self {
            pid,
            facts: OnceLock::new(),
            upcalls: TaskTracker::new(),
            upcall_permits: Arc::new(Semaphore::new(HOST_UPCALLS_MAX)),
            answered: AtomicBool::new(false),
            outbox,
            end: watch::Sender::new(None),
            calls: Mutex::new(Calls { open: true, last: 0, running: HashMap::new() }),
        }
    }

    /// Begins a call; `None` where the child takes no more. Its end comes over the channel, whatever happens.
    pub(super) fn begin(&self, name: CallName) -> Option<(u64, oneshot::Receiver<CallEnd>)> {
        let mut calls = self.calls();
        if !calls.open {
            return None;
        }
        let (ended, receiver) = oneshot::channel();
        calls.last += 1;
        let id = calls.last;
        let running =
            Running { name, over: CancellationToken::new(), log: VecDeque::new(), hangs: false, ended };
        calls.running.insert(id, running);
        Some((id, receiver))
    }

    /// Whether it takes new calls.
    pub(super) fn is_open(&self) -> bool {
        self.calls().open
    }

    /// Sends a message; waits while the child is behind. A child that is gone is seen by the end of its calls.
    pub(super) async fn send(&self, message: ToChild) -> Result<(), FrameError> {
        match &self.outbox {
            Outbox::Process(frames) => drop(frames.send(wire::frame(&message)?).await),
            Outbox::Inline(inline) => self.tell(inline, message),
        }
        Ok(())
    }

    fn tell(&self, inline: &Inline, message: ToChild) {
        if let Err(Busy { call, outcome, detail }) = inline.tell(message) {
            self.returned(call, outcome, detail);
        }
    }

    /// Tells the child that no time is left for a call, and ends its requests. One that is too far behind to be told will be
    /// killed.
    pub(super) fn cancel(&self, id: u64) {
        if let Some(running) = self.calls().running.get(&id) {
            running.over.cancel();
        }
        let message = ToChild::Cancel { call: id };
        match &self.outbox {
            Outbox::Process(frames) => {
                if let Ok(frame) = wire::frame(&message) {
                    drop(frames.try_send(frame));
                }
            }
            Outbox::Inline(inline) => self.tell(inline, message),
        }
    }

    /// A call is long over its time, and nobody can end it: the others do not wait for it.
    pub(super) fn hang(&self, id: u64) {
        let mut calls = self.calls();
        if let Some(running) = calls.running.get_mut(&id) {
            running.hangs = true;
        }
        let retired = calls.are_over();
        drop(calls);
        if retired {
            self.end(Cause::Retired);
        }
    }

    /// Answers at once that there is no answer. `false` where it is a process, whose socket may be full.
    pub(super) fn refuse(&self, upcall: u64, status: i32) -> bool {
        let Outbox::Inline(inline) = &self.outbox else { return false };
        self.tell(inline, ToChild::Reply { upcall, reply: Reply::Refused(status) });
        true
    }

    /// Whether calls hang that nobody can end.
    pub(super) fn has_hanging(&self) -> bool {
        self.calls().running.values().any(|running| running.hangs)
    }

    /// Takes no new calls and ends the child. The first cause counts.
    pub(super) fn end(&self, cause: Cause) {
        self.calls().open = false;
        self.end.send_if_modified(|end| match end {
            Some(_) => false,
            None => {
                *end = Some(cause);
                true
            }
        });
    }

    /// Waits until the child is to end, and says why.
    pub(super) async fn to_end(&self) -> Cause {
        let mut end = self.end.subscribe();
        match end.wait_for(Option::is_some).await.map(|cause| cause.clone()) {
            Ok(Some(cause)) => cause,
            // The sender lives in self.
            Ok(None) | Err(_) => Cause::Dropped,
        }
    }

    /// The running call of that number.
    pub(super) fn name(&self, id: u64) -> Option<CallName> {
        let calls = self.calls();
        Some(calls.running.get(&id)?.name.clone())
    }

    /// What ends with the running call of that number.
    pub(super) fn over(&self, id: u64) -> Option<CancellationToken> {
        Some(self.calls().running.get(&id)?.over.clone())
    }

    /// Ends the requests of every call: nobody is left to read their answers.
    pub(super) fn end_requests(&self) {
        self.calls().running.values().for_each(|running| running.over.cancel());
    }

    /// Keeps a line with a running call; the oldest goes.
    pub(super) fn keep_line(&self, id: u64, line: String) {
        if let Some(running) = self.calls().running.get_mut(&id) {
            if running.log.len() == ATTEMPT_LOG_LINES_MAX {
                running.log.pop_front();
            }
            running.log.push_back(line);
        }
    }

    /// A call returned; `false` where there is none of that number. After a panic the child takes no more calls, and ends
    /// with its last one.
    pub(super) fn returned(&self, id: u64, outcome: i32, detail: Detail) -> bool {
        let mut calls = self.calls();
        let Some(running) = calls.running.remove(&id) else { return false };
        if outcome == report::E_PANIC {
            calls.open = false;
        }
        let retired = calls.are_over();
        drop(calls);
        running.finish(How::Returned { outcome, detail });
        if retired {
            self.end(Cause::Retired);
        }
        true
    }

    /// Whether this is the first time that it is asked.
    pub(super) fn is_first_answer(&self) -> bool {
        !self.answered.swap(true, Ordering::Relaxed)
    }

    /// Takes back a call that was never sent.
    pub(super) fn forget(&self, id: u64) {
        self.calls().running.remove(&id);
    }

    /// The child is dead: every call that it held ends so.
    pub(super) fn lost(&self, what: &str, hung: bool) {
        let mut calls = self.calls();
        calls.open = false;
        let running = std::mem::take(&mut calls.running);
        drop(calls);
        for call in running.into_values() {
            call.finish(How::Lost { what: what.to_owned(), hung });
        }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    /// No call is to come, and none is worth waiting for.
    fn are_over(&self) -> bool {
        !self.open && self.running.values().all(|running| running.hangs)
    }
}

impl Running {
    fn finish(self, how: How) {
        self.over.cancel();
        // The task that waits for it ends only after this, unless the runtime is going down.
        drop(self.ended.send(CallEnd { how, log: self.log.into() }));
    }
}
