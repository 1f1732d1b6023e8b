//! One file of the journal: a header block, then frames. Written through before its first use, so that a commit changes no
//! length and no block map, only bytes: that is what makes its fdatasync cheap.
//!
//! ```text
//!  journal/00000007.seg    in use, or full and not yet wholly in sled
//!  journal/spare-7         its frames are all in sled: to be used again under a new number, or removed
//! ```
//! A file takes its `.seg` name only once its header is on disk, and is a spare only once all of it is in sled; each
//! rename is synced before the next step. So whatever a crash leaves, a `.seg` file says what it is, and a spare says nothing.
//! The header also says how long the file is, so that one that was cut short is not taken for one with a torn end, and how
//! many events there were when it was made: a store that has fewer has lost some, whatever became of the commits before.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::BLOCK_BYTES;

const MAGIC: &[u8; 16] = b"hookyard journal";
/// The format of segments and of what stands in them. 2: the header tells of length and events. 3: rows as of version 4 of the
/// store's, which a hookyard before would apply and could not read.
const FORMAT: u32 = 3;
const FORMAT_2: u32 = 2;
const FORMAT_1: u32 = 1;
const SUFFIX: &str = ".seg";
const SPARE_PREFIX: &str = "spare-";
const HEADER_BYTES: usize = 60;
const HEADER_BYTES_1: usize = 44;
/// What a new segment is written through with at a time.
const FILL_BYTES: usize = 1024 * 1024;

/// The journal's directory, held open: a rename must be synced, whether or not a file descriptor is left.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    handle: File,
}

impl Directory {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), handle: File::open(path)? })
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

/// An open segment.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) number: u32,
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// What a segment's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    Ours(Ours),
    /// Written by a newer hookyard, in this format.
    Newer(u32),
    Unreadable,
}

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ours {
    pub(super) journal: u64,
    pub(super) number: u32,
    /// Every commit in it comes after this one.
    pub(super) after: u64,
    /// At least this many events had been stored when it was made, those among them that were removed since.
    pub(super) events: u64,
    /// The file is at least this long. 0 in the first format, which did not say.
    pub(super) bytes: u64,
}

impl Segment {
    /// Makes a segment out of a spare, or anew, as the header says. On disk under its name when it returns.
    pub(super) fn make(dir: &Directory, header: Ours, spare: Option<PathBuf>) -> io::Result<Self> {
        let Ours { number, bytes, .. } = header;
        let made = spare.unwrap_or_else(|| dir.path.join(format!("{SPARE_PREFIX}{number}")));
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&made)?;
        let has = file.metadata()?.len();
        fill(&file, has, bytes)?;
        file.write_all_at(&encode_header(header), 0)?;
        file.sync_all()?;
        let path = dir.path.join(format!("{number:08}{SUFFIX}"));
        fs::rename(&made, &path)?;
        dir.sync()?;
        Ok(Self { number, file: Arc::new(file), path, bytes: bytes.max(has) })
    }

    /// Opens a segment that is there, and makes sure that what is read is what the disk has: after a failed sync the
    /// page cache may hold more.
    pub(super) fn open(path: &Path, number: u32) -> io::Result<(Self, Header)> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        let bytes = file.metadata()?.len();
        let mut block = [0; HEADER_BYTES];
        let header = match file.read_exact_at(&mut block, 0) {
            Ok(()) => parse_header(&block),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Header::Unreadable,
            Err(error) => return Err(error),
        };
        Ok((Self { number, file: Arc::new(file), path: path.to_owned(), bytes }, header))
    }

    /// Lets its file go: all of it is in sled. It is a spare now.
    pub(super) fn retire(self, dir: &Directory) -> io::Result<PathBuf> {
        let spare = dir.path.join(format!("{SPARE_PREFIX}{}", self.number));
        fs::rename(&self.path, &spare)?;
        dir.sync()?;
        Ok(spare)
    }
}

/// The segments by number, and the spares.
pub(super) type Files = (Vec<(u32, PathBuf)>, Vec<PathBuf>);

