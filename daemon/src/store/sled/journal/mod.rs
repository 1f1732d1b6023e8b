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
mod replay;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::JoinHandle;

pub(in crate::store) use replay::JournalError;
pub(super) use replay::{Behind, open, position};

use self::applier::Applier;
use self::backlog::{Backlog, Commit};
use self::frame::{BLOCK_BYTES, Encoder, overhead_bytes};
use self::segment::Segment;
use super::engine::Engine;
use super::front::{Front, Span};
use super::round::Write;
use super::shared::Shared;
use super::writer::SyncFile;
use crate::model::limits::JOURNAL_FRAME_BYTES_MAX;

/// The journal's directory beside sled's files.
pub(super) const DIRECTORY: &str = "journal";

/// The end of the journal: what the writer's thread appends to.
#[derive(Debug)]
pub(super) struct Journal {
    id: u64,
    segment: Segment,
    offset: u64,
    next_seq: u64,
    encoder: Encoder,
    front: Arc<Front>,
    backlog: Arc<Backlog>,
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
    #[error("sled failed: {0}")]
    Sled(#[from] ::sled::Error),
    #[error("a commit of {bytes} bytes is larger than a frame of the journal may be")]
    TooLarge { bytes: usize },
}

/// sled, as the applier needs it.
pub(super) struct Sled {
    pub(super) engine: Arc<Engine>,
    pub(super) shared: Arc<Shared>,
    /// Our own handle of sled's file.
    pub(super) file: File,
    pub(super) sync: SyncFile,
}

/// Begins a new segment behind what the journal held, and starts the applier. `applied`: the last commit that sled has.
pub(super) fn begin(
    behind: Behind,
    applied: u64,
    segment_bytes: u64,
    sled: Sled,
) -> io::Result<(Journal, JoinHandle<()>)> {
    let Behind { dir, id, commits, segments, mut spares, last_segment, .. } = behind;
    let next_seq = commits.back().map_or(0, |commit| commit.seq).max(applied) + 1;
    let number = last_segment + 1;
    let segment = Segment::make(&dir, id, number, segment_bytes, spares.pop())?;
    let front = Arc::clone(&sled.engine.rows.front);
    front.add_segment(number, Arc::clone(&segment.file));
    let backlog = Arc::new(Backlog::new(commits, segments, number + 1));
    let applier = Applier { sled, backlog: Arc::clone(&backlog), id, dir, segment_bytes, spares, applied };
    let journal = Journal {
        id,
        segment,
        offset: BLOCK_BYTES as u64,
        next_seq,
        encoder: Encoder::default(),
        front,
        backlog,
    };
    Ok((journal, applier.start()?))
}

impl Journal {
    /// Waits while sled is too far behind.
    pub(super) fn wait_for_room(&self) -> Result<(), AppendError> {
        self.backlog.wait_for_room().map_err(AppendError::Applier)
    }

    /// Makes the rows durable and, only then, visible. `bytes`: keys and values together. `stored`: whether sled has a key.
    pub(super) fn append(
        &mut self,
        rows: BTreeMap<Vec<u8>, Write>,
        bytes: usize,
        sync: &mut dyn FnMut(&File) -> io::Result<()>,
        stored: impl Fn(&[u8]) -> Result<bool, ::sled::Error>,
    ) -> Result<(), AppendError> {
        let most = bytes + overhead_bytes(rows.len());
        if most > JOURNAL_FRAME_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes });
        }
        if self.offset + most as u64 > self.segment.bytes {
            self.switch()?;
        }
        self.encoder.begin();
        let spans: Vec<Option<(usize, usize)>> = rows
            .iter()
            .map(|(key, value)| {
                let at = self.encoder.row(key, value.as_deref());
                value.as_ref().map(|value| (at, value.len()))
            })
            .collect();
        let seq = self.next_seq;
        let frame = self.encoder.finish(self.id, self.segment.number, seq);
        self.segment.file.write_all_at(frame, self.offset).map_err(AppendError::Write)?;
        sync(&self.segment.file).map_err(AppendError::Sync)?;
        let (segment, offset) = (self.segment.number, self.offset);
        let commit = Commit { seq, segment, offset, bytes: frame.len(), rows: rows.len() };
        let places = rows.into_keys().zip(spans).map(|(key, span)| {
            let place = span.map(|(at, bytes)| place(segment, offset, at, bytes));
            (key.into_boxed_slice(), place)
        });
        self.front.insert(seq, places, stored)?;
        self.backlog.push(commit);
        self.offset += commit.bytes as u64;
        self.next_seq += 1;
        Ok(())
    }

    /// The applier ends when nothing is behind; soon, in any case.
    pub(super) fn drain(&self) {
        self.backlog.drain();
    }

    /// The applier ends after what it is at.
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
fn place(segment: u32, offset: u64, at: usize, bytes: usize) -> Span {
    Span {
        segment,
        offset: u32::try_from(offset).expect("a segment is below 4 GiB")
            + u32::try_from(at).expect("so is a frame"),
        bytes: u16::try_from(bytes).expect("a row is at most one chunk"),
    }
}
