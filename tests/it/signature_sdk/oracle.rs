//! Runs Stripe's libraries: one process each, JSON lines in and out (`tests/sdk/verdicts.py`, `verdicts.mjs`).

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::cases::Case;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sdk {
    Python,
    Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Reject,
    /// Something other than the library's own signature error escapes: a 500 in a program that catches only that.
    Error,
}

pub(super) fn verdicts(sdk: Sdk, cases: &[Case]) -> Vec<Verdict> {
    let lines: Vec<Value> = cases
        .iter()
        .map(|case| {
            json!({
                "do": "verify",
                "secret": case.secret,
                // What a web framework hands on for no line, one line, several lines.
                "header": (!case.lines.is_empty()).then(|| case.lines.join(", ")),
                "body": hex::encode(&case.body),
                "now_millis": case.now_millis,
                "tolerance_seconds": case.tolerance_seconds,
            })
        })
        .collect();
    ask(sdk, &lines)
        .iter()
        .map(|answer| match answer["verdict"].as_str() {
            Some("accept") => Verdict::Accept,
            Some("reject") => Verdict::Reject,
            Some("error") => Verdict::Error,
            _ => panic!("{sdk:?} answered {answer}"),
        })
        .collect()
}

/// One answer for each line.
pub(super) fn ask(sdk: Sdk, lines: &[Value]) -> Vec<Value> {
    let mut child =
        command(sdk).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap_or_else(|error| {
            panic!(
                "{sdk:?} could not be started ({error}); `tests/run` installs what these tests compare with"
            )
        });
    let mut input = child.stdin.take().unwrap();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = BufReader::new(child.stdout.take().unwrap());
    let answers: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    writer.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success(), "{sdk:?} failed; its words are above");
    assert_eq!(answers.len(), lines.len(), "{sdk:?} did not answer every line");
    answers
}

fn command(sdk: Sdk) -> Command {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let (program, script, needed) = match sdk {
        Sdk::Python => (here.join(".venv/bin/python"), "sdk/verdicts.py", ".venv/bin/python"),
        Sdk::Node => {
            (here.join(".venv/bin/node"), "sdk/verdicts.mjs", "sdk/node_modules/stripe/package.json")
        }
    };
    let needed = here.join(needed);
    assert!(needed.exists(), "{} is missing: `tests/run` installs Stripe's libraries", needed.display());
    let mut command = Command::new(program);
    command.arg(here.join(script));
    command
}
