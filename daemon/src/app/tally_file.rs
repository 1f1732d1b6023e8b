//! `<store>/rules.json`: how often each rule took an event, over the daemon's restarts.
//!
//! Written now and then and at the end, whole or not at all. It tells operators something and decides nothing: where it is
//! lost or cannot be read, counting begins anew.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::json_file;
use crate::model::clock::UnixMillis;
use crate::model::ids::RuleName;
use crate::model::limits::TALLY_WRITE_EVERY;
use crate::route::{Matched, Tally};

const FILE_NAME: &str = "rules.json";

/// One rule's counts; times in Unix milliseconds.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    events: u64,
    last: Option<u64>,
    since: u64,
}

/// What was counted before.
pub(super) fn read(store: &Path) -> BTreeMap<RuleName, Matched> {
    let path = path(store);
    let rows: BTreeMap<String, Row> = json_file::read(&path).unwrap_or_else(|error| {
        warn!(path = %path.display(), %error, "the counts of rules cannot be read; counting begins anew");
        BTreeMap::new()
    });
    let matched = |row: Row| Matched {
        events: row.events,
        last: row.last.map(UnixMillis),
        since: UnixMillis(row.since),
    };
    rows.into_iter().map(|(rule, row)| (RuleName::new(&rule), matched(row))).collect()
}

/// Writes them while they change, until `shutdown`, and then once more.
pub(super) async fn run(store: PathBuf, tally: Arc<Tally>, shutdown: CancellationToken) {
    let path = path(&store);
    let mut written = tally.snapshot();
    loop {
        let ends = tokio::select! {
            () = tokio::time::sleep(TALLY_WRITE_EVERY) => false,
            () = shutdown.cancelled() => true,
        };
        let counted = tally.snapshot();
        if counted != written {
            let (path, rows) = (path.clone(), counted.clone());
            let writing = tokio::task::spawn_blocking(move || write(&path, &rows)).await;
            if let Ok(Err(error)) = writing {
                warn!(%error, "the counts of rules could not be written");
            }
            written = counted;
        }
        if ends {
            return;
        }
    }
}

fn path(store: &Path) -> PathBuf {
    store.join(FILE_NAME)
}

fn write(path: &Path, counted: &BTreeMap<RuleName, Matched>) -> io::Result<()> {
    let row = |matched: &Matched| Row {
        events: matched.events,
        last: matched.last.map(|last| last.0),
        since: matched.since.0,
    };
    let rows: BTreeMap<&str, Row> = counted.iter().map(|(rule, it)| (rule.as_str(), row(it))).collect();
    // Unlike the others it waits for no disk: where it is lost, counting begins anew.
    let unfinished = path.with_extension("json.new");
    fs::write(&unfinished, serde_json::to_vec(&rows)?)?;
    fs::rename(unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_torn_begins_anew() {
        let store = tempfile::tempdir().unwrap();
        assert_eq!(read(store.path()), BTreeMap::new());
        let matched = Matched { events: 3, last: Some(UnixMillis(7)), since: UnixMillis(5) };
        let counted = BTreeMap::from([(RuleName::new("a rule"), matched)]);
        write(&path(store.path()), &counted).unwrap();
        assert_eq!(read(store.path()), counted);
        fs::write(path(store.path()), "{\"a rule\"").unwrap();
        assert_eq!(read(store.path()), BTreeMap::new());
    }
}
