//! What is said of HTTP requests (`hookyard.http/1`): the child holds a plugin's request to the limits here, the daemon
//! holds it to them again, and makes it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Blob;

/// A request's URL: browsers and servers bear about as much.
pub const HTTP_URL_BYTES_MAX: usize = 8 * 1024;
/// A request's headers; an answer's are bounded by the client.
pub const HTTP_HEADERS_MAX: usize = 100;
/// Their names and values together.
pub const HTTP_HEADER_BYTES_MAX: usize = 64 * 1024;
/// A request's body: the largest event that the door takes by default.
pub const HTTP_BODY_BYTES_MAX: usize = 1024 * 1024;
/// An answer's body: a page of a provider's list is a tenth of it; a call is lent 16 MiB in all.
pub const HTTP_ANSWER_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A request, as the plugin wants it. Its `Debug` shows nothing that may be a secret.
#[derive(Serialize, Deserialize)]
pub struct HttpRequest {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Blob,
    /// For the whole request; 0: until the call's deadline.
    pub timeout_ms: u64,
}

/// An answer, whatever its status. Its `Debug` shows nothing that may be personal.
#[derive(Serialize, Deserialize)]
pub struct HttpAnswer {
    pub status: u16,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    pub body: Blob,
}

/// Why there is no answer; the header says what each means for the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpFault {
    Invalid,
    TooLarge,
    Refused,
    Resolve,
    Connect,
    Tls,
    Busy,
    Timeout,
    Broken,
    AnswerTooLarge,
    Cancelled,
}

impl HttpFault {
    /// The short word: the label of a metric.
    pub fn word(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::AnswerTooLarge => "answer_too_large",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, headers, body, timeout_ms, .. } = self;
        write!(f, "HttpRequest({method:?}, {} headers, {body:?}, {timeout_ms} ms)", headers.len())
    }
}

impl fmt::Debug for HttpAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpAnswer({}, {} headers, {:?})", self.status, self.headers.len(), self.body)
    }
}
