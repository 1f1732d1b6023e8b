//! How a compacted copy takes the place of the store, so that a kill at any point leaves one of the two to open.
//!
//! ```text
//!  compacting/   a copy in the making: whatever stops here, the next open removes it
//!      │ rename: from here on the copy is the store, and the next open does what is left of the following
//!  compacted/    whole, checked, on disk
//!      │ old snapshots removed ─► `db` replaced by a rename ─► `conf`, snapshots moved ─► compacted/ removed
//! ```
//! A log and the snapshots of another never stand together: sled would read the one by the other. At no point is there no
//! `db`. Called by `compact.rs`, and by `open.rs` before anything else is looked at, both with the directory locked.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const COPYING: &str = "compacting";
const READY: &str = "compacted";
const LOG: &str = "db";

/// Called before each change to the directory; tests stop there.
pub(in crate::store::sled) type Step<'a> = &'a mut dyn FnMut(&str) -> io::Result<()>;

/// Where a copy is made.
pub(super) fn copy_dir(dir: &Path) -> PathBuf {
    dir.join(COPYING)
}

/// At open: removes a copy that was never finished, and finishes a switch that was begun.
pub(in crate::store::sled) fn finish_or_discard(dir: &Path) -> io::Result<()> {
    discard(dir)?;
    if dir.join(READY).exists() {
        tracing::warn!(dir = %dir.display(), "finishing a compaction that was cut short");
        take_over(dir, &mut |_| Ok(()))?;
    }
    Ok(())
}

/// Removes a copy that is not finished.
pub(super) fn discard(dir: &Path) -> io::Result<()> {
    let copy = copy_dir(dir);
    if !copy.exists() {
        return Ok(());
    }
    tracing::warn!(dir = %copy.display(), "removing an unfinished compaction");
    fs::remove_dir_all(&copy)?;
    sync_dir(dir)
}

/// Makes the finished copy the store. sled must have closed both, and the copy must be on disk.
pub(in crate::store::sled) fn switch(dir: &Path, step: Step<'_>) -> io::Result<()> {
    step("declare the copy whole")?;
    fs::rename(copy_dir(dir), dir.join(READY))?;
    sync_dir(dir)?;
    take_over(dir, step)
}

fn take_over(dir: &Path, step: Step<'_>) -> io::Result<()> {
    let ready = dir.join(READY);
    let log = ready.join(LOG);
    if log.exists() {
        for snapshot in files(dir, is_snapshot)? {
            step("remove an old snapshot")?;
            fs::remove_file(snapshot)?;
        }
        sync_dir(dir)?;
        step("replace the log")?;
        fs::rename(log, dir.join(LOG))?;
        sync_dir(dir)?;
        sync_dir(&ready)?;
    }
    for file in files(&ready, |name| name == "conf" || is_snapshot(name))? {
        step("move a file of the copy")?;
        fs::rename(&file, dir.join(file.file_name().unwrap_or_default()))?;
    }
    sync_dir(dir)?;
    step("remove what is left of the copy")?;
    fs::remove_dir_all(&ready)?;
    sync_dir(dir)
}

fn is_snapshot(name: &str) -> bool {
    name.starts_with("snap.") && !name.ends_with(".generating")
}

/// The files of `dir` whose name fits, in the order of their names.
fn files(dir: &Path, fits: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && fits(&entry.file_name().to_string_lossy()) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
