//! `<store>/plugins/record.json`: which library took whose place, when, and at whose word; and the libraries themselves,
//! of which the last few of each plugin are kept.
//!
//! Written whole after each exchange. A crash before that loses the record of one exchange and nothing else; a record that
//! cannot be read is begun anew. What runs, and what still finishes, is never removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::json_file;
use crate::model::clock::UnixMillis;
use crate::model::ids::PluginName;
use crate::model::limits::{LIBRARIES_KEPT_MAX, LIBRARY_RECORDS_MAX};

const FILE_NAME: &str = "record.json";

/// The record of one store, in the directory of its libraries.
#[derive(Debug)]
pub(super) struct LibraryRecord {
    directory: PathBuf,
}

/// A library that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Library {
    pub(super) sha256: String,
    pub(super) version: String,
    pub(super) abi: String,
}

/// One library began to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Unix milliseconds.
    pub(super) at: u64,
    pub(super) plugin: String,
    /// `start`, `reload`, `plugin reload`, `plugin rollback`, `canary`, `promote`, `canary rollback`.
    pub(super) how: String,
    /// Who asked, as far as they said.
    pub(super) by: String,
    /// The library before.
    pub(super) before: Option<String>,
    pub(super) sha256: String,
    pub(super) version: String,
    pub(super) abi: String,
    /// Why, where there is more to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) why: String,
}

/// A library that gets a share beside the one that runs, and takes nobody's place by that.
pub(super) const CANARY: &str = "canary";

impl LibraryRecord {
    /// In the directory that libraries are cached in.
    pub(super) fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Records what has changed, and removes the libraries that are no longer kept; `in_use` ones stay. Blocks.
    pub(super) fn record(
        &self,
        (how, by): (&str, &str),
        running: &BTreeMap<PluginName, Library>,
        in_use: &BTreeSet<String>,
        now: UnixMillis,
    ) -> io::Result<()> {
        let mut entries = self.entries();
        let known = entries.len();
        for (plugin, library) in running {
            let before = last(&entries, plugin.as_str()).map(|entry| entry.sha256.clone());
            if before.as_ref() == Some(&library.sha256) {
                continue;
            }
            entries.push(Entry {
                at: now.0,
                plugin: plugin.to_string(),
                how: how.to_owned(),
                by: by.to_owned(),
                before,
                sha256: library.sha256.clone(),
                version: library.version.clone(),
                abi: library.abi.clone(),
                why: String::new(),
            });
        }
        if entries.len() > known {
            self.write(&mut entries)?;
        }
        self.remove_old(&entries, in_use)
    }

    /// Records what is no change of the library that runs: a canary's beginning, and its end without success. Blocks.
    pub(super) fn note(&self, entry: Entry) -> io::Result<()> {
        let mut entries = self.entries();
        entries.push(entry);
        self.write(&mut entries)
    }

    /// Oldest first.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let path = self.directory.join(FILE_NAME);
        json_file::read(&path).unwrap_or_else(|error| {
            warn!(path = %path.display(), %error, "the record of libraries cannot be read; it begins anew");
            Vec::new()
        })
    }

    /// The kept library of the plugin whose hash begins with `wanted`, or without it the newest that is not `running`.
    pub(super) fn before(&self, plugin: &str, running: &str, wanted: Option<&str>) -> Option<String> {
        let kept = kept(&self.entries(), plugin);
        let fits = |sha256: &&String| match wanted {
            Some(wanted) => !wanted.is_empty() && sha256.starts_with(wanted),
            None => *sha256 != running,
        };
        kept.iter().find(fits).cloned()
    }

    /// Where a library is kept.
    pub(super) fn library(&self, sha256: &str) -> PathBuf {
        self.directory.join(format!("{sha256}.so"))
    }

    /// Writes the last of them.
    fn write(&self, entries: &mut Vec<Entry>) -> io::Result<()> {
        entries.drain(..entries.len().saturating_sub(LIBRARY_RECORDS_MAX));
        json_file::write(&self.directory.join(FILE_NAME), &serde_json::to_vec(entries)?)
    }

    fn remove_old(&self, entries: &[Entry], in_use: &BTreeSet<String>) -> io::Result<()> {
        let plugins: BTreeSet<&str> = entries.iter().map(|entry| &*entry.plugin).collect();
        let kept: BTreeSet<String> = plugins.iter().flat_map(|plugin| kept(entries, plugin)).collect();
        for file in fs::read_dir(&self.directory)? {
            let path = file?.path();
            let library = path.extension().is_some_and(|extension| extension == "so");
            let sha256 = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            if library && !kept.contains(&sha256) && !in_use.contains(&sha256) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

fn last<'entries>(entries: &'entries [Entry], plugin: &str) -> Option<&'entries Entry> {
    entries.iter().rev().find(|entry| entry.plugin == plugin && entry.how != CANARY)
}

