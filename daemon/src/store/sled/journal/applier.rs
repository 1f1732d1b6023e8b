//! The thread that brings sled up to date, many commits at a time, and gives the journal's files back.
//!
//! For each task: read the commits' frames, keep the rows that no later commit has written over, write them to sled in
//! batches of which each is synced before the next, the last with the journal's position; then the rows leave the front
//! and full segments are used again. A kill anywhere in between repeats work and loses nothing. Each batch stays below half
//! of sled's segment and is synced at once, because sled, cut off in the middle of more than that, may not open again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use sled::{Batch, IVec};

use super::super::engine::panic_words;
use super::super::keys;
use super::super::shared::Worker;
use super::super::space::free_bytes;
use super::Sled;
use super::backlog::{Backlog, Commit, Task};
use super::frame::Frame;
use super::replay::{encode_position, read_commit};
use super::segment::{Directory, Segment};
use crate::model::clock::Stopwatch;
use crate::model::limits::{JOURNAL_SPARES_MAX, SLED_BATCH_BYTES_MAX, SLED_FREE_BYTES_MIN};
use crate::store::Health;

/// Everything that the thread needs.
pub(super) struct Applier {
    pub(super) sled: Sled,
    pub(super) backlog: Arc<Backlog>,
    pub(super) id: u64,
    pub(super) dir: Directory,
    pub(super) segment_bytes: u64,
    pub(super) spares: Vec<PathBuf>,
    /// The last commit that sled has.
    pub(super) applied: u64,
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
        self.sled.shared.set_busy(Worker::Applier, None);
        if let Err(why) = ended {
            tracing::error!(%why, "sled cannot be brought up to date; what was acknowledged is in the journal");
            // The writer, which holds the queue, may be waiting for this thread: it hears it there.
            self.backlog.fail(why.clone());
            self.sled.shared.set(Health::Failed { why });
            std::mem::forget(Arc::clone(&self.sled.engine));
        }
    }

    fn work_to_the_end(&mut self) -> Result<(), String> {
        self.let_go(self.applied)?;
        loop {
            let task = self.backlog.task();
            self.sled.shared.set_busy(Worker::Applier, Some(Stopwatch::start()));
            match task {
                Task::Prepare(number) => self.prepare(number)?,
                Task::Apply(commits) => self.apply(&commits)?,
                Task::End => return Ok(()),
            }
            self.sled.shared.set_busy(Worker::Applier, None);
        }
    }

    fn prepare(&mut self, number: u32) -> Result<(), String> {
        match Segment::make(&self.dir, self.id, number, self.segment_bytes, self.spares.last().cloned()) {
            Ok(made) => {
                self.spares.pop();
                self.backlog.prepared(made);
                Ok(())
            }
            Err(error) if may_pass(&error) => {
                tracing::warn!(%error, "cannot make the journal's next segment; trying again");
                self.backlog.postpone(format!("no room for the journal's next segment: {error}"));
                Ok(())
            }
            Err(error) => Err(format!("cannot make segment {number} of the journal: {error}")),
        }
    }

    fn apply(&mut self, commits: &[Commit]) -> Result<(), String> {
        let Some(last) = commits.last().map(|commit| commit.seq) else { return Ok(()) };
        if self.no_room()? {
            return Ok(());
        }
        self.sled.engine.rows.front.begin(last);
        let mut rows = BTreeMap::new();
        for commit in commits {
            self.collect(commit, &mut rows)?;
        }
        self.write(&rows, last)?;
        self.sled.engine.rows.front.remove(rows.keys().map(AsRef::as_ref), last);
        self.let_go(last)
    }

    /// sled has everything up to `seq`: gives back the segments that only held such.
    fn let_go(&mut self, seq: u64) -> Result<(), String> {
        self.backlog.applied(seq).into_iter().try_for_each(|segment| self.retire(segment))
    }

    /// A write that finds the disk full is final for sled, and one less safe way to learn of it.
    fn no_room(&self) -> Result<bool, String> {
        let free =
            free_bytes(&self.dir.path).map_err(|error| format!("cannot ask for free disk space: {error}"))?;
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
        let front = &self.sled.engine.rows.front;
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

    fn write(&mut self, rows: &BTreeMap<IVec, Option<IVec>>, last: u64) -> Result<(), String> {
        let (mut batch, mut bytes) = (Batch::default(), 0);
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
        batch.insert(keys::JOURNAL, &encode_position(self.id, last));
        self.commit(batch)
    }

    /// One batch, durable when this returns. On Linux sled's flush is `sync_file_range`, which promises nothing.
    fn commit(&mut self, batch: Batch) -> Result<(), String> {
        let sled = |error: ::sled::Error| format!("sled failed: {error}");
        self.sled.engine.rows.tree.apply_batch(batch).map_err(sled)?;
        self.sled.engine.db.flush().map_err(sled)?;
        (self.sled.sync)(&self.sled.file).map_err(|error| {
            format!("the disk refused a sync: {error}; check the disk before starting again")
        })
    }

    fn retire(&mut self, segment: Segment) -> Result<(), String> {
        let number = segment.number;
        let failed = |error| format!("cannot let go of segment {number} of the journal: {error}");
        self.sled.engine.rows.front.drop_segment(number);
        let spare = segment.retire(&self.dir).map_err(failed)?;
        if self.spares.len() < JOURNAL_SPARES_MAX {
            self.spares.push(spare);
            return Ok(());
        }
        fs::remove_file(spare).map_err(failed)
    }
}

/// A busy door may have used up the file descriptors, somebody else the disk: nothing was touched, and room may come back,
/// not least from segments that sled is done with.
fn may_pass(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    let passing = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::NOSPC];
    passing.iter().any(|errno| code == Some(errno.raw_os_error()))
}
