//! One plugin in a real child process, with an event from a file: what it made of it, which steps it took, what it logged.
//! The child is gone when the trial is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::rig::{NAME, Rig, Subject, attempt};
use super::{Memory, StepSeen};
use crate::host::{Host, HostError, Report};
use crate::model::clock::{Clock, Stopwatch, SystemClock};
use crate::model::event::{Envelope, Event};
use crate::model::ids::{EventId, IdempotencyKey, SourceName};

/// How long the plugin may take to end when the trial is over.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(1);
/// A plugin that is up.
#[derive(Debug)]
pub struct Trial {
    host: Host,
    memory: Arc<Memory>,
    /// How long the child took to be ready.
    pub ready: Duration,
    _rig: Rig,
}

/// Why there is no trial.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    #[error("a temporary folder for the library cannot be made")]
    Folder(#[source] std::io::Error),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// One attempt.
#[derive(Debug)]
pub struct Tried {
    pub report: Report,
    pub steps: Vec<StepSeen>,
}

impl Trial {
    /// Starts the child and makes the plugin. One attempt may take as long as `timeout`.
    pub async fn start(subject: Subject, timeout: Duration) -> Result<Self, TrialError> {
        let rig = Rig::new(subject).map_err(TrialError::Folder)?;
        let memory = Arc::new(Memory::default());
        let watch = Stopwatch::start();
        let services: Arc<Memory> = Arc::clone(&memory);
        let host = rig.host(services, 1, timeout).await?;
        Ok(Self { host, memory, ready: watch.elapsed(), _rig: rig })
    }

    /// Delivers the event: this attempt at it.
    pub async fn deliver(&self, event: &Event, number: u32) -> Tried {
        let report = attempt(&self.host, event, number).await;
        Tried { report, steps: self.memory.take_seen(event.id) }
    }

    /// Ends the child.
    pub async fn stop(self) {
        self.host.stop(STOP_GRACE).await;
    }
}

/// The event that a body makes; its type is the body's own `type` where none is given.
pub fn event_of(body: Vec<u8>, event_type: Option<&str>) -> Event {
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let word = |key: &str| json.get(key).and_then(Value::as_str).map(str::to_owned);
    let provider_id = word("id").unwrap_or_else(|| "evt_trial".to_owned());
    let received = SystemClock.now();
    Event {
        id: EventId::from_parts(received.0, 1),
        envelope: Envelope {
            source: SourceName::new(NAME),
            idempotency_key: IdempotencyKey::new(&provider_id),
            event_type: event_type.map(str::to_owned).or_else(|| word("type")).unwrap_or_default(),
            provider_id,
            account: word("account"),
            livemode: json.get("livemode").and_then(Value::as_bool),
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            body: Bytes::from(body),
            received,
        },
    }
}

/// Settings as an author writes them: a file (`.toml` or `.json`), or the keys of a TOML table.
pub fn settings_of(words: &str) -> Result<Value, String> {
    let path = Path::new(words);
    let is_file = path.extension().is_some_and(|kind| kind == "toml" || kind == "json");
    let text = match is_file {
        true => std::fs::read_to_string(path).map_err(|error| format!("{words} cannot be read: {error}"))?,
        false => words.to_owned(),
    };
    let value: Value = if path.extension().is_some_and(|kind| kind == "json") {
        serde_json::from_str(&text).map_err(|error| format!("{words} is no JSON: {error}"))?
    } else {
        let text = if text.trim_start().starts_with('{') { format!("settings = {text}") } else { text };
        let mut read: Value =
            toml::from_str(&text).map_err(|error| format!("the settings are no TOML: {error}"))?;
        if text.starts_with("settings = {") { read["settings"].take() } else { read }
    };
    if value.is_object() { Ok(value) } else { Err("settings are a table of keys".to_owned()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_read_as_toml_keys_as_a_table_and_from_files() {
        let expected = json!({ "greeting": "Hello", "mail": { "transport": "file" } });
        let words = "greeting = \"Hello\"\nmail = { transport = \"file\" }";
        assert_eq!(settings_of(words).unwrap(), expected);
        assert_eq!(
            settings_of("{ greeting = \"Hello\", mail = { transport = \"file\" } }").unwrap(),
            expected
        );
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("a.toml", words.to_owned()), ("a.json", expected.to_string())] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            assert_eq!(settings_of(path.to_str().unwrap()).unwrap(), expected, "{name}");
        }
        assert!(settings_of("greeting = ").unwrap_err().contains("no TOML"));
        assert!(settings_of("missing.json").unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn an_event_takes_its_words_from_the_body_unless_they_are_given() {
        let body = br#"{"id":"evt_1","type":"charge.refunded","livemode":true}"#.to_vec();
        let event = event_of(body.clone(), None);
        assert_eq!((&*event.envelope.event_type, &*event.envelope.provider_id), ("charge.refunded", "evt_1"));
        assert_eq!(event_of(body, Some("other")).envelope.event_type, "other");
        assert_eq!(event_of(b"\xff no JSON".to_vec(), None).envelope.event_type, "");
    }
}
