//! Where a handler's plugin runs: `process` or `inline`.

use super::Invalid;
use crate::model::isolation::Isolation;
use crate::rules::nearest;

/// The isolation that `text` says.
pub(crate) fn parse(text: &str) -> Result<Isolation, Invalid> {
    Isolation::ALL.into_iter().find(|isolation| isolation.word() == text).ok_or_else(|| {
        let help = match nearest(text, Isolation::ALL.map(Isolation::word)) {
            Some(known) => format!("did you mean \"{known}\"?"),
            None => "write \"process\", or \"inline\" for a plugin that may end the daemon".to_owned(),
        };
        Invalid::new(format!("there is no isolation `{text}`"), help)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(parse("process"), Ok(Isolation::Process));
        assert_eq!(parse("inline"), Ok(Isolation::Inline));
        for (text, help) in [
            ("inlined", "did you mean \"inline\"?"),
            ("proces", "did you mean \"process\"?"),
            ("", "write \"process\", or \"inline\" for a plugin that may end the daemon"),
            ("wasm", "write \"process\", or \"inline\" for a plugin that may end the daemon"),
        ] {
            let message = format!("there is no isolation `{text}`");
            assert_eq!(parse(text), Err(Invalid::new(message, help)));
        }
    }
}
