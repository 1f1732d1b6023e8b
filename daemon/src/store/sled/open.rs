//! Opening the store: every guard that sled 0.34 needs, in order, before a row is read.
//!
//! 1. the directory exists, is ours alone (a lock that the kernel drops with the process), and is not on a network disk;
//! 2. what a killed open left (`snap.*.generating`) is deleted, for sled would take it for its newest snapshot;
//! 3. sled opens on a thread of its own, because it may panic; on damage the snapshots, which it can make again from its
//!    log, are moved aside and it opens once more;
//! 4. a store that should have rows and has none, or is written by a newer hookyard, or holds a blob file, is refused;
//! 5. events half-written when the last process died are removed.
//!
//! Nothing is ever deleted that could hold an event: it is moved to `set-aside-<n>/`. A kill at any moment in here leaves
//! a directory that the next open handles.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, NFS_SUPER_MAGIC, flock, statfs};
use sled::{Batch, Tree};

use super::codec::{self, Totals};
use super::engine::{Engine, open_sled, sync_if_there, unreadable};
use super::high_water::HighWater;
use super::round::Standing;
use super::{SledOptions, high_water, keys, repair, space};
use crate::model::ids::EventId;
use crate::store::step_key::StoreKey;

/// The format of the rows as this hookyard writes them.
pub(super) const SCHEMA_VERSION: u8 = 1;
/// Rows removed in one batch when the leftovers of a large event are cleaned up.
const CLEAN_ROWS: usize = 1000;

/// Why the store did not open. Each says what an operator can do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "cannot create the store's directory {path}; create it and give it to the user that runs hookyard"
    )]
    Create { path: PathBuf, source: io::Error },
    #[error("the store in {path} is in use by another process; stop that one, or set another `store.path`")]
    Locked { path: PathBuf },
    #[error(
        "the store's directory {path} is on a network file system, where a sync promises nothing; set `store.path` to a local disk"
    )]
    NetworkDisk { path: PathBuf },
    #[error("cannot {doing} in the store's directory {path}")]
    Io { path: PathBuf, doing: &'static str, source: io::Error },
    #[error(
        "the store in {path} cannot be read: {what}; its files are as they were (snapshots are in {path}/set-aside-*): copy the directory before anything else, then restore a backup"
    )]
    Unreadable { path: PathBuf, what: String },
    #[error(
        "the store in {path} holds {found} events where at least {noted} were acknowledged; refusing to start on it, so that nothing is stored twice or written over: restore the directory from a backup, or set another `store.path`"
    )]
    Emptied { path: PathBuf, noted: u64, found: u64 },
    #[error(
        "the store in {path} is in format {found}; this hookyard knows format {known}: start the newer hookyard that wrote it"
    )]
    Newer { path: PathBuf, found: u8, known: u8 },
    #[error(
        "the store in {path} has {count} files in `blobs/`, which a power cut can tear; this hookyard never makes any: copy the directory and report it"
    )]
    Blobs { path: PathBuf, count: usize },
}

/// What opening found.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) engine: Engine,
    /// Our own handle of sled's file: syncing it is what makes a commit durable.
    pub(super) file: File,
    pub(super) standing: Standing,
    pub(super) store_key: StoreKey,
    /// Whether the high-water file is there already.
    pub(super) noted: bool,
    pub(super) high_water: HighWater,
}

/// Opens the store, or says why not. Blocks for as long as sled reads its log: seconds for some gigabytes.
pub(super) fn open(options: &SledOptions) -> Result<Opened, OpenError> {
    let dir = options.path.as_path();
    let io = |doing| move |source| OpenError::Io { path: dir.to_owned(), doing, source };
    create(dir)?;
    let lock = lock(dir)?;
    refuse_network_disk(dir)?;
    space::release_ballast_if_tight(dir).map_err(io("free the ballast"))?;
    let noted = high_water::read(dir).map_err(io("read `high-water`"))?;
    refuse_blobs(dir)?;
    refuse_lost_file(dir, noted)?;
    let db = open_sled(options, noted)?;
    refuse_blobs(dir)?;
    let file = OpenOptions::new().write(true).open(dir.join("db")).map_err(io("open sled's `db`"))?;
    let tree = (*db).clone();
    let engine = Engine { tree, db, dir: dir.to_owned(), lock };
    let (totals, store_key) = read_or_make_meta(&engine, noted, options.recount)?;
    let last_id = clean_up(&engine.tree).map_err(|error| unreadable(dir, &error.to_string()))?;
    let high_water = HighWater::prepare(dir).map_err(io("open `high-water.new`"))?;
    sync_all(&engine, &file)?;
    let standing = Standing { totals, last_id, ..Standing::default() };
    Ok(Opened { engine, file, standing, store_key, noted: noted.is_some(), high_water })
}

