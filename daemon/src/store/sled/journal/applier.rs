//! The thread that brings sled up to date, many commits at a time.
//!
//! For each task: read the commits' frames, keep the rows that no later commit has written over, write them to sled, sync;
//! then the rows leave the front. The journal's position is written with the next task, after the rows that it speaks for
//! are on disk; only then are their segments used again. A kill anywhere in between repeats work and loses nothing. Each
//! batch that sled gets is bounded and synced before the next, because sled, cut off in the middle of what it takes row by
//! row, may not open again.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use sled::{Batch, IVec};

use super::super::engine::panic_words;
use super::super::front::Front;
use super::super::horizon::Horizon;
use super::super::keys;
use super::super::shared::{Shared, Worker};
use super::super::space::free_bytes;
use super::Sled;
use super::backlog::{Backlog, Commit, Task};
use super::frame::Frame;
use super::replay::{encode_position, read_commit};
use crate::model::clock::Stopwatch;
use crate::model::limits::{SLED_BATCH_BYTES_MAX, SLED_FREE_BYTES_MIN};
use crate::store::Health;

/// Everything that the thread needs.
pub(super) struct Applier {
    /// None until it is open.
    pub(super) sled: Option<Box<Sled>>,
    pub(super) front: Arc<Front>,
    pub(super) horizon: Arc<Horizon>,
    pub(super) shared: Arc<Shared>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) id: u64,
    pub(super) dir: PathBuf,
}

