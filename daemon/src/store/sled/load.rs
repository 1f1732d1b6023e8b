//! The slow half of opening: sled reads its log, and is held against the journal and what is known of the store.
//!
//! Runs on a thread of its own, while the writer may take events already. sled opens on another thread, because it may
//! panic; on damage its snapshots, which it can make again from its log, are moved aside and it opens once more
//! (`engine.rs`). A store that should have rows and has none, is written by a newer hookyard, holds a blob file, or does
//! not fit its journal is refused. What was taken meanwhile is in the journal, whatever comes of it.

use std::fs::{self, File, OpenOptions};
use std::sync::Arc;

use sled::Batch;

use super::codec::{self, Totals};
use super::engine::{Engine, open_sled, sync_if_there, unreadable};
use super::events::View;
use super::front::Front;
use super::horizon::Horizon;
use super::journal::{self, Extent};
use super::open::{OpenError, refuse_blobs};
use super::rows::Rows;
use super::{SledOptions, keys, learn, repair, waiting};
use crate::model::ids::EventId;
use crate::store::step_key::StoreKey;

/// The format of the rows as this hookyard writes them. 2: a journal stands in front, keys outlive their events. 3: what
/// waits for each handler is counted. 4: bodies are packed, and a delivery's row may hold its decision and first attempt.
/// Rows of the versions before are still read as they are.
pub(super) const SCHEMA_VERSION: u8 = 4;
/// The first in which what waits is counted.
const WAITING_COUNTED: u8 = 3;

/// What loading needs.
#[derive(Debug)]
pub(super) struct Loading {
    pub(super) options: SledOptions,
    pub(super) lock: File,
    /// At least this many events were once acknowledged here.
    pub(super) noted: Option<u64>,
    pub(super) front: Arc<Front>,
    pub(super) horizon: Arc<Horizon>,
    pub(super) extent: Extent,
}

/// What loading found.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) engine: Arc<Engine>,
    /// Our own handle of sled's file: syncing it is what makes its batches durable.
    pub(super) file: File,
    pub(super) totals: Totals,
    pub(super) last_id: Option<EventId>,
    /// The last commit of the journal that sled has.
    pub(super) applied: u64,
    pub(super) store_key: StoreKey,
}

/// Opens sled, or says why not. Blocks for as long as sled reads its log: seconds for some gigabytes.
pub(super) fn load(loading: Loading) -> Result<Loaded, OpenError> {
    let Loading { options, lock, noted, front, horizon, extent } = loading;
    let dir = options.path.as_path();
    let io = |doing| move |source| OpenError::Io { path: dir.to_owned(), doing, source };
    let db = open_sled(&options, noted, extent.clean)?;
    refuse_blobs(dir)?;
    let file = OpenOptions::new().write(true).open(dir.join("db")).map_err(io("open sled's `db`"))?;
    let rows = Rows { front, tree: Some((*db).clone()), horizon, heads: Arc::default() };
    let engine = Engine { rows, db, dir: dir.to_owned(), lock };
    let unread = |error: ::sled::Error| unreadable(dir, &error.to_string());
    let applied = extent.check(journal::position(&engine.db).map_err(unread)?)?;
    engine.rows.front.remove_all(applied);
    let (totals, store_key) = read_or_make_meta(&engine, noted, options.recount)?;
    let last_id = last_id(&engine.rows).map_err(unread)?;
    sync_all(&engine, &file)?;
    engine.rows.horizon.survey(&engine.db).map_err(unread)?;
    let engine = Arc::new(engine);
    learn::start(&engine).map_err(io("start a thread for the keys of"))?;
    Ok(Loaded { engine, file, totals, last_id, applied, store_key })
}

