//! Reading the journal when the store opens: what it holds goes into the front, and sled's own number says what is behind.
//!
//! Called by `open.rs`, before sled is open. Frames count in order until the first that is not whole: that one belongs to
//! a commit that nobody was told of, but only at the end. Where a later frame is whole, the damaged one was acknowledged,
//! and the open is refused: nothing is ever skipped.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sled::Tree;

use super::super::codec;
use super::super::front::{Front, Span};
use super::super::keys;
use super::backlog::Commit;
use super::frame::{BLOCK_BYTES, Frame};
use super::segment::{self, Directory, Header, Ours, Segment};
use crate::model::clock::Stopwatch;

/// Why the journal cannot be used. Each says what an operator can do.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot {doing} the journal in {path}")]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
    #[error(
        "the journal file {path} is damaged at byte {offset}: {why}; it holds events that were acknowledged: copy the store's directory before anything else, then restore a backup"
    )]
    Damaged { path: PathBuf, offset: u64, why: &'static str },
    #[error("the journal file {path} is in format {found}: start the newer hookyard that wrote it")]
    Newer { path: PathBuf, found: u32 },
    #[error(
        "the journal in {path} does not belong to this store's rows: {why}; restore the store's directory as a whole from one backup"
    )]
    Foreign { path: PathBuf, why: String },
}

/// What the journal held when it was opened.
#[derive(Debug)]
pub(in crate::store::sled) struct Behind {
    pub(super) dir: Directory,
    pub(super) id: u64,
    pub(super) commits: VecDeque<Commit>,
    pub(super) segments: VecDeque<Segment>,
    pub(super) spares: Vec<PathBuf>,
    /// The number of the last segment there is; 0 where there is none.
    pub(super) last_segment: u32,
    /// The last commit that the journal ever held; 0 where there was none.
    pub(super) last_seq: u64,
    /// At least this many events had been stored by then.
    pub(super) events: u64,
}

/// From where to where the journal went when it was opened.
#[derive(Debug)]
pub(in crate::store::sled) struct Extent {
    path: PathBuf,
    id: u64,
    /// There was no segment at all.
    fresh: bool,
    first: Option<u64>,
    last: u64,
    /// At least this many events had been stored by its last commit.
    pub(in crate::store::sled) events: u64,
    /// The process before closed it: its last commit is an empty one. Else the page cache is not to be trusted, since a
    /// failed sync leaves pages in it that the disk never got.
    pub(in crate::store::sled) clean: bool,
}

impl Extent {
    /// Holds the journal against sled's position. Returns the last commit that sled has.
    pub(in crate::store::sled) fn check(&self, position: Option<(u64, u64)>) -> Result<u64, JournalError> {
        let foreign = |why: String| Err(JournalError::Foreign { path: self.path.clone(), why });
        let (id, seq) = position.unwrap_or((self.id, 0));
        if position.is_some() && self.fresh {
            return foreign("its files are gone, and may have held acknowledged events".to_owned());
        }
        if id != self.id {
            return foreign("it was written for another one".to_owned());
        }
        if self.last < seq {
            return foreign(format!("they have commit {seq}, and it ends with commit {}", self.last));
        }
        // Where no commit stands in it any more, sled had them all.
        let first = self.first.unwrap_or(self.last + 1);
        if first > seq + 1 {
            return foreign(format!("they end with commit {seq}, and it begins with commit {first}"));
        }
        Ok(seq)
    }
}

/// How far sled has come: the journal's id, and the last commit that it has.
pub(in crate::store::sled) fn position(tree: &Tree) -> Result<Option<(u64, u64)>, ::sled::Error> {
    let Some(row) = tree.get(keys::JOURNAL)? else { return Ok(None) };
    let unreadable =
        || ::sled::Error::ReportableBug("the row of the journal's position is unreadable".to_owned());
    decode_position(&row).map(Some).ok_or_else(unreadable)
}

/// What that row says; `None` where it is unreadable.
pub(in crate::store::sled) fn decode_position(row: &[u8]) -> Option<(u64, u64)> {
    let (id, seq) = row.split_at_checked(8)?;
    Some((u64::from_le_bytes(id.try_into().ok()?), u64::from_le_bytes(seq.try_into().ok()?)))
}

/// The row that [`position`] reads.
pub(super) fn encode_position(id: u64, seq: u64) -> [u8; 16] {
    let mut row = [0; 16];
    row[..8].copy_from_slice(&id.to_le_bytes());
    row[8..].copy_from_slice(&seq.to_le_bytes());
    row
}

/// Reads the whole journal, and puts its rows into the front. Makes its directory where there is none.
pub(in crate::store::sled) fn open(dir: &Path, front: &Front) -> Result<Behind, JournalError> {
    let io = |doing| move |source| JournalError::Io { path: dir.to_owned(), doing, source };
    if !dir.exists() {
        DirBuilder::new().mode(0o700).create(dir).map_err(io("make"))?;
        let parent = dir.parent().unwrap_or(Path::new("."));
        fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(io("make"))?;
    }
    let (files, spares) = segment::list(dir).map_err(io("list"))?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| io("name")(io::Error::other(error)))?;
    let mut behind = Behind {
        dir: Directory::open(dir).map_err(io("open"))?,
        id: u64::from_le_bytes(random),
        commits: VecDeque::new(),
        segments: VecDeque::new(),
        spares,
        last_segment: 0,
        last_seq: 0,
        events: 0,
    };
    for (number, path) in files {
        behind.read(number, &path, front)?;
    }
    Ok(behind)
}

