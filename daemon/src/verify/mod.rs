//! Signature schemes: whether a request came from who it says, decided over the very bytes received.
//!
//! `ingest` calls [`Scheme::begin`] as soon as a request's headers are there (a request with an unusable signature
//! header costs no body), feeds the body to the [`Verifier`] as it arrives, and asks [`Verifier::finish`] for the verdict.
//! Pure: no I/O, no clock of its own, nothing to survive a crash. One file a scheme.

pub mod stripe;

use http::HeaderMap;

use crate::model::clock::UnixMillis;
use stripe::{StripeScheme, StripeVerifier};

/// How a source's requests are signed.
#[derive(Debug, Clone)]
pub enum Scheme {
    /// Stripe's `Stripe-Signature` header.
    Stripe(StripeScheme),
}

/// One request's verification, under way.
#[derive(Debug)]
pub enum Verifier {
    Stripe(StripeVerifier),
}

/// The request is genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched {
    /// Which of the source's secrets it was, counted from 0: lets an operator see when a rolled one is no longer used.
    pub secret: usize,
}

/// The request is not genuine, or cannot be told to be. Safe to show to whoever sent it: nothing here helps to forge one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("the request has no {header} header")]
    HeaderMissing { header: &'static str },
    #[error("the signature header {fault}")]
    HeaderMalformed { fault: &'static str },
    /// `age_seconds` is rounded away from zero, and negative where the timestamp lies in the future.
    #[error("the timestamp is {age_seconds} s old, the tolerance {tolerance_seconds} s: compare the clocks")]
    TimestampOutsideTolerance { age_seconds: i64, tolerance_seconds: u64 },
    #[error(
        "no v1 signature matches: is this endpoint's own secret configured, and the body untouched on its way?"
    )]
    NoV1Matches,
}

impl Scheme {
    /// Looks at the headers alone. `now` is when they arrived.
    pub fn begin(&self, headers: &HeaderMap, now: UnixMillis) -> Result<Verifier, Rejection> {
        match self {
            Self::Stripe(scheme) => scheme.begin(headers, now).map(Verifier::Stripe),
        }
    }

    /// The whole verification of a body that is already there.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: UnixMillis) -> Result<Matched, Rejection> {
        let mut verifier = self.begin(headers, now)?;
        verifier.update(body);
        verifier.finish()
    }
}

impl Verifier {
    /// Takes the next piece of the body, in order.
    pub fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Stripe(verifier) => verifier.update(piece),
        }
    }

    /// The verdict, once the whole body was given.
    pub fn finish(self) -> Result<Matched, Rejection> {
        match self {
            Self::Stripe(verifier) => verifier.finish(),
        }
    }
}

impl Rejection {
    /// The word for machines: in the answer, in the log, in metrics. Never changes its meaning.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::HeaderMissing { .. } => "header_missing",
            Self::HeaderMalformed { .. } => "header_malformed",
            Self::TimestampOutsideTolerance { .. } => "timestamp_outside_tolerance",
            Self::NoV1Matches => "no_v1_matches",
        }
    }
}
