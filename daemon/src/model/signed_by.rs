//! Whose signature a plugin's library has to bear: checked by `config`, asked by `host` before the library is used.

use std::path::{Path, PathBuf};

use minisign_verify::PublicKey;

/// A minisign signature that one of these keys made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy {
    /// The signature's file.
    pub file: PathBuf,
    /// Never empty.
    pub keys: Vec<PublicKey>,
}

impl SignedBy {
    /// For the library at `library`, whose signature stands beside it: by the name that is written, which is a path from
    /// the library's folder, or else as minisign names it, `<library>.minisig`.
    pub fn beside(library: &Path, written: Option<&Path>, keys: Vec<PublicKey>) -> Self {
        let file = match written {
            Some(written) => library.with_file_name("").join(written),
            None => {
                let mut name = library.as_os_str().to_owned();
                name.push(".minisig");
                PathBuf::from(name)
            }
        };
        Self { file, keys }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_stands_beside_its_library_unless_it_is_said_where() {
        let file = |library: &str, written: Option<&str>| {
            SignedBy::beside(Path::new(library), written.map(Path::new), Vec::new()).file
        };
        for (library, written, expected) in [
            ("/lib/a.so", None, "/lib/a.so.minisig"),
            ("a.so", None, "a.so.minisig"),
            ("/lib/a.so", Some("b.minisig"), "/lib/b.minisig"),
            ("a.so", Some("b.minisig"), "b.minisig"),
            ("/lib/a.so", Some("/etc/b.minisig"), "/etc/b.minisig"),
        ] {
            assert_eq!(file(library, written), Path::new(expected), "{library} {written:?}");
        }
    }
}
