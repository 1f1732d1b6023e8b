//! Names of sources, plugins and handlers, and of rules.

use super::Invalid;

/// Names stand in URLs, metric labels and keys of the store.
const NAME_BYTES_MAX: usize = 64;
/// A rule's name is a sentence at most.
const RULE_NAME_BYTES_MAX: usize = 128;

/// The name of a source, a plugin, a handler or a handler's secret: letters, digits, `-` and `_`.
pub(crate) fn parse(text: &str) -> Result<String, Invalid> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if plain && !text.is_empty() && text.len() <= NAME_BYTES_MAX {
        return Ok(text.to_owned());
    }
    let help = format!("a name is 1 to {NAME_BYTES_MAX} letters, digits, `-` and `_`, all of ASCII");
    Err(Invalid::new(format!("`{text}` is not a name"), help))
}

/// The name of a rule: any text of one line, without blanks around it.
pub(crate) fn parse_rule(text: &str) -> Result<String, Invalid> {
    let one_line = text.trim() == text && !text.chars().any(char::is_control);
    if one_line && !text.is_empty() && text.len() <= RULE_NAME_BYTES_MAX {
        return Ok(text.to_owned());
    }
    let help =
        format!("a rule's name is 1 to {RULE_NAME_BYTES_MAX} bytes of one line, without blanks around it");
    Err(Invalid::new(format!("{text:?} is not a rule's name"), help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid() {
        for text in ["sumo", "sumo-v2", "SUMO_2", &"a".repeat(64)] {
            assert_eq!(parse(text), Ok(text.to_owned()));
        }
        for text in ["sumo purchase", "größer als 100 €", &"a".repeat(128)] {
            assert_eq!(parse_rule(text), Ok(text.to_owned()));
        }
    }

    #[test]
    fn invalid() {
        for text in ["", "a b", "a.b", "ä", "a/b", &"a".repeat(65)] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in ["", " a", "a\nb", "a\u{1b}[31m", &"a".repeat(129)] {
            assert!(parse_rule(text).is_err(), "{text}");
        }
    }
}
