//! What a library says of itself without being run: ELF notes of the owner "hookyard", as the header's `HOOKYARD_NOTE`
//! lays them out. [`crate::export!`] writes them; `hookyard plugin inspect` reads them. Linkers keep notes through
//! `--gc-sections`, and `strip` leaves them.

/// The note of a JSON object of id, version and abi.
pub const IDENTITY: u32 = 1;
/// The note of the JSON Schema of the settings.
pub const SETTINGS: u32 = 2;

/// The owner of the notes, with the NUL that ends it in the file.
pub const OWNER: &[u8; 9] = b"hookyard\0";

/// One note whose text is `BYTES` long.
#[repr(C, align(4))]
#[derive(Debug)]
pub struct Note<const BYTES: usize> {
    owner_bytes: u32,
    text_bytes: u32,
    kind: u32,
    /// Padded to whole words, as the text is by the struct's alignment.
    owner: [u8; 12],
    text: [u8; BYTES],
}

impl<const BYTES: usize> Note<BYTES> {
    /// A note of this text, all of it.
    pub const fn new(kind: u32, text: &str) -> Self {
        assert!(text.len() == BYTES, "a note is as long as its text");
        let mut owner = [0; 12];
        copy(OWNER, &mut owner);
        let mut bytes = [0; BYTES];
        copy(text.as_bytes(), &mut bytes);
        Self { owner_bytes: OWNER.len() as u32, text_bytes: BYTES as u32, kind, owner, text: bytes }
    }
}

/// Whether this is an id as the header asks for: lower-case letters, digits, hyphens and underscores, with dots between.
pub const fn is_id(id: &str) -> bool {
    let bytes = id.as_bytes();
    let (mut at, mut dots, mut in_word) = (0, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => in_word = true,
            b'.' if in_word => {
                dots += 1;
                in_word = false;
            }
            _ => return false,
        }
        at += 1;
    }
    in_word && dots > 0
}

const fn copy(from: &[u8], to: &mut [u8]) {
    let mut at = 0;
    while at < from.len() {
        to[at] = from[at];
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_reverse_domain_names() {
        for good in ["com.acme.sumo", "a.b", "com.acme-2.my_plugin"] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "sumo", ".a", "a.", "a..b", "Com.acme", "com.acme.\"", "com acme.x"] {
            assert!(!is_id(bad), "{bad}");
        }
    }

    #[test]
    fn a_note_is_laid_out_in_whole_words() {
        assert_eq!(size_of::<Note<5>>(), 24 + 8);
        assert_eq!(size_of::<Note<8>>(), 24 + 8);
        let note = Note::<2>::new(IDENTITY, "{}");
        assert_eq!((note.owner_bytes, note.text_bytes, note.kind), (9, 2, 1));
        assert_eq!(&note.owner, b"hookyard\0\0\0\0");
        assert_eq!(&note.text, b"{}");
    }
}
