//! A library's checked bytes as a file in memory that is sealed: nobody can change them any more, this process included.
//! The child gets its descriptor and loads that, so what was checked is what runs, whatever happens to files.
//!
//! Only Linux has such files. Elsewhere, and where the kernel refuses one, the child loads the file in the cache.

use std::os::fd::OwnedFd;
use std::path::Path;

/// Makes the file; `library` names it for people who look at the process. `None`, and the log says why, where there can be none.
#[cfg(target_os = "linux")]
pub(super) fn seal(library: &Path, bytes: &[u8]) -> Option<OwnedFd> {
    match make(library, bytes) {
        Ok(file) => Some(file),
        Err(error) => {
            let library = library.display();
            tracing::warn!(%library, %error, "no sealed file in memory: the plugin is loaded out of the cache");
            None
        }
    }
}

/// There is none here.
#[cfg(not(target_os = "linux"))]
pub(super) fn seal(_: &Path, _: &[u8]) -> Option<OwnedFd> {
    None
}

#[cfg(target_os = "linux")]
fn make(library: &Path, bytes: &[u8]) -> std::io::Result<OwnedFd> {
    use std::io::Write;
    use std::os::unix::ffi::OsStrExt;

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use rustix::io::Errno;

    /// What Linux takes of a name.
    const NAME_BYTES_MAX: usize = 249;

    let name = library.file_name().unwrap_or(library.as_os_str()).as_bytes();
    let name = &name[..name.len().min(NAME_BYTES_MAX)];
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // A library is mapped, never started. Saying so satisfies every setting of `vm.memfd_noexec`; Linux before 6.3 does
    // not know the word.
    let file = match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(name, flags)?,
        file => file?,
    };
    let mut file = std::fs::File::from(file);
    file.write_all(bytes)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;
    use std::io::{ErrorKind, Write};
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_is_sealed_can_be_read_and_neither_written_nor_cut_nor_unsealed() {
        let sealed = seal(Path::new("/usr/lib/hookyard/libsumo.so"), b"its bytes").unwrap();
        let mut file = File::from(sealed);
        let mut bytes = [0; 9];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"its bytes");
        assert_eq!(file.write(b"more").unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(file.set_len(3).unwrap_err().kind(), ErrorKind::PermissionDenied);
        let seal = rustix::fs::fcntl_add_seals(&file, rustix::fs::SealFlags::FUTURE_WRITE);
        assert_eq!(seal.unwrap_err().kind(), ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_long_name_is_cut() {
        assert!(make(Path::new(&"a".repeat(300)), b"").is_ok());
    }
}
