//! HTTP requests that hookyard makes for the plugin: [`Cx::http`](crate::Cx::http). TLS, the pool of connections and the
//! deadline are hookyard's; where requests may go is in the handler's configuration, `[handler.x.http]`.
//!
//! ```
//! use hookyard_plugin::testkit::{Answer, Bench, Said, TestEvent};
//! use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};
//! use serde_json::json;
//!
//! struct Charger;
//!
//! #[derive(serde::Deserialize)]
//! struct Charge {
//!     id: String,
//! }
//!
//! impl Handler for Charger {
//!     type Settings = serde_json::Value;
//!
//!     fn create(_: serde_json::Value, _: &Host<'_>) -> Result<Self, CreateError> {
//!         Ok(Self)
//!     }
//!
//!     fn handle(&self, _: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
//!         let id: String = cx.step("charge", |step| {
//!             let answer = cx
//!                 .http()?
//!                 .post("https://api.example.com/v1/charges")
//!                 .header("idempotency-key", step.key())
//!                 .json(&json!({ "amount": 900 }))?
//!                 .send()?;
//!             Ok(answer.expect_success()?.json::<Charge>()?.id)
//!         })?;
//!         Ok(Outcome::done().with_message(format!("charged: {id}")))
//!     }
//! }
//!
//! let bench = Bench::new::<Charger>(&json!({}));
//! let url = "https://api.example.com/v1/charges";
//! bench.far_side().answer("POST", url, Answer::json(201, &json!({ "id": "ch_1" })));
//! assert_eq!(bench.deliver(&TestEvent::default()).message, "charged: ch_1");
//!
//! // Whenever it crashes, the charge is made, and asked for under one key.
//! let event = TestEvent { id: "another".to_owned(), ..TestEvent::default() };
//! bench.far_side().take_asked();
//! bench.crash_at_every_call(&event, |again| {
//!     assert_eq!(again.outcome, Said::Done);
//!     let asked = bench.far_side().take_asked();
//!     let keys: std::collections::BTreeSet<_> = asked.iter().map(|asked| asked.header("idempotency-key")).collect();
//!     assert_eq!(keys.len(), 1);
//! });
//! ```

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Failure;
use crate::abi::{self, http};
use crate::ffi::{Answered, Asked, HttpTable};

/// What requests are made with, within one call.
#[derive(Debug, Clone, Copy)]
pub struct Http<'a> {
    table: HttpTable<'a>,
}

/// A request that is not made yet.
#[must_use = "a request is made by `send`"]
pub struct Request<'a> {
    http: Http<'a>,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    timeout: Option<Duration>,
}

/// An answer, whatever its status.
pub struct Response {
    host: String,
    answered: Answered,
}

/// There is no answer. Through `?` it is a retry with the code `http_` and the [kind](ErrorKind)'s word, and its
/// sentence: also where the request was refused, which the operator mends with a line of configuration.
///
/// No `std::error::Error`, so that `?` keeps the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The handler's `allow` does not list it, or its address is of the inside.
    Refused,
    /// The name is unknown, or no name server answered.
    Resolve,
    /// No connection.
    Connect,
    /// The certificate is not believed, or TLS failed otherwise.
    Tls,
    /// The handler has too many requests under way.
    Busy,
    /// The request breaks the contract: its URL, its method or a header.
    Invalid,
    /// The request is above a limit.
    TooLarge,
    /// The request's own time is over.
    Timeout,
    /// The connection broke before the answer was whole, or it is no HTTP.
    Broken,
    /// The answer is above a limit.
    AnswerTooLarge,
    /// The call's time is over.
    Cancelled,
    /// The daemon could not be asked.
    Host,
}

impl<'a> Http<'a> {
    pub(crate) fn new(table: HttpTable<'a>) -> Self {
        Self { table }
    }

    /// A request by this method, such as `GET`; not `CONNECT`, not `TRACE`.
    pub fn request(&self, method: &str, url: &str) -> Request<'a> {
        let (method, url) = (method.to_owned(), url.to_owned());
        Request { http: *self, method, url, headers: Vec::new(), body: Vec::new(), timeout: None }
    }

    /// A `GET`.
    pub fn get(&self, url: &str) -> Request<'a> {
        self.request("GET", url)
    }

    /// A `POST`.
    pub fn post(&self, url: &str) -> Request<'a> {
        self.request("POST", url)
    }

    /// A `PUT`.
    pub fn put(&self, url: &str) -> Request<'a> {
        self.request("PUT", url)
    }

    /// A `PATCH`.
    pub fn patch(&self, url: &str) -> Request<'a> {
        self.request("PATCH", url)
    }

    /// A `DELETE`.
    pub fn delete(&self, url: &str) -> Request<'a> {
        self.request("DELETE", url)
    }
}

