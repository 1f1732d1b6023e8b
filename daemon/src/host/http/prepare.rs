//! From what a plugin asks for to what is sent: everything that can be refused is refused here, before anything is connected.

use std::time::Duration;

use hookyard_plugin_host::protocol::{
    HTTP_BODY_BYTES_MAX, HTTP_HEADER_BYTES_MAX, HTTP_HEADERS_MAX, HTTP_URL_BYTES_MAX, HttpFault, HttpRequest,
};
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use url::{Position, Url};

use super::NoAnswer;
use crate::host::child::CallName;
use crate::model::http_access::HttpAccess;
use crate::model::ids::HandlerName;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const WHO: HeaderValue = HeaderValue::from_static(concat!("hookyard/", env!("CARGO_PKG_VERSION")));

/// What is hookyard's to write: the far side's name, and what belongs to the one connection.
const OURS: [HeaderName; 10] = [
    HOST,
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A request that may be made.
#[derive(Debug)]
pub(super) struct Prepared {
    /// All but its body.
    pub(super) head: Request<()>,
    /// Whom it goes to, for people.
    pub(super) host: String,
    /// `None`: until the call is over.
    pub(super) timeout: Option<Duration>,
}

/// The request, if it keeps the contract and the handler's `allow` lists where it goes; without one it may go anywhere.
pub(super) fn prepare(
    asked: &HttpRequest,
    access: Option<&HttpAccess>,
    handler: &HandlerName,
    call: &CallName,
) -> Result<Prepared, NoAnswer> {
    within_limits(asked)?;
    let method = method(&asked.method)?;
    let url = url(&asked.url)?;
    let host = url.host_str().unwrap_or_default().to_owned();
    if access.is_some_and(|access| !access.allows(&url)) {
        let origin = url.origin().ascii_serialization();
        let words = format!(
            "{origin} is not allowed: if it is meant, write it into `allow` of [handler.{handler}.http] \
             (`--allow` where a plugin is tried)"
        );
        return Err(NoAnswer::new(HttpFault::Refused, words));
    }
    let uri: Uri = url[..Position::AfterQuery].parse().map_err(|_| invalid("the URL cannot be sent"))?;
    let mut headers = headers(&asked.headers)?;
    headers.entry(USER_AGENT).or_insert(WHO);
    if !headers.contains_key(TRACEPARENT) {
        let parent = call.trace.parent(&call.delivery, call.attempt);
        headers.insert(TRACEPARENT, HeaderValue::from_str(&parent).expect("it is hex digits and hyphens"));
    }
    let mut head = Request::new(());
    *head.method_mut() = method;
    *head.uri_mut() = uri;
    *head.headers_mut() = headers;
    let timeout = (asked.timeout_ms > 0).then(|| Duration::from_millis(asked.timeout_ms));
    Ok(Prepared { head, host, timeout })
}

/// The plugin host has looked already; a plugin that writes to its socket itself goes past that.
fn within_limits(asked: &HttpRequest) -> Result<(), NoAnswer> {
    let headers: usize = asked.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let too_large = asked.url.len() > HTTP_URL_BYTES_MAX
        || asked.headers.len() > HTTP_HEADERS_MAX
        || headers > HTTP_HEADER_BYTES_MAX
        || asked.body.0.len() > HTTP_BODY_BYTES_MAX;
    if too_large {
        return Err(NoAnswer::new(HttpFault::TooLarge, "the request is above a limit"));
    }
    Ok(())
}

fn method(text: &str) -> Result<Method, NoAnswer> {
    match Method::from_bytes(text.as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE) | Err(_) => Err(invalid("the method cannot be sent")),
        Ok(method) => Ok(method),
    }
}

fn url(text: &str) -> Result<Url, NoAnswer> {
    let url = Url::parse(text).map_err(|error| invalid(&format!("the URL is none: {error}")))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(invalid("the URL begins with neither https: nor http:"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("the URL holds credentials: send them in a header"));
    }
    Ok(url)
}

