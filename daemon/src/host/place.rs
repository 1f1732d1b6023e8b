//! Who could change a library, or put another in its place: its file and every directory above it are looked at, as sshd
//! looks at a user's keys (`StrictModes`).
//!
//! A symbolic link is followed first, since distributions and releases use them: what counts is the real file and what
//! leads to it, and the pin says that it is the right one. The directories are gone through from the root down, so one that
//! was found sound cannot be exchanged by anybody else while the next is looked at.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

const ROOT: u32 = 0;
/// The group and others may write.
const WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Why a library was not opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("it cannot be opened")]
    Unreadable(#[from] io::Error),
    #[error("{0}")]
    Exposed(String),
}

/// Opens the file that `path` leads to, where nobody but root and `user` could change it or what leads to it. Never waits,
/// also where it is a pipe.
pub(super) fn open(path: &Path, user: u32) -> Result<File, PlaceError> {
    let real = path.canonicalize()?;
    let above: Vec<&Path> = real.ancestors().skip(1).collect();
    for directory in above.into_iter().rev() {
        closed(directory, &fs::symlink_metadata(directory)?, user)?;
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    // The bits of these flags are the same in both types.
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(&real)?;
    closed(&real, &file.metadata()?, user)?;
    Ok(file)
}

/// Refuses what belongs to somebody else, or gives the group or everybody the right to write.
fn closed(place: &Path, metadata: &Metadata, user: u32) -> Result<(), PlaceError> {
    let (owner, mode, shown) = (metadata.uid(), metadata.permissions().mode(), place.display());
    let exposed = |why| Err(PlaceError::Exposed(why));
    if owner != ROOT && owner != user {
        return exposed(format!(
            "{shown} belongs to user {owner}, and only root and the daemon's user ({user}) may own it (`chown root {shown}`)"
        ));
    }
    if mode & WRITE == 0 {
        return Ok(());
    }
    let who = if mode & 0o002 == 0 { "its group" } else { "everybody" };
    let remedy = match mode & STICKY {
        0 => format!("`chmod go-w {shown}`"),
        // A directory such as /tmp is meant to be that way.
        _ => "keep the library elsewhere, such as in /usr/lib/hookyard".to_owned(),
    };
    exposed(format!("{shown} can be changed by {who} (mode {:04o}; {remedy})", mode & 0o7777))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    const SOMEBODY: u32 = 12_345;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// What is said of a place with that mode.
    fn said(place: &Path, mode: u32, user: u32) -> Option<String> {
        set(place, mode);
        closed(place, &fs::symlink_metadata(place).unwrap(), user).err().map(|error| error.to_string())
    }

    #[test]
    fn only_the_owner_may_write() {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("a.so");
        fs::write(&library, "").unwrap();
        let us = fs::metadata(&library).unwrap().uid();
        assert_eq!(said(&library, 0o755, us), None);
        let group = said(&library, 0o775, us).unwrap();
        assert!(group.contains("a.so can be changed by its group (mode 0775; `chmod go-w "), "{group}");
        assert!(said(&library, 0o757, us).unwrap().contains("by everybody (mode 0757; `chmod go-w "));
        let sticky = said(dir.path(), 0o1777, us).unwrap();
        assert!(sticky.contains("by everybody (mode 1777; keep the library elsewhere"), "{sticky}");
    }

    #[test]
    fn another_owner_than_root_and_the_user_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("a.so");
        fs::write(&library, "").unwrap();
        set(&library, 0o755);
        assert_eq!(fs::metadata("/").map(|root| root.uid()).unwrap(), ROOT);
        assert!(closed(Path::new("/"), &fs::metadata("/").unwrap(), SOMEBODY).is_ok());
        // As root the file has to be somebody's first; anybody else's file is somebody's already.
        if fs::metadata(&library).unwrap().uid() == ROOT {
            chown(&library, Some(SOMEBODY), None).unwrap();
        }
        let metadata = fs::metadata(&library).unwrap();
        let refused = closed(&library, &metadata, SOMEBODY + 1).unwrap_err().to_string();
        let expected =
            format!("belongs to user {}, and only root and the daemon's user (12346)", metadata.uid());
        assert!(refused.contains(&expected) && refused.contains("`chown root /"), "{refused}");
        assert!(closed(&library, &metadata, metadata.uid()).is_ok());
    }

    #[test]
    fn a_link_is_followed_and_each_directory_above_the_real_file_counts() {
        let user = rustix::process::geteuid().as_raw();
        let system = Path::new("/etc/passwd");
        assert!(open(system, user).is_ok());
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink(system, &link).unwrap();
        assert!(open(&link, user).is_ok(), "the real file's place is what counts");
        let (shared, library) = (dir.path().join("shared"), dir.path().join("shared/a.so"));
        fs::create_dir(&shared).unwrap();
        fs::write(&library, "").unwrap();
        set(&shared, 0o777);
        // Where the temporary directory is open itself, that is told first: from the root down.
        let refused = open(&library, user).unwrap_err().to_string();
        assert!(refused.contains("can be changed by everybody"), "{refused}");
        assert!(matches!(open(&dir.path().join("none.so"), user), Err(PlaceError::Unreadable(_))));
    }
}
