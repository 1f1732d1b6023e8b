//! Compaction: the living rows into a new sled directory, which then takes the old one's place.
//!
//! sled never returns disk space: what retention removed it writes over, and a store stays as large as it ever was. So
//! `hookyard store compact` copies, while no daemon runs. The store is opened and closed once, so that everything stands
//! in sled and every guard of `open.rs` has looked at it; the lock is held from there to the end. The rows are read once
//! to count and hash them, copied in bounded batches, and read back from the new directory, closed and opened again; only
//! where count and hash agree does `switch.rs` put it in place. Until then a kill costs nothing but the copy.

pub(super) mod switch;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sled::{Batch, Db, Tree};

use super::engine::{open_sled, sync_if_there};
use super::open::{OpenError, blob_files};
use super::space::free_bytes;
use super::{SledOptions, SledStore};
use crate::model::clock::Clock;
use crate::model::limits::{COMPACT_SPACE_MIN, COMPACT_SPACE_PERCENT, SLED_BATCH_BYTES_MAX};
use crate::store::{Store, StoreError};

pub(super) use switch::finish_or_discard;

/// Rows between two words on how far it is.
const TELL_ROWS: u64 = 4096;

/// What compaction is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompactPhase {
    /// Counting and hashing what is there.
    Reading,
    Copying,
    /// Reading the copy back.
    Checking,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct CompactProgress {
    pub phase: CompactPhase,
    pub rows: u64,
    /// Unknown while they are counted.
    pub of: Option<u64>,
}

/// What compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    pub rows: u64,
    /// Keys and values together.
    pub row_bytes: u64,
    /// What sled's files took on the disk.
    pub before_bytes: u64,
    pub after_bytes: u64,
}

/// Why the store was not compacted. It is as it was, in each case.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    #[error("there is no store in {path}")]
    Missing { path: PathBuf },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the store in {path} did not close")]
    Close { path: PathBuf, source: StoreError },
    #[error(
        "too little disk space to compact the store in {path}: the copy needs up to {need_bytes} bytes beside it and {free_bytes} are free; free some, or add a disk"
    )]
    Space { path: PathBuf, need_bytes: u64, free_bytes: u64 },
    #[error("the store in {path} holds a tree that this hookyard does not know: {tree}; nothing was changed")]
    UnknownTree { path: PathBuf, tree: String },
    #[error("the store in {path} could not be copied: {what}; it is as it was")]
    Copy { path: PathBuf, what: String },
    #[error(
        "the copy of the store in {path} is not the same: {copied} of {rows} rows, or other bytes; the store is as it was: copy its directory and report this"
    )]
    Differs { path: PathBuf, rows: u64, copied: u64 },
    #[error("cannot {doing} in the store's directory {path}")]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
    #[error(
        "the compacted store in {path} is whole, but putting it in place was cut short; the next start of hookyard or compaction finishes it"
    )]
    Switch { path: PathBuf, source: io::Error },
}

impl SledStore {
    /// Compacts the store, which no process may have open. Takes minutes for some gigabytes.
    pub async fn compact(
        options: SledOptions,
        clock: Arc<dyn Clock>,
        progress: impl FnMut(CompactProgress) + Send + 'static,
    ) -> Result<Compacted, CompactError> {
        let path = options.path.clone();
        if !path.join("db").exists() {
            return Err(CompactError::Missing { path });
        }
        let opening = {
            let options = options.clone();
            tokio::task::spawn_blocking(move || Self::open(&options, clock))
        };
        let store = opening.await.map_err(|error| CompactError::stopped(&path, &error))??;
        let lock = keep_lock(&store, &path).await?;
        store.close().await.map_err(|source| CompactError::Close { path: path.clone(), source })?;
        let work = tokio::task::spawn_blocking(move || {
            let compacted = compact_closed(&options, progress);
            drop(lock);
            compacted
        });
        work.await.map_err(|error| CompactError::stopped(&path, &error))?
    }
}

impl CompactError {
    fn stopped(path: &Path, error: &tokio::task::JoinError) -> Self {
        Self::Copy { path: path.to_owned(), what: format!("it stopped: {error}") }
    }
}

/// A second handle of the lock: the store can be closed and nobody else gets in.
async fn keep_lock(store: &SledStore, path: &Path) -> Result<File, CompactError> {
    let engine = store
        .shared
        .engine()
        .await
        .map_err(|source| CompactError::Close { path: path.to_owned(), source })?;
    engine.lock.try_clone().map_err(|source| CompactError::Io {
        path: path.to_owned(),
        doing: "keep the lock",
        source,
    })
}

/// Compacts the directory of a store that is closed and locked.
fn compact_closed(
    options: &SledOptions,
    mut progress: impl FnMut(CompactProgress),
) -> Result<Compacted, CompactError> {
    let dir = options.path.as_path();
    let before_bytes = disk_bytes(dir).map_err(io_error(dir, "look at sled's files"))?;
    let copied = copy_all(options, &mut progress);
    let walked = match copied {
        Ok(walked) => walked,
        Err(error) => {
            // The reason that it failed for is worth more than one that the clearing up may have.
            if let Err(left) = switch::discard(dir) {
                tracing::warn!(dir = %dir.display(), error = %left, "an unfinished copy is left; the next start removes it");
            }
            return Err(error);
        }
    };
    switch::switch(dir, &mut |_| Ok(()))
        .map_err(|source| CompactError::Switch { path: dir.to_owned(), source })?;
    let after_bytes = disk_bytes(dir).map_err(io_error(dir, "look at sled's files"))?;
    Ok(Compacted { rows: walked.rows, row_bytes: walked.bytes, before_bytes, after_bytes })
}