fn headers(asked: &[(String, String)]) -> Result<HeaderMap, NoAnswer> {
    let mut headers = HeaderMap::with_capacity(asked.len() + 2);
    for (name, value) in asked {
        let read = HeaderName::from_bytes(name.as_bytes());
        let name = read.map_err(|_| invalid(&format!("`{name}` is no name of a header")))?;
        if OURS.contains(&name) {
            return Err(invalid(&format!("the header `{name}` is written by hookyard itself")));
        }
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| invalid(&format!("the value of the header `{name}` cannot be sent")))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn invalid(words: &str) -> NoAnswer {
    NoAnswer::new(HttpFault::Invalid, words)
}

#[cfg(test)]
mod tests {
    use hookyard_plugin_host::protocol::Blob;

    use super::*;
    use crate::host::http::Trace;
    use crate::model::ids::{DeliveryId, EventId};

    fn asked(url: &str) -> HttpRequest {
        HttpRequest {
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers: vec![("X-One".to_owned(), "1".to_owned()), ("x-one".to_owned(), "2".to_owned())],
            body: Blob(b"{}".to_vec()),
            timeout_ms: 0,
        }
    }

    fn prepared(asked: &HttpRequest) -> Result<Prepared, NoAnswer> {
        let access = HttpAccess { allow: vec!["api.example.com".parse().unwrap()], ..HttpAccess::default() };
        let event = EventId::from_parts(1, 2);
        let handler = HandlerName::new("h");
        let delivery = DeliveryId { event, handler: handler.clone() };
        let call = CallName { delivery, attempt: 1, trace: Trace::of_event(event) };
        prepare(asked, Some(&access), &handler, &call)
    }

    #[test]
    fn what_is_allowed_is_sent_as_it_was_asked_with_our_own_two_headers() {
        let asked = HttpRequest { timeout_ms: 250, ..asked("https://API.example.com/v1/../v2?a=b#c") };
        let prepared = prepared(&asked).unwrap();
        assert_eq!(prepared.head.uri(), "https://api.example.com/v2?a=b");
        assert_eq!(
            (prepared.host.as_str(), prepared.timeout),
            ("api.example.com", Some(Duration::from_millis(250)))
        );
        let headers = prepared.head.headers();
        assert_eq!(headers.get_all("x-one").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(headers["user-agent"], WHO);
        assert!(headers["traceparent"].to_str().unwrap().starts_with("00-"));
    }

    #[test]
    fn what_the_plugin_says_of_itself_and_its_trace_stays() {
        let mut asked = asked("https://api.example.com/");
        asked.headers = vec![("user-agent".into(), "shop".into()), ("traceparent".into(), "mine".into())];
        let prepared = prepared(&asked).unwrap();
        assert_eq!(prepared.head.headers()["user-agent"], "shop");
        assert_eq!(prepared.head.headers()["traceparent"], "mine");
    }

    #[test]
    fn what_is_not_listed_is_refused_with_the_line_to_write() {
        let refused = prepared(&asked("https://other.example.com:8443/secret?token=x")).unwrap_err();
        assert_eq!(refused.fault, HttpFault::Refused);
        assert!(
            refused
                .words
                .starts_with("https://other.example.com:8443 is not allowed: if it is meant, write it")
        );
        assert!(
            refused.words.contains("[handler.h.http]") && !refused.words.contains("secret"),
            "{refused:?}"
        );
    }

    #[test]
    fn what_cannot_be_sent_is_said() {
        for (url, words) in [
            ("", "the URL is none"),
            ("/v1", "the URL is none"),
            ("ftp://api.example.com/", "neither https: nor http:"),
            ("https://user:pw@api.example.com/", "holds credentials"),
        ] {
            let refused = prepared(&asked(url)).unwrap_err();
            assert!(
                refused.fault == HttpFault::Invalid && refused.words.contains(words),
                "{url}: {refused:?}"
            );
        }
        for (name, value, words) in [
            ("Host", "evil.example", "the header `host` is written by hookyard itself"),
            ("transfer-encoding", "chunked", "written by hookyard itself"),
            ("a b", "x", "`a b` is no name of a header"),
            ("x-two", "a\r\nb: c", "the value of the header `x-two` cannot be sent"),
        ] {
            let mut asked = asked("https://api.example.com/");
            asked.headers.push((name.to_owned(), value.to_owned()));
            let refused = prepared(&asked).unwrap_err();
            assert!(
                refused.fault == HttpFault::Invalid && refused.words.contains(words),
                "{name}: {refused:?}"
            );
        }
        for method in ["CONNECT", "TRACE", "", "G T"] {
            let asked = HttpRequest { method: method.to_owned(), ..asked("https://api.example.com/") };
            assert_eq!(prepared(&asked).unwrap_err().fault, HttpFault::Invalid, "{method}");
        }
        let asked =
            HttpRequest { body: Blob(vec![0; HTTP_BODY_BYTES_MAX + 1]), ..asked("https://api.example.com/") };
        assert_eq!(prepared(&asked).unwrap_err().fault, HttpFault::TooLarge);
    }
}
