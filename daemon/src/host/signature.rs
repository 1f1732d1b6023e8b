//! Who made a library: its minisign signature, over the very bytes that were read, by one of the keys that are trusted.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use minisign_verify::{Error, Signature};

use super::error::HostError;
use crate::model::limits::SIGNATURE_BYTES_MAX;
use crate::model::signed_by::SignedBy;

/// Why a library's signature does not count.
#[derive(Debug, thiserror::Error)]
pub enum Unsigned {
    #[error(
        "its signature {} cannot be read; sign it (`minisign -Sm LIBRARY`), or write where `signature` is",
        file.display()
    )]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{} is damaged, or no signature of minisign; sign the library again", file.display())]
    Damaged { file: PathBuf },
    #[error("{} is of minisign's old kind; sign the library again, without `-l`", file.display())]
    Legacy { file: PathBuf },
    #[error("it, or {}, was changed after it was signed", file.display())]
    Changed { file: PathBuf },
    #[error(
        "{} was made by a key that is not among `trusted_keys` of [plugins]; trust that key, or have it signed by one \
         that is",
        file.display()
    )]
    Stranger { file: PathBuf },
}

/// Refuses a library that bears no signature of a trusted key. Blocks.
pub(super) fn check(library: &Path, bytes: &[u8], signed_by: &SignedBy) -> Result<(), HostError> {
    let unsigned = |reason| HostError::Unsigned { path: library.to_owned(), reason };
    let file = || signed_by.file.clone();
    let text =
        read(&signed_by.file).map_err(|source| unsigned(Unsigned::Unreadable { file: file(), source }))?;
    let signature = Signature::decode(&text).map_err(|_| unsigned(Unsigned::Damaged { file: file() }))?;
    // The key that the signature names decides; that the others are others says nothing.
    let verdicts = signed_by.keys.iter().map(|key| key.verify(bytes, &signature, false));
    let of_its_key = verdicts.filter(|verdict| !matches!(verdict, Err(Error::UnexpectedKeyId)));
    match of_its_key.reduce(Result::or) {
        Some(Ok(())) => Ok(()),
        Some(Err(Error::UnexpectedAlgorithm)) => Err(unsigned(Unsigned::Legacy { file: file() })),
        Some(Err(_)) => Err(unsigned(Unsigned::Changed { file: file() })),
        None => Err(unsigned(Unsigned::Stranger { file: file() })),
    }
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(SIGNATURE_BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > SIGNATURE_BYTES_MAX {
        true => Err(io::Error::other(format!("it is larger than {SIGNATURE_BYTES_MAX} bytes"))),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use minisign::KeyPair;
    use minisign_verify::PublicKey;

    use super::*;
    use crate::observe::with_causes;

    const LIBRARY: &str = "/lib/libsumo.so";

    fn pair() -> KeyPair {
        KeyPair::generate_unencrypted_keypair().unwrap()
    }

    fn signature(pair: &KeyPair, bytes: &[u8]) -> String {
        let trusted = Some("timestamp:1 file:libsumo.so");
        minisign::sign(Some(&pair.pk), &pair.sk, bytes, trusted, None).unwrap().into_string()
    }

    /// What is said of these bytes with this text as their signature, where those pairs' keys are trusted.
    fn said(bytes: &[u8], text: &str, trusted: &[&KeyPair]) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("libsumo.so.minisig");
        fs::write(&file, text).unwrap();
        let keys = trusted.iter().map(|pair| PublicKey::from_base64(&pair.pk.to_base64()).unwrap()).collect();
        check(Path::new(LIBRARY), bytes, &SignedBy { file, keys }).map_err(|error| with_causes(&error))
    }

    #[test]
    fn a_library_that_a_trusted_key_signed_is_taken_whichever_key_it_is() {
        let (one, other) = (pair(), pair());
        let text = signature(&other, b"library");
        assert_eq!(said(b"library", &text, &[&other]), Ok(()));
        assert_eq!(said(b"library", &text, &[&one, &other]), Ok(()));
    }

    #[test]
    fn a_strangers_signature_a_changed_byte_and_a_changed_comment_are_each_told() {
        let (one, other) = (pair(), pair());
        let text = signature(&other, b"library");
        let stranger = said(b"library", &text, &[&one]).unwrap_err();
        assert!(
            stranger.starts_with("the library /lib/libsumo.so is not signed by who is trusted: "),
            "{stranger}"
        );
        assert!(stranger.contains("was made by a key that is not among `trusted_keys`"), "{stranger}");
        for (bytes, text) in [
            (&b"librarY"[..], text.clone()),
            (b"library2", text.clone()),
            (b"library", text.replace("file:libsumo", "file:libdirect")),
        ] {
            let changed = said(bytes, &text, &[&one, &other]).unwrap_err();
            assert!(changed.contains("was changed after it was signed"), "{changed}");
        }
    }

    #[test]
    fn a_damaged_a_large_and_a_missing_signature_are_each_told() {
        let pair = pair();
        let text = signature(&pair, b"library");
        for damaged in ["", "no signature", &text[..text.len() / 2], &text.replace("RU", "!!")] {
            let said = said(b"library", damaged, &[&pair]).unwrap_err();
            assert!(said.contains("is damaged, or no signature of minisign"), "{damaged:?}: {said}");
        }
        let large = said(b"library", &"a".repeat(100_000), &[&pair]).unwrap_err();
        assert!(large.contains("it is larger than 8192 bytes"), "{large}");
        let signed_by = SignedBy::beside(Path::new("/no/such/library.so"), None, Vec::new());
        let missing = with_causes(&check(Path::new(LIBRARY), b"library", &signed_by).unwrap_err());
        assert!(missing.contains("/no/such/library.so.minisig cannot be read; sign it"), "{missing}");
        assert!(missing.contains("No such file"), "{missing}");
    }
}
