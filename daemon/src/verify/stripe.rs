//! Stripe's signature: `Stripe-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>…]`, HMAC-SHA256 over `t.body`.
//!
//! Called through [`super::Scheme`]; [`sign`] also makes the header for `hookyard send`. The rule accepts only what each
//! official SDK accepts (`tests/it/signature_sdk.rs` lists where the SDKs differ): one header line, one plain `t`,
//! lower-case `v1`, the literal `t` bytes under the MAC, a tolerance in both directions, no early exit between secrets.

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use super::{Matched, Rejection};
use crate::model::clock::UnixMillis;
use crate::model::limits::{SECRETS_MAX, SIGNATURE_HEADER_BYTES_MAX, SIGNATURES_MAX};

/// The header that carries the signature, as people write it.
pub const SIGNATURE_HEADER: &str = "Stripe-Signature";

/// A source's secrets and tolerance. Cloning is cheap: a few hash states.
#[derive(Clone)]
pub struct StripeScheme {
    /// One keyed and not yet fed MAC for each secret: the key's two hash blocks are worked once, not for each request.
    keyed: Vec<HmacSha256>,
    tolerance: Duration,
}

/// A request whose header was fit to be checked; waits for the body.
pub struct StripeVerifier {
    /// One MAC for each secret, fed with `t.` and what came of the body.
    macs: Vec<HmacSha256>,
    /// The v1 values of the header that have the right form.
    offered: Vec<[u8; MAC_BYTES]>,
}

/// The settings make no safe scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    #[error("no secret is given: without one nothing can be verified; add the endpoint's `whsec_…`")]
    NoSecret,
    #[error("secret number {number} is blank: anybody could sign with it; give the endpoint's `whsec_…`")]
    BlankSecret {
        /// Counted from 1.
        number: usize,
    },
    #[error(
        "{given} secrets are given; at most {max} can be tried for each request: remove those no longer in use"
    )]
    TooManySecrets { given: usize, max: usize },
    #[error("the tolerance is 0: no request could be young enough; give a duration such as 5m")]
    NoTolerance,
}

type HmacSha256 = Hmac<Sha256>;

const MAC_BYTES: usize = 32;
const HEADER_NAME: &str = "stripe-signature";
/// Twelve digits last until the year 33658 and keep all arithmetic far from overflow.
const TIMESTAMP_DIGITS_MAX: usize = 12;

/// What the header says, taken apart and found well formed.
struct Header<'a> {
    /// The literal digits: they, not the number, are under the MAC.
    timestamp_text: &'a str,
    timestamp_seconds: i64,
    offered: Vec<[u8; MAC_BYTES]>,
}

impl StripeScheme {
    /// A scheme that accepts a signature by any of `secrets` that is at most `tolerance` old, or early.
    ///
    /// The secrets are used whole, `whsec_` included; whitespace around them is the caller's to trim.
    #[expect(clippy::needless_pass_by_value, reason = "taken, so that the texts are wiped when this returns")]
    pub fn new(secrets: Vec<SecretString>, tolerance: Duration) -> Result<Self, SchemeError> {
        if secrets.is_empty() {
            return Err(SchemeError::NoSecret);
        }
        if secrets.len() > SECRETS_MAX {
            return Err(SchemeError::TooManySecrets { given: secrets.len(), max: SECRETS_MAX });
        }
        if let Some(at) = secrets.iter().position(|secret| secret.expose_secret().trim().is_empty()) {
            return Err(SchemeError::BlankSecret { number: at + 1 });
        }
        if tolerance.as_millis() == 0 {
            return Err(SchemeError::NoTolerance);
        }
        Ok(Self { keyed: secrets.iter().map(keyed).collect(), tolerance })
    }

    /// The whole verification at once. `now` is when the headers arrived.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: UnixMillis) -> Result<Matched, Rejection> {
        let mut verifier = self.begin(headers, now)?;
        verifier.update(body);
        verifier.finish()
    }

    /// Checks header and age, and readies the MACs for the body.
    pub fn begin(&self, headers: &HeaderMap, now: UnixMillis) -> Result<StripeVerifier, Rejection> {
        let header = parse(only_line(headers)?)?;
        self.check_age(header.timestamp_seconds, now)?;
        if header.offered.is_empty() {
            return Err(Rejection::NoV1Matches);
        }
        let mut macs = self.keyed.clone();
        for mac in &mut macs {
            mac.update(header.timestamp_text.as_bytes());
            mac.update(b".");
        }
        Ok(StripeVerifier { macs, offered: header.offered })
    }

    /// Whole milliseconds, in both directions: the SDKs differ about the last half second, and the strictest wins.
    fn check_age(&self, timestamp_seconds: i64, now: UnixMillis) -> Result<(), Rejection> {
        let now_millis = i64::try_from(now.0).unwrap_or(i64::MAX);
        let age_millis = now_millis.saturating_sub(timestamp_seconds.saturating_mul(1000));
        if u128::from(age_millis.unsigned_abs()) <= self.tolerance.as_millis() {
            return Ok(());
        }
        let whole_seconds = i64::try_from(age_millis.unsigned_abs().div_ceil(1000)).unwrap_or(i64::MAX);
        Err(Rejection::TimestampOutsideTolerance {
            age_seconds: whole_seconds * age_millis.signum(),
            tolerance_seconds: self.tolerance.as_secs(),
        })
    }
}

