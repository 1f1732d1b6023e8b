//! A small text file beside sled's own that remembers that there were events.
//!
//! After some failures sled opens without a word and without its rows. This file is written and synced before the first
//! event is acknowledged, and again with the count when the store is closed; so "it should have rows, but opens empty"
//! is told instead of starting anew. It also proves the opposite: where it is missing, no event was ever acknowledged.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

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

/// Notes that `appended` events have been acknowledged. On disk when it returns.
pub(super) fn write(dir: &Path, schema: u8, appended: u64) -> io::Result<()> {
    let mut file = File::create(dir.join(FILE_NEW))?;
    write!(
        file,
        "Written by hookyard. At least this many events were once stored here; do not delete.\nschema {schema}\nevents {appended}\n"
    )?;
    file.sync_all()?;
    fs::rename(dir.join(FILE_NEW), dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_the_count() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        write(dir.path(), 1, 1).unwrap();
        write(dir.path(), 1, 4711).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(4711));
    }

    #[test]
    fn a_damaged_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "").unwrap();
        assert!(read(dir.path()).is_err());
    }
}
