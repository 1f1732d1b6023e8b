//! Who may read and write what the daemon lives on. Who may change a plugin's file is asked where it is loaded (`plugins`).
//!
//! A store's directory that only its owner may enter covers what is in it; so its files' own modes count where it is open,
//! but for the runtime file, which may hold secrets.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::app::runtime_file::RuntimeFile;
use crate::config::Loaded;
use crate::doctor::Check;

const NAME: &str = "modes";
/// Others and the group may do nothing.
const OWNER_ONLY: u32 = 0o077;
/// Others and the group may not write.
const WRITE: u32 = 0o022;
/// Files of the store that are told one by one; sled's are few.
const TOLD_MAX: usize = 10;
/// How deep the store's own directories go.
const DEPTH_MAX: usize = 3;

/// Everything that the configuration names.
pub(super) fn check(loaded: &Loaded) -> Vec<Check> {
    let snapshot = &loaded.snapshot;
    let mut checks = store(&snapshot.store.path);
    let key = snapshot.server.tls.as_ref().map(|tls| tls.key.clone());
    for file in loaded.secret_files.iter().chain(&key) {
        checks.extend(closed_to(file, OWNER_ONLY, "holds a secret and", "chmod 600"));
    }
    let configs =
        loaded.files.iter().flat_map(|file| [Some(file.path.clone()), parent(&file.path)]).flatten();
    let mut writable: Vec<PathBuf> = configs.collect();
    writable.sort();
    writable.dedup();
    for file in &writable {
        checks.extend(closed_to(file, WRITE, "decides where events go and", "chmod go-w"));
    }
    if checks.is_empty() {
        checks.push(Check::ok(
            NAME,
            "the store and the secrets are their owner's alone; nobody else may change the configuration",
        ));
    }
    checks
}

fn parent(file: &Path) -> Option<PathBuf> {
    let parent = file.parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() })
}

/// A fault where a file gives the group or others one of these rights. One that is not there is told by who needs it.
fn closed_to(file: &Path, rights: u32, what: &str, how: &str) -> Option<Check> {
    let metadata = fs::metadata(file).ok()?;
    // In a directory such as /tmp nobody removes what is another's.
    let sticky = rights == WRITE && metadata.is_dir() && metadata.mode() & 0o1000 != 0;
    (metadata.permissions().mode() & rights != 0 && !sticky).then(|| {
        Check::fault(
            NAME,
            format!("{} {what} {}", file.display(), open_to(&metadata)),
            format!("{how} {}", file.display()),
        )
    })
}

fn open_to(metadata: &Metadata) -> String {
    let mode = metadata.permissions().mode() & 0o777;
    let worst = [
        (0o002, "changed by everybody"),
        (0o020, "changed by its group"),
        (0o004, "read by everybody"),
        (0o040, "read by its group"),
    ];
    let worst =
        worst.into_iter().find(|(bit, _)| mode & bit != 0).map_or("entered by others", |(_, words)| words);
    format!("can be {worst} (mode {mode:04o})")
}

fn store(directory: &Path) -> Vec<Check> {
    let metadata = match fs::metadata(directory) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let words = format!("{} cannot be looked at: {error}", directory.display());
            return vec![Check::fault(NAME, words, "run this as the user that runs the daemon")];
        }
    };
    let open = metadata.permissions().mode() & OWNER_ONLY != 0;
    let mut checks = Vec::new();
    checks.extend(closed_to(directory, OWNER_ONLY, "holds every event and", "chmod 700"));
    checks.extend(closed_to(&RuntimeFile::path(directory), OWNER_ONLY, "may hold secrets and", "chmod 600"));
    let mut files = Vec::new();
    if let Err(error) = walk(directory, DEPTH_MAX, &mut files) {
        let words = format!("not everything in {} can be looked at: {error}", directory.display());
        checks.push(Check::fault(NAME, words, "run this as the user that runs the daemon"));
    }
    let mut told = Vec::new();
    for (file, found) in &files {
        if found.uid() != metadata.uid() {
            told.push(Check::fault(
                NAME,
                format!(
                    "{} belongs to user {} and the store to user {}: the daemon cannot work on it",
                    file.display(),
                    found.uid(),
                    metadata.uid()
                ),
                format!("chown {} {}", metadata.uid(), file.display()),
            ));
        } else if open && *file != RuntimeFile::path(directory) {
            told.extend(closed_to(file, OWNER_ONLY, "holds events and", "chmod go="));
        }
    }
    let more = told.len().saturating_sub(TOLD_MAX);
    told.truncate(TOLD_MAX);
    checks.extend(told);
    if more > 0 {
        let words = format!("{more} more files in {} are like that", directory.display());
        checks.push(Check::fault(NAME, words, format!("chmod -R go= {}", directory.display())));
    }
    checks
}

/// Everything below a directory; symbolic links are not followed.
fn walk(directory: &Path, depth: usize, files: &mut Vec<(PathBuf, Metadata)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // A daemon at work replaces files.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if metadata.is_dir() && depth > 0 {
            walk(&entry.path(), depth - 1, files)?;
        }
        if !metadata.is_symlink() {
            files.push((entry.path(), metadata));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_closed_directory_covers_its_files_and_an_open_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let store_dir = dir.path().join("store");
        fs::create_dir_all(store_dir.join("blobs")).unwrap();
        fs::write(store_dir.join("db"), "").unwrap();
        fs::write(store_dir.join("runtime.json"), "").unwrap();
        set(&store_dir.join("db"), 0o644);
        set(&store_dir.join("blobs"), 0o755);
        set(&store_dir.join("runtime.json"), 0o600);
        set(&store_dir, 0o700);
        assert_eq!(store(&store_dir), []);
        set(&store_dir.join("runtime.json"), 0o640);
        let told = store(&store_dir);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].words.contains("runtime.json may hold secrets and can be read by its group (mode 0640)"),
            "{told:?}"
        );
        set(&store_dir.join("runtime.json"), 0o600);
        set(&store_dir, 0o750);
        let told: Vec<String> = store(&store_dir).into_iter().map(|check| check.words).collect();
        assert_eq!(told.len(), 3, "{told:#?}");
        assert!(told[0].contains("can be read by its group (mode 0750)"), "{told:#?}");
        assert!(store(&dir.path().join("none")).is_empty());
    }

    #[test]
    fn writing_is_worse_than_reading_and_everybody_worse_than_the_group() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rules.toml");
        fs::write(&file, "").unwrap();
        let told = |mode: u32, rights: u32| {
            set(&file, mode);
            closed_to(&file, rights, "is it and", "chmod").map(|check| check.words)
        };
        assert_eq!(told(0o644, WRITE), None);
        assert!(told(0o664, WRITE).unwrap().ends_with("can be changed by its group (mode 0664)"));
        assert!(told(0o666, WRITE).unwrap().ends_with("can be changed by everybody (mode 0666)"));
        assert!(told(0o644, OWNER_ONLY).unwrap().ends_with("can be read by everybody (mode 0644)"));
        assert!(told(0o640, OWNER_ONLY).unwrap().ends_with("can be read by its group (mode 0640)"));
        assert_eq!(told(0o600, OWNER_ONLY), None);
    }
}
