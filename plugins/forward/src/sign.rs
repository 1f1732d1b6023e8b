//! Standard Webhooks signatures: `webhook-signature: v1,BASE64 v1,BASE64 …`, one for each key.
//!
//! What is signed is `ID.TIMESTAMP.BODY`, with HMAC-SHA256. While a key is changed both sign, and the receiver takes
//! whichever it knows.

use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What the specification asks of a key: 192 to 512 bits.
const KEY_BYTES: RangeInclusive<usize> = 24..=64;
const PREFIX: &str = "whsec_";

/// A key that signs.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

/// Why a secret is no key. Never with anything of the secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Something else than a signing key.
    #[error("it does not begin with `{PREFIX}`")]
    Prefix,
    /// Cut, or mistyped.
    #[error("what follows `{PREFIX}` is not base64")]
    Base64,
    /// Too short to be safe, or longer than receivers take.
    #[error("it has {0} bytes; Standard Webhooks asks for 24 to 64")]
    Length(usize),
}

impl SigningKey {
    /// Reads `whsec_BASE64`.
    pub fn parse(secret: &str) -> Result<Self, KeyError> {
        let encoded = secret.trim().strip_prefix(PREFIX).ok_or(KeyError::Prefix)?;
        let key = STANDARD.decode(encoded).map_err(|_| KeyError::Base64)?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(KeyError::Length(key.len()));
        }
        Ok(Self(Hmac::new_from_slice(&key).expect("HMAC takes keys of any length")))
    }

    fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// The value of `webhook-signature`.
pub fn signature(keys: &[SigningKey], id: &str, timestamp: u64, body: &[u8]) -> String {
    keys.iter().map(|key| key.sign(id, timestamp, body)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn the_specifications_example_is_signed_alike() {
        let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            signature(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_is_no_key_is_refused_without_telling_it() {
        let refused = |secret: &str| SigningKey::parse(secret).unwrap_err();
        assert_eq!(refused("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), KeyError::Prefix);
        assert_eq!(refused("whsec_not base64"), KeyError::Base64);
        assert_eq!(refused("whsec_AAAA"), KeyError::Length(3));
        assert_eq!(refused("whsec_"), KeyError::Length(0));
    }
}
