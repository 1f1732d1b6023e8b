//! The start of a store: the writer first, then sled, which it does not wait for long.
//!
//! Called by [`SledStore::open`]. Everything that is quick to look at refuses at once (`open.rs`). Then the writer begins,
//! and takes events; sled opens on a thread of its own (`load.rs`). A small store has it in a moment, and whoever opens
//! hears what is wrong with it; a large one goes on without, and what is found then ends the store like any other failure.

use std::io;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc as std_mpsc};

use tokio::sync::mpsc;

use super::journal::Settings;
use super::load::{self, Loading};
use super::open::{self, OpenError};
use super::space::Space;
use super::writer::{self, Durability, Job, Start, Started};
use super::{SledOptions, SledStore};
use crate::model::clock::Clock;
use crate::model::limits::WRITER_QUEUE_MAX;
use crate::observe::with_causes;
use crate::store::Health;

/// Opens the store.
pub(super) fn open(
    options: &SledOptions,
    clock: Arc<dyn Clock>,
    mut durability: Durability,
) -> Result<SledStore, OpenError> {
    let io = |doing| move |source| OpenError::Io { path: options.path.clone(), doing, source };
    let opened = open::open(options)?;
    let space = Space::new(&options.path, options.free_bytes_min, clock.now())
        .map_err(io("ask for free disk space"))?;
    space.restore_ballast();
    let (jobs, queue) = mpsc::channel(WRITER_QUEUE_MAX);
    let load_wait = durability.load_wait;
    let before_load = std::mem::replace(&mut durability.before_load, Box::new(|| {}));
    let start = Start {
        opened,
        dir: options.path.clone(),
        settings: Settings { segment_bytes: options.segment_bytes, apply_after: options.apply_after },
        clock: Arc::clone(&clock),
        space,
        durability,
        jobs: queue,
    };
    let Started { shared, loading, backlog, thread: writer } =
        writer::start(start).map_err(io("begin a new file of the journal"))?;
    let (tell, told) = std_mpsc::sync_channel(1);
    let ended = match load_on(jobs.clone(), loading, before_load, tell) {
        Ok(()) => told.recv_timeout(load_wait),
        Err(source) => Ok(Err(io("start a thread")(source))),
    };
    let refused = match ended {
        Ok(Ok(())) => return Ok(SledStore::new(jobs, shared, backlog, clock)),
        Ok(Err(refused)) => Some(refused),
        Err(RecvTimeoutError::Timeout) => {
            let dir = options.path.display();
            tracing::info!(%dir, "the store takes events; what it holds is still being read");
            return Ok(SledStore::new(jobs, shared, backlog, clock));
        }
        // The writer failed while it settled what had been found.
        Err(RecvTimeoutError::Disconnected) => None,
    };
    drop(jobs);
    // Whatever it says at its end, the refusal is why.
    let _ended = writer.join();
    Err(refused.unwrap_or_else(|| {
        let what = match shared.health() {
            Health::Failed { why } => why,
            _ => "its writer ended".to_owned(),
        };
        OpenError::Unreadable { path: options.path.clone(), what }
    }))
}

/// Opens sled on a thread of its own. Its end goes to the writer; a refusal to whoever opens the store, while they wait.
fn load_on(
    jobs: mpsc::Sender<Job>,
    loading: Loading,
    before_load: Box<dyn FnOnce() + Send>,
    tell: std_mpsc::SyncSender<Result<(), OpenError>>,
) -> io::Result<()> {
    let load = move || {
        before_load();
        let end = match load::load(loading) {
            Ok(loaded) => Ok((loaded, tell)),
            Err(refused) => match tell.send(Err(refused)) {
                Err(std_mpsc::SendError(Err(refused))) => Err(with_causes(&refused)),
                Ok(()) | Err(_) => return,
            },
        };
        // The writer may have been closed meanwhile.
        let _closed = jobs.blocking_send(Job::Loaded(Box::new(end)));
    };
    std::thread::Builder::new().name("store-loader".to_owned()).spawn(load).map(drop)
}
