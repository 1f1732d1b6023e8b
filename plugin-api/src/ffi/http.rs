//! Calls of the extension `hookyard.http/1`, made safe: the table is looked up for each, and the answer is copied.

use std::time::Duration;

use super::host::{CallTable, checked};
use crate::abi::{self, Bytes, Pair, Status, http};

/// What is asked, as the caller has it.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(String, String)],
    pub(crate) body: &'a [u8],
    pub(crate) timeout: Option<Duration>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The extension's table, for one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HttpTable<'a> {
    call: CallTable<'a>,
    request: http::RequestFn,
}

impl<'a> HttpTable<'a> {
    /// `None` where the host does not offer it.
    pub(crate) fn of(call: CallTable<'a>) -> Option<Self> {
        let table = call.extension(http::ID).cast::<http::Http>();
        // SAFETY: NULL, or the table of that id, which begins with its size and lives as long as the host's.
        let request = unsafe { abi::read(table) }?.request?;
        Some(Self { call, request })
    }

    /// Makes a request and waits for its answer. An error is a status, and the host's sentence where it has one.
    pub(crate) fn request(&self, asked: &Asked<'_>) -> Result<Answered, (Status, String)> {
        let pairs: Vec<Pair> = asked
            .headers
            .iter()
            .map(|(key, val)| Pair { key: Bytes::of(key.as_bytes()), val: Bytes::of(val.as_bytes()) })
            .collect();
        let request = http::Request {
            size: abi::size_of_u32::<http::Request>(),
            reserved0: 0,
            timeout_ms: asked.timeout.map_or(0, millis),
            method: Bytes::of(asked.method.as_bytes()),
            url: Bytes::of(asked.url.as_bytes()),
            headers: pairs.as_ptr(),
            header_count: pairs.len(),
            body: Bytes::of(asked.body),
        };
        let mut response = http::Response::EMPTY;
        let (ctx, call) = self.call.pointers();
        // SAFETY: the host's function and ctx, while the call lives; request and response outlive it.
        let status = unsafe { (self.request)(ctx, call, &raw const request, &raw mut response) };
        // SAFETY: what the host lends in the response lives until the call ends; it is copied at once.
        unsafe {
            match checked(status) {
                Ok(()) => copied(&response).ok_or((abi::E_INVALID, String::new())),
                Err(status) => Err((status, response.error.text().unwrap_or_default().to_owned())),
            }
        }
    }
}

/// Copies an answer; `None` where it breaks the contract.
///
/// # Safety
/// What `response` points at is readable.
unsafe fn copied(response: &http::Response) -> Option<Answered> {
    // SAFETY: the caller's promise, for each field.
    unsafe {
        let pairs = Pair::slice(response.headers, response.header_count)?;
        let headers = pairs
            .iter()
            .map(|pair| pair.texts().map(|(key, val)| (key.to_owned(), val.to_owned())))
            .collect::<Option<_>>()?;
        let status = u16::try_from(response.status).ok()?;
        Some(Answered { status, headers, body: response.body.get()?.to_vec() })
    }
}

/// Whole milliseconds, at least one: 0 would mean "until the deadline".
fn millis(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1)
}
