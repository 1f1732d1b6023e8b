//! A small text file beside sled's own that remembers that there were events.
//!
//! After some failures sled opens without a word and without its rows. This file is written and synced before the first
//! event is acknowledged, and again with the count when the store is closed; so "it should have rows, but opens empty"
//! is told instead of starting anew. It also proves the opposite: where it is missing, no event was ever acknowledged.
//!
//! The next version is opened as `high-water.new` when the store opens and takes its name only once it is on disk. So
//! noting the first event needs no file descriptor, which a busy door may have used up. A `high-water.new` that a kill
//! left behind says nothing and is written over.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const FILE: &str = "high-water";
const FILE_NEW: &str = "high-water.new";

/// At least this many events have been acknowledged; `None` where none ever was.
pub(super) fn read(dir: &Path) -> io::Result<Option<u64>> {
    let text = match fs::read_to_string(dir.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let count = text.lines().find_map(|line| line.strip_prefix("events "));
    let count = count.and_then(|count| count.parse().ok());
    count
        .map(Some)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it has no line `events <count>`"))
}

/// The file's next version, ready to be written.
#[derive(Debug)]
pub(super) struct HighWater {
    path: PathBuf,
    dir: File,
    next: Option<File>,
}

impl HighWater {
    /// Opens what [`Self::write`] needs.
    pub(super) fn prepare(dir: &Path) -> io::Result<Self> {
        let next = Some(File::create(dir.join(FILE_NEW))?);
        Ok(Self { path: dir.to_owned(), dir: File::open(dir)?, next })
    }

    /// Opens the version after the one that was written. The only part of a second write that needs a descriptor.
    pub(super) fn prepare_again(&mut self) -> io::Result<()> {
        if self.next.is_none() {
            self.next = Some(File::create(self.path.join(FILE_NEW))?);
        }
        Ok(())
    }

    /// Notes that `appended` events have been acknowledged. On disk when it returns. An error proves nothing of the disk.
    pub(super) fn write(&mut self, schema: u8, appended: u64) -> io::Result<()> {
        self.prepare_again()?;
        let mut file = self.next.take().ok_or_else(|| io::Error::other("it is not open"))?;
        write!(
            file,
            "Written by hookyard. At least this many events were once stored here; do not delete.\nschema {schema}\nevents {appended}\n"
        )?;
        file.sync_all()?;
        fs::rename(self.path.join(FILE_NEW), self.path.join(FILE))?;
        self.dir.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_the_count() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = HighWater::prepare(dir.path()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), None, "made ready is not yet noted");
        file.write(1, 1).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(1));
        file.write(1, 4711).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(4711));
    }

    #[test]
    fn a_damaged_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "").unwrap();
        assert!(read(dir.path()).is_err());
    }
}
