//! What a command writes: all of it is read, so that it is never held up; the end is kept, and the whole where it is small.

use std::collections::VecDeque;

/// Kept of each stream: what a message or a result holds (2 KiB each).
const KEPT_BYTES_MAX: usize = 2048;

/// One stream of a command.
#[derive(Debug, Default)]
pub(crate) struct Output {
    last: VecDeque<u8>,
    total: u64,
}

impl Output {
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let kept = &bytes[bytes.len().saturating_sub(KEPT_BYTES_MAX)..];
        let over = (self.last.len() + kept.len()).saturating_sub(KEPT_BYTES_MAX);
        self.last.drain(..over);
        self.last.extend(kept);
    }

    /// The whole as JSON, where it is JSON and small enough to be kept.
    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        let whole = self.total == self.last.len() as u64;
        let (front, back) = self.last.as_slices();
        whole.then(|| serde_json::from_slice(&[front, back].concat()).ok()).flatten()
    }

    /// The last lines as one, at most `max` bytes, without what is in `secrets`.
    pub(crate) fn last_lines(&self, max: usize, secrets: &[String]) -> String {
        let (front, back) = self.last.as_slices();
        let mut text = String::from_utf8_lossy(&[front, back].concat()).into_owned();
        for secret in secrets {
            text = text.replace(secret.as_str(), "[secret]");
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = lines.collect::<Vec<_>>().join(" | ");
        let cut = line.ceil_char_boundary(line.len().saturating_sub(max));
        let cut_off = cut > 0 || self.total > self.last.len() as u64;
        if cut_off { format!("\u{2026}{}", &line[cut..]) } else { line }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn output(pieces: &[&[u8]]) -> Output {
        let mut output = Output::default();
        for piece in pieces {
            output.take(piece);
        }
        output
    }

    #[test]
    fn json_is_taken_whole_or_not_at_all() {
        assert_eq!(output(&[b"{\"a\"", b": 1}\n"]).json(), Some(json!({ "a": 1 })));
        assert_eq!(output(&[b"not json"]).json(), None);
        assert_eq!(output(&[b""]).json(), None);
        // What is left of it is JSON again, and not what was written.
        let long = [b"9".repeat(KEPT_BYTES_MAX), b"1".to_vec()].concat();
        assert_eq!(output(&[&long]).json(), None);
    }

    #[test]
    fn the_last_lines_are_one_line_without_secrets() {
        let written = output(&[b"first\n\n  second \xff\n", b"token abc\n"]);
        assert_eq!(written.last_lines(100, &["abc".to_owned()]), "first | second \u{fffd} | token [secret]");
        assert_eq!(written.last_lines(6, &[]), "\u{2026}en abc");
        assert_eq!(output(&[]).last_lines(6, &[]), "");
    }

    #[test]
    fn however_much_is_written_only_the_end_is_kept() {
        let mut output = Output::default();
        for _ in 0..1000 {
            output.take(&b"x".repeat(65_536));
        }
        output.take(b"end");
        assert!(output.last.len() <= KEPT_BYTES_MAX);
        let line = output.last_lines(500, &[]);
        assert!(line.ends_with("xend") && line.starts_with('\u{2026}') && line.len() < 510, "{line}");
    }
}
