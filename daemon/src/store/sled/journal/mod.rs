//! The journal in front of sled: where a commit becomes durable.
//!
//! ```text
//!  writer ─► frame ─► segment ─► fdatasync ─► front, answers        applier ─► sled, synced ─► the segment is used again
//!                                               └────── backlog ──────►┘
//! ```
//! A commit is one frame at the end of the current segment, and one fdatasync. sled gets it later, many commits at a time,
//! with the number of the last one in the same batch: after a crash the frames beyond that number stand in the front again
//! and are applied (again). Applying a row twice is harmless, so nothing else has to be atomic.
//!
//! Every step is safe alone: a frame counts once its checksum does; a segment is used again only when all of it is in sled
//! and synced there; opening always begins a new segment, so that no tail is ever written over. What a crash may leave is
//! an unfinished frame at the end of the last segment in use, of a commit that nobody was told of. A damaged frame
//! anywhere else stops the open with words.

mod applier;
mod backlog;
mod frame;
mod keeper;
mod replay;
mod segment;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub(super) use backlog::Backlog;
#[cfg(feature = "fuzzing")]
pub(super) use frame::any_rows;
pub(in crate::store) use replay::JournalError;
pub(super) use replay::{Behind, Extent, decode_position, open, position};

use self::applier::Applier;
use self::backlog::{Commit, Last};
use self::frame::{BLOCK_BYTES, Encoder, overhead_bytes};
use self::keeper::Keeper;
use self::segment::{Ours, Segment};
use super::engine::Engine;
use super::front::{Front, Place, Span};
use super::horizon::Horizon;
use super::round::Write;
use super::shared::Shared;
use super::writer::SyncFile;
use crate::model::clock::Stopwatch;
use crate::model::limits::JOURNAL_FRAME_BYTES_MAX;

/// The journal's directory beside sled's files.
pub(super) const DIRECTORY: &str = "journal";

/// The end of the journal: what the writer's thread appends to.
pub(super) struct Journal {
    id: u64,
    segment: Segment,
    offset: u64,
    next_seq: u64,
    encoder: Encoder,
    front: Arc<Front>,
    backlog: Arc<Backlog>,
}

/// What an operator or a test may have otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// One file of the journal.
    pub(super) segment_bytes: u64,
    /// How long a commit waits before sled gets it.
    pub(super) apply_after: Duration,
}

/// Why a commit did not become durable. Final, each of them.
#[derive(Debug, thiserror::Error)]
pub(super) enum AppendError {
    #[error("the journal could not be written: {0}")]
    Write(io::Error),
    #[error("the disk refused a sync: {0}; check the disk before starting again")]
    Sync(io::Error),
    #[error("{0}")]
    Applier(String),
    #[error("a commit of {bytes} bytes is larger than a frame of the journal may be")]
    TooLarge { bytes: usize },
}

/// sled, as the applier needs it.
pub(super) struct Sled {
    pub(super) engine: Arc<Engine>,
    /// Our own handle of sled's file.
    pub(super) file: File,
    pub(super) sync: SyncFile,
    /// The last commit that it has.
    pub(super) applied: u64,
}

/// Begins a new segment behind what the journal held, and starts the applier, which waits for [`Journal::give`], and the
/// keeper. Both end when the journal is told to drain or to end.
pub(super) fn begin(
    behind: Behind,
    Settings { segment_bytes, apply_after }: Settings,
    (front, horizon): (Arc<Front>, Arc<Horizon>),
    shared: Arc<Shared>,
) -> io::Result<(Journal, [JoinHandle<()>; 2])> {
    let Behind { dir, id, commits, segments, mut spares, last_segment, last_seq, events } = behind;
    let number = last_segment + 1;
    let header = Ours { journal: id, number, after: last_seq, events, bytes: segment_bytes };
    let segment = Segment::make(&dir, header, spares.pop())?;
    front.add_segment(number, Arc::clone(&segment.file));
    let backlog = Arc::new(Backlog::new(
        commits,
        segments,
        Last { seq: last_seq, segment: number, events },
        apply_after,
    ));
    let applier = Applier {
        sled: None,
        front: Arc::clone(&front),
        horizon,
        shared: Arc::clone(&shared),
        backlog: Arc::clone(&backlog),
        id,
        dir: dir.path.clone(),
    };
    let keeper = Keeper {
        front: Arc::clone(&front),
        shared,
        backlog: Arc::clone(&backlog),
        id,
        dir,
        segment_bytes,
        spares,
    };
    let journal = Journal {
        id,
        segment,
        offset: BLOCK_BYTES as u64,
        next_seq: last_seq + 1,
        encoder: Encoder::default(),
        front,
        backlog,
    };
    Ok((journal, [applier.start()?, keeper.start()?]))
}