impl Applier {
    /// Starts the thread. It ends when the backlog is told to drain or to end, or when sled or the disk fails.
    pub(super) fn start(self) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("store-applier".to_owned()).spawn(move || self.run())
    }

    fn run(mut self) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.work_to_the_end()));
        let ended =
            ended.unwrap_or_else(|panic| Err(format!("the applier panicked: {}", panic_words(&*panic))));
        self.shared.set_busy(Worker::Applier, None);
        if let Err(why) = ended {
            tracing::error!(%why, "sled cannot be brought up to date; what was acknowledged is in the journal");
            // The writer, which holds the queue, may be waiting for this thread: it hears it there.
            self.backlog.fail(why.clone());
            self.shared.set(Health::Failed { why });
            if let Some(sled) = self.sled {
                std::mem::forget(sled.engine);
            }
        }
    }

    fn work_to_the_end(&mut self) -> Result<(), String> {
        loop {
            let task = self.backlog.task();
            self.shared.set_busy(Worker::Applier, Some(Stopwatch::start()));
            match task {
                Task::Begin(sled) => {
                    self.backlog.applied(sled.applied, u32::MAX);
                    self.sled = Some(sled);
                }
                Task::Apply(commits) => self.apply(&commits)?,
                Task::End { orderly } => return if orderly { self.finish() } else { Ok(()) },
            }
            self.shared.set_busy(Worker::Applier, None);
        }
    }

    /// The position moves on to all that is there.
    fn finish(&mut self) -> Result<(), String> {
        if self.sled.is_none() || self.no_room()? {
            return Ok(());
        }
        let position = self.position()?;
        self.commit(position)
    }

    fn apply(&mut self, commits: &[Commit]) -> Result<(), String> {
        let (Some(first), Some(last)) = (commits.first(), commits.last()) else { return Ok(()) };
        if self.no_room()? {
            return Ok(());
        }
        self.front.begin(last.seq);
        let mut rows = BTreeMap::new();
        for commit in commits {
            self.collect(commit, &mut rows)?;
        }
        let put = rows.iter().filter(|(_, value)| value.is_some());
        self.horizon.giving(put.map(|(key, _)| key.as_ref()));
        self.write(&rows)?;
        self.horizon.given();
        self.front.remove(rows.keys().map(AsRef::as_ref), last.seq);
        if let Some(sled) = &mut self.sled {
            sled.applied = last.seq;
        }
        // The position on disk is still the one before these: their first segment is needed until it has moved on.
        self.backlog.applied(last.seq, first.segment);
        Ok(())
    }

    /// A write that finds the disk full is final for sled, and one less safe way to learn of it.
    fn no_room(&self) -> Result<bool, String> {
        let free =
            free_bytes(&self.dir).map_err(|error| format!("cannot ask for free disk space: {error}"))?;
        let tight = free < SLED_FREE_BYTES_MIN;
        if tight && self.backlog.hold() {
            tracing::error!(
                free_bytes = free,
                "the disk is full: what comes stays in the journal until there is room"
            );
        }
        Ok(tight)
    }

    /// Adds the commit's rows that no later commit has written over.
    fn collect(&self, commit: &Commit, rows: &mut BTreeMap<IVec, Option<IVec>>) -> Result<(), String> {
        let front = &self.front;
        let unread = |why: &dyn std::fmt::Display| {
            format!(
                "commit {} cannot be read back from segment {} of the journal: {why}",
                commit.seq, commit.segment
            )
        };
        let file = front.file(commit.segment).ok_or_else(|| unread(&"the segment is not open"))?;
        let bytes = read_commit(commit, &file).map_err(|error| unread(&error))?;
        let frame = Frame::parse(&bytes, self.id, commit.segment).filter(|frame| frame.seq == commit.seq);
        let found = frame.and_then(|frame| frame.rows()).ok_or_else(|| unread(&"its checksum is wrong"))?;
        let latest = front.latest(commit.seq, found.iter().map(|(key, _)| *key));
        let kept = found.into_iter().zip(latest).filter(|(_, latest)| *latest);
        rows.extend(kept.map(|((key, value), _)| (IVec::from(key), value.map(|at| IVec::from(&bytes[at])))));
        Ok(())
    }

    /// Writes the rows in batches, each synced before the next. A batch, though nothing here has to be one piece: while
    /// one is applied sled uses none of the space again that it frees. Row by row it did, before the sync, and a power
    /// cut left a log that could not be opened; one row on its own was enough.
    fn write(&mut self, rows: &BTreeMap<IVec, Option<IVec>>) -> Result<(), String> {
        let (mut batch, mut bytes) = (self.position()?, 0);
        for (key, value) in rows {
            let more = key.len() + value.as_ref().map_or(0, |value| value.len());
            if bytes > 0 && bytes + more > SLED_BATCH_BYTES_MAX {
                self.commit(std::mem::take(&mut batch))?;
                bytes = 0;
            }
            bytes += more;
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.commit(batch)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), String> {
        self.opened()?.engine.db.apply_batch(batch).map_err(sled_failed)?;
        self.sync()
    }

    /// A batch that begins with how far sled has come: what the position speaks for was synced with the batch before.
    fn position(&self) -> Result<Batch, String> {
        let mut batch = Batch::default();
        batch.insert(keys::JOURNAL, &encode_position(self.id, self.opened()?.applied));
        Ok(batch)
    }

    /// Makes what was written so far durable. On Linux sled's flush is `sync_file_range`, which promises nothing.
    fn sync(&mut self) -> Result<(), String> {
        let Some(Sled { engine, file, sync, .. }) = self.sled.as_deref_mut() else {
            return Err(NOT_OPEN.to_owned());
        };
        engine.db.flush().map_err(sled_failed)?;
        sync(file).map_err(|error| {
            format!("the disk refused a sync: {error}; check the disk before starting again")
        })
    }

    fn opened(&self) -> Result<&Sled, String> {
        self.sled.as_deref().ok_or_else(|| NOT_OPEN.to_owned())
    }
}

const NOT_OPEN: &str = "the applier was asked to write before sled was open";

#[expect(clippy::needless_pass_by_value, reason = "the shape of `map_err`")]
fn sled_failed(error: ::sled::Error) -> String {
    format!("sled failed: {error}")
}
