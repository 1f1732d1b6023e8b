//! An event: what a source sent, verified, and as it will stay for ever.

use bytes::Bytes;

use super::clock::UnixMillis;
use super::ids::{EventId, IdempotencyKey, SourceName};

/// The header that tells the SHA-256 of the body as it was received, where what is stored is not that. Ours alone: the
/// door takes none of the name from outside.
pub const BODY_SHA256_HEADER: &str = "x-hookyard-body-sha256";
/// The header that tells which paths of the body were redacted.
pub const REDACTED_HEADER: &str = "x-hookyard-redacted";
/// The header that tells that personal fields of a stored event were erased later.
pub const ERASED_HEADER: &str = "x-hookyard-erased";
/// What the names of hookyard's own headers begin with.
pub const OWN_HEADER_PREFIX: &str = "x-hookyard-";

/// A verified request, not yet stored. Made by `ingest`, given to the store, which names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub source: SourceName,
    pub idempotency_key: IdempotencyKey,
    /// The provider's own id (`evt_…`).
    pub provider_id: String,
    /// The provider's word for what happened (`checkout.session.completed`).
    pub event_type: String,
    /// The connected account, where the provider named one.
    pub account: Option<String>,
    /// Whether real money moved, where the provider said.
    pub livemode: Option<bool>,
    pub content_type: String,
    /// The request's headers that matter, names in lower case, in the order received. Never a secret.
    pub headers: Vec<(String, String)>,
    /// The very bytes received, which the signature covers; but what the source's settings redact.
    pub body: Bytes,
    pub received: UnixMillis,
}

impl Envelope {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A stored event. Immutable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    pub envelope: Envelope,
}

/// What the store made of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// A new event, now on disk.
    New(EventId),
    /// The same idempotency key is on disk already, as this event.
    Duplicate(EventId),
}

impl Appended {
    /// The stored event, whichever request brought it.
    pub fn event(self) -> EventId {
        match self {
            Self::New(id) | Self::Duplicate(id) => id,
        }
    }
}
