//! What the daemon and a plugin's host say to each other: over a child's socket, or hand to hand where the plugin runs
//! inside the daemon ([`crate::Inline`]). Both ends are the same binary, so this is private and changes freely; over a
//! socket [`BUILD`] is compared first, by both, for the day when they are not.
//!
//! A frame is its length (u32, little endian), then a postcard message. The daemon takes a frame that is too long or
//! that cannot be read as a breach and kills the child.

use std::fmt;
use std::io::{self, Read};

use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod http;

pub use http::{
    HTTP_ANSWER_BODY_BYTES_MAX, HTTP_BODY_BYTES_MAX, HTTP_HEADER_BYTES_MAX, HTTP_HEADERS_MAX,
    HTTP_URL_BYTES_MAX, HttpAnswer, HttpFault, HttpRequest,
};

/// What both ends must be. The first frame of each direction holds these bytes, bare.
pub const BUILD: &str = concat!("hookyard ", env!("CARGO_PKG_VERSION"), " plugin-host protocol 3");
/// The largest frame from daemon to child: an event's body (its limit is a setting) and some headers.
pub const TO_CHILD_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// The largest frame from child to daemon: an HTTP request with its headers and body.
pub const FROM_CHILD_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// What a plugin may hand over in one argument (a memo, a value, a result): far above what the store takes.
pub const FIELD_BYTES_MAX: usize = 64 * 1024;
/// A text that is cut, not refused: a log line, a message, a code.
pub const TEXT_BYTES_MAX: usize = 4 * 1024;
/// Fields of one log line; the rest is left out.
pub const LOG_FIELDS_MAX: usize = 32;
/// The stack of each worker of a child: as much as a C program's main thread has by custom.
pub const WORKER_STACK_BYTES: usize = 8 * 1024 * 1024;
/// The header of a frame.
pub const HEADER_BYTES: usize = 4;

/// From the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToChild {
    /// Load and create. Once, first.
    Start(Start),
    /// Handle an event.
    Call(Call),
    /// No time is left for this call.
    Cancel { call: u64 },
    /// The answer to [`FromChild::Upcall`].
    Reply { upcall: u64, reply: Reply },
    /// Destroy the instance and end.
    Stop,
}

/// From the child.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromChild {
    /// The plugin is loaded and its instance made, unless it was only to be loaded.
    Ready(Facts),
    /// It is not, and the process ends.
    Failed { stage: Stage, why: String },
    /// A line that the plugin logged.
    Log { call: Option<u64>, level: u32, message: String, fields: Vec<(String, String)> },
    /// The plugin asks for something.
    Upcall { upcall: u64, call: Option<u64>, ask: Ask },
    /// A call has ended.
    Ended { call: u64, outcome: i32, detail: Detail },
}

/// What the child is to become.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Start {
    /// Where the checked library is kept, the bytes of its path. Loaded where no descriptor of it came ([`crate::handover`]),
    /// or where that cannot be.
    pub library: Blob,
    /// The path that people know it by.
    pub named: String,
    pub settings_json: String,
    /// How many calls run at once.
    pub workers: u16,
    /// The lowest log level that is kept.
    pub level: u32,
    /// Only load the library and say what it is: no instance is made.
    pub load_only: bool,
    /// What the plugin may reach; without it, all that the daemon's user may.
    pub confine: Option<Confine>,
    pub limits: Limits,
}

/// What the kernel lets the process have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Descriptors open at once.
    pub open_files: u64,
    /// Bytes of address space.
    pub memory: Option<u64>,
}

/// What a plugin may reach of the machine; the bytes of paths.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Confine {
    /// `None`: everything may be read.
    pub read: Option<Vec<Blob>>,
    pub write: Vec<Blob>,
    pub network: bool,
    /// Who this process becomes; `None` for who it is.
    pub user: Option<Ids>,
}

/// A user and its one group, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    pub uid: u32,
    pub gid: u32,
}

/// One attempt at a delivery.
#[derive(Debug, Serialize, Deserialize)]
pub struct Call {
    pub call: u64,
    pub remaining_ms: u64,
    pub attempt: u32,
    pub received_unix_ms: u64,
    pub event_id: String,
    pub source: String,
    pub event_type: String,
    pub rule: String,
    pub content_type: String,
    pub headers: Vec<(String, String)>,
    pub body: Blob,
}

/// What a library says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub id: String,
    pub version: String,
    pub build_info: String,
    pub abi_minor: u16,
    /// Never two calls at once.
    pub serial: bool,
    /// A panic ends the process.
    pub panic_aborts: bool,
    /// It brings a runtime of its own, which wants the process for itself.
    pub needs_isolation: bool,
}

/// How far the child came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The library, or its descriptor.
    Load,
    /// The plugin's look at the settings.
    Settings,
    /// Making the instance.
    Create,
}

/// What a plugin may ask for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    StepBegin { step: String },
    StepEnd { step: String, memo: Blob },
    StepKey { step: String },
    KvGet { key: Blob },
    KvPut { key: Blob, value: Blob, expect_version: u64 },
    Secret { name: String },
    Http(HttpRequest),
}

/// What it is told.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    StepRun,
    StepDone(Blob),
    StepUnsure,
    /// A step's end, or a pair, is on disk.
    Written,
    Key(String),
    Value {
        value: Blob,
        version: u64,
    },
    Secret(Hidden),
    Http(HttpAnswer),
    /// There is no answer, and why, for people.
    NoAnswer {
        fault: HttpFault,
        words: String,
    },
    /// One of the ABI's negative statuses.
    Refused(i32),
}