/// The segments and the spares in a directory.
pub(super) fn list(dir: &Path) -> io::Result<Files> {
    let (mut segments, mut spares) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(SPARE_PREFIX) {
            spares.push(path);
        } else if let Some(number) = name.strip_suffix(SUFFIX).and_then(|stem| stem.parse().ok()) {
            segments.push((number, path));
        }
    }
    segments.sort();
    Ok((segments, spares))
}

fn fill(file: &File, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; FILL_BYTES];
    let mut at = from;
    while at < to {
        let some = usize::try_from(to - at).unwrap_or(FILL_BYTES).min(FILL_BYTES);
        file.write_all_at(&zeros[..some], at)?;
        at += some as u64;
    }
    Ok(())
}

fn encode_header(header: Ours) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    block[..16].copy_from_slice(MAGIC);
    block[16..20].copy_from_slice(&FORMAT.to_le_bytes());
    block[20..28].copy_from_slice(&header.journal.to_le_bytes());
    block[28..36].copy_from_slice(&header.after.to_le_bytes());
    block[36..40].copy_from_slice(&header.number.to_le_bytes());
    block[40..48].copy_from_slice(&header.events.to_le_bytes());
    block[48..56].copy_from_slice(&header.bytes.to_le_bytes());
    let crc = crc32fast::hash(&block[..56]);
    block[56..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    block
}

fn parse_header(block: &[u8; HEADER_BYTES]) -> Header {
    let small = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    let large = |at: usize| u64::from(small(at)) | u64::from(small(at + 4)) << 32;
    if &block[..16] != MAGIC {
        return Header::Unreadable;
    }
    let crc_at = match small(16) {
        FORMAT | FORMAT_2 => HEADER_BYTES - 4,
        FORMAT_1 => HEADER_BYTES_1 - 4,
        newer => return Header::Newer(newer),
    };
    if small(crc_at) != crc32fast::hash(&block[..crc_at]) {
        return Header::Unreadable;
    }
    let told = |at: usize| if at < crc_at { large(at) } else { 0 };
    let (journal, number, after) = (large(20), small(36), large(28));
    Header::Ours(Ours { journal, number, after, events: told(40), bytes: told(48) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(number: u32) -> Ours {
        Ours { journal: u64::MAX - 9, number, after: 1 << 40, events: 1 << 50, bytes: 65_536 }
    }

    #[test]
    fn a_segment_is_made_retired_and_made_again_of_its_spare() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Directory::open(temp.path()).unwrap();
        let first = Segment::make(&dir, ours(1), None).unwrap();
        assert_eq!(first.file.metadata().unwrap().len(), 65_536);
        let (again, header) = Segment::open(&first.path, 1).unwrap();
        assert_eq!((again.bytes, header), (65_536, Header::Ours(ours(1))));
        let spare = first.retire(&dir).unwrap();
        assert_eq!(list(temp.path()).unwrap(), (Vec::new(), vec![spare.clone()]));
        let second = Segment::make(&dir, ours(2), Some(spare)).unwrap();
        assert_eq!(list(temp.path()).unwrap(), (vec![(2, second.path.clone())], Vec::new()));
        assert_eq!(Segment::open(&second.path, 2).unwrap().1, Header::Ours(ours(2)));
    }

    #[test]
    fn a_header_of_the_first_format_is_read() {
        let mut block = [0; HEADER_BYTES];
        block.copy_from_slice(&encode_header(ours(3))[..HEADER_BYTES]);
        block[16] = 1;
        let crc = crc32fast::hash(&block[..40]);
        block[40..44].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(parse_header(&block), Header::Ours(Ours { events: 0, bytes: 0, ..ours(3) }));
    }

    #[test]
    fn a_header_of_another_kind_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000001.seg");
        for (bytes, told) in [
            (Vec::new(), Header::Unreadable),
            (vec![0; BLOCK_BYTES], Header::Unreadable),
            ([MAGIC.as_slice(), &[9, 0, 0, 0], &[0; 64]].concat(), Header::Newer(9)),
        ] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(Segment::open(&path, 1).unwrap().1, told);
        }
    }
}
