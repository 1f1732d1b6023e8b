//! The pin of a plugin: the SHA-256 of its file, as `sha256sum` prints it.

use super::Invalid;

/// 64 hex digits, in lower case.
pub(crate) fn parse(text: &str) -> Result<String, Invalid> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(hex.to_ascii_lowercase());
    }
    let message = format!("this is no SHA-256: it has {} of 64 hex digits", digits_of(hex));
    Err(Invalid::new(message, "write what `sha256sum` prints for the plugin's file"))
}

fn digits_of(hex: &str) -> usize {
    hex.bytes().filter(u8::is_ascii_hexdigit).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid() {
        let pin = "0123456789abcdef".repeat(4);
        for text in [pin.clone(), pin.to_uppercase(), format!("sha256:{pin}")] {
            assert_eq!(parse(&text), Ok(pin.clone()));
        }
    }

    #[test]
    fn invalid() {
        for (text, digits) in [("", 0), ("…", 0), ("abc", 3), (&*"a".repeat(65), 65)] {
            let message = format!("this is no SHA-256: it has {digits} of 64 hex digits");
            assert_eq!(parse(text).unwrap_err().message, message, "{text}");
        }
    }
}
