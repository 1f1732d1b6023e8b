//! The ABI's words into the model's: outcomes, explanations and log lines, each cleaned and cut to what is kept.

use std::time::Duration;

use hookyard_plugin_host::protocol::Detail as WireDetail;

use crate::model::attempt::{Detail, Outcome};
use crate::model::limits::{CODE_BYTES_MAX, DETAIL_BYTES_MAX, LOG_LINE_BYTES_MAX, RETRY_AFTER_MAX};
use crate::privacy::mask_emails;

/// The outcomes of the ABI; `include/hookyard_plugin.h` tells their meaning.
const DONE: i32 = 1;
const RETRY: i32 = 2;
const REJECT: i32 = 3;
const IGNORE: i32 = 4;
pub(super) const E_PANIC: i32 = -8;

/// What a plugin returned, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) outcome: Outcome,
    /// The plugin broke the contract (or panicked): counted.
    pub(super) breach: bool,
    /// The plugin's state is doubtful: the host takes no more calls.
    pub(super) panicked: bool,
    /// What was left out of the explanation: a line for the attempt's log.
    pub(super) left_out: Option<String>,
}

/// Reads what `handle` returned. Whatever is no outcome is a retry: never done.
pub(super) fn read(outcome: i32, wire: WireDetail) -> Read {
    let after =
        (wire.retry_after_ms > 0).then(|| Duration::from_millis(wire.retry_after_ms).min(RETRY_AFTER_MAX));
    let (detail, left_out) = detail(wire);
    let (outcome, breach, panicked) = match outcome {
        DONE => (Outcome::Done(detail), false, false),
        IGNORE => (Outcome::Ignore(detail), false, false),
        REJECT => (Outcome::Reject(detail), false, false),
        RETRY => (Outcome::Retry { after, detail }, false, false),
        E_PANIC => (Outcome::Retry { after: None, detail: panicked_detail(detail) }, true, true),
        other => (Outcome::Retry { after: None, detail: no_outcome(other) }, true, false),
    };
    Read { outcome, breach, panicked, left_out }
}

/// One line of a plugin's log, with its fields.
pub(super) fn log_line(message: &str, fields: &[(String, String)]) -> String {
    let mut line = clean(message, LOG_LINE_BYTES_MAX);
    for (key, value) in fields {
        line.push_str(&format!(" {}={}", clean(key, LOG_LINE_BYTES_MAX), clean(value, LOG_LINE_BYTES_MAX)));
    }
    line.truncate(line.floor_char_boundary(LOG_LINE_BYTES_MAX));
    line
}

/// Text from a plugin, fit for a line: no control characters, no e-mail address, cut at a character's boundary.
pub(super) fn clean(text: &str, max: usize) -> String {
    // Cut afterwards: of an address that is cut the end could not be told.
    let masked = mask_emails(text);
    let cut = &masked[..masked.floor_char_boundary(max)];
    cut.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn detail(wire: WireDetail) -> (Detail, Option<String>) {
    let (result, left_out) = match wire.result {
        empty if empty.is_empty() => (None, None),
        long if long.len() > DETAIL_BYTES_MAX => {
            let words =
                format!("the result of {} bytes was left out: {DETAIL_BYTES_MAX} are kept", long.len());
            (None, Some(words))
        }
        json if serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok() => (Some(json), None),
        _ => (None, Some("the result was left out: it is not JSON".to_owned())),
    };
    let code = clean(&wire.code, CODE_BYTES_MAX);
    (Detail { code, message: clean(&wire.message, DETAIL_BYTES_MAX), result }, left_out)
}

fn panicked_detail(detail: Detail) -> Detail {
    if detail.message.is_empty() {
        Detail { code: "panic".to_owned(), message: "the plugin panicked".to_owned(), result: None }
    } else {
        Detail { code: "panic".to_owned(), ..detail }
    }
}

fn no_outcome(returned: i32) -> Detail {
    let message = format!("the plugin returned {returned}, which is no outcome; taken as a retry");
    Detail { code: "contract".to_owned(), message, result: None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(code: &str, message: &str, result: &str, retry_after_ms: u64) -> WireDetail {
        WireDetail { retry_after_ms, code: code.into(), message: message.into(), result: result.into() }
    }

    #[test]
    fn the_numbers_are_those_of_the_header() {
        let header = include_str!("../../../plugin-api/include/hookyard_plugin.h");
        let words: String = header.split_whitespace().collect::<Vec<_>>().join(" ");
        for (name, number) in
            [("DONE", DONE), ("RETRY", RETRY), ("REJECT", REJECT), ("IGNORE", IGNORE), ("E_PANIC", E_PANIC)]
        {
            assert!(words.contains(&format!("HOOKYARD_{name} = {number}")), "{name}");
        }
    }

    #[test]
    fn each_outcome_is_read_with_its_detail() {
        let detail = Detail { code: "c".into(), message: "m".into(), result: Some("{\"a\":1}".into()) };
        let wire = || said("c", "m", "{\"a\":1}", 1500);
        assert_eq!(read(DONE, wire()).outcome, Outcome::Done(detail.clone()));
        assert_eq!(read(IGNORE, wire()).outcome, Outcome::Ignore(detail.clone()));
        assert_eq!(read(REJECT, wire()).outcome, Outcome::Reject(detail.clone()));
        let after = Some(Duration::from_millis(1500));
        assert_eq!(read(RETRY, wire()).outcome, Outcome::Retry { after, detail });
        let forever = read(RETRY, said("", "", "", u64::MAX)).outcome;
        assert!(matches!(forever, Outcome::Retry { after: Some(RETRY_AFTER_MAX), .. }));
        assert!(matches!(read(RETRY, said("", "", "", 0)).outcome, Outcome::Retry { after: None, .. }));
    }

    #[test]
    fn a_result_that_cannot_be_kept_is_left_out_and_said_so() {
        let long = format!("\"{}\"", "x".repeat(DETAIL_BYTES_MAX));
        for result in ["{", "nonsense", &long] {
            let read = read(DONE, said("", "", result, 0));
            assert_eq!(read.outcome.detail().unwrap().result, None);
            assert!(read.left_out.unwrap().starts_with("the result"), "{result}");
        }
    }

    #[test]
    fn lines_hold_no_control_characters_and_are_cut_between_characters() {
        let fields = [("k\n".to_owned(), "v\u{1b}[31m".to_owned())];
        assert_eq!(log_line("a\r\nb", &fields), "a  b k =v [31m");
        assert_eq!(clean("äää", 3), "ä");
        assert_eq!(clean("550 no user ada@example.com", 100), "550 no user ***@example.com");
        assert!(log_line(&"ä".repeat(LOG_LINE_BYTES_MAX), &fields).len() <= LOG_LINE_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn whatever_is_no_outcome_is_a_counted_retry(number in any::<i32>(), message in ".*") {
            prop_assume!(!(DONE..=IGNORE).contains(&number));
            let read = read(number, said("x", &message, "", 5));
            prop_assert!(read.breach);
            prop_assert_eq!(read.panicked, number == E_PANIC);
            let retried = matches!(read.outcome, Outcome::Retry { after: None, .. });
            prop_assert!(retried);
        }
    }
}
