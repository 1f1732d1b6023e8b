//! The bench's extension `hookyard.http/1`: hands each request to the far side, and lends what that answers. To the crash
//! injection it is one host call.

use std::ffi::c_void;

use super::call::Call;
use super::far_side::{Answer, Asked};
use super::ffi::call_of;
use crate::abi::{self, Bytes, Pair, Status, http};

static HTTP: http::Http =
    http::Http { size: abi::size_of_u32::<http::Http>(), reserved0: 0, request: Some(request) };

pub(super) unsafe extern "C" fn extension(_: *mut abi::Ctx, id: Bytes) -> *const c_void {
    // SAFETY: the SDK calls with live arguments.
    match unsafe { id.text() } {
        Some(http::ID) => (&raw const HTTP).cast(),
        _ => std::ptr::null(),
    }
}

unsafe extern "C" fn request(
    _: *mut abi::Ctx,
    call: *mut abi::Call,
    request: *const http::Request,
    response: *mut http::Response,
) -> Status {
    // SAFETY: the SDK calls with live arguments, while the call lives.
    unsafe {
        let asked = match asked(request) {
            Ok(asked) => asked,
            Err(status) => return status,
        };
        let call = call_of(call);
        if call.remaining.is_zero() {
            return abi::E_CANCELLED;
        }
        call.ask(|| {
            let (status, answer) = match call.state.far_side.ask(asked) {
                Ok(answer) => (abi::OK, lent(call, answer)),
                Err((status, words)) => {
                    (status, http::Response { error: call.lend(words.into_bytes()), ..http::Response::EMPTY })
                }
            };
            abi::write(response, &answer);
            status
        })
    }
}

/// The request, held to hookyard's own limits, so that a test meets them first.
///
/// # Safety
/// `request` is a request as the header describes.
unsafe fn asked(request: *const http::Request) -> Result<Asked, Status> {
    // SAFETY: the caller's promise, for this and for each field.
    unsafe {
        let raw = abi::read(request).ok_or(abi::E_INVALID)?;
        let pairs = raw.within_limits()?.iter();
        let headers = pairs.map(|pair| pair.texts().map(|(key, val)| (key.to_owned(), val.to_owned())));
        let read = || {
            Some(Asked {
                method: raw.method.text()?.to_owned(),
                url: raw.url.text()?.to_owned(),
                headers: headers.collect::<Option<_>>()?,
                body: raw.body.get()?.to_vec(),
            })
        };
        read().ok_or(abi::E_INVALID)
    }
}

fn lent(call: &Call<'_>, answer: Answer) -> http::Response {
    let (status, headers, body) = answer.into_parts();
    let pair = |(key, val): (String, String)| Pair {
        key: call.lend(key.into_bytes()),
        val: call.lend(val.into_bytes()),
    };
    let pairs = call.lend_pairs(headers.into_iter().map(pair).collect());
    http::Response {
        status: status.into(),
        headers: pairs.0,
        header_count: pairs.1,
        body: call.lend(body),
        ..http::Response::EMPTY
    }
}
