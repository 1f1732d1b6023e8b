//! The raw limit: a preallocated file that is written round and round, and one fdatasync a round.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use hookyard_load::failure::Failure;

use super::disk_failed;
use super::event_rows::EventRows;
use super::group::Sink;

/// Written once before the measurement, so that no sync has to tell the file system of new blocks.
const ALLOCATED_BYTES: u64 = 256 * 1024 * 1024;
const ZEROS_BYTES: usize = 1024 * 1024;

/// The file, and where the next record goes.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    place: u64,
    round: Vec<u8>,
}

impl LogFile {
    pub(super) fn create(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join("log");
        let file = allocate(&path).map_err(|error| disk_failed("preallocate the log", &error))?;
        Ok(Self { file, place: 0, round: Vec::new() })
    }
}

fn allocate(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let zeros = vec![0; ZEROS_BYTES];
    for place in (0..ALLOCATED_BYTES).step_by(ZEROS_BYTES) {
        file.write_all_at(&zeros, place)?;
    }
    file.sync_all()?;
    Ok(file)
}

impl Sink for LogFile {
    fn commit(&mut self, events: &[EventRows]) -> io::Result<()> {
        self.round.clear();
        for event in events {
            self.round.extend_from_slice(event.record());
        }
        if self.place + self.round.len() as u64 > ALLOCATED_BYTES {
            self.place = 0;
        }
        self.file.write_all_at(&self.round, self.place)?;
        self.place += self.round.len() as u64;
        self.file.sync_data()
    }
}
