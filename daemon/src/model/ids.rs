//! Names and ids as newtypes, so that an event's id can never be passed for a handler's name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use smol_str::SmolStr;
use ulid::Ulid;

/// The id of a stored event: a ULID, so ids sort by the time of receipt. Shown as 26 characters of Crockford base32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Ulid);

impl EventId {
    /// An id for an event received at `millis` (Unix milliseconds) with 80 bits of randomness.
    pub fn from_parts(millis: u64, random: u128) -> Self {
        Self(Ulid::from_parts(millis, random))
    }

    /// The id right after this one, for ids that must grow within one millisecond. `None` when the randomness is spent.
    pub fn next(self) -> Option<Self> {
        self.0.increment().ok().map(Self)
    }

    /// When the event was received, Unix milliseconds.
    pub fn millis(self) -> u64 {
        self.0.timestamp_ms()
    }

    /// 16 bytes, big endian: they sort as the ids do.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_bytes()
    }

    /// The inverse of [`Self::to_bytes`].
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Ulid::from_bytes(bytes))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({})", self.0)
    }
}

/// The text was no event id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an event id: those are 26 letters and digits, such as 01JD5Y3V0Q8Z6M4T2K9W7B1C5R")]
pub struct NotAnEventId(String);

impl FromStr for EventId {
    type Err = NotAnEventId;

    fn from_str(text: &str) -> Result<Self, NotAnEventId> {
        Ulid::from_string(text).map(Self).map_err(|_| NotAnEventId(text.to_owned()))
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr);

        impl $name {
            /// Takes the text as it is: config checks names where they are written.
            pub fn new(text: &str) -> Self {
                Self(SmolStr::new(text))
            }

            /// The name as it stands in the config.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.as_str())
            }
        }
    };
}

name! {
    /// The `x` of `[source.x]`.
    SourceName
}
name! {
    /// The `x` of `[plugin.x]`.
    PluginName
}
name! {
    /// The `x` of `[handler.x]`.
    HandlerName
}
name! {
    /// The `name` of a `[[rule]]`.
    RuleName
}
name! {
    /// What a plugin calls itself (`com.acme.sumo`): the namespace of its key-value pairs.
    PluginId
}
name! {
    /// The first 16 hex digits of the SHA-256 of a checked configuration.
    SnapshotHash
}
name! {
    /// What makes two requests of one source the same event.
    IdempotencyKey
}

/// One event for one handler.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    pub event: EventId,
    pub handler: HandlerName,
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.event, self.handler)
    }
}

/// One step of one handler's work on one event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId {
    pub delivery: DeliveryId,
    pub step: Arc<str>,
}
