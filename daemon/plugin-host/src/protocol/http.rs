//! What is said of HTTP requests (`hookyard.http/1`): the child holds a plugin's request to the limits here, the daemon
//! holds it to them again, and makes it.

use std::fmt;

pub use hookyard_plugin::abi::http::{
    ANSWER_BODY_BYTES_MAX as HTTP_ANSWER_BODY_BYTES_MAX, BODY_BYTES_MAX as HTTP_BODY_BYTES_MAX,
    HEADER_BYTES_MAX as HTTP_HEADER_BYTES_MAX, HEADERS_MAX as HTTP_HEADERS_MAX,
    URL_BYTES_MAX as HTTP_URL_BYTES_MAX,
};
use hookyard_plugin::abi::{self, Status, http};
use serde::{Deserialize, Serialize};

use super::Blob;

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
    /// The daemon could not be asked.
    Host,
}

impl HttpFault {
    const ALL: [(Self, Status, &'static str); 12] = [
        (Self::Invalid, abi::E_INVALID, "invalid"),
        (Self::TooLarge, abi::E_TOO_LARGE, "too_large"),
        (Self::Refused, http::E_REFUSED, "refused"),
        (Self::Resolve, http::E_RESOLVE, "resolve"),
        (Self::Connect, http::E_CONNECT, "connect"),
        (Self::Tls, http::E_TLS, "tls"),
        (Self::Busy, http::E_BUSY, "busy"),
        (Self::Timeout, http::E_TIMEOUT, "timeout"),
        (Self::Broken, http::E_BROKEN, "broken"),
        (Self::AnswerTooLarge, http::E_ANSWER_TOO_LARGE, "answer_too_large"),
        (Self::Cancelled, abi::E_CANCELLED, "cancelled"),
        (Self::Host, abi::E_IO, "host"),
    ];

    /// What the plugin is told by this status.
    pub fn of_status(status: Status) -> Self {
        Self::ALL.into_iter().find(|(_, told, _)| *told == status).map_or(Self::Host, |(fault, ..)| fault)
    }

    /// What the plugin is told.
    pub fn status(self) -> Status {
        self.entry().1
    }

    /// The short word: the label of a metric.
    pub fn word(self) -> &'static str {
        self.entry().2
    }

    fn entry(self) -> (Self, Status, &'static str) {
        Self::ALL[self as usize]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_stands_in_its_place_and_is_known_by_its_status() {
        for (place, (fault, status, word)) in HttpFault::ALL.into_iter().enumerate() {
            assert_eq!((fault as usize, fault.status(), fault.word()), (place, status, word));
            assert_eq!(HttpFault::of_status(status), fault);
        }
        assert_eq!(HttpFault::of_status(abi::E_NOT_FOUND), HttpFault::Host);
    }
}
