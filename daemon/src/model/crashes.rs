//! Which delivery a plugin dies of. Read off the attempts that are stored, so it is known after a restart too.
//!
//! A process that dies takes every call that it held with it, so after one crash each of those deliveries is a suspect and
//! nobody knows which one it was. A suspect runs alone until it was answered: an innocent one is, and from the second crash
//! in a row on the one that is left is the culprit.

use super::attempt::{Attempt, Outcome};
use super::delivery::DeadReason;
use super::limits::{CRASHES_MAX, DEAD_LETTER_LINES_MAX};

/// How often in a row, with no answer in between, the plugin's process died while it held a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Crashes(u32);

impl Crashes {
    /// Of a delivery with these attempts, first to last.
    pub fn in_a_row(attempts: &[Attempt]) -> Self {
        let unanswered = attempts.iter().rev().take_while(|attempt| !attempt.outcome.is_answer());
        let crashed = unanswered.filter(|attempt| matches!(attempt.outcome, Outcome::Crashed { .. }));
        Self(u32::try_from(crashed.count()).unwrap_or(u32::MAX))
    }

    /// The delivery is to run alone.
    pub fn is_suspect(self) -> bool {
        self.0 > 0
    }

    /// Why the delivery is dead, where one more attempt that ended so was one crash too many.
    pub fn too_many_with(self, outcome: &Outcome, log: &[String]) -> Option<DeadReason> {
        let Outcome::Crashed { what } = outcome else { return None };
        let crashes = self.0.saturating_add(1);
        let lines = &log[log.len().saturating_sub(DEAD_LETTER_LINES_MAX)..];
        let logged = match lines {
            [] => String::new(),
            lines => format!("; it had logged: {}", lines.join(" | ")),
        };
        (crashes >= CRASHES_MAX).then(|| DeadReason::Crashed { crashes, last: format!("{what}{logged}") })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::attempt::Detail;
    use crate::model::clock::UnixMillis;

    fn crashed() -> Outcome {
        Outcome::Crashed { what: "killed by SIGSEGV".to_owned() }
    }

    fn after(outcomes: &[Outcome]) -> Crashes {
        let attempt = |(number, outcome): (u32, &Outcome)| Attempt {
            number,
            started: UnixMillis(0),
            duration: Duration::ZERO,
            outcome: outcome.clone(),
            log: Vec::new(),
        };
        Crashes::in_a_row(&(1..).zip(outcomes).map(attempt).collect::<Vec<_>>())
    }

    #[test]
    fn crashes_count_until_the_plugin_answers() {
        let retry = Outcome::Retry { after: None, detail: Detail::default() };
        let timed_out = Outcome::TimedOut { limit: Duration::from_secs(1) };
        for (outcomes, count) in [
            (&[][..], 0),
            (&[crashed()], 1),
            (&[crashed(), crashed()], 2),
            (&[crashed(), retry.clone()], 0),
            (&[crashed(), retry.clone(), crashed()], 1),
            (&[crashed(), timed_out.clone(), Outcome::Interrupted, crashed()], 2),
            (&[timed_out, Outcome::Interrupted, retry], 0),
        ] {
            assert_eq!(after(outcomes), Crashes(count), "{outcomes:?}");
            assert_eq!(after(outcomes).is_suspect(), count > 0);
        }
    }

    #[test]
    fn the_third_crash_in_a_row_is_one_too_many_and_says_what_was_last() {
        let log: Vec<String> = (1..=5).map(|line| format!("line {line}")).collect();
        assert_eq!(after(&[crashed()]).too_many_with(&crashed(), &log), None);
        let twice = after(&[crashed(), crashed()]);
        assert_eq!(twice.too_many_with(&Outcome::Interrupted, &log), None);
        assert_eq!(twice.too_many_with(&Outcome::Done(Detail::default()), &log), None);
        assert_eq!(
            twice.too_many_with(&crashed(), &log).map(|reason| reason.to_string()).as_deref(),
            Some(
                "crashed plugin, 3 times in a row; the last: killed by SIGSEGV; \
                 it had logged: line 3 | line 4 | line 5"
            )
        );
    }
}
