//! What one fdatasync costs here: append 4 KB to a growing file and sync it, and write over 4 KB that stand already.
//!
//! The first also commits the file's new size to the file system's journal; the second is what a preallocated log pays.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;

use hookyard::model::clock::Stopwatch;
use hookyard_load::failure::Failure;
use hookyard_load::tally::{Latencies, Percentiles};
use serde::Serialize;

use super::{Measured, disk_failed};

const RECORD_BYTES: u64 = 4096;
/// The preallocated file: small, because only its being there matters.
const ALLOCATED_BYTES: u64 = 16 * 1024 * 1024;

/// Latencies of write and sync together, in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct DiskReport {
    append_fdatasync_us: Percentiles,
    overwrite_fdatasync_us: Percentiles,
}

pub(super) fn measure(measured: &Measured) -> Result<DiskReport, Failure> {
    let failed = |error: io::Error| disk_failed("write and sync a file", &error);
    let append = new_file(measured, "appended").map_err(failed)?;
    let overwrite = new_file(measured, "preallocated").map_err(failed)?;
    overwrite.write_all_at(&vec![0; ALLOCATED_BYTES as usize], 0).map_err(failed)?;
    overwrite.sync_all().map_err(failed)?;
    let half = measured.duration / 2;
    let appended = timed(&append, half, |number| number * RECORD_BYTES).map_err(failed)?;
    let overwritten =
        timed(&overwrite, half, |number| number * RECORD_BYTES % ALLOCATED_BYTES).map_err(failed)?;
    Ok(DiskReport { append_fdatasync_us: appended, overwrite_fdatasync_us: overwritten })
}

fn new_file(measured: &Measured, name: &str) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).open(measured.dir.join(name))
}

fn timed(file: &File, long: std::time::Duration, place: impl Fn(u64) -> u64) -> io::Result<Percentiles> {
    let record = vec![b'x'; RECORD_BYTES as usize];
    let (all, mut latencies) = (Stopwatch::start(), Latencies::default());
    for number in 0.. {
        if all.elapsed() >= long {
            break;
        }
        let one = Stopwatch::start();
        file.write_all_at(&record, place(number))?;
        file.sync_data()?;
        latencies.record(one.elapsed());
    }
    Ok(latencies.percentiles())
}
