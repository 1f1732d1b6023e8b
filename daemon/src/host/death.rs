//! Words for the end of a child: what ended it, by signal name or exit code, and what it printed last.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::model::ids::DeliveryId;

/// Why a child ended.
#[derive(Debug, Clone)]
pub(super) enum Cause {
    /// By itself.
    Itself,
    /// It broke the protocol.
    Breach(String),
    /// One delivery did not return in time.
    Hung { delivery: DeliveryId, limit: Duration },
    /// Its plugin panicked, and its last call has ended.
    Retired,
    /// The host was stopped.
    Stopped,
    /// The host was dropped.
    Dropped,
}

/// Says what a delivery is told that was held by the child.
pub(super) fn words(cause: &Cause, status: Option<&io::Result<ExitStatus>>, last_lines: &[String]) -> String {
    let mut text = match cause {
        Cause::Itself => of_status(status),
        Cause::Breach(what) => format!("the plugin's host was killed because it broke the protocol: {what}"),
        Cause::Hung { delivery, limit } => format!(
            "the host was stopped because another delivery ({delivery}) hung: it did not return within {limit:?}"
        ),
        Cause::Retired => "the host was stopped because the plugin had panicked".to_owned(),
        Cause::Stopped | Cause::Dropped => "the host was stopped while it held the delivery".to_owned(),
    };
    if !last_lines.is_empty() && matches!(cause, Cause::Itself | Cause::Breach(_)) {
        text.push_str(&format!("; it had printed: {}", last_lines.join(" | ")));
    }
    text
}

/// What it died of in one word: a signal's name, `exit`, `breach`, `hang`.
pub(super) fn word(cause: &Cause, status: Option<&io::Result<ExitStatus>>) -> String {
    match cause {
        Cause::Breach(_) => "breach".to_owned(),
        Cause::Hung { .. } => "hang".to_owned(),
        Cause::Itself => match status.and_then(|status| status.as_ref().ok()?.signal()) {
            Some(signal) => signal_words(signal).split(" (").next().unwrap_or_default().to_owned(),
            None => "exit".to_owned(),
        },
        Cause::Retired | Cause::Stopped | Cause::Dropped => "stop".to_owned(),
    }
}

fn of_status(status: Option<&io::Result<ExitStatus>>) -> String {
    match status {
        None => "the plugin's process closed its connection and did not end; it was killed".to_owned(),
        Some(Err(error)) => format!("the plugin's process ended, and how cannot be told: {error}"),
        Some(Ok(status)) => match (status.signal(), status.code()) {
            (Some(signal), _) => format!("the plugin's process was killed by {}", signal_words(signal)),
            (None, Some(code)) => {
                format!("the plugin's process ended itself with exit code {code} while it held the delivery")
            }
            (None, None) => "the plugin's process ended".to_owned(),
        },
    }
}

fn signal_words(signal: i32) -> String {
    let words = match signal {
        4 => "SIGILL (an illegal instruction)",
        6 => "SIGABRT (it aborted: an assertion, a panic that cannot unwind, or a damaged heap)",
        7 => "SIGBUS (a bad memory access; was the library's file overwritten?)",
        8 => "SIGFPE (an arithmetic fault)",
        9 => "SIGKILL (somebody killed it, or the system ran out of memory)",
        11 => "SIGSEGV (an invalid memory access)",
        13 => "SIGPIPE (it wrote to a closed pipe)",
        15 => "SIGTERM (somebody ended it)",
        24 => "SIGXCPU (its limit of processor time)",
        31 => "SIGSYS (a forbidden system call)",
        other => return format!("signal {other}"),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(raw: i32, last: &[&str]) -> String {
        let last: Vec<String> = last.iter().map(|line| (*line).to_owned()).collect();
        words(&Cause::Itself, Some(&Ok(ExitStatus::from_raw(raw))), &last)
    }

    #[test]
    fn a_death_is_told_by_its_signal_or_code_and_last_lines() {
        assert_eq!(
            said(11, &["free(): invalid pointer", "oh"]),
            "the plugin's process was killed by SIGSEGV (an invalid memory access); \
             it had printed: free(): invalid pointer | oh"
        );
        assert!(said(6 | 128, &[]).contains("SIGABRT"), "with a core file");
        assert!(said(0, &[]).contains("exit code 0"));
        assert!(said(3 << 8, &[]).contains("exit code 3"));
        assert!(said(34, &[]).ends_with("signal 34"));
        let word = |raw| word(&Cause::Itself, Some(&Ok(ExitStatus::from_raw(raw))));
        assert_eq!([11, 34, 3 << 8].map(word), ["SIGSEGV", "signal 34", "exit"]);
    }
}