impl Request<'_> {
    /// Adds a header; the same name again adds another value. `Host`, `Content-Length` and the connection's own are
    /// hookyard's to write.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends these bytes; 1 MiB at most.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends this as JSON, with the content type that says so.
    pub fn json<T: Serialize + ?Sized>(self, body: &T) -> Result<Self, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| {
            Failure::retry("http_invalid", format!("the request's body is no JSON: {error}"))
        })?;
        Ok(self.header("content-type", "application/json").body(body))
    }

    /// Gives the request this time, whole milliseconds and at least one; without it, until the call's deadline. The
    /// deadline ends it in any case.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Makes the request and waits for the whole answer, whatever its status. No redirect is followed, and nothing is made
    /// twice: after [`Error::may_have_arrived`], only the far side knows.
    pub fn send(self) -> Result<Response, Error> {
        let Self { http, method, url, headers, body, timeout } = self;
        let asked = Asked { method: &method, url: &url, headers: &headers, body: &body, timeout };
        match http.table.request(&asked) {
            Ok(answered) => Ok(Response { host: host_of(&url).to_owned(), answered }),
            Err((status, words)) => Err(Error::of(status, words, host_of(&url))),
        }
    }
}

impl Response {
    /// 200 and so on.
    pub fn status(&self) -> u16 {
        self.answered.status
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status())
    }

    /// The first header of that name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The headers, names in lower case, in the order received.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.answered.headers.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The body, as it came.
    pub fn body(&self) -> &[u8] {
        &self.answered.body
    }

    /// The body, taken out.
    pub fn into_body(self) -> Vec<u8> {
        self.answered.body
    }

    /// The body as JSON. Failing is a retry with code `http_answer`; its message tells the place, and nothing of what the
    /// body holds.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(self.body()).map_err(|error| {
            let (host, line, column) = (&self.host, error.line(), error.column());
            let message =
                format!("the answer of {host} is not the JSON expected (line {line}, column {column})");
            Failure::retry("http_answer", message)
        })
    }

    /// The answer where its status is 2xx; else a retry with code `http_` and the status, after what its `Retry-After` says
    /// where that is a number of seconds.
    pub fn expect_success(self) -> Result<Self, Failure> {
        if self.is_success() {
            return Ok(self);
        }
        let status = self.status();
        let failure = Failure::retry(format!("http_{status}"), format!("{} answered {status}", self.host));
        let wait = self.header("retry-after").and_then(|value| value.trim().parse().ok());
        Err(match wait {
            Some(seconds) => failure.after(Duration::from_secs(seconds)),
            None => failure,
        })
    }
}

impl Error {
    fn of(status: abi::Status, words: String, host: &str) -> Self {
        let kind = ErrorKind::of(status);
        let message = if words.is_empty() { format!("{host}: {}", kind.words()) } else { words };
        Self { kind, message }
    }

    /// Why.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// A sentence for people, without anything of the URL but its host.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the far side may have the request, and may have done what it asks; `false`: nothing was sent.
    pub fn may_have_arrived(&self) -> bool {
        self.kind.may_have_arrived()
    }
}

impl ErrorKind {
    const ALL: [(Self, abi::Status, &'static str, &'static str); 11] = [
        (Self::Refused, http::E_REFUSED, "refused", "the handler's `allow` does not list it"),
        (Self::Resolve, http::E_RESOLVE, "resolve", "the name is unknown"),
        (Self::Connect, http::E_CONNECT, "connect", "no connection"),
        (Self::Tls, http::E_TLS, "tls", "no TLS connection"),
        (Self::Busy, http::E_BUSY, "busy", "the handler has too many requests under way"),
        (Self::Invalid, abi::E_INVALID, "invalid", "the request breaks the contract"),
        (Self::TooLarge, abi::E_TOO_LARGE, "too_large", "the request is above a limit"),
        (Self::Timeout, http::E_TIMEOUT, "timeout", "no answer in time"),
        (Self::Broken, http::E_BROKEN, "broken", "the connection broke before an answer came"),
        (Self::AnswerTooLarge, http::E_ANSWER_TOO_LARGE, "answer_too_large", "the answer is above a limit"),
        (Self::Cancelled, abi::E_CANCELLED, "cancelled", "the call's time is over"),
    ];

    fn of(status: abi::Status) -> Self {
        let found = Self::ALL.iter().find(|(_, known, ..)| *known == status);
        found.map_or(Self::Host, |(kind, ..)| *kind)
    }

    /// Whether the far side may have the request all the same.
    pub fn may_have_arrived(self) -> bool {
        matches!(self, Self::Timeout | Self::Broken | Self::AnswerTooLarge | Self::Cancelled | Self::Host)
    }

    /// The short word for machines: `http_` before it is a failure's code.
    pub fn word(self) -> &'static str {
        self.entry().map_or("host", |(_, _, word, _)| word)
    }

    fn words(self) -> &'static str {
        self.entry().map_or("the daemon could not be asked", |(.., words)| words)
    }

    /// As the host says it; `None` for what is no kind of the host's.
    pub(crate) fn status(self) -> Option<abi::Status> {
        self.entry().map(|(_, status, ..)| status)
    }

    fn entry(self) -> Option<(Self, abi::Status, &'static str, &'static str)> {
        Self::ALL.into_iter().find(|(kind, ..)| *kind == self)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::retry(format!("http_{}", error.kind.word()), error.message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Shows nothing that may be a secret.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {}, {} bytes)", self.method, host_of(&self.url), self.body.len())
    }
}

/// Shows nothing that may be personal.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({} of {}, {} bytes)", self.status(), self.host, self.body().len())
    }
}

/// The host of a URL, for people: hookyard itself reads URLs by the whole rule.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}
