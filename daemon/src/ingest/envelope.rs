//! From a verified body to an [`Envelope`]: the whole of it must be JSON, and say its id and type.
//!
//! Takes Stripe's snapshot events and thin ones (`object: v2.core.event`) alike: both have `id` and `type` at the top.
//! The body is checked to its last byte, UTF-8 included, so that nothing behind the door meets half-parsed text; a key
//! that stands twice at the top is refused, because readers disagree on which one counts.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sha2::{Digest, Sha256};

use crate::model::clock::UnixMillis;
use crate::model::event::{BODY_SHA256_HEADER, Envelope, OWN_HEADER_PREFIX, REDACTED_HEADER};
use crate::model::ids::{IdempotencyKey, SourceName};
use crate::model::limits::{KEPT_HEADER_BYTES_MAX, PROVIDER_WORD_BYTES_MAX, TOP_LEVEL_KEYS_MAX};
use crate::privacy::{Redacted, Redaction};

/// What is wrong with a genuine body. Holds nothing of the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadFault {
    #[error("the body is not UTF-8, so it is not JSON")]
    NotUtf8,
    #[error("the body is not JSON from line {line}, column {column} on")]
    NotJson { line: usize, column: usize },
    #[error("the body is JSON, but no object")]
    NotAnObject,
    #[error("the event has no `{field}`")]
    Missing { field: &'static str },
    #[error("the event's `{field}` is not {expected}")]
    WrongKind { field: &'static str, expected: &'static str },
    #[error("the event's `{field}` is longer than {PROVIDER_WORD_BYTES_MAX} bytes")]
    TooLong { field: &'static str },
    #[error("a key stands twice at the top of the event")]
    DuplicateKey,
    #[error("the event has more than {TOP_LEVEL_KEYS_MAX} keys at its top")]
    TooManyKeys,
}

impl PayloadFault {
    /// The word for machines. Never changes its meaning.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotUtf8 | Self::NotJson { .. } => "body_not_json",
            Self::NotAnObject => "not_an_object",
            Self::Missing { field: "id" } => "id_missing",
            Self::Missing { .. } => "type_missing",
            Self::WrongKind { .. } => "wrong_kind",
            Self::TooLong { .. } => "too_long",
            Self::DuplicateKey => "duplicate_key",
            Self::TooManyKeys => "too_many_keys",
        }
    }
}

/// The envelope of a verified request.
///
/// # Errors
/// [`PayloadFault`] where the body is no event.
pub fn make(
    source: &SourceName,
    headers: &HeaderMap,
    body: Bytes,
    received: UnixMillis,
) -> Result<Envelope, PayloadFault> {
    let Fields { id, event_type, account, livemode } = fields(&body)?;
    Ok(Envelope {
        source: source.clone(),
        idempotency_key: idempotency_key(&id, account.as_deref()),
        provider_id: id,
        event_type,
        account,
        livemode,
        content_type: content_type(headers),
        headers: kept(headers),
        body,
        received,
    })
}

/// Takes out what the source's settings redact. The headers then tell the hash of the body as it was received, by which
/// that body can be known again, and its signature proven, should somebody have kept it.
pub fn redact(envelope: &mut Envelope, redaction: &Redaction) {
    let Some(Redacted { body, paths }) = redaction.apply(&envelope.body) else { return };
    let hash = hex::encode(Sha256::digest(&envelope.body));
    envelope.headers.push((BODY_SHA256_HEADER.to_owned(), hash));
    envelope.headers.push((REDACTED_HEADER.to_owned(), paths.join(", ")));
    envelope.body = body.into();
}

/// The provider's event id; with the connected account behind a `/`, where there is one. A `/` of the id itself is
/// written `%2F`, so that no two pairs make one key.
fn idempotency_key(id: &str, account: Option<&str>) -> IdempotencyKey {
    let id = id.replace('%', "%25").replace('/', "%2F");
    match account {
        Some(account) => IdempotencyKey::new(&format!("{id}/{account}")),
        None => IdempotencyKey::new(&id),
    }
}

/// Empty where the request says none, or nothing that could be one.
fn content_type(headers: &HeaderMap) -> String {
    match headers.get(CONTENT_TYPE) {
        Some(value) if value.len() <= PROVIDER_WORD_BYTES_MAX => text(value.as_bytes()),
        _ => String::new(),
    }
}

