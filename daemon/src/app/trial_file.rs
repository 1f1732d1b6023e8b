//! `<store>/plugins/trials.json`: which library of a plugin is on trial, or failed its trial, and which one runs instead.
//!
//! A start takes the configured libraries, and the one on trial is the configured one. So the trial is written down before it
//! begins: a daemon that starts again goes on with it, and does not take a library whole that has not passed. A row goes
//! when its library was promoted, or another one was put in its place. A kill between the row and the trial costs a
//! trial that begins at the next start.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::json_file;
use crate::model::ids::PluginName;

const FILE_NAME: &str = "trials.json";

/// The trials of one store.
#[derive(Debug)]
pub(super) struct TrialFile {
    path: PathBuf,
}

/// One plugin's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// The library that runs.
    pub(super) old: String,
    /// The one on trial.
    pub(super) new: String,
    pub(super) share: f64,
    /// Unix milliseconds.
    pub(super) began: u64,
    pub(super) promote_after: Option<u64>,
    /// Why it failed, once it has.
    pub(super) failed: Option<String>,
}

impl TrialFile {
    /// In the directory that libraries are cached in.
    pub(super) fn of(directory: &Path) -> Self {
        Self { path: directory.join(FILE_NAME) }
    }

    /// Every row; none where the file cannot be read.
    pub(super) fn rows(&self) -> BTreeMap<String, Row> {
        json_file::read(&self.path).unwrap_or_else(|error| {
            warn!(path = %self.path.display(), %error, "the plugins' trials cannot be read; configured libraries run");
            BTreeMap::new()
        })
    }

    /// Writes a plugin's row.
    pub(super) fn put(&self, plugin: &PluginName, row: Row) -> io::Result<()> {
        let mut rows = self.rows();
        rows.insert(plugin.to_string(), row);
        self.write(&rows)
    }

    /// Forgets every row that is not to be kept; what is kept may be changed.
    pub(super) fn retain(&self, keep: impl Fn(&PluginName, &mut Row) -> bool) -> io::Result<()> {
        let before = self.rows();
        let mut rows = before.clone();
        rows.retain(|plugin, row| keep(&PluginName::new(plugin), row));
        if rows == before { Ok(()) } else { self.write(&rows) }
    }

    fn write(&self, rows: &BTreeMap<String, Row>) -> io::Result<()> {
        json_file::write(&self.path, &serde_json::to_vec(rows)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn rows_are_kept_until_they_are_forgotten_and_a_torn_file_holds_none() {
        let directory = tempfile::tempdir().unwrap();
        let file = TrialFile::of(directory.path());
        assert_eq!(file.rows(), BTreeMap::new());
        let row = |failed: Option<&str>| Row {
            old: "aa".to_owned(),
            new: "bb".to_owned(),
            share: 0.05,
            began: 7,
            promote_after: Some(3),
            failed: failed.map(str::to_owned),
        };
        for (plugin, failed) in [("sumo", None), ("direct", None), ("sumo", Some("it crashed"))] {
            file.put(&PluginName::new(plugin), row(failed)).unwrap();
        }
        let rows = TrialFile::of(directory.path()).rows();
        assert_eq!((&rows["sumo"], &rows["direct"]), (&row(Some("it crashed")), &row(None)));
        file.retain(|plugin, _| plugin.as_str() == "sumo").unwrap();
        assert_eq!(file.rows().len(), 1);
        file.retain(|_, row| {
            row.old = "cc".to_owned();
            true
        })
        .unwrap();
        assert_eq!(file.rows()["sumo"].old, "cc");
        fs::write(directory.path().join(FILE_NAME), "{\"sumo\"").unwrap();
        assert_eq!(file.rows(), BTreeMap::new());
    }
}
