//! Free disk space: looked at before events are taken, and held back so that a full disk can still be opened.
//!
//! sled cannot be opened on a full disk, because opening writes a snapshot. So the store stops taking new events while
//! some space is left, goes on working off what it has, and keeps a ballast file that opening may delete.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::round::Shortage;
use crate::model::clock::UnixMillis;
use crate::model::limits::{BALLAST_BYTES, SPACE_CHECK_BYTES, SPACE_CHECK_EVERY};

const BALLAST_FILE: &str = "ballast";

/// Whether something is due that is done every so often. Also due when the clock stepped back.
#[derive(Debug)]
pub(super) struct Every {
    period: Duration,
    last: UnixMillis,
}

impl Every {
    pub(super) fn new(period: Duration, now: UnixMillis) -> Self {
        Self { period, last: now }
    }

    /// Whether it is due at `now`; if so, it was done now.
    pub(super) fn is_due(&mut self, now: UnixMillis) -> bool {
        let due = now < self.last || now.since(self.last) >= self.period;
        if due {
            self.last = now;
        }
        due
    }
}

/// What the writer knows of the disk.
#[derive(Debug)]
pub(super) struct Space {
    dir: PathBuf,
    free_bytes_min: u64,
    free_bytes: u64,
    written_since: u64,
    every: Every,
}

impl Space {
    /// Looks once.
    pub(super) fn new(dir: &Path, free_bytes_min: u64, now: UnixMillis) -> io::Result<Self> {
        Ok(Self {
            dir: dir.to_owned(),
            free_bytes_min,
            free_bytes: free_bytes(dir)?,
            written_since: 0,
            every: Every::new(SPACE_CHECK_EVERY, now),
        })
    }

    /// Counts what a commit wrote, so that much writing brings the next look forward.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.written_since = self.written_since.saturating_add(bytes as u64);
    }

    /// Where there is too little, how little. Looks again where it is time to.
    pub(super) fn shortage(&mut self, now: UnixMillis) -> Option<Shortage> {
        if self.every.is_due(now) || self.written_since >= SPACE_CHECK_BYTES {
            self.written_since = 0;
            match free_bytes(&self.dir) {
                Ok(free) => self.free_bytes = free,
                Err(error) => {
                    tracing::warn!(dir = %self.dir.display(), %error, "cannot ask for free disk space");
                }
            }
        }
        (self.free_bytes < self.free_bytes_min)
            .then_some(Shortage { free_bytes: self.free_bytes, need_bytes: self.free_bytes_min })
    }

    /// Makes the ballast file again where space allows it.
    pub(super) fn restore_ballast(&self) {
        if self.free_bytes < self.free_bytes_min.saturating_add(BALLAST_BYTES) {
            return;
        }
        if let Err(error) = make_ballast(&self.dir) {
            tracing::warn!(dir = %self.dir.display(), %error, "cannot make the ballast file; the store may not open on a full disk");
        }
    }
}

/// Free bytes on the disk under `dir`, as far as this user may take them.
pub(super) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let stat = statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Before sled opens: gives the ballast up where the disk is so full that the snapshot would not fit.
pub(super) fn release_ballast_if_tight(dir: &Path) -> io::Result<()> {
    if free_bytes(dir)? >= BALLAST_BYTES {
        return Ok(());
    }
    match fs::remove_file(dir.join(BALLAST_FILE)) {
        Ok(()) => {
            tracing::warn!(dir = %dir.display(), "the disk is full; gave up the ballast file so that the store can open");
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn make_ballast(dir: &Path) -> io::Result<()> {
    let path = dir.join(BALLAST_FILE);
    match fs::metadata(&path) {
        Ok(found) if found.len() >= BALLAST_BYTES => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file: File = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    if let Err(error) = fallocate(&file, FallocateFlags::empty(), 0, BALLAST_BYTES) {
        fs::remove_file(&path)?;
        return Err(error.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_is_due_after_its_period_and_when_the_clock_steps_back() {
        let mut every = Every::new(Duration::from_secs(1), UnixMillis(10_000));
        assert!(!every.is_due(UnixMillis(10_999)));
        assert!(every.is_due(UnixMillis(11_000)));
        assert!(!every.is_due(UnixMillis(11_001)));
        assert!(every.is_due(UnixMillis(500)));
    }

    #[test]
    fn ballast_takes_real_space_and_is_kept_while_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        make_ballast(dir.path()).unwrap();
        let found = fs::metadata(dir.path().join(BALLAST_FILE)).unwrap();
        assert_eq!(found.len(), BALLAST_BYTES);
        assert!(std::os::unix::fs::MetadataExt::blocks(&found) * 512 >= BALLAST_BYTES);
        release_ballast_if_tight(dir.path()).unwrap();
        assert!(dir.path().join(BALLAST_FILE).exists());
    }
}
