//! The thread that keeps the journal's files: the next segment is ready before the writer needs it, and those that sled is
//! done with are used again, or removed after a burst.
//!
//! Apart from the applier, so that a slow sled never keeps the writer from its next file. Each step is a rename that is
//! synced before the next; a kill in between leaves a spare or a segment, and both say what they are (`segment.rs`).

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::super::engine::panic_words;
use super::super::front::Front;
use super::super::shared::Shared;
use super::backlog::{Backlog, Errand, Last};
use super::segment::{Directory, Ours, Segment};
use crate::model::limits::JOURNAL_SPARES_MAX;
use crate::store::Health;

/// Everything that the thread needs.
pub(super) struct Keeper {
    pub(super) front: Arc<Front>,
    pub(super) shared: Arc<Shared>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) id: u64,
    pub(super) dir: Directory,
    pub(super) segment_bytes: u64,
    pub(super) spares: Vec<PathBuf>,
}

impl Keeper {
    /// Starts the thread. It ends when the backlog is told to drain or to end, or when the disk fails.
    pub(super) fn start(self) -> io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("store-keeper".to_owned()).spawn(move || self.run())
    }

    fn run(mut self) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.work_to_the_end()));
        let ended = ended
            .unwrap_or_else(|panic| Err(format!("the journal's keeper panicked: {}", panic_words(&*panic))));
        if let Err(why) = ended {
            tracing::error!(%why, "the journal's files cannot be kept");
            self.backlog.fail(why.clone());
            self.shared.set(Health::Failed { why });
        }
    }

    fn work_to_the_end(&mut self) -> Result<(), String> {
        loop {
            match self.backlog.errand() {
                Errand::Prepare { number, last } => self.prepare(number, last)?,
                Errand::Retire(segments) => {
                    segments.into_iter().try_for_each(|segment| self.retire(segment))?;
                }
                Errand::End => return Ok(()),
            }
        }
    }

    fn prepare(&mut self, number: u32, last: Last) -> Result<(), String> {
        let (after, events, bytes) = (last.seq, last.events, self.segment_bytes);
        let header = Ours { journal: self.id, number, after, events, bytes };
        match Segment::make(&self.dir, header, self.spares.last().cloned()) {
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

    fn retire(&mut self, segment: Segment) -> Result<(), String> {
        let number = segment.number;
        let failed = |error| format!("cannot take back segment {number} of the journal: {error}");
        self.front.drop_segment(number);
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
