//! The conformance run: whether a library keeps the plugin's side of the contract, check by check. Plugin code runs in child
//! processes only, a fresh one for each check, so a crash is a finding and never the end of the run.
//!
//! `hookyard plugin check` asks. The plugin gets the author's settings and event, the same event many times over: what it
//! does outside is really done, so they are to be those of a place for trying.

mod checks;
mod file;

use serde::Serialize;

use super::rig::{Rig, Subject};
use crate::model::event::Event;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "words")]
pub enum Verdict {
    Passed(String),
    /// Not against the contract, and worth a look.
    Warned(String),
    Failed(String),
}

/// One check, done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    pub name: &'static str,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// The checks, in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CheckName {
    /// The file is a shared library that exports the plugin's function and nothing that a host refuses
    File,
    /// It loads with every symbol resolved, and its descriptor is sane and says what its notes say
    Loads,
    /// It is made from its settings, in time
    Ready,
    /// Wrong settings are refused with a sentence
    Settings,
    /// Two instances live beside each other
    Twice,
    /// It answers the event with an outcome
    Delivers,
    /// The same event again ends as the first time
    Duplicate,
    /// Empty, large and unreadable bodies and unknown types are answered
    OddEvents,
    /// A failure of the host's store is never "done"
    HostFails,
    /// Killed before and after each thing it asks of the host, it ends as if nothing had happened
    Crashes,
    /// It stops when no time is left
    Deadline,
    /// It answers several events at once
    Threads,
    /// Its memory does not grow with the events
    Memory,
    /// It ends when it is told to
    Ends,
}

/// Makes the checks of these names, telling each when it is done.
pub async fn check(
    subject: Subject,
    event: Event,
    names: &[CheckName],
    tell: &mut dyn FnMut(&Checked),
) -> std::io::Result<Vec<Checked>> {
    let bench = checks::Bench { rig: Rig::new(subject)?, event };
    let mut done = Vec::new();
    for name in names {
        let verdict = bench.verdict(*name).await.unwrap_or_else(Verdict::Failed);
        let checked = Checked { name: name.word(), verdict };
        tell(&checked);
        // What cannot be loaded or made has nothing else to show.
        let is_over = matches!(checked.verdict, Verdict::Failed(_)) && name.is_first();
        done.push(checked);
        if is_over {
            break;
        }
    }
    Ok(done)
}

impl CheckName {
    /// The name, as written and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Loads => "loads",
            Self::Ready => "ready",
            Self::Settings => "settings",
            Self::Twice => "twice",
            Self::Delivers => "delivers",
            Self::Duplicate => "duplicate",
            Self::OddEvents => "odd-events",
            Self::HostFails => "host-fails",
            Self::Crashes => "crashes",
            Self::Deadline => "deadline",
            Self::Threads => "threads",
            Self::Memory => "memory",
            Self::Ends => "ends",
        }
    }

    /// Whether no other check can pass where this one fails.
    fn is_first(self) -> bool {
        matches!(self, Self::File | Self::Loads | Self::Ready)
    }
}
