//! What the test kit and the command `hookyard plugin testkit` say to each other, one JSON value a line: the kit asks on the
//! program's standard input, and is answered on its standard output under the number of the question. The first question
//! is [`Ask::Make`]; the program ends where its input does. What the plugin asks over HTTP goes the other way: the program
//! asks on its standard output, under a number of its own, and the kit answers on its standard input. Not for plugins: it
//! changes with [`VERSION`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asked, Delivered, TestEvent};
use crate::abi::Status;

/// Both sides must speak the same.
pub const VERSION: u32 = 2;

/// What the kit says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromKit {
    /// A question.
    Ask {
        /// The kit's own; the answer carries it.
        number: u64,
        /// What is asked.
        ask: Ask,
    },
    /// What the test's script makes of a request.
    HttpAnswer {
        /// The request's.
        number: u64,
        /// What comes back to the plugin.
        answer: HttpAnswer,
    },
}

/// What the program says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromProgram {
    /// An answer.
    Answer {
        /// The question's.
        number: u64,
        /// What came of it.
        answer: Answer,
    },
    /// A request of the plugin's.
    HttpAsk {
        /// The program's own; the answer carries it.
        number: u64,
        /// As the plugin wrote it.
        asked: Asked,
    },
}

/// What can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Starts a host of the plugin: [`Answer::Did`] or [`Answer::Refused`].
    Make(Make),
    /// One attempt: [`Answer::Delivered`].
    Deliver {
        /// The event, and which attempt it is.
        event: TestEvent,
        /// The moment at which the plugin's process is killed.
        crash_at: Option<usize>,
    },
    /// Leaves a step begun and not ended: [`Answer::Did`].
    MakeUnsure {
        /// A ULID.
        event_id: String,
        /// The step's name.
        step: String,
    },
    /// A key-value pair: [`Answer::Pair`].
    Kv {
        /// Its key.
        key: Vec<u8>,
    },
    /// Remembers the steps and pairs as they are: [`Answer::Did`].
    Keep,
    /// Goes back to what [`Ask::Keep`] remembered: [`Answer::Did`].
    Restore,
}

/// A plugin, as a test asks for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Make {
    /// The kit's [`VERSION`].
    pub version: u32,
    /// The library.
    pub library: PathBuf,
    /// The handler's settings.
    pub settings: Value,
    /// Names and values.
    pub secrets: BTreeMap<String, String>,
}

/// What can be answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done.
    Did,
    /// The plugin refuses its settings, or to be made: its own sentence.
    Refused(String),
    /// What came of an attempt.
    Delivered(Delivered),
    /// The value and its version, where there is such a pair.
    Pair(Option<(Vec<u8>, u64)>),
    /// It could not be done, which is no answer of the plugin's: a sentence for the test's author.
    Failed(String),
}

/// What comes back to the plugin over HTTP.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HttpAnswer {
    /// An answer, whatever its status.
    Answered {
        /// Such as 200.
        status: u16,
        /// Names in lower case.
        headers: Vec<(String, String)>,
        /// The bytes.
        body: Vec<u8>,
    },
    /// None.
    NoAnswer {
        /// Why, as the host says it.
        status: Status,
        /// A sentence for people.
        words: String,
    },
}