impl std::fmt::Debug for Sled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sled").field("applied", &self.applied).finish_non_exhaustive()
    }
}

impl Journal {
    /// Waits while sled is too far behind.
    pub(super) fn wait_for_room(&self) -> Result<(), AppendError> {
        self.backlog.wait_for_room().map_err(AppendError::Applier)
    }

    /// Makes the rows durable and, only then, visible. `bytes`: keys and values together. `events`: how many there ever
    /// were, with these; 0 where that is not known. `stored`: whether sled may have a key.
    pub(super) fn append(
        &mut self,
        rows: &BTreeMap<Vec<u8>, Write>,
        bytes: usize,
        events: u64,
        sync: &mut dyn FnMut(&File) -> io::Result<()>,
        stored: impl Fn(&[u8]) -> bool,
    ) -> Result<(), AppendError> {
        let most = bytes + overhead_bytes(rows.len());
        if most > JOURNAL_FRAME_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes });
        }
        if self.offset + most as u64 > self.segment.bytes {
            self.switch()?;
        }
        let (segment, offset) = (self.segment.number, self.offset);
        self.encoder.begin();
        let places: Vec<Place> = rows
            .iter()
            .map(|(key, value)| {
                let at = self.encoder.row(key, value.as_deref());
                value.as_ref().map(|value| span(segment, offset, at, value.len()))
            })
            .collect();
        let seq = self.next_seq;
        let frame = self.encoder.finish(self.id, segment, seq);
        self.segment.file.write_all_at(frame, offset).map_err(AppendError::Write)?;
        sync(&self.segment.file).map_err(AppendError::Sync)?;
        let commit =
            Commit { seq, segment, offset, bytes: frame.len(), rows: rows.len(), age: Stopwatch::start() };
        self.front.insert(seq, rows.keys().zip(places), stored);
        self.backlog.push(commit, events);
        self.offset += commit.bytes as u64;
        self.next_seq += 1;
        Ok(())
    }

    /// sled is open: the applier brings it up to date from now on.
    pub(super) fn give(&self, sled: Sled) {
        self.backlog.give(sled);
    }

    /// What sled does not have yet, for whoever asks how far behind it is.
    pub(super) fn backlog(&self) -> Arc<Backlog> {
        Arc::clone(&self.backlog)
    }

    /// Whether there is room for more without waiting for sled.
    pub(super) fn has_room(&self) -> bool {
        self.backlog.has_room()
    }

    /// Writes the empty commit that tells of an orderly end.
    pub(super) fn close(&mut self, sync: &mut dyn FnMut(&File) -> io::Result<()>) -> Result<(), AppendError> {
        self.append(&BTreeMap::new(), 0, 0, sync, |_| true)
    }

    /// The threads behind end when nothing is behind; soon, in any case.
    pub(super) fn drain(&self) {
        self.backlog.drain();
    }

    /// The threads behind end after what they are at.
    pub(super) fn end_now(&self) {
        self.backlog.end_now();
    }

    fn switch(&mut self) -> Result<(), AppendError> {
        let next = self.backlog.next_segment(self.segment.clone()).map_err(AppendError::Applier)?;
        self.front.add_segment(next.number, Arc::clone(&next.file));
        self.segment = next;
        self.offset = BLOCK_BYTES as u64;
        Ok(())
    }
}

/// Where a value stands that begins `at` bytes into the frame at `offset`.
fn span(segment: u32, offset: u64, at: usize, bytes: usize) -> Span {
    Span {
        segment,
        offset: u32::try_from(offset).expect("a segment is below 4 GiB")
            + u32::try_from(at).expect("so is a frame"),
        bytes: u16::try_from(bytes).expect("a row is at most one chunk"),
    }
}
