//! Reads a request's body: at most so many bytes, within so much time, each piece into the signature as it comes.
//!
//! Nothing is known of the sender until the last byte is there. So a body that comes slower than [`BODY_PACE_BYTES_MIN`]
//! holds its place only until a request wants it; one that comes at speed is never disturbed, or an overload of honest
//! requests would end with each driving out the one before.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::answer::Refusal;
use super::places::{Place, Rank};
use crate::model::limits::{BODY_PACE, BODY_PACE_BYTES_MIN};
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

/// The whole body, as received; refused where it is slow and somebody else got `place`.
pub(super) async fn read(
    body: Incoming,
    bytes_max: usize,
    limit: Duration,
    verifier: &mut Verifier,
    place: &Place,
) -> Result<Bytes, Refusal> {
    let so_far = AtomicUsize::new(0);
    tokio::select! {
        biased;
        read = tokio::time::timeout(limit, collect(body, bytes_max, verifier, &so_far)) => match read {
            Ok(read) => read,
            Err(_) => Err(Refusal::SlowBody { limit }),
        },
        () = give_way_while_slow(place, &so_far) => Err(Refusal::Overloaded),
    }
}

async fn collect(
    mut body: Incoming,
    bytes_max: usize,
    verifier: &mut Verifier,
    so_far: &AtomicUsize,
) -> Result<Bytes, Refusal> {
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
        so_far.store(read.len(), Ordering::Relaxed);
    }
    Ok(read.freeze())
}

/// Offers the place while too little comes. Ends when somebody else got it.
async fn give_way_while_slow(place: &Place, so_far: &AtomicUsize) {
    let mut before = 0;
    while tokio::time::timeout(BODY_PACE, place.lost()).await.is_err() {
        let now = so_far.load(Ordering::Relaxed);
        match now - before < BODY_PACE_BYTES_MIN {
            // An offer that stands already keeps its turn.
            true if place.offered_as().is_some() => {}
            true => place.offer(Rank::Stranger),
            false => place.keep(),
        }
        before = now;
    }
}