/// Files in `blobs/`; zero where sled keeps to its log.
pub(super) fn blob_files(dir: &Path) -> io::Result<usize> {
    match fs::read_dir(dir.join("blobs")) {
        Ok(mut entries) => entries.try_fold(0, |count, entry| entry.map(|_| count + 1)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn create(dir: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Create { path: dir.to_owned(), source };
    let missing: Vec<&Path> =
        dir.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    // Each new name must be on disk before what stands below it is worth anything.
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let io = |source| OpenError::Io { path: dir.to_owned(), doing: "make the lock file", source };
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("lock")).map_err(io)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked { path: dir.to_owned() }),
        Err(error) => Err(io(error.into())),
    }
}

fn refuse_network_disk(dir: &Path) -> Result<(), OpenError> {
    let stat = statfs(dir).map_err(|error| OpenError::Io {
        path: dir.to_owned(),
        doing: "ask for the kind of file system",
        source: error.into(),
    })?;
    if stat.f_type == NFS_SUPER_MAGIC {
        return Err(OpenError::NetworkDisk { path: dir.to_owned() });
    }
    Ok(())
}

fn refuse_blobs(dir: &Path) -> Result<(), OpenError> {
    let count = blob_files(dir).map_err(|source| OpenError::Io {
        path: dir.to_owned(),
        doing: "list `blobs/`",
        source,
    })?;
    if count > 0 { Err(OpenError::Blobs { path: dir.to_owned(), count }) } else { Ok(()) }
}

/// sled makes a new, empty database where its file is gone.
fn refuse_lost_file(dir: &Path, noted: Option<u64>) -> Result<(), OpenError> {
    let path = dir.join("db");
    let bytes = match fs::metadata(&path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(source) => {
            return Err(OpenError::Io { path: dir.to_owned(), doing: "look at sled's `db`", source });
        }
    };
    if bytes > 0 {
        return Ok(());
    }
    if let Some(noted) = noted {
        return Err(OpenError::Emptied { path: dir.to_owned(), noted, found: 0 });
    }
    // A first open that was killed early may have torn sled's `conf`, which would stop every later one.
    remove_if_there(&dir.join("conf")).map_err(|source| OpenError::Io {
        path: dir.to_owned(),
        doing: "remove the `conf` of a first open that was killed",
        source,
    })
}

fn read_or_make_meta(
    engine: &Engine,
    noted: Option<u64>,
    recount: bool,
) -> Result<(Totals, StoreKey), OpenError> {
    let dir = engine.dir.as_path();
    let get = |key: &[u8]| engine.tree.get(key).map_err(|error| unreadable(dir, &error.to_string()));
    let Some(schema) = get(keys::SCHEMA)? else {
        return match noted {
            Some(noted) => Err(OpenError::Emptied { path: dir.to_owned(), noted, found: 0 }),
            None => make_meta(engine),
        };
    };
    let found = schema.first().copied().unwrap_or_default();
    if found != SCHEMA_VERSION {
        return Err(OpenError::Newer { path: dir.to_owned(), found, known: SCHEMA_VERSION });
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
    if totals.counts.events > 0 && engine.tree.scan_prefix([keys::EVENTS]).next().is_none() {
        return Err(OpenError::Emptied { path: dir.to_owned(), noted: totals.counts.events, found: 0 });
    }
    Ok((totals, key))
}

fn recounted(engine: &Engine, noted: Option<u64>) -> Result<Totals, OpenError> {
    let counted = repair::count(&engine.tree)
        .map_err(|fault| unreadable(&engine.dir, &fault.into_store_error().to_string()))?;
    // How many events there ever were is known to nobody else.
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
    engine.tree.apply_batch(batch).map_err(|error| unreadable(dir, &error.to_string()))?;
    Ok((totals, store_key))
}

/// Removes the chunks of events whose last batch never came. Returns the highest event id.
fn clean_up(tree: &Tree) -> Result<Option<EventId>, ::sled::Error> {
    for mark in tree.scan_prefix([keys::STAGED]) {
        let (mark, _) = mark?;
        let Some(id) = keys::event_in(&mark) else { continue };
        tracing::warn!(event = %id, "removing an event that was never acknowledged: the store stopped while writing it");
        let prefix = keys::of_event(keys::EVENTS, id);
        loop {
            let mut batch = Batch::default();
            let rows: Vec<_> = tree.scan_prefix(&prefix).keys().take(CLEAN_ROWS).collect::<Result<_, _>>()?;
            let done = rows.len() < CLEAN_ROWS;
            rows.into_iter().for_each(|key| batch.remove(key));
            if done {
                batch.remove(&mark);
            }
            tree.apply_batch(batch)?;
            if done {
                break;
            }
        }
    }
    let last = tree.scan_prefix([keys::EVENTS]).next_back().transpose()?;
    Ok(last.and_then(|(key, _)| keys::event_in(&key)))
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

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
