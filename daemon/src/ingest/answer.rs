//! Every answer of the door, in one place: what it means, its status, its words. All are small JSON.
//!
//! `request.rs` ends in an [`Appended`] or a [`Refusal`]. A refusal's own text and cause go to the log; the sender gets
//! status, `error`, `reason` and a `detail` that says what to do, and nothing about the machine or its disk.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER as RETRY_AFTER_HEADER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;

use super::envelope::PayloadFault;
use crate::model::event::Appended;
use crate::model::limits::RETRY_AFTER;
use crate::store::StoreError;
use crate::verify::Rejection;

/// What hyper sends.
pub(super) type Reply = Response<Full<Bytes>>;

/// Why a request gets no 2xx. Nothing was stored, but for [`Refusal::SlowStore`], which may have been.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no source has this path")]
    UnknownPath,
    #[error("the method is not POST")]
    WrongMethod,
    #[error("the daemon is shutting down")]
    Draining,
    #[error(
        "more requests than [server] in_flight_max allows; those without a whole body yet are refused first"
    )]
    Overloaded,
    #[error("the source sends faster than its rate allows; the next request may come in {wait:?}")]
    TooFast { wait: Duration },
    #[error("the body is compressed or otherwise encoded")]
    Encoded,
    #[error("the body is larger than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
    #[error("the body was not there within {limit:?}")]
    SlowBody { limit: Duration },
    #[error("the body ended before its end")]
    BrokenBody { source: hyper::Error },
    #[error("the signature was not accepted")]
    Signature(#[from] Rejection),
    #[error("the body is no event")]
    Payload(#[from] PayloadFault),
    #[error("the store did not take the event")]
    Store(#[from] StoreError),
    #[error("the store did not answer within {limit:?}; it may yet store the event")]
    SlowStore { limit: Duration },
    #[error("the store broke while it took the event")]
    StoreBroke { source: tokio::task::JoinError },
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooFast { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } | Self::Store(StoreError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::SlowBody { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::BrokenBody { .. } | Self::Signature(_) | Self::Payload(_) => StatusCode::BAD_REQUEST,
            Self::Draining
            | Self::Overloaded
            | Self::Store(_)
            | Self::SlowStore { .. }
            | Self::StoreBroke { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The word for machines. Never changes its meaning.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::UnknownPath => "unknown_path",
            Self::WrongMethod => "wrong_method",
            Self::Draining => "draining",
            Self::Overloaded => "overloaded",
            Self::TooFast { .. } => "rate_limited",
            Self::Encoded => "content_encoding",
            Self::TooLarge { .. } | Self::Store(StoreError::TooLarge { .. }) => "too_large",
            Self::SlowBody { .. } => "slow_body",
            Self::BrokenBody { .. } => "body_incomplete",
            Self::Signature(rejection) => rejection.reason(),
            Self::Payload(fault) => fault.reason(),
            Self::Store(StoreError::Full { .. }) => "disk_full",
            Self::Store(StoreError::Busy { .. }) | Self::SlowStore { .. } => "store_busy",
            Self::Store(StoreError::Loading) => "store_loading",
            Self::Store(StoreError::Closed) => "store_closed",
            Self::Store(_) | Self::StoreBroke { .. } => "store_failed",
        }
    }

    /// Whether the fault is hookyard's machine, so that an operator should look.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::Store(_) | Self::SlowStore { .. } | Self::StoreBroke { .. })
    }

    /// What the sender's developer reads first.
    fn error(&self) -> &'static str {
        match self {
            Self::UnknownPath => "Not found",
            Self::WrongMethod => "Method not allowed",
            Self::TooFast { .. } => "Too many requests",
            Self::Encoded => "Unsupported encoding",
            Self::TooLarge { .. } | Self::Store(StoreError::TooLarge { .. }) => "Payload too large",
            Self::SlowBody { .. } => "Request timeout",
            Self::Signature(_) => "Invalid signature",
            Self::BrokenBody { .. } | Self::Payload(_) => "Invalid payload",
            Self::Draining
            | Self::Overloaded
            | Self::Store(_)
            | Self::SlowStore { .. }
            | Self::StoreBroke { .. } => "Unavailable",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::UnknownPath => "no source is configured at this path".to_owned(),
            Self::WrongMethod => "send events with POST".to_owned(),
            Self::Encoded => "send the body as it was signed, without Content-Encoding".to_owned(),
            Self::Signature(rejection) => rejection.to_string(),
            Self::Payload(fault) => fault.to_string(),
            Self::TooLarge { .. } | Self::SlowBody { .. } | Self::BrokenBody { .. } => self.to_string(),
            Self::Store(StoreError::TooLarge { .. }) => "the event is too large to be kept".to_owned(),
            Self::TooFast { .. }
            | Self::Draining
            | Self::Overloaded
            | Self::Store(_)
            | Self::SlowStore { .. }
            | Self::StoreBroke { .. } => "the event was not accepted; send it again later".to_owned(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooFast { wait } => Some(*wait),
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => Some(RETRY_AFTER),
            _ => None,
        }
    }

    /// The answer itself.
    pub(super) fn into_reply(self) -> Reply {
        let body = json!({ "error": self.error(), "reason": self.reason(), "detail": self.detail() });
        let mut reply = reply(self.status(), &body);
        if matches!(self, Self::WrongMethod) {
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        if let Some(wait) = self.retry_after() {
            let whole_seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            reply.headers_mut().insert(RETRY_AFTER_HEADER, HeaderValue::from(whole_seconds.max(1)));
        }
        reply
    }
}

/// 200, with the event's id: the first one's for a duplicate.
pub(super) fn stored(appended: Appended) -> Reply {
    let status = match appended {
        Appended::New(_) => "accepted",
        Appended::Duplicate(_) => "duplicate",
    };
    reply(StatusCode::OK, &json!({ "status": status, "event": appended.event().to_string() }))
}

fn reply(status: StatusCode, body: &serde_json::Value) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body.to_string())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}
