//! A key that signs plugins: the second line of a `minisign.pub`.

use minisign_verify::PublicKey;

use super::Invalid;

/// A minisign public key.
pub(crate) fn parse(text: &str) -> Result<PublicKey, Invalid> {
    PublicKey::from_base64(text).map_err(|_| {
        Invalid::new("this is no public key of minisign", "write the second line of minisign.pub, \"RW…\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid() {
        let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        assert!(parse(&pair.pk.to_base64()).is_ok());
    }

    #[test]
    fn invalid() {
        let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
        let key = pair.pk.to_base64();
        for text in ["", "RW…", &key[1..], &format!("{key}{key}"), "untrusted comment: minisign public key"]
        {
            assert!(parse(text).unwrap_err().message.contains("no public key"), "{text}");
        }
    }
}
