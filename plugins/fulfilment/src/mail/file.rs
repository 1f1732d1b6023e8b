//! Mails as `.eml` files. The name is made of the Message-ID, so writing a mail again replaces it with itself. Written
//! aside, synced, renamed, and the directory synced: a file with its final name is whole and survives a power cut.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::MailError;

/// Where the files go.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Tells apart what two threads write at once; the process id tells two hosts apart.
    writes: AtomicU64,
}

impl Directory {
    /// Makes the directory where it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, MailError> {
        fs::create_dir_all(path).map_err(|source| MailError::File { path: path.to_path_buf(), source })?;
        Ok(Self { path: path.to_path_buf(), writes: AtomicU64::new(0) })
    }

    /// Back when the mail is on disk.
    pub(super) fn write(&self, message_id: &str, bytes: &[u8]) -> Result<(), MailError> {
        let path = self.path.join(file_name(message_id));
        self.replace(&path, bytes).map_err(|source| MailError::File { path, source })
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let write = self.writes.fetch_add(1, Ordering::Relaxed);
        let aside = self.path.join(format!(".{}.{write}.tmp", std::process::id()));
        let mut file = File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        File::open(&self.path)?.sync_all()
    }
}

/// `<welcome.1f…@inkwell.example>` is `welcome.1f…@inkwell.example.eml`; nothing in it can leave the directory.
fn file_name(message_id: &str) -> String {
    let inner = message_id.trim_matches(['<', '>']);
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._@-".contains(c) { c } else { '_' };
    format!("{}.eml", inner.chars().map(safe).collect::<String>().trim_start_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable_and_stay_inside() {
        assert_eq!(file_name("<welcome.1f@inkwell.example>"), "welcome.1f@inkwell.example.eml");
        assert_eq!(file_name("<../../etc/x@y>"), "_.._etc_x@y.eml");
    }

    #[test]
    fn writing_again_leaves_one_file_and_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let mails = Directory::open(&directory.path().join("a/b")).unwrap();
        for bytes in [b"one".as_slice(), b"two"] {
            mails.write("<x@y.example>", bytes).unwrap();
        }
        let names: Vec<_> =
            fs::read_dir(directory.path().join("a/b")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["x@y.example.eml"]);
        assert_eq!(fs::read(directory.path().join("a/b/x@y.example.eml")).unwrap(), b"two");
    }
}
