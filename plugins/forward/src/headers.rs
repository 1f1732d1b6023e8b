//! The headers of a request: those of the event as they came, those that are hookyard's own, and those of the settings.

use hookyard_plugin::Event;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Of one connection, not of the message (RFC 9110, 7.6.1), or made anew for the new connection.
const OF_THE_CONNECTION: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Headers that a proxy before hookyard wrote. The receiver may trust them of its own proxies, which these are not.
const OF_PROXIES: [&str; 3] = ["forwarded", "x-real-ip", "x-forwarded-"];

/// What speaks of the bytes of a body, and would be wrong of any other.
const OF_THE_BYTES: [&str; 2] = ["signature", "digest"];
const MD5: &str = "content-md5";

const OURS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];
const OURS_PREFIX: &str = "x-hookyard-";

/// What hookyard itself says of an event's body: that values were taken out, and the hash of what was received.
const OF_REDACTION: [&str; 2] = ["x-hookyard-redacted", "x-hookyard-body-sha256"];

/// Which headers the settings cannot set.
pub(crate) fn is_ours(name: &HeaderName) -> bool {
    let name = name.as_str();
    OURS.contains(&name) || name.starts_with(OURS_PREFIX) || OF_THE_CONNECTION.contains(&name)
}

/// The event's own headers that go along. Where the body is not the one received, its signatures stay behind.
pub(crate) fn of_event(event: &Event<'_>, whole_body: bool) -> HeaderMap {
    let named_by_connection: Vec<String> = event
        .headers()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .flat_map(|(_, value)| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut headers = HeaderMap::new();
    for (name, value) in event.headers() {
        let stays =
            named_by_connection.iter().any(|named| named == name) || (!whole_body && of_the_bytes(name));
        if stays || OF_PROXIES.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        // hookyard keeps text of what was no text; such a value cannot be sent as it was.
        let parsed =
            HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_bytes(value.as_bytes()).ok());
        if let Some((name, value)) =
            parsed.filter(|(name, _)| !is_ours(name) || OF_REDACTION.contains(&name.as_str()))
        {
            headers.append(name, value);
        }
    }
    if !headers.contains_key(CONTENT_TYPE)
        && let Ok(value) = HeaderValue::from_str(event.content_type())
        && !value.is_empty()
    {
        headers.insert(CONTENT_TYPE, value);
    }
    if !headers.contains_key(USER_AGENT) {
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("hookyard/", env!("CARGO_PKG_VERSION"))));
    }
    tell(&mut headers, event);
    headers
}

/// Which event it is, for logs and for receivers that read no body.
fn tell(headers: &mut HeaderMap, event: &Event<'_>) {
    let attempt = event.attempt().to_string();
    let told = [
        ("x-hookyard-event-type", event.event_type()),
        ("x-hookyard-source", event.source()),
        ("x-hookyard-attempt", &attempt),
    ];
    for (name, value) in told {
        // A type that cannot stand in a header is in the body all the same.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

fn of_the_bytes(name: &str) -> bool {
    name == MD5 || OF_THE_BYTES.iter().any(|part| name.contains(part))
}
