//! What only this engine can get wrong: opening damaged directories, failing disks, full disks, its own rows.

mod aside;
mod disk;
mod opening;
mod repair;
mod ruin;
mod rows;
mod writing;

use std::sync::Arc;

use sled::Tree;

use super::{SledOptions, SledStore};
use crate::model::clock::ManualClock;
use crate::store::contract::bench::{clock, options};

/// A directory and its clock, in which a store is opened, closed and opened again.
struct Place {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), clock: clock() }
    }

    fn options(&self) -> SledOptions {
        options(&self.dir)
    }

    fn try_open(&self) -> Result<SledStore, super::OpenError> {
        SledStore::open(&self.options(), self.clock.clone())
    }

    fn open(&self) -> SledStore {
        self.try_open().unwrap()
    }

    /// Why the store does not open.
    fn refusal(&self) -> super::OpenError {
        match self.try_open() {
            Ok(_) => panic!("the store must not open"),
            Err(refused) => refused,
        }
    }

    /// Whether a file of that name is there, and its bytes.
    fn file(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Changes rows behind the store's back. Not while it is open.
    fn edit(&self, change: impl FnOnce(&Tree)) {
        let db = ::sled::Config::new().path(self.dir.path()).cache_capacity(1 << 20).open().unwrap();
        change(&db);
        db.flush().unwrap();
    }
}