/// The last few libraries that the plugin ran, newest first; not those that were only tried.
fn kept(entries: &[Entry], plugin: &str) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for entry in entries.iter().rev().filter(|entry| entry.plugin == plugin && entry.how != CANARY) {
        if kept.len() < LIBRARIES_KEPT_MAX && !kept.contains(&entry.sha256) {
            kept.push(entry.sha256.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(record: &LibraryRecord, sha256: &str, at: u64) {
        fs::write(record.library(sha256), "").unwrap();
        let library = Library { sha256: sha256.to_owned(), version: "1".to_owned(), abi: "1.0".to_owned() };
        let running = BTreeMap::from([(PluginName::new("sumo"), library)]);
        let in_use = BTreeSet::from([sha256.to_owned()]);
        record.record(("plugin reload", "ann"), &running, &in_use, UnixMillis(at)).unwrap();
    }

    #[test]
    fn the_last_three_are_kept_and_can_be_gone_back_to() {
        let directory = tempfile::tempdir().unwrap();
        let record = LibraryRecord::of(directory.path());
        assert_eq!(record.before("sumo", "", None), None);
        for (at, sha256) in (1..).zip(["aa1", "aa1", "bb", "cc", "dd"]) {
            run(&record, sha256, at);
        }
        let told: Vec<(u64, Option<String>, String)> =
            record.entries().into_iter().map(|it| (it.at, it.before, it.sha256)).collect();
        assert_eq!(told.len(), 4, "what runs on is told once: {told:?}");
        assert_eq!(told[1], (3, Some("aa1".to_owned()), "bb".to_owned()));
        assert!(!record.library("aa1").exists() && record.library("bb").exists());
        assert_eq!(record.before("sumo", "dd", None).as_deref(), Some("cc"));
        assert_eq!(record.before("sumo", "dd", Some("b")).as_deref(), Some("bb"));
        assert_eq!(record.before("sumo", "dd", Some("aa")), None, "it is kept no more");
        run(&record, "cc", 9);
        assert_eq!(record.before("sumo", "cc", None).as_deref(), Some("dd"), "back and forth");
        assert_eq!(record.before("direct", "cc", None), None);
    }

    #[test]
    fn a_library_that_was_only_tried_took_no_place_and_is_not_gone_back_to() {
        let directory = tempfile::tempdir().unwrap();
        let record = LibraryRecord::of(directory.path());
        run(&record, "aa", 1);
        run(&record, "bb", 2);
        let entry = |how: &str, before: &str, sha256: &str| Entry {
            at: 3,
            plugin: "sumo".to_owned(),
            how: how.to_owned(),
            by: "ann".to_owned(),
            before: Some(before.to_owned()),
            sha256: sha256.to_owned(),
            version: "2".to_owned(),
            abi: "1.0".to_owned(),
            why: "it crashed".to_owned(),
        };
        record.note(entry(CANARY, "bb", "cc")).unwrap();
        run(&record, "bb", 4);
        assert_eq!(record.entries().len(), 3, "a reload of something else meanwhile is no change");
        record.note(entry("canary rollback", "cc", "bb")).unwrap();
        run(&record, "bb", 5);
        assert_eq!(record.entries().len(), 4);
        assert_eq!(record.before("sumo", "bb", None).as_deref(), Some("aa"));
        record.note(entry(CANARY, "bb", "dd")).unwrap();
        run(&record, "dd", 6);
        let promoted = record.entries().pop().unwrap();
        assert_eq!((promoted.before.as_deref(), &*promoted.sha256), (Some("bb"), "dd"));
        assert_eq!(record.before("sumo", "dd", None).as_deref(), Some("bb"));
    }

    #[test]
    fn a_record_that_cannot_be_read_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let record = LibraryRecord::of(directory.path());
        fs::write(directory.path().join(FILE_NAME), "torn").unwrap();
        run(&record, "aa", 1);
        assert_eq!(record.entries().len(), 1);
    }
}
