//! The `Stripe-Signature` header, made for each request. The key's hash blocks are worked once.

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use sha2::Sha256;

const MAC_HEX_BYTES: usize = 64;
/// `t=`, twenty digits, `,v1=`.
const PREFIX_BYTES_MAX: usize = 26;

/// Signs with one secret.
#[derive(Clone)]
pub struct Signer {
    keyed: Hmac<Sha256>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(..)")
    }
}

impl Signer {
    /// The secret is used whole, `whsec_` included.
    pub fn new(secret: &str) -> Self {
        Self { keyed: Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length") }
    }

    /// The header of a body posted at that second; well formed and wrong where `forged`.
    pub fn header(&self, unix_seconds: u64, body: &[u8], forged: bool) -> HeaderValue {
        let mut header = Vec::with_capacity(PREFIX_BYTES_MAX + MAC_HEX_BYTES);
        header.extend_from_slice(b"t=");
        header.extend_from_slice(unix_seconds.to_string().as_bytes());
        let mut mac = self.keyed.clone();
        mac.update(&header[2..]);
        mac.update(b".");
        mac.update(body);
        header.extend_from_slice(b",v1=");
        push_hex(&mut header, mac);
        if forged {
            let last = header.last_mut().expect("the header was just written");
            *last = if *last == b'0' { b'1' } else { b'0' };
        }
        HeaderValue::from_maybe_shared(bytes::Bytes::from(header)).expect("digits and hex are a header")
    }

    /// The MAC of the body alone, as receivers that know nothing of Stripe check it.
    pub fn body_mac(&self, body: &[u8]) -> HeaderValue {
        let mut mac = self.keyed.clone();
        mac.update(body);
        let mut header = b"sha256=".to_vec();
        push_hex(&mut header, mac);
        HeaderValue::from_maybe_shared(bytes::Bytes::from(header)).expect("hex is a header")
    }
}

fn push_hex(header: &mut Vec<u8>, mac: Hmac<Sha256>) {
    let mut hex = [0; MAC_HEX_BYTES];
    hex::encode_to_slice(mac.finalize().into_bytes(), &mut hex).expect("32 bytes are 64 digits");
    header.extend_from_slice(&hex);
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookyard::verify::stripe;
    use secrecy::SecretString;

    /// From the test suite of Stripe's own stripe-dotnet (tests/vectors/stripe_signature.json).
    #[test]
    fn a_known_answer_holds() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../vectors/stripe_signature.json")).unwrap();
        let known = &vectors["known_answers"][0];
        let body = base64(known["body_b64"].as_str().unwrap());
        let header = known["header"].as_str().unwrap();
        let made = Signer::new(known["secret"].as_str().unwrap()).header(1_533_204_620, &body, false);
        assert!(header.starts_with(made.to_str().unwrap()), "{made:?} is not the beginning of {header}");
    }

    #[test]
    fn headers_are_those_of_hookyards_own_signer() {
        let secret = "whsec_of_a_test";
        for body in [&b""[..], b"{}", &[b'x'; 4096]] {
            let header = Signer::new(secret).header(1_794_830_461, body, false);
            assert_eq!(header, stripe::sign(&SecretString::from(secret), 1_794_830_461, body));
        }
    }

    #[test]
    fn a_forged_header_differs_in_its_last_digit_alone() {
        let signer = Signer::new("whsec_of_a_test");
        let good = signer.header(1, b"{}", false);
        let forged = signer.header(1, b"{}", true);
        let (good, forged) = (good.as_bytes(), forged.as_bytes());
        assert_eq!(good[..good.len() - 1], forged[..forged.len() - 1]);
        assert_ne!(good.last(), forged.last());
    }

    fn base64(text: &str) -> Vec<u8> {
        let value = |byte: u8| match byte {
            b'A'..=b'Z' => u32::from(byte - b'A'),
            b'a'..=b'z' => u32::from(byte - b'a') + 26,
            b'0'..=b'9' => u32::from(byte - b'0') + 52,
            b'+' => 62,
            _ => 63,
        };
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').collect();
        let group = |chunk: &[u8]| {
            let bits = chunk.iter().fold(0, |bits, byte| bits << 6 | value(*byte)) << (6 * (4 - chunk.len()));
            bits.to_be_bytes()[1..chunk.len()].to_vec()
        };
        digits.chunks(4).flat_map(group).collect()
    }
}