impl Behind {
    /// What the journal held, in short.
    pub(in crate::store::sled) fn extent(&self) -> Extent {
        Extent {
            path: self.dir.path.clone(),
            id: self.id,
            fresh: self.last_segment == 0,
            first: self.commits.front().map(|commit| commit.seq),
            last: self.last_seq,
            events: self.events,
            clean: self.commits.back().is_none_or(|commit| commit.rows == 0),
        }
    }

    fn read(&mut self, number: u32, path: &Path, front: &Front) -> Result<(), JournalError> {
        let io = |source| JournalError::Io { path: path.to_owned(), doing: "read", source };
        let damaged = |offset, why| JournalError::Damaged { path: path.to_owned(), offset, why };
        let (segment, header) = Segment::open(path, number).map_err(io)?;
        match header {
            Header::Newer(found) => return Err(JournalError::Newer { path: path.to_owned(), found }),
            Header::Unreadable => return Err(damaged(0, "it has no readable header")),
            Header::Ours(header) => {
                self.follow(number, segment.bytes, header).map_err(|(offset, why)| damaged(offset, why))?;
            }
        }
        self.last_segment = number;
        let bytes = fs::read(path).map_err(io)?;
        front.add_segment(number, Arc::clone(&segment.file));
        self.segments.push_back(segment);
        let mut at = BLOCK_BYTES;
        while let Some(frame) = Frame::parse(bytes.get(at..).unwrap_or_default(), self.id, number) {
            let last = self.commits.back().map(|commit| commit.seq);
            if let Some(last) = last.filter(|last| frame.seq != last + 1) {
                let gap = if frame.seq > last { "commits before it are missing" } else { "it goes back" };
                return Err(damaged(at as u64, gap));
            }
            let rows = frame.rows().ok_or_else(|| damaged(at as u64, "its rows make no sense"))?;
            let totals = rows.iter().find(|(key, _)| *key == keys::TOTALS);
            let totals =
                totals.and_then(|(_, value)| codec::decode_totals(&bytes[at..][value.clone()?]).ok());
            self.events = self.events.max(totals.map_or(0, |totals| totals.appended));
            let commit = Commit {
                seq: frame.seq,
                segment: number,
                offset: at as u64,
                bytes: frame.bytes,
                rows: rows.len(),
                age: Stopwatch::start(),
            };
            let places = rows.into_iter().map(|(key, value)| {
                let place = value.map(|value| Span {
                    segment: number,
                    offset: u32::try_from(at + value.start).unwrap_or(u32::MAX),
                    bytes: u16::try_from(value.len()).unwrap_or(u16::MAX),
                });
                (key, place)
            });
            // Whether sled has a key is not known yet: every removal is kept until it is applied.
            front.insert(frame.seq, places, |_| true);
            self.commits.push_back(commit);
            self.last_seq = self.last_seq.max(frame.seq);
            at += frame.bytes;
        }
        match self.whole_frame_after(&bytes, at, number) {
            Some(_) => Err(damaged(at as u64, "a whole record stands behind one that is not")),
            None => Ok(()),
        }
    }

    /// Holds a segment's header against its file and the segments before it.
    fn follow(&mut self, number: u32, bytes: u64, header: Ours) -> Result<(), (u64, &'static str)> {
        if header.number != number {
            return Err((0, "its header has another number than its name"));
        }
        if bytes < header.bytes {
            return Err((bytes, "it was cut short"));
        }
        if self.last_segment != 0 {
            if header.journal != self.id {
                return Err((0, "its header names another journal"));
            }
            if number != self.last_segment + 1 {
                return Err((0, "the file before it is missing"));
            }
            // Without a commit so far, the files before it were made ready and never used, and those before them let go
            // because sled has what they held: whether it has, its own position tells (`Extent::check`).
            if header.after > self.last_seq && !self.commits.is_empty() {
                return Err((0, "the end of the file before it is missing"));
            }
        }
        self.id = header.journal;
        self.last_seq = self.last_seq.max(header.after);
        self.events = self.events.max(header.events);
        Ok(())
    }

    /// Where a frame stands behind the first damaged one. What an earlier life of the file left is none.
    fn whole_frame_after(&self, bytes: &[u8], from: usize, number: u32) -> Option<usize> {
        let blocks = (from + BLOCK_BYTES..bytes.len()).step_by(BLOCK_BYTES);
        blocks.into_iter().find(|at| Frame::parse(&bytes[*at..], self.id, number).is_some())
    }
}

/// Reads a commit's frame back.
pub(super) fn read_commit(commit: &Commit, file: &fs::File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; commit.bytes];
    file.read_exact_at(&mut bytes, commit.offset)?;
    Ok(bytes)
}