/// What the plugin explained of its outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    pub retry_after_ms: u64,
    pub code: String,
    pub message: String,
    pub result: String,
}

/// Bytes, written in one piece. Its `Debug` shows only how many: a body or a memo may hold personal data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

/// A secret: never shown.
#[derive(Clone, Serialize, Deserialize)]
pub struct Hidden(pub String);

/// Why a frame could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {bytes} bytes is above the limit of {max}")]
    TooLarge { bytes: usize, max: u32 },
    #[error("the connection ended in the middle of a frame")]
    Truncated,
    #[error("a frame is not a message of this build")]
    Malformed(#[source] postcard::Error),
    #[error("a frame has {bytes} bytes too many")]
    Trailing { bytes: usize },
    #[error("the connection failed")]
    Io(#[source] io::Error),
}

/// A message as a frame, its header included.
pub fn encode<T: Serialize>(message: &T, max: u32) -> Result<Vec<u8>, FrameError> {
    let frame = postcard::to_extend(message, vec![0; HEADER_BYTES]).map_err(FrameError::Malformed)?;
    with_length(frame, max)
}

/// The message in a frame's bytes (without the header).
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, FrameError> {
    let (message, rest) = postcard::take_from_bytes(frame).map_err(FrameError::Malformed)?;
    if rest.is_empty() { Ok(message) } else { Err(FrameError::Trailing { bytes: rest.len() }) }
}

/// The first frame of each direction.
pub fn preamble() -> Vec<u8> {
    let mut frame = vec![0; HEADER_BYTES];
    frame.extend_from_slice(BUILD.as_bytes());
    let length = u32::try_from(BUILD.len()).expect("the build's name is short");
    frame[..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
    frame
}

/// How many bytes follow this header.
pub fn length(header: [u8; HEADER_BYTES], max: u32) -> Result<usize, FrameError> {
    let length = u32::from_le_bytes(header);
    if length > max { Err(FrameError::TooLarge { bytes: length as usize, max }) } else { Ok(length as usize) }
}

/// Reads one frame's bytes (without the header). `None` at the end of the stream.
pub fn read_frame(from: &mut impl Read, max: u32) -> Result<Option<Vec<u8>>, FrameError> {
    let mut header = [0; HEADER_BYTES];
    let mut filled = 0;
    while filled < HEADER_BYTES {
        match from.read(&mut header[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(FrameError::Truncated),
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FrameError::Io(error)),
        }
    }
    let mut frame = vec![0; length(header, max)?];
    from.read_exact(&mut frame).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => FrameError::Truncated,
        _ => FrameError::Io(error),
    })?;
    Ok(Some(frame))
}

fn with_length(mut frame: Vec<u8>, max: u32) -> Result<Vec<u8>, FrameError> {
    let bytes = frame.len() - HEADER_BYTES;
    match u32::try_from(bytes) {
        Ok(length) if length <= max => {
            frame[..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
            Ok(frame)
        }
        _ => Err(FrameError::TooLarge { bytes, max }),
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlobVisitor;
        impl Visitor<'_> for BlobVisitor {
            type Value = Blob;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(bytes))
            }
        }
        deserializer.deserialize_byte_buf(BlobVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_as_it_was() {
        let sent = FromChild::Ended {
            call: 7,
            outcome: -8,
            detail: Detail {
                retry_after_ms: 1,
                code: "panic".into(),
                message: "ä".into(),
                result: "{}".into(),
            },
        };
        let frame = encode(&sent, FROM_CHILD_BYTES_MAX).unwrap();
        let mut stream = &frame[..];
        let bytes = read_frame(&mut stream, FROM_CHILD_BYTES_MAX).unwrap().unwrap();
        let back: FromChild = decode(&bytes).unwrap();
        assert_eq!(format!("{back:?}"), format!("{sent:?}"));
        assert!(read_frame(&mut stream, FROM_CHILD_BYTES_MAX).unwrap().is_none());
    }

    #[test]
    fn a_frame_above_the_limit_is_refused_by_both_ends_before_it_is_read() {
        let big = ToChild::Reply { upcall: 1, reply: Reply::StepDone(Blob(vec![0; 100])) };
        assert!(matches!(encode(&big, 50), Err(FrameError::TooLarge { max: 50, .. })));
        let frame = encode(&big, 200).unwrap();
        assert!(matches!(read_frame(&mut &frame[..], 50), Err(FrameError::TooLarge { max: 50, .. })));
        let lie = u32::MAX.to_le_bytes();
        assert!(matches!(length(lie, TO_CHILD_BYTES_MAX), Err(FrameError::TooLarge { .. })));
    }

    #[test]
    fn a_cut_a_garbled_and_a_longer_frame_are_each_told_apart() {
        let frame = encode(&ToChild::Cancel { call: 300 }, 100).unwrap();
        for cut in 1..frame.len() {
            assert!(matches!(read_frame(&mut &frame[..cut], 100), Err(FrameError::Truncated)), "{cut}");
        }
        assert!(matches!(decode::<ToChild>(&[200]), Err(FrameError::Malformed(_))));
        let mut longer = frame[HEADER_BYTES..].to_vec();
        longer.push(0);
        assert!(matches!(decode::<ToChild>(&longer), Err(FrameError::Trailing { bytes: 1 })));
    }

    #[test]
    fn debug_shows_neither_bodies_nor_secrets() {
        let reply =
            format!("{:?} {:?}", Reply::Secret(Hidden("sk_live".into())), Blob(b"a@b.example".to_vec()));
        assert_eq!(reply, "Secret(Hidden) Blob(11 bytes)");
    }
}
