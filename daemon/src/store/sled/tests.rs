//! What only this engine can get wrong: opening damaged directories, failing disks, full disks, its own rows.

mod aside;
mod disk;
mod journal;
mod loading;
mod opening;
mod rows;
mod writing;

use std::sync::Arc;

use sled::Tree;

use super::{SledOptions, SledStore};
use crate::model::clock::ManualClock;
use crate::store::contract::bench::{clock, options};

/// sled itself, once it has everything that the journal has.
fn tree(store: &SledStore) -> Tree {
    let engine = store.shared.engine_now().unwrap();
    while engine.rows.front.len() > 0 {
        std::thread::yield_now();
    }
    (*engine.db).clone()
}

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

    /// What a kill at this moment would leave, somewhere else.
    fn image(&self) -> Self {
        let image = Self { dir: tempfile::tempdir().unwrap(), clock: self.clock.clone() };
        copy(self.dir.path(), image.dir.path());
        image
    }

    /// Changes rows behind the store's back. Not while it is open.
    fn edit(&self, change: impl FnOnce(&Tree)) {
        let db = ::sled::Config::new().path(self.dir.path()).cache_capacity(1 << 20).open().unwrap();
        change(&db);
        db.flush().unwrap();
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
