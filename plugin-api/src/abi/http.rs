//! The extension `hookyard.http/1`, as the header says it. A mirror like the module above; `tests/header.rs` holds both.

use super::{Bytes, Call, Ctx, Pair, SizePrefixed, Status};

/// What the host is asked for.
pub const ID: &str = "hookyard.http/1";

/// A request's URL: browsers and servers bear about as much.
pub const URL_BYTES_MAX: usize = 8 * 1024;
/// A request's headers, and an answer's; usual ones have twenty.
pub const HEADERS_MAX: usize = 100;
/// Their names and values together.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
/// A request's body: the largest event that the door takes by default.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// An answer's body: a page of a provider's list is a tenth of it; a call is lent 16 MiB in all.
pub const ANSWER_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The handler's `allow` does not list it, or its address is of the inside. Nothing was sent.
pub const E_REFUSED: Status = -32;
/// The name is unknown, or no name server answered. Nothing was sent.
pub const E_RESOLVE: Status = -33;
/// No connection. Nothing was sent.
pub const E_CONNECT: Status = -34;
/// The certificate is not believed, or TLS failed otherwise. Nothing was sent.
pub const E_TLS: Status = -35;
/// The handler has too many requests under way. Nothing was sent.
pub const E_BUSY: Status = -36;
/// The request's own time is over.
pub const E_TIMEOUT: Status = -37;
/// The connection broke before the answer was whole, or it is no HTTP.
pub const E_BROKEN: Status = -38;
/// The answer is above a limit.
pub const E_ANSWER_TOO_LARGE: Status = -39;

/// `hookyard_http_request`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub size: u32,
    pub reserved0: u32,
    pub timeout_ms: u64,
    pub method: Bytes,
    pub url: Bytes,
    pub headers: *const Pair,
    pub header_count: usize,
    pub body: Bytes,
}

/// `hookyard_http_response`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Response {
    pub size: u32,
    pub status: u32,
    pub headers: *const Pair,
    pub header_count: usize,
    pub body: Bytes,
    pub error: Bytes,
}

/// Makes one request.
pub type RequestFn = unsafe extern "C" fn(*mut Ctx, *mut Call, *const Request, *mut Response) -> Status;

/// `hookyard_http`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Http {
    pub size: u32,
    pub reserved0: u32,
    pub request: Option<RequestFn>,
}

// SAFETY: numbers, pointers and Bytes after a u32 size.
unsafe impl SizePrefixed for Request {}
// SAFETY: as above.
unsafe impl SizePrefixed for Response {}
// SAFETY: as above; Option<fn> is None when zero.
unsafe impl SizePrefixed for Http {}

impl Request {
    /// The headers, where the request is within the limits; `E_TOO_LARGE` where it is not, and `E_INVALID` where its headers
    /// are none.
    ///
    /// # Safety
    /// The headers are NULL or so many readable pairs.
    pub unsafe fn within_limits<'a>(&self) -> Result<&'a [Pair], Status> {
        let too_large = self.method.len > URL_BYTES_MAX
            || self.url.len > URL_BYTES_MAX
            || self.header_count > HEADERS_MAX
            || self.body.len > BODY_BYTES_MAX;
        if too_large {
            return Err(super::E_TOO_LARGE);
        }
        // SAFETY: the caller's promise.
        let headers = unsafe { Pair::slice(self.headers, self.header_count) }.ok_or(super::E_INVALID)?;
        let bytes = headers
            .iter()
            .fold(0, |sum: usize, pair| sum.saturating_add(pair.key.len).saturating_add(pair.val.len));
        if bytes > HEADER_BYTES_MAX { Err(super::E_TOO_LARGE) } else { Ok(headers) }
    }
}

impl Response {
    /// No answer yet, with the size that says how much this build knows.
    pub const EMPTY: Self = Self {
        size: super::size_of_u32::<Self>(),
        status: 0,
        headers: std::ptr::null(),
        header_count: 0,
        body: Bytes::EMPTY,
        error: Bytes::EMPTY,
    };
}
