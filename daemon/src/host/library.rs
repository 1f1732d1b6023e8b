//! Loads by content: the bytes that were read, hashed and compared with the pin are written to the cache under their
//! hash and to a sealed file in memory, and the child loads the latter (`sealed`), or else the former. Replacing a library
//! on disk never changes what runs, and a crash while the cache is written leaves only a temporary file.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::error::HostError;
use super::place::{self, PlaceError};
use super::{Trust, elf, sealed, signature};
use crate::artifact::{Artifact, ArtifactError, Schema};
use crate::model::limits::LIBRARY_BYTES_MAX;
use crate::model::signed_by::SignedBy;

/// The beginnings of the names of what every system has: the C library's parts, and the compiler's.
const SYSTEM: [&str; 9] = [
    "libc.so",
    "libm.so",
    "libgcc_s.so",
    "ld-linux",
    "libpthread.so",
    "libdl.so",
    "librt.so",
    "libresolv.so",
    "libc.musl-",
];

/// A library, checked, for a child to load.
#[derive(Debug)]
pub(super) struct Checked {
    /// Where it is configured, for people.
    pub(super) named: String,
    /// Its bytes, sealed; a child loads these if it can.
    pub(super) in_memory: Option<OwnedFd>,
    /// The same bytes in the cache.
    pub(super) path: PathBuf,
    /// 64 lower-case hex digits.
    pub(super) sha256: String,
    /// The schema of its settings, where it says one.
    pub(super) settings: Option<Schema>,
}

/// Reads, checks and caches a library. Blocks.
pub(super) fn load(library: &Path, trust: &Trust, cache: &Path) -> Result<Checked, HostError> {
    let bytes = read(library, trust.owner)?;
    let sha256 = hex::encode(Sha256::digest(&bytes));
    check_pin(library, &sha256, &trust.sha256)?;
    if let Some(signed_by) = &trust.signed_by {
        signature::check(library, &bytes, signed_by)?;
    }
    elf::check(&bytes).map_err(|why| HostError::NotALibrary { path: library.to_owned(), why })?;
    let settings =
        settings_of(&bytes).map_err(|why| HostError::NotALibrary { path: library.to_owned(), why })?;
    let cache = make_cache(cache)?;
    let path = cache.join(format!("{sha256}.so"));
    if !holds(&path, &sha256) {
        store(&cache, &path, &bytes)?;
    }
    let in_memory = sealed::seal(library, &bytes);
    if in_memory.is_none() {
        refuse_noexec(&cache)?;
    }
    Ok(Checked { named: library.display().to_string(), in_memory, path, sha256, settings })
}

/// Only a file that lies where code may be run can be loaded.
pub(super) fn refuse_noexec(cache: &Path) -> Result<(), HostError> {
    let mount = rustix::fs::statvfs(cache).map_err(|error| HostError::Cache {
        path: cache.to_owned(),
        what: "its file system cannot be asked about",
        source: error.into(),
    })?;
    match mount.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC) {
        true => Err(HostError::NoExec { path: cache.to_owned() }),
        false => Ok(()),
    }
}

/// The schema that the library holds, if it is fit to be loaded. Only ELF files can be looked into.
fn settings_of(bytes: &[u8]) -> Result<Option<Schema>, String> {
    let artifact = match Artifact::read(bytes) {
        Err(ArtifactError::NotElf) if cfg!(not(target_os = "linux")) => return Ok(None),
        read => read.map_err(|error| error.to_string())?,
    };
    let mut reasons = artifact.unfit.reasons();
    let foreign = artifact.needs.iter().filter(|needed| !SYSTEM.iter().any(|own| needed.starts_with(own)));
    reasons.extend(foreign.map(|needed| {
        format!("it needs {needed}, which is not pinned and would run too: link it statically")
    }));
    if reasons.is_empty() { Ok(artifact.settings) } else { Err(reasons.join(". ")) }
}

impl Checked {
    /// Holds a handler's settings, a JSON object, against the library's schema: before anything of the plugin runs.
    pub(super) fn check_settings(&self, settings_json: &str) -> Result<(), HostError> {
        let Some(schema) = &self.settings else { return Ok(()) };
        let settings = serde_json::from_str(settings_json)
            .map_err(|error| HostError::Settings { why: format!("they are no JSON: {error}") })?;
        let faults: Vec<String> = schema.faults(&settings).iter().map(ToString::to_string).collect();
        if faults.is_empty() { Ok(()) } else { Err(HostError::Settings { why: faults.join(". ") }) }
    }
}

/// Whether a library of this hash is one of those that are meant. Without pins (`--dev`) each is.
pub(super) fn may_run(sha256: &str, pins: &[String]) -> bool {
    pins.is_empty() || pins.iter().any(|pin| pin.eq_ignore_ascii_case(sha256))
}

/// Refuses a library of this hash where it is none of those that are meant.
pub(super) fn check_pin(library: &Path, sha256: &str, pins: &[String]) -> Result<(), HostError> {
    match may_run(sha256, pins) {
        true => Ok(()),
        false => Err(HostError::PinMismatch {
            path: library.to_owned(),
            pinned: pins.join(" or "),
            found: sha256.to_owned(),
        }),
    }
}

