//! The extension `hookyard.http/1`: a table of one function, which copies the plugin's request, has the daemon make it, and
//! lends the answer from the call's arena.

use hookyard_plugin::abi::{self, Bytes, Pair, Status, http};

use super::calls::CallState;
use super::registry::call_of;
use super::table::{lend, refusal};
use crate::protocol::{Ask, Blob, HttpAnswer, HttpRequest, Reply};

pub(super) static HTTP: http::Http =
    http::Http { size: abi::size_of_u32::<http::Http>(), reserved0: 0, request: Some(request) };

/// The pairs that an answer's headers are lent as.
#[derive(Debug)]
pub(super) struct Pairs(Box<[Pair]>);

// SAFETY: the host only keeps and drops them; who reads them is the plugin, while what they point at is lent to it.
unsafe impl Send for Pairs {}
// SAFETY: as above.
unsafe impl Sync for Pairs {}

unsafe extern "C" fn request(
    _: *mut abi::Ctx,
    call: *mut abi::Call,
    request: *const http::Request,
    response: *mut http::Response,
) -> Status {
    let Some(call) = call_of(call) else { return abi::E_INVALID };
    // SAFETY: NULL, or a request that lives, as what it points at does, until this returns (ABI).
    let asked = match unsafe { asked(request) } {
        Ok(asked) => asked,
        Err(status) => return status,
    };
    if call.remaining().is_zero() {
        return abi::E_CANCELLED;
    }
    let (status, answer) = match call.ask(Ask::Http(asked)) {
        Reply::Http(answer) => match answered(&call, answer) {
            Some(answer) => (abi::OK, answer),
            None => {
                (http::E_ANSWER_TOO_LARGE, failed(&call, "the call has been lent all that it may be lent"))
            }
        },
        Reply::NoAnswer { fault, words } => (fault.status(), failed(&call, &words)),
        other => (refusal(&other), http::Response::EMPTY),
    };
    // SAFETY: NULL, or a place for a response that begins with its size (ABI).
    if unsafe { abi::write(response, &answer) } { status } else { abi::E_INVALID }
}

/// Copies the request, held to the limits.
///
/// # Safety
/// `request` is NULL or a request as the header describes.
unsafe fn asked(request: *const http::Request) -> Result<HttpRequest, Status> {
    // SAFETY: the caller's promise, for this and for each field.
    unsafe {
        let raw = abi::read(request).filter(|raw| raw.reserved0 == 0).ok_or(abi::E_INVALID)?;
        let pairs = raw.within_limits()?;
        Ok(HttpRequest {
            method: text(raw.method)?,
            url: text(raw.url)?,
            headers: pairs
                .iter()
                .map(|pair| Ok((text(pair.key)?, text(pair.val)?)))
                .collect::<Result<_, Status>>()?,
            body: Blob(raw.body.get().ok_or(abi::E_INVALID)?.to_vec()),
            timeout_ms: raw.timeout_ms,
        })
    }
}

/// # Safety
/// As [`Bytes::get`].
unsafe fn text(bytes: Bytes) -> Result<String, Status> {
    // SAFETY: the caller's promise.
    unsafe { bytes.text() }.map(str::to_owned).ok_or(abi::E_INVALID)
}

/// The answer, lent; `None` where the call's arena is full.
fn answered(call: &CallState, answer: HttpAnswer) -> Option<http::Response> {
    let mut pairs = Vec::with_capacity(answer.headers.len());
    for (key, val) in answer.headers {
        pairs.push(Pair { key: lent(call, key.into_bytes())?, val: lent(call, val.into_bytes())? });
    }
    let body = lent(call, answer.body.0)?;
    let pairs = Pairs(pairs.into_boxed_slice());
    let (headers, header_count) = (pairs.0.as_ptr(), pairs.0.len());
    call.arena.keep(pairs, header_count * size_of::<Pair>()).then_some(http::Response {
        status: answer.status.into(),
        headers,
        header_count,
        body,
        ..http::Response::EMPTY
    })
}

/// No answer, with its sentence; without one where even that is too much.
fn failed(call: &CallState, words: &str) -> http::Response {
    let error = lent(call, words.as_bytes().to_vec()).unwrap_or(Bytes::EMPTY);
    http::Response { error, ..http::Response::EMPTY }
}

fn lent(call: &CallState, bytes: Vec<u8>) -> Option<Bytes> {
    let mut place = Bytes::EMPTY;
    // SAFETY: the place is a local.
    (unsafe { lend(&call.arena, bytes, &raw mut place) } == abi::OK).then_some(place)
}