fn read_or_make_meta(
    engine: &Engine,
    noted: Option<u64>,
    recount: bool,
) -> Result<(Totals, StoreKey), OpenError> {
    let dir = engine.dir.as_path();
    let get = |key: &[u8]| engine.rows.get(key).map_err(|error| unreadable(dir, &error.to_string()));
    let Some(schema) = get(keys::SCHEMA)? else {
        return match noted {
            Some(noted) => Err(OpenError::Emptied { path: dir.to_owned(), noted, found: 0 }),
            None => make_meta(engine),
        };
    };
    let found = schema.first().copied().unwrap_or_default();
    if found > SCHEMA_VERSION {
        return Err(OpenError::Newer { path: dir.to_owned(), found, known: SCHEMA_VERSION });
    }
    if found < SCHEMA_VERSION {
        let mut batch = Batch::default();
        batch.insert(keys::SCHEMA, &[SCHEMA_VERSION]);
        if found < WAITING_COUNTED {
            let counted = waiting::counted(&engine.rows);
            for (handler, count) in
                counted.map_err(|fault| unreadable(dir, &fault.into_store_error().to_string()))?
            {
                batch.insert(keys::waiting(&handler), waiting::encode(count));
            }
        }
        engine.db.apply_batch(batch).map_err(|error| unreadable(dir, &error.to_string()))?;
    }
    let totals = get(keys::TOTALS)?.ok_or_else(|| "its totals are missing".to_owned());
    let totals =
        totals.and_then(|row| codec::decode_totals(&row).map_err(|why| format!("its totals: {why}")));
    let totals = match totals {
        Ok(totals) => totals,
        Err(_) if recount => recounted(engine, noted)?,
        Err(why) => {
            let help = format!("{why} (`hookyard doctor --repair` counts them again)");
            return Err(unreadable(dir, &help));
        }
    };
    let key = get(keys::STORE_KEY)?.and_then(|key| StoreKey::try_from(key.as_ref()).ok());
    let key = key.ok_or_else(|| unreadable(dir, "its store key is missing"))?;
    if let Some(noted) = noted.filter(|noted| totals.appended < *noted) {
        return Err(OpenError::Emptied { path: dir.to_owned(), noted, found: totals.appended });
    }
    if totals.counts.events > 0 && engine.rows.with_prefix(&[keys::EVENTS]).next().is_none() {
        return Err(OpenError::Emptied { path: dir.to_owned(), noted: totals.counts.events, found: 0 });
    }
    Ok((totals, key))
}

fn recounted(engine: &Engine, noted: Option<u64>) -> Result<Totals, OpenError> {
    let counted = repair::count(&engine.rows)
        .map_err(|fault| unreadable(&engine.dir, &fault.into_store_error().to_string()))?;
    // How many events there ever were, those that were removed among them, is known to nobody else.
    Ok(Totals { appended: counted.appended.max(noted.unwrap_or_default()), ..counted })
}

fn make_meta(engine: &Engine) -> Result<(Totals, StoreKey), OpenError> {
    let dir = engine.dir.as_path();
    let mut store_key = StoreKey::default();
    getrandom::fill(&mut store_key)
        .map_err(|error| unreadable(dir, &format!("the system gives no random bytes: {error}")))?;
    let totals = Totals::default();
    let mut batch = Batch::default();
    batch.insert(keys::SCHEMA, &[SCHEMA_VERSION]);
    batch.insert(keys::STORE_KEY, &store_key);
    batch.insert(keys::TOTALS, codec::encode_totals(&totals));
    engine.db.apply_batch(batch).map_err(|error| unreadable(dir, &error.to_string()))?;
    Ok((totals, store_key))
}

/// The highest event id there is.
fn last_id(rows: &Rows) -> Result<Option<EventId>, ::sled::Error> {
    let last = rows.keys_back(vec![keys::EVENTS]..keys::after(&[keys::EVENTS])).next().transpose()?;
    Ok(last.and_then(|key| keys::event_in(&key)))
}

/// Makes durable what opening did: sled syncs neither its `conf` nor the directory.
fn sync_all(engine: &Engine, file: &File) -> Result<(), OpenError> {
    let dir = engine.dir.as_path();
    engine.db.flush().map_err(|error| unreadable(dir, &error.to_string()))?;
    let sync = || {
        file.sync_all()?;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == "conf" || name.to_string_lossy().starts_with("snap.") {
                sync_if_there(&entry.path())?;
            }
        }
        File::open(dir)?.sync_all()
    };
    sync().map_err(|source| OpenError::Io { path: dir.to_owned(), doing: "sync", source })
}
