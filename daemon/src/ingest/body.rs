//! Reads a request's body: at most so many bytes, within so much time, each piece into the signature as it comes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::answer::Refusal;
use crate::verify::Verifier;

/// Room made before the first byte: a promised length alone takes no more.
const FIRST_ROOM_BYTES: usize = 16 * 1024;

/// Refuses a body that says itself that it is too large, before a byte of it is read.
pub(super) fn check_length(body: &Incoming, bytes_max: usize) -> Result<(), Refusal> {
    match usize::try_from(body.size_hint().lower()) {
        Ok(promised) if promised <= bytes_max => Ok(()),
        _ => Err(Refusal::TooLarge { bytes_max }),
    }
}

/// The whole body, as received.
pub(super) async fn read(
    body: Incoming,
    bytes_max: usize,
    limit: Duration,
    verifier: &mut Verifier,
) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(limit, collect(body, bytes_max, verifier)).await {
        Ok(read) => read,
        Err(_) => Err(Refusal::SlowBody { limit }),
    }
}

async fn collect(mut body: Incoming, bytes_max: usize, verifier: &mut Verifier) -> Result<Bytes, Refusal> {
    let promised = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut read = BytesMut::with_capacity(promised.min(FIRST_ROOM_BYTES));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| Refusal::BrokenBody { source })?;
        // Trailers are no part of what is signed.
        let Ok(piece) = frame.into_data() else { continue };
        if piece.len() > bytes_max - read.len() {
            return Err(Refusal::TooLarge { bytes_max });
        }
        verifier.update(&piece);
        read.extend_from_slice(&piece);
    }
    Ok(read.freeze())
}
