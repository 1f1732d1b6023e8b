//! The URL path that a source is at, such as `/webhooks/stripe`.

use super::Invalid;

/// Far more than anyone types into a provider's dashboard.
const PATH_BYTES_MAX: usize = 256;

/// The path, as it is compared with that of a request: byte by byte.
pub(crate) fn parse(text: &str) -> Result<String, Invalid> {
    let invalid = |why: &str, help: String| Err(Invalid::new(format!("`{text}` is not a path: {why}"), help));
    let write = r#"write "/webhooks/stripe""#.to_owned();
    if !text.starts_with('/') {
        let bare = text
            .split_once("://")
            .map_or(text, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
        return invalid("it does not begin with `/`", format!("did you mean \"/{bare}\"?"));
    }
    if text.len() > PATH_BYTES_MAX {
        return invalid(&format!("it is longer than {PATH_BYTES_MAX} bytes"), write);
    }
    if text.contains(['?', '#']) {
        return invalid(
            "a query is no part of it",
            format!("did you mean \"{}\"?", text.split(['?', '#']).next().unwrap_or("/")),
        );
    }
    if text.contains("//") || text.split('/').any(|part| part == "." || part == "..") {
        return invalid("proxies rewrite `//`, `.` and `..`", write);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic())
        || text.contains(['%', '*', '{', '}', '"', '<', '>', '\\'])
    {
        return invalid(
            "it holds signs that clients encode",
            "keep to letters, digits, `-`, `_`, `.` and `/`".to_owned(),
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid() {
        for text in ["/", "/webhooks/stripe", "/a-b_c.d/~x/"] {
            assert_eq!(parse(text), Ok(text.to_owned()));
        }
    }

    #[test]
    fn invalid() {
        for (text, help) in [
            ("", "did you mean \"/\"?"),
            ("webhooks/stripe", "did you mean \"/webhooks/stripe\"?"),
            ("https://x.example/hooks", "did you mean \"/hooks\"?"),
            ("/hooks?x=1", "did you mean \"/hooks\"?"),
            ("/a//b", r#"write "/webhooks/stripe""#),
            ("/a/../b", r#"write "/webhooks/stripe""#),
            ("/a b", "keep to letters, digits, `-`, `_`, `.` and `/`"),
            ("/ä", "keep to letters, digits, `-`, `_`, `.` and `/`"),
            ("/{id}", "keep to letters, digits, `-`, `_`, `.` and `/`"),
        ] {
            assert_eq!(parse(text).unwrap_err().help, help, "{text}");
        }
        assert!(parse(&format!("/{}", "a".repeat(256))).is_err());
    }
}
