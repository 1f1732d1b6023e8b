//! sled alone: the same rows, settings and durability as the store's writer, and nothing else of hookyard.

use std::fs::File;
use std::io;
use std::path::Path;

use hookyard::model::limits::STORE_CACHE_BYTES_DEFAULT;
use hookyard_load::failure::Failure;
use sled::{Batch, Db};

use super::disk_failed;
use super::event_rows::EventRows;
use super::group::Sink;

/// As the store sets it.
const SLED_FLUSH_MS: u64 = 500;
/// The row that counts what there is, written with every round.
const TOTALS: (&[u8], &[u8]) = (b"mtotals", &[0; 34]);

/// An empty sled and a handle of its file.
#[derive(Debug)]
pub(super) struct SledTree {
    db: Db,
    file: File,
    next: u128,
}

impl SledTree {
    pub(super) fn open(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join("sled");
        let db = sled::Config::new()
            .path(&path)
            .cache_capacity(STORE_CACHE_BYTES_DEFAULT)
            .flush_every_ms(Some(SLED_FLUSH_MS))
            .mode(sled::Mode::LowSpace)
            .use_compression(false)
            .open()
            .map_err(|error| Failure::Storage(format!("sled cannot open {}: {error}", path.display())))?;
        let file = File::options()
            .write(true)
            .open(path.join("db"))
            .map_err(|error| disk_failed("open sled's file", &error))?;
        Ok(Self { db, file, next: 1_794_830_461_000 << 80 })
    }
}

impl Sink for SledTree {
    fn commit(&mut self, events: &[EventRows]) -> io::Result<()> {
        let mut batch = Batch::default();
        for event in events {
            if self.db.get(event.idempotency_key())?.is_some() {
                continue;
            }
            for (key, value) in event.rows(self.next) {
                batch.insert(key, value);
            }
            self.next += 1;
        }
        batch.insert(TOTALS.0, TOTALS.1);
        self.db.apply_batch(batch)?;
        self.db.flush()?;
        self.file.sync_data()
    }
}