/// The headers worth keeping: all but those that carry credentials or would speak for hookyard, as long as they fit.
fn kept(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut bytes_left = KEPT_HEADER_BYTES_MAX;
    let mut kept = Vec::new();
    for (name, value) in headers {
        let (name, length) = (name.as_str(), name.as_str().len() + value.len());
        let secret = value.is_sensitive() || names_a_credential(name);
        if secret || name.starts_with(OWN_HEADER_PREFIX) || length > bytes_left {
            continue;
        }
        bytes_left -= length;
        kept.push((name.to_owned(), text(value.as_bytes())));
    }
    kept
}

/// Proxies put tokens and identities into headers of many names; what sounds like one is left out.
fn names_a_credential(name: &str) -> bool {
    const PARTS: [&str; 10] = [
        "authorization",
        "cookie",
        "token",
        "secret",
        "api-key",
        "apikey",
        "password",
        "assertion",
        "oidc",
        "jwt",
    ];
    PARTS.iter().any(|part| name.contains(part))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[derive(Debug)]
struct Fields {
    id: String,
    event_type: String,
    account: Option<String>,
    livemode: Option<bool>,
}

fn fields(body: &[u8]) -> Result<Fields, PayloadFault> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| PayloadFault::NotUtf8)?;
    let top: Top<'_> = serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => PayloadFault::NotAnObject,
        _ => PayloadFault::NotJson { line: error.line(), column: error.column() },
    })?;
    if let Some(fault) = top.fault {
        return Err(fault);
    }
    Ok(Fields {
        id: word("id", top.id)?.ok_or(PayloadFault::Missing { field: "id" })?,
        event_type: word("type", top.event_type)?.ok_or(PayloadFault::Missing { field: "type" })?,
        account: word("account", top.account)?,
        livemode: flag("livemode", &top.livemode)?,
    })
}

/// A string; `None` where it is missing, null or empty.
fn word(field: &'static str, value: Value<'_>) -> Result<Option<String>, PayloadFault> {
    match value {
        Value::Text(text) if text.len() > PROVIDER_WORD_BYTES_MAX => Err(PayloadFault::TooLong { field }),
        Value::Text(text) if text.trim().is_empty() => Ok(None),
        Value::Text(text) => Ok(Some(text.into_owned())),
        Value::Null => Ok(None),
        Value::Flag(_) | Value::Other => Err(PayloadFault::WrongKind { field, expected: "a string" }),
    }
}

fn flag(field: &'static str, value: &Value<'_>) -> Result<Option<bool>, PayloadFault> {
    match value {
        Value::Flag(flag) => Ok(Some(*flag)),
        Value::Null => Ok(None),
        Value::Text(_) | Value::Other => Err(PayloadFault::WrongKind { field, expected: "true or false" }),
    }
}

/// The top of an event; what is not needed was read over, and checked on the way.
#[derive(Default)]
struct Top<'a> {
    id: Value<'a>,
    event_type: Value<'a>,
    account: Value<'a>,
    livemode: Value<'a>,
    fault: Option<PayloadFault>,
}

#[derive(Default)]
enum Value<'a> {
    Text(Cow<'a, str>),
    Flag(bool),
    /// Missing counts as null.
    #[default]
    Null,
    Other,
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Top<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TopVisitor)
    }
}

struct TopVisitor;

impl<'de> Visitor<'de> for TopVisitor {
    type Value = Top<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Top<'de>, A::Error> {
        let mut top = Top::default();
        let mut keys: Vec<Cow<'de, str>> = Vec::with_capacity(16);
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "id" => top.id = map.next_value()?,
                "type" => top.event_type = map.next_value()?,
                "account" => top.account = map.next_value()?,
                "livemode" => top.livemode = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            if keys.len() == TOP_LEVEL_KEYS_MAX {
                top.fault = Some(PayloadFault::TooManyKeys);
            } else if keys.contains(&key) {
                top.fault.get_or_insert(PayloadFault::DuplicateKey);
            } else {
                keys.push(key);
            }
        }
        Ok(top)
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value<'de>, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }
}

#[cfg(test)]
mod tests;