/// The SHA-256 of the library at the path now, 64 lower-case hex digits, where it bears the signature that is asked for.
/// Blocks.
pub fn hash(library: &Path, signed_by: Option<&SignedBy>) -> Result<String, HostError> {
    let bytes = read(library, None)?;
    if let Some(signed_by) = signed_by {
        signature::check(library, &bytes, signed_by)?;
    }
    Ok(hex::encode(Sha256::digest(bytes)))
}

/// The file's bytes; with an `owner`, only where nobody but root and that user could have changed them.
fn read(path: &Path, owner: Option<u32>) -> Result<Vec<u8>, HostError> {
    let unreadable = |source| HostError::Unreadable { path: path.to_owned(), source };
    let file = match owner {
        None => File::open(path).map_err(unreadable)?,
        Some(user) => place::open(path, user).map_err(|error| match error {
            PlaceError::Unreadable(source) => unreadable(source),
            PlaceError::Exposed(why) => HostError::Exposed { path: path.to_owned(), why },
        })?,
    };
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(HostError::NotAFile { path: path.to_owned() });
    }
    let max = LIBRARY_BYTES_MAX;
    let mut bytes = Vec::new();
    if metadata.len() <= max {
        file.take(max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    let length = metadata.len().max(bytes.len() as u64);
    if length > max {
        return Err(HostError::TooLarge { path: path.to_owned(), bytes: length, max });
    }
    Ok(bytes)
}

/// Makes the cache where it is not, for this user alone; returns its absolute path, since a bare name would be looked up
/// in the system's library directories.
fn make_cache(cache: &Path) -> Result<PathBuf, HostError> {
    let failed = |what| move |source| HostError::Cache { path: cache.to_owned(), what, source };
    DirBuilder::new().recursive(true).mode(0o700).create(cache).map_err(failed("it cannot be made"))?;
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(cache, private).map_err(failed("it cannot be closed to other users"))?;
    cache.canonicalize().map_err(failed("it cannot be found"))
}

/// Whether the file is there and still what its name says: a torn or changed one is written again.
fn holds(path: &Path, sha256: &str) -> bool {
    fs::read(path).is_ok_and(|bytes| hex::encode(Sha256::digest(&bytes)) == sha256)
}

fn store(cache: &Path, path: &Path, bytes: &[u8]) -> Result<(), HostError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let temporary = cache.join(format!(".{}-{number}.tmp", std::process::id()));
    let written = write(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| File::open(cache)?.sync_all());
    written.map_err(|source| {
        // What is left behind is only a temporary file; the error to tell is the first.
        drop(fs::remove_file(&temporary));
        HostError::Cache { path: cache.to_owned(), what: "the library cannot be written to it", source }
    })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // One of a process with the same id, killed while it wrote.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o500).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A real shared library: the C library that this test is linked to. No other will do: what looks up
    /// users and groups maps libraries that need more than a plugin may.
    fn real() -> Vec<u8> {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mut mapped = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
        fs::read(mapped.find(|path| path.ends_with("/libc.so.6")).unwrap()).unwrap()
    }

    fn pinned(pins: &[String]) -> Trust {
        Trust { sha256: pins.to_vec(), ..Trust::default() }
    }

    fn files(cache: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(cache).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_checked_bytes_are_cached_under_their_hash_and_for_this_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (library, cache) = (dir.path().join("a.so"), dir.path().join("store/plugins"));
        fs::write(&library, real()).unwrap();
        fs::create_dir_all(&cache).unwrap();
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
        let checked = load(&library, &pinned(&[]), &cache).unwrap();
        assert_eq!(checked.sha256, hex::encode(Sha256::digest(real())));
        assert_eq!(files(&cache), [format!("{}.so", checked.sha256)]);
        assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(&checked.path).unwrap().permissions().mode() & 0o777, 0o500);
        let pins = pinned(&["0".repeat(64), checked.sha256.to_uppercase()]);
        assert_eq!(load(&library, &pins, &cache).unwrap().path, checked.path);
    }

    #[test]
    fn a_cached_file_that_was_changed_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let (library, cache) = (dir.path().join("a.so"), dir.path().join("plugins"));
        fs::write(&library, real()).unwrap();
        let checked = load(&library, &pinned(&[]), &cache).unwrap();
        fs::remove_file(&checked.path).unwrap();
        fs::write(&checked.path, "torn").unwrap();
        assert_eq!(load(&library, &pinned(&[]), &cache).unwrap().path, checked.path);
        assert_eq!(fs::read(&checked.path).unwrap(), real());
    }

    #[test]
    fn a_wrong_pin_names_both_hashes_and_caches_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (library, cache) = (dir.path().join("a.so"), dir.path().join("plugins"));
        fs::write(&library, real()).unwrap();
        let said = load(&library, &pinned(&["0".repeat(64)]), &cache).unwrap_err().to_string();
        assert!(
            said.contains(&"0".repeat(64)) && said.contains(&hex::encode(Sha256::digest(real()))),
            "{said}"
        );
        assert!(!cache.exists());
    }

    #[test]
    fn a_missing_file_a_directory_and_a_text_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("plugins");
        let said = |path: &Path| load(path, &pinned(&[]), &cache).unwrap_err().to_string();
        assert!(said(&dir.path().join("none.so")).contains("cannot be read; is its `path` right"));
        assert!(said(dir.path()).contains("is not a file"));
        let text = dir.path().join("text.so");
        fs::write(&text, "INPUT(libfoo.so) /* a linker script */").unwrap();
        assert!(said(&text).contains("no ELF header"));
    }
}
