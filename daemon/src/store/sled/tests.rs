//! What only this engine can get wrong: opening damaged directories, failing disks, full disks, its own rows.

mod aside;
mod compact;
mod disk;
mod journal;
mod loading;
mod opening;
mod prune;
mod repair;
mod rows;
mod ruin;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sled::Tree;

use super::{SledOptions, SledStore};
use crate::model::clock::ManualClock;
use crate::store::contract::bench::{clock, options};

/// sled itself, once it has everything that the journal has; to be changed at will.
fn tree(store: &SledStore) -> Tree {
    let engine = store.shared.engine_now().unwrap();
    while engine.rows.front.len() > 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    engine.rows.horizon.forget();
    engine.rows.heads.forget();
    store.recent.forget();
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
    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What a kill at this moment would leave, somewhere else.
    fn image(&self) -> Self {
        loop {
            let image = Self { dir: tempfile::tempdir().unwrap(), clock: self.clock.clone() };
            let before = names(self.dir.path());
            // A file that got another name meanwhile would be missed, or be there twice.
            if copy(self.dir.path(), image.dir.path()).is_ok() && names(self.dir.path()) == before {
                return image;
            }
        }
    }

    /// Changes rows behind the store's back. Not while it is open.
    fn edit(&self, change: impl FnOnce(&Tree)) {
        let config = ::sled::Config::new().path(self.dir.path()).cache_capacity(1 << 20);
        // The threads of the sled that was closed before may hold its lock a moment longer.
        let db = loop {
            match config.open() {
                Err(::sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                    std::thread::yield_now();
                }
                opened => break opened.unwrap(),
            }
        };
        change(&db);
        db.flush().unwrap();
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn names(dir: &Path) -> Vec<PathBuf> {
    let below = [dir.to_owned(), dir.join("journal")];
    let mut names: Vec<_> = below
        .iter()
        .flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten())
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    names
}
