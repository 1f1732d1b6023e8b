//! Starting sled itself, which may find its files damaged, or panic.
//!
//! Called by `open.rs` with the directory locked. What a killed start left is removed; damage is met by moving sled's
//! snapshots aside, which it makes again from its log. Nothing that could hold an event is ever deleted.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sled::Db;

use super::SledOptions;
use super::open::OpenError;
use super::rows::Rows;
use crate::model::clock::Stopwatch;

/// sled's own thread writes out and cleans its log this often; acknowledged writes never wait for it.
const SLED_FLUSH_MS: u64 = 500;

/// How long sled's threads may take to end after it was closed.
const CLOSING_MAX: Duration = Duration::from_secs(5);
const CLOSING_POLL: Duration = Duration::from_millis(10);

/// An open sled with what belongs to it. The lock goes last.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) rows: Rows,
    pub(super) db: Db,
    pub(super) dir: PathBuf,
    /// Held until everything of sled is gone.
    pub(super) lock: File,
}

/// Opens sled's database. `noted`: at least this many events were once acknowledged here. `clean`: the process before
/// ended in order; else what memory holds of the file is not trusted, for a sync may have failed.
pub(super) fn open_sled(options: &SledOptions, noted: Option<u64>, clean: bool) -> Result<Db, OpenError> {
    let dir = options.path.as_path();
    let io = |doing| move |source| OpenError::Io { path: dir.to_owned(), doing, source };
    remove_partial_snapshots(dir).map_err(io("remove `snap.*.generating`"))?;
    // A snapshot that is made now must never know more of the log than a power cut would leave of it.
    let db = dir.join("db");
    sync_if_there(&db).map_err(io("sync sled's `db`"))?;
    if !clean {
        forget_cached(&db).map_err(io("read sled's `db` anew"))?;
    }
    let watch = Stopwatch::start();
    let failure = match try_open(options, CLOSING_MAX) {
        Ok(db) => {
            tracing::info!(dir = %dir.display(), took = ?watch.elapsed(), "the store is open");
            return Ok(db);
        }
        Err(failure) if failure.damaged => failure,
        Err(failure) => return Err(unreadable(dir, &failure.what)),
    };
    let moved = set_aside(dir, |name| name.starts_with("snap.")).map_err(io("move snapshots aside"))?;
    if moved == 0 {
        return fresh_or_unreadable(options, noted, &failure);
    }
    tracing::warn!(dir = %dir.display(), why = %failure.what, "sled could not open; trying without its snapshots");
    try_open(options, Duration::ZERO).or_else(|again| fresh_or_unreadable(options, noted, &again))
}

/// Where no event was ever acknowledged here, a power cut during the very first open costs nothing: the remains are
/// moved aside and the store begins anew.
fn fresh_or_unreadable(
    options: &SledOptions,
    noted: Option<u64>,
    failure: &SledFailure,
) -> Result<Db, OpenError> {
    let dir = options.path.as_path();
    if noted.is_some() || !failure.damaged {
        return Err(unreadable(dir, &failure.what));
    }
    tracing::warn!(dir = %dir.display(), why = %failure.what, "the store never acknowledged an event and cannot be read; beginning anew");
    set_aside(dir, |name| name == "db" || name == "conf" || name.starts_with("snap."))
        .map_err(|source| OpenError::Io { path: dir.to_owned(), doing: "move sled's files aside", source })?;
    try_open(options, Duration::ZERO).map_err(|again| unreadable(dir, &again.what))
}

/// Why sled did not open, and whether that is for what stands in its files.
struct SledFailure {
    what: String,
    damaged: bool,
}

/// Opens on a thread of its own, whose panic is an answer.
fn try_open(options: &SledOptions, closing_max: Duration) -> Result<Db, SledFailure> {
    let config = ::sled::Config::new()
        .path(&options.path)
        .cache_capacity(options.cache_bytes)
        .flush_every_ms(Some(SLED_FLUSH_MS))
        .mode(::sled::Mode::LowSpace)
        .use_compression(false);
    let opening = std::thread::Builder::new()
        .name("store-open".to_owned())
        .spawn(move || open_once_free(&config, closing_max))
        .map_err(|error| SledFailure { what: format!("no thread to open it on: {error}"), damaged: false })?;
    match opening.join() {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(error @ (::sled::Error::Corruption { .. } | ::sled::Error::ReportableBug(_)))) => {
            Err(SledFailure { what: error.to_string(), damaged: true })
        }
        Ok(Err(error)) => Err(SledFailure { what: error.to_string(), damaged: false }),
        Err(panic) => {
            Err(SledFailure { what: format!("sled panicked: {}", panic_words(&*panic)), damaged: true })
        }
    }
}

/// The directory is locked by us already, so whoever still holds sled's own lock is a thread of a sled that this process
/// has just closed; or of one that panicked while it opened, which keeps it for ever, so a second try waits for nothing.
fn open_once_free(config: &::sled::Config, closing_max: Duration) -> ::sled::Result<Db> {
    let watch = Stopwatch::start();
    loop {
        match config.open() {
            Err(::sled::Error::Io(error))
                if error.to_string().contains("could not acquire lock") && watch.elapsed() < closing_max =>
            {
                std::thread::sleep(CLOSING_POLL);
            }
            opened => return opened,
        }
    }
}

/// What a panic said.
pub(super) fn panic_words(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without words".to_owned())
}

fn remove_partial_snapshots(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            tracing::warn!(file = %name, "removing a snapshot that a killed start left unfinished");
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Moves the files whose name fits into a new `set-aside-<n>/`. Says how many.
fn set_aside(dir: &Path, fits: impl Fn(&str) -> bool) -> io::Result<usize> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if fits(&entry.file_name().to_string_lossy()) {
            files.push(entry.path());
        }
    }
    if files.is_empty() {
        return Ok(0);
    }
    let aside = (1_u32..)
        .map(|n| dir.join(format!("set-aside-{n}")))
        .find(|path| !path.exists())
        .ok_or_else(|| io::Error::other("no name is left for set-aside-<n>"))?;
    fs::create_dir(&aside)?;
    for file in &files {
        fs::rename(file, aside.join(file.file_name().unwrap_or_default()))?;
    }
    File::open(&aside)?.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok(files.len())
}

/// Syncs a file, where it is there.
pub(super) fn sync_if_there(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Has the kernel read the file from the disk again, where it is there.
fn forget_cached(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => Ok(rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// sled's files cannot be used, for this reason.
pub(super) fn unreadable(dir: &Path, what: &str) -> OpenError {
    OpenError::Unreadable { path: dir.to_owned(), what: what.to_owned() }
}