impl StripeVerifier {
    /// Takes the next piece of the body, in order.
    pub fn update(&mut self, piece: &[u8]) {
        for mac in &mut self.macs {
            mac.update(piece);
        }
    }

    /// Compares every secret's MAC with every v1, always all of them, so that the time tells nothing.
    pub fn finish(self) -> Result<Matched, Rejection> {
        let mut matched = None;
        for (secret, mac) in self.macs.into_iter().enumerate() {
            let expected: [u8; MAC_BYTES] = mac.finalize().into_bytes().into();
            let hit = self.offered.iter().fold(Choice::from(0), |hit, offered| hit | expected.ct_eq(offered));
            if bool::from(hit) && matched.is_none() {
                matched = Some(Matched { secret });
            }
        }
        matched.ok_or(Rejection::NoV1Matches)
    }
}

/// The `Stripe-Signature` value that Stripe would send for `body` at `timestamp_seconds`.
pub fn sign(secret: &SecretString, timestamp_seconds: u64, body: &[u8]) -> String {
    let mut mac = keyed(secret);
    mac.update(timestamp_seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("t={timestamp_seconds},v1={}", hex::encode(mac.finalize().into_bytes()))
}

fn keyed(secret: &SecretString) -> HmacSha256 {
    HmacSha256::new_from_slice(secret.expose_secret().as_bytes()).expect("HMAC takes a key of any length")
}

/// The value of the one signature header.
fn only_line(headers: &HeaderMap) -> Result<&str, Rejection> {
    let mut lines = headers.get_all(HEADER_NAME).iter();
    let line = lines.next().ok_or(Rejection::HeaderMissing { header: SIGNATURE_HEADER })?;
    if lines.next().is_some() {
        return malformed("stands more than once");
    }
    if line.len() > SIGNATURE_HEADER_BYTES_MAX {
        return malformed("is longer than 8 KiB");
    }
    match line.to_str() {
        Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(text),
        _ => malformed("holds a space or something that is not visible ASCII"),
    }
}

fn parse(line: &str) -> Result<Header<'_>, Rejection> {
    let mut timestamp = None;
    let mut v1_count = 0;
    let mut offered = Vec::new();
    for element in line.split(',') {
        match element.split_once('=') {
            None => return malformed("has an element without `=`"),
            Some(("t", _)) if timestamp.is_some() => return malformed("has several `t`"),
            Some(("t", value)) => timestamp = Some(value),
            Some(("v1", value)) => {
                v1_count += 1;
                offered.extend(mac_of(value));
            }
            // Other schemes (v0 is a fake on test events) prove nothing and harm nothing.
            Some(_) => {}
        }
    }
    if v1_count > SIGNATURES_MAX {
        return malformed("has more than 32 `v1`");
    }
    let Some(timestamp_text) = timestamp else { return malformed("has no `t`") };
    match seconds_of(timestamp_text) {
        Some(timestamp_seconds) => Ok(Header { timestamp_text, timestamp_seconds, offered }),
        None => malformed("has a `t` that is no plain number of seconds"),
    }
}

/// `^[1-9][0-9]{0,11}$`, so that the text under the MAC and the number are one and the same.
fn seconds_of(text: &str) -> Option<i64> {
    let plain = text.len() <= TIMESTAMP_DIGITS_MAX
        && !text.starts_with('0')
        && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// 64 lower-case hex digits; any other v1 is skipped, as a future form of it would have to be.
fn mac_of(value: &str) -> Option<[u8; MAC_BYTES]> {
    if value.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut mac = [0; MAC_BYTES];
    hex::decode_to_slice(value, &mut mac).ok()?;
    Some(mac)
}

fn malformed<T>(fault: &'static str) -> Result<T, Rejection> {
    Err(Rejection::HeaderMalformed { fault })
}

impl fmt::Debug for StripeScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeScheme")
            .field("secrets", &self.keyed.len())
            .field("tolerance", &self.tolerance)
            .finish()
    }
}

impl fmt::Debug for StripeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeVerifier")
            .field("secrets", &self.macs.len())
            .field("offered", &self.offered.len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
