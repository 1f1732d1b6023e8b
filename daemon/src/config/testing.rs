//! Runs the `[[test]]` tables: each event is routed by the rules that stand beside it.
//!
//! Called by `hookyard check` and `hookyard test`, and before a configuration runs: a rule set whose own tests fail never
//! replaces one that runs. Event files are read here and nowhere else; nothing is written.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::diagnostic::{Diagnostic, Severity};
use super::faults::{Spot, line_of};
use super::raw::{RawTest, TestEvent};
use super::{ConfigFile, Loaded};
use crate::model::clock::UnixMillis;
use crate::model::ids::SourceName;
use crate::model::limits::EVENT_BODY_BYTES_MAX;
use crate::model::verdict::Verdict;
use crate::rules::{Fault, Livemode};

/// One `[[test]]`.
#[derive(Debug, Clone)]
pub struct RuleTest {
    name: Option<String>,
    event: TestEvent,
    source: SourceName,
    received: UnixMillis,
    handlers: BTreeSet<String>,
    rules: Option<Vec<String>>,
    spot: Spot,
}

/// What every test of a configuration said.
#[derive(Debug, Clone)]
pub struct TestRun {
    /// In the order of the files.
    pub tests: Vec<Tested>,
    /// Rules that took no test's event, in file order; those with `enabled = false` aside.
    pub unreached: Vec<String>,
    /// How many rules there are, those with `enabled = false` aside.
    pub rules: usize,
}

/// What one test said.
#[derive(Debug, Clone)]
pub struct Tested {
    pub name: String,
    /// `file:line`
    pub place: String,
    /// The rules that took the event.
    pub rules: Vec<String>,
    /// `None`: it passed.
    pub failure: Option<Diagnostic>,
}

/// Where an event went.
struct Went {
    handlers: BTreeSet<String>,
    rules: Vec<String>,
    /// Why nobody got it.
    why: String,
}

impl RuleTest {
    pub(super) fn new(raw: &RawTest, source: &str) -> Self {
        let texts = |list: &[super::faults::Spotted<String>]| -> Vec<String> {
            list.iter().map(|it| it.value.clone()).collect()
        };
        Self {
            name: raw.name.clone(),
            event: raw.event.clone(),
            source: SourceName::new(source),
            received: raw.received,
            handlers: texts(&raw.handlers).into_iter().collect(),
            rules: raw.rules.as_deref().map(texts),
            spot: raw.spot.clone(),
        }
    }
}

impl Loaded {
    /// Runs every test.
    pub fn run_tests(&self) -> TestRun {
        let tests: Vec<Tested> = self.tests.iter().map(|test| self.run(test)).collect();
        let reached: BTreeSet<&str> =
            tests.iter().flat_map(|tested| &tested.rules).map(String::as_str).collect();
        let asked = self.snapshot.rules.rules().iter().filter(|rule| rule.enabled);
        let names: Vec<&str> = asked.map(|rule| rule.name.as_str()).collect();
        let unreached =
            names.iter().filter(|name| !reached.contains(*name)).map(|name| (*name).to_owned()).collect();
        TestRun { unreached, rules: names.len(), tests }
    }

    fn run(&self, test: &RuleTest) -> Tested {
        let file = &self.files[test.spot.file.0];
        let line = line_of(&file.text, test.spot.span.start);
        let place = format!("{}:{line}", file.path.display());
        let name = test.name.clone().unwrap_or_else(|| format!("the test at line {line}"));
        let (rules, failure) = match self.route(test) {
            Ok(went) => (went.rules.clone(), test.compare(&went)),
            Err(message) => {
                let help = "the path starts where the daemon is started, as every other in a configuration";
                (Vec::new(), Some((message, help.to_owned())))
            }
        };
        let failure = failure.map(|(message, help)| {
            let fault = Fault::new(test.spot.span.clone(), format!("the test \"{name}\" fails: {message}"));
            diagnostic(file, fault.help(help))
        });
        Tested { name, place, rules, failure }
    }

    fn route(&self, test: &RuleTest) -> Result<Went, String> {
        let body = match &test.event {
            TestEvent::Inline(event) => event.to_string().into_bytes(),
            TestEvent::File(path) => read(path)?,
        };
        let livemode = serde_json::from_slice::<serde_json::Value>(&body)
            .ok()
            .and_then(|event| event.get("livemode")?.as_bool())
            .or_else(|| self.livemode_of(&test.source));
        Ok(went(self.snapshot.rules.decide(&test.source, livemode, test.received, &body).verdict))
    }

    /// What an event has that says nothing of it: what its source takes. A test of rules is not one of the source.
    fn livemode_of(&self, source: &SourceName) -> Option<bool> {
        let source = self.snapshot.sources.iter().find(|known| known.name == *source)?;
        match source.livemode {
            Livemode::Any => None,
            Livemode::Live => Some(true),
            Livemode::Test => Some(false),
        }
    }
}

impl RuleTest {
    /// What is not as it should be, and what to do.
    fn compare(&self, went: &Went) -> Option<(String, String)> {
        let explain = match &self.event {
            TestEvent::File(path) => format!("`hookyard explain {}` says why", path.display()),
            TestEvent::Inline(_) => "mend the rules, or the test".to_owned(),
        };
        if self.handlers != went.handlers {
            let (expected, got) = (listed(&self.handlers), listed(&went.handlers));
            let message = format!("it should go to {expected}, and goes to {got}{}", went.by());
            return Some((message, explain));
        }
        let rules = self.rules.as_ref().filter(|rules| **rules != went.rules)?;
        let message = format!("{} should take it, and {} does", quoted(rules), quoted(&went.rules));
        Some((message, explain))
    }
}

impl Went {
    fn by(&self) -> String {
        match self.rules[..] {
            [] => format!(" ({})", self.why),
            _ if self.why.is_empty() => format!(", by {}", quoted(&self.rules)),
            _ => format!(" ({} drops it: {})", quoted(&self.rules), self.why),
        }
    }
}

fn went(verdict: Verdict) -> Went {
    match verdict {
        Verdict::Deliver(assignments) => {
            let mut rules: Vec<String> = assignments.iter().map(|it| it.rule.to_string()).collect();
            rules.dedup();
            let handlers = assignments.iter().map(|it| it.handler.to_string()).collect();
            Went { handlers, rules, why: String::new() }
        }
        Verdict::Unrouted { reason } => Went { handlers: BTreeSet::new(), rules: Vec::new(), why: reason },
        Verdict::Dropped { rule, reason } => {
            Went { handlers: BTreeSet::new(), rules: vec![rule.to_string()], why: reason }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let limit = EVENT_BODY_BYTES_MAX as u64;
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut body));
    match read {
        Ok(bytes) if bytes as u64 > limit => Err(format!("{} is too large for an event", path.display())),
        Ok(_) => Ok(body),
        Err(error) => Err(format!("the event's file {} cannot be read: {error}", path.display())),
    }
}

fn diagnostic(file: &ConfigFile, fault: Fault) -> Diagnostic {
    Diagnostic::new(Severity::Error, &file.path, file.text.as_str().into(), fault)
}

fn listed(names: &BTreeSet<String>) -> String {
    match names.is_empty() {
        true => "nobody".to_owned(),
        false => names.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    }
}

fn quoted(names: &[String]) -> String {
    match names {
        [] => "no rule".to_owned(),
        names => names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "),
    }
}
