//! A plugin inside the daemon's own process: the conversation of a child, without the process and without the socket.
//!
//! The daemon starts one ([`Inline::start`]), hands it messages ([`Inline::tell`]) and is handed its messages by a
//! [`Listener`]. It has threads of its own, none of them an async runtime's: one that loads the library, makes the
//! instance and destroys it, and the workers. What the end of a process would end does not end here: a call that hangs keeps
//! its thread and its instance until the daemon ends, and a crash of the plugin is one of the daemon. The library stays
//! mapped; every limit of a process, and every bound of `confine`, is the daemon's.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::child::{self, Busy, CallState, Child, Link, Listener};
use crate::library::Instance;
use crate::protocol::{FromChild, Stage, Start, ToChild, WORKER_STACK_BYTES};
use crate::run;

/// What the workers share: calls that no worker has yet.
type Queue = Arc<Mutex<Receiver<Arc<CallState>>>>;

/// A plugin that is being loaded, works, or ends.
#[derive(Debug)]
pub struct Inline {
    child: Arc<Child>,
    /// `None` once it is to take no more calls.
    queue: Mutex<Option<SyncSender<Arc<CallState>>>>,
}

/// Ends what the plugin's functions find, whatever ended its thread.
struct Ending(Arc<Child>);

impl Inline {
    /// Begins to load `start.library` by its path, on a thread of its own. The listener hears [`FromChild::Ready`] or
    /// [`FromChild::Failed`] first, and is dropped once the instance is destroyed. Nothing is confined, so a start that asks
    /// for it fails. An error is a thread that could not be started.
    pub fn start(start: Start, listener: Listener) -> io::Result<Self> {
        let (sender, queue) = sync_channel(child::calls_waiting_max(&start));
        let child = Child::begin(Link::inline(listener), start.level);
        let ending = Ending(Arc::clone(&child));
        spawn("plugin", move || live(&ending.0, &start, queue))?;
        Ok(Self { child, queue: Mutex::new(Some(sender)) })
    }

    /// Takes a message; never waits. An error is a call that found no place. [`ToChild::Start`] has been taken already, and
    /// means nothing here.
    pub fn tell(&self, message: ToChild) -> Result<(), Busy> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match message {
            ToChild::Start(_) => {}
            ToChild::Call(call) => return child::enqueue(&self.child, queue.as_ref(), call),
            ToChild::Cancel { call } => self.child.calls.cancel(call),
            ToChild::Reply { upcall, reply } => self.child.link.reply(upcall, reply),
            ToChild::Stop => {
                *queue = None;
                self.child.calls.cancel_all();
            }
        }
        Ok(())
    }
}

impl Drop for Inline {
    /// The daemon is done with it: what still runs gets no more calls, and no more answers.
    fn drop(&mut self) {
        *self.queue.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        self.child.calls.cancel_all();
        self.child.link.close();
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The whole life of the instance. Where a call hangs, so does this.
fn live(child: &Arc<Child>, start: &Start, queue: Receiver<Arc<CallState>>) {
    let made = match start.confine {
        None => run::make(child, start, None),
        Some(_) => Err((Stage::Load, "a plugin inside the daemon cannot be confined".to_owned())),
    };
    // Where the daemon hears no more, it has sent the stop that ends the workers.
    match made {
        Err((stage, why)) => drop(child.link.send(FromChild::Failed { stage, why })),
        Ok((facts, None)) => drop(child.link.send(FromChild::Ready(facts))),
        Ok((facts, Some(instance))) => {
            child.created();
            let instance = Arc::new(instance);
            let workers = work(&instance, queue, start.workers);
            drop(child.link.send(match &workers {
                Ok(_) => FromChild::Ready(facts),
                Err(error) => {
                    let why = format!("a thread for its calls could not be started: {error}");
                    FromChild::Failed { stage: Stage::Create, why }
                }
            }));
            // A worker that panicked has let go of the instance too.
            workers.into_iter().flatten().for_each(|worker| drop(worker.join()));
            let_go(instance);
        }
    }
}

/// Starts the workers; they run until the queue is closed.
fn work(
    instance: &Arc<Instance>,
    queue: Receiver<Arc<CallState>>,
    workers: u16,
) -> io::Result<Vec<JoinHandle<()>>> {
    let queue: Queue = Arc::new(Mutex::new(queue));
    let worker = |number| {
        let (instance, queue) = (Arc::clone(instance), Arc::clone(&queue));
        // An error is the daemon's end of the conversation: nobody is left to answer to.
        spawn(&format!("plugin-{number}"), move || {
            drop(child::work(&instance, &queue));
            let_go(instance);
        })
    };
    (1..=workers.max(1)).map(worker).collect()
}

/// Whoever has it last destroys it.
fn let_go(instance: Arc<Instance>) {
    if let Some(instance) = Arc::into_inner(instance) {
        instance.destroy();
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).stack_size(WORKER_STACK_BYTES).spawn(work)
}