/// Makes the copy and proves it; both sides are closed when this returns.
pub(super) fn copy_all(
    options: &SledOptions,
    progress: &mut impl FnMut(CompactProgress),
) -> Result<Walked, CompactError> {
    let dir = options.path.as_path();
    let failed = |error: ::sled::Error| CompactError::Copy { path: dir.to_owned(), what: error.to_string() };
    let old = open_sled(options, Some(0), true)?;
    refuse_unknown_trees(&old, dir)?;
    let walked = walk(&old, CompactPhase::Reading, None, progress).map_err(failed)?;
    refuse_if_tight(dir, walked.bytes)?;

    let copy = SledOptions { path: switch::copy_dir(dir), ..options.clone() };
    DirBuilder::new().mode(0o700).create(&copy.path).map_err(io_error(dir, "make `compacting/`"))?;
    let new = open_sled(&copy, None, true)?;
    copy_rows(&old, &new, walked.rows, progress).map_err(failed)?;
    new.flush().map_err(failed)?;
    drop((old, new));
    sync_files(&copy.path).map_err(io_error(dir, "sync the copy"))?;

    let new = open_sled(&copy, Some(0), true)?;
    let back = walk(&new, CompactPhase::Checking, Some(walked.rows), progress).map_err(failed)?;
    new.flush().map_err(failed)?;
    drop(new);
    sync_files(&copy.path).map_err(io_error(dir, "sync the copy"))?;
    let blobs = blob_files(&copy.path).map_err(io_error(dir, "list the copy's `blobs/`"))?;
    if back != walked || blobs > 0 {
        return Err(CompactError::Differs { path: dir.to_owned(), rows: walked.rows, copied: back.rows });
    }
    Ok(walked)
}

/// All rows of a tree in short.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Walked {
    rows: u64,
    /// Keys and values.
    bytes: u64,
    sha256: [u8; 32],
}

fn walk(
    tree: &Tree,
    phase: CompactPhase,
    of: Option<u64>,
    progress: &mut impl FnMut(CompactProgress),
) -> Result<Walked, ::sled::Error> {
    let (mut rows, mut bytes, mut hash) = (0, 0, Sha256::new());
    for row in tree.iter() {
        let (key, value) = row?;
        for part in [&key, &value] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
            bytes += part.len() as u64;
        }
        rows += 1;
        if rows % TELL_ROWS == 0 {
            progress(CompactProgress { phase, rows, of });
        }
    }
    progress(CompactProgress { phase, rows, of });
    Ok(Walked { rows, bytes, sha256: hash.finalize().into() })
}

/// In the order of the keys, so that the new tree grows at its right edge and its leaves are full.
fn copy_rows(
    old: &Tree,
    new: &Tree,
    of: u64,
    progress: &mut impl FnMut(CompactProgress),
) -> Result<(), ::sled::Error> {
    let (mut rows, mut bytes, mut batch) = (0, 0, Batch::default());
    for row in old.iter() {
        let (key, value) = row?;
        bytes += key.len() + value.len();
        batch.insert(key, value);
        rows += 1;
        if bytes >= SLED_BATCH_BYTES_MAX {
            new.apply_batch(std::mem::take(&mut batch))?;
            bytes = 0;
        }
        if rows % TELL_ROWS == 0 {
            progress(CompactProgress { phase: CompactPhase::Copying, rows, of: Some(of) });
        }
    }
    new.apply_batch(batch)?;
    progress(CompactProgress { phase: CompactPhase::Copying, rows, of: Some(of) });
    Ok(())
}

/// Everything that this hookyard writes stands in the one tree that is copied.
fn refuse_unknown_trees(db: &Db, dir: &Path) -> Result<(), CompactError> {
    let ours = db.name();
    match db.tree_names().into_iter().find(|name| *name != ours) {
        None => Ok(()),
        Some(tree) => Err(CompactError::UnknownTree {
            path: dir.to_owned(),
            tree: String::from_utf8_lossy(&tree).into_owned(),
        }),
    }
}

pub(super) fn refuse_if_tight(dir: &Path, row_bytes: u64) -> Result<(), CompactError> {
    let need_bytes = row_bytes / 100 * COMPACT_SPACE_PERCENT + COMPACT_SPACE_MIN;
    let free_bytes = free_bytes(dir).map_err(io_error(dir, "ask for free disk space"))?;
    if free_bytes >= need_bytes {
        return Ok(());
    }
    Err(CompactError::Space { path: dir.to_owned(), need_bytes, free_bytes })
}

/// What sled's own files take on the disk.
fn disk_bytes(dir: &Path) -> io::Result<u64> {
    let mut blocks = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == "db" || name == "conf" || name.starts_with("snap.") {
            blocks += entry.metadata()?.blocks();
        }
    }
    Ok(blocks * 512)
}

/// Syncs every file of a sled directory, and the directory.
fn sync_files(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            sync_if_there(&entry.path())?;
        }
    }
    File::open(dir)?.sync_all()
}

fn io_error(dir: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> CompactError + use<> {
    let path = dir.to_owned();
    move |source| CompactError::Io { path, doing, source }
}
