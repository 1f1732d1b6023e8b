//! The small files beside the store: what runs, what ran, what is on trial, kept snapshots, counts of rules.
//!
//! Each is written whole, so a crash leaves the one before, and is its owner's alone. What each says is its own module's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::de::DeserializeOwned;

/// What the file holds; nothing where there is none. Blocks.
pub(super) fn read<T: DeserializeOwned + Default>(path: &Path) -> io::Result<T> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        read => Ok(serde_json::from_slice(&read?)?),
    }
}

/// Puts these bytes in the file's place; they are on disk when this returns. Blocks.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
