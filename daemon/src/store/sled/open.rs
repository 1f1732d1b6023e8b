//! Opening the store: every guard that it needs, in order, before a row is read.
//!
//! 1. the directory exists, is ours alone (a lock that the kernel drops with the process), and is not on a network disk;
//! 2. a compaction that was cut short is finished, or its copy removed (`compact/switch.rs`); a store that should have rows
//!    and whose file is gone, or that holds a blob file, is refused;
//! 3. the journal is read: from here on events can be taken;
//! 4. sled is opened (`load.rs`), which takes seconds for each gigabyte.
//!
//! Nothing is ever deleted that could hold an event: it is moved to `set-aside-<n>/`. A kill at any moment in here leaves
//! a directory that the next open handles.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, NFS_SUPER_MAGIC, flock, statfs};

use super::compact::finish_or_discard;
use super::front::Front;
use super::high_water::HighWater;
use super::journal::{self, Behind, JournalError};
use super::load::Loading;
use super::{SledOptions, high_water, space};
use crate::model::clock::Stopwatch;

/// How long a lock may still be held by a process that is ending, or by a child of it that has not yet become the program
/// it was started for.
const LOCK_WAIT: Duration = Duration::from_secs(1);
const LOCK_POLL: Duration = Duration::from_millis(10);

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
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// A store that can take events; sled is not open yet.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) front: Arc<Front>,
    /// What the journal holds.
    pub(super) behind: Behind,
    /// Whether the high-water file is there already.
    pub(super) noted: bool,
    pub(super) high_water: HighWater,
    /// What is left to do.
    pub(super) loading: Loading,
}

/// Opens everything but sled, or says why not.
pub(super) fn open(options: &SledOptions) -> Result<Opened, OpenError> {
    let dir = options.path.as_path();
    let io = |doing| move |source| OpenError::Io { path: dir.to_owned(), doing, source };
    create(dir)?;
    let lock = lock(dir)?;
    refuse_network_disk(dir)?;
    finish_or_discard(dir).map_err(io("finish a compaction"))?;
    space::release_ballast_if_tight(dir).map_err(io("free the ballast"))?;
    let noted = high_water::read(dir).map_err(io("read `high-water`"))?;
    refuse_blobs(dir)?;
    refuse_lost_file(dir, noted)?;
    let front = Arc::new(Front::default());
    let behind = journal::open(&dir.join(journal::DIRECTORY), &front)?;
    let extent = behind.extent();
    // Two places know how many events there were: the one that knows more is believed.
    let at_least = noted.into_iter().chain((extent.events > 0).then_some(extent.events)).max();
    let high_water = HighWater::prepare(dir).map_err(io("open `high-water.new`"))?;
    let loading = Loading {
        options: options.clone(),
        lock,
        noted: at_least,
        front: Arc::clone(&front),
        horizon: Arc::default(),
        extent,
    };
    Ok(Opened { front, behind, noted: noted.is_some(), high_water, loading })
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
    let watch = Stopwatch::start();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if watch.elapsed() < LOCK_WAIT => {
                std::thread::sleep(LOCK_POLL);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(OpenError::Locked { path: dir.to_owned() }),
            Err(error) => return Err(io(error.into())),
        }
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

pub(super) fn refuse_blobs(dir: &Path) -> Result<(), OpenError> {
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

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
