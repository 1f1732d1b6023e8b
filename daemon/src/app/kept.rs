//! `<store>/snapshots/`: the configurations that ran here last, as their files said, so that an event's snapshot can be
//! shown and a bad change be rolled back.
//!
//! One file each, written whole before the snapshot runs, mode 0600: secrets are references there, but `settings` are
//! whatever a plugin wants. A crash while one is written leaves the others; a file that cannot be read is passed over.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::json_file;
use crate::config::ConfigFile;
use crate::model::clock::UnixMillis;
use crate::model::limits::SNAPSHOTS_KEPT_MAX;

const DIRECTORY: &str = "snapshots";

/// The kept snapshots of one store.
#[derive(Debug)]
pub(super) struct KeptSnapshots {
    directory: PathBuf,
}

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) hash: String,
    /// When it last began to run, Unix milliseconds.
    pub(super) began: u64,
    /// The main file first.
    files: Vec<KeptFile>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeptFile {
    path: PathBuf,
    text: String,
}

impl KeptSnapshots {
    /// Those of the store at `store`.
    pub(super) fn of(store: &Path) -> Self {
        Self { directory: store.join(DIRECTORY) }
    }

    /// Keeps what is about to run; one that is kept already becomes the newest. The oldest beyond
    /// [`SNAPSHOTS_KEPT_MAX`] go.
    pub(super) fn keep(&self, hash: &str, files: &[ConfigFile], now: UnixMillis) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let files =
            files.iter().map(|file| KeptFile { path: file.path.clone(), text: file.text.clone() }).collect();
        let before = self.list();
        // Also where the clock stepped back: the order is that of running.
        let began = before.first().map_or(now.0, |newest| now.0.max(newest.began + 1));
        let kept = Kept { hash: hash.to_owned(), began, files };
        json_file::write(&self.path(&kept), &serde_json::to_vec(&kept)?)?;
        let (same, others): (Vec<Kept>, Vec<Kept>) = before.into_iter().partition(|old| old.hash == hash);
        for old in same.iter().chain(others.iter().skip(SNAPSHOTS_KEPT_MAX - 1)) {
            fs::remove_file(self.path(old))?;
        }
        Ok(())
    }

    /// All of them, newest first.
    pub(super) fn list(&self) -> Vec<Kept> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                warn!(directory = %self.directory.display(), %error, "the kept snapshots cannot be listed");
                return Vec::new();
            }
        };
        let mut kept: Vec<Kept> = entries.filter_map(|entry| read(&entry.ok()?.path())).collect();
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.began));
        kept
    }

    /// The one whose hash begins with `hash`, if there is just one.
    pub(super) fn find(&self, hash: &str) -> Option<Kept> {
        let mut fitting = self.list().into_iter().filter(|kept| kept.hash.starts_with(hash));
        let found = fitting.next().filter(|_| !hash.is_empty());
        if fitting.next().is_some() { None } else { found }
    }

    fn path(&self, kept: &Kept) -> PathBuf {
        self.directory.join(format!("{:013}-{}.json", kept.began, kept.hash))
    }
}

impl Kept {
    /// Its files, as they are loaded again.
    pub(super) fn files(&self) -> Vec<ConfigFile> {
        self.files
            .iter()
            .map(|file| ConfigFile { path: file.path.clone(), text: file.text.clone() })
            .collect()
    }
}

fn read(path: &Path) -> Option<Kept> {
    if path.extension().is_none_or(|extension| extension != "json") {
        return None;
    }
    let read = fs::read(path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
    read.inspect_err(|error| warn!(path = %path.display(), %error, "a kept snapshot cannot be read")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Vec<ConfigFile> {
        vec![ConfigFile { path: PathBuf::from("hookyard.toml"), text: text.to_owned() }]
    }

    fn hashes(kept: &KeptSnapshots) -> Vec<String> {
        kept.list().into_iter().map(|kept| kept.hash).collect()
    }

    #[test]
    fn the_last_ones_are_kept_newest_first_and_each_once() {
        let store = tempfile::tempdir().unwrap();
        let kept = KeptSnapshots::of(store.path());
        assert_eq!(hashes(&kept), [""; 0]);
        for (hash, at) in [("aa", 10), ("bb", 20), ("aa", 5)] {
            kept.keep(hash, &file(hash), UnixMillis(at)).unwrap();
        }
        assert_eq!(hashes(&kept), ["aa", "bb"], "also where the clock steps back");
        assert_eq!(kept.find("b").unwrap().files(), file("bb"));
        for number in 0..SNAPSHOTS_KEPT_MAX + 3 {
            kept.keep(&format!("{number:04}"), &file("x"), UnixMillis(100)).unwrap();
        }
        assert_eq!(hashes(&kept).len(), SNAPSHOTS_KEPT_MAX);
        assert_eq!(hashes(&kept)[0], format!("{:04}", SNAPSHOTS_KEPT_MAX + 2));
        assert!(kept.find("aa").is_none());
        assert!(kept.find("00").is_none(), "several begin so");
    }

    #[test]
    fn a_torn_or_foreign_file_hides_no_other() {
        let store = tempfile::tempdir().unwrap();
        let kept = KeptSnapshots::of(store.path());
        kept.keep("aa", &file("x"), UnixMillis(1)).unwrap();
        fs::write(store.path().join("snapshots/0000000000002-bb.json"), "{\"hash\"").unwrap();
        fs::write(store.path().join("snapshots/notes.txt"), "mine").unwrap();
        assert_eq!(hashes(&kept), ["aa"]);
    }
}
