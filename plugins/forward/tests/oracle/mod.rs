//! The official Standard Webhooks libraries, asked through `tests/sdk/standard_signatures.py` and `.mjs`. Also used by
//! `tests/it`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The folder `tests`, from whichever crate this is compiled in.
fn tests_dir() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().map(|above| above.join("tests")).find(|tests| tests.join("sdk").is_dir()).unwrap()
}

/// What each library answers to each line.
pub(crate) fn ask(lines: &[Value]) -> Vec<(&'static str, Vec<Value>)> {
    let tests = tests_dir();
    let program = |program: &str, script: &str| {
        let mut command = Command::new(tests.join(".venv/bin").join(program));
        command.arg(tests.join("sdk").join(script));
        command
    };
    vec![
        ("python", answers(program("python", "standard_signatures.py"), lines)),
        ("node", answers(program("node", "standard_signatures.mjs"), lines)),
    ]
}

fn answers(mut command: Command, lines: &[Value]) -> Vec<Value> {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| {
        panic!("{command:?}: {error}; `tests/run` installs the libraries that these tests compare with")
    });
    let mut input = child.stdin.take().unwrap();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = BufReader::new(child.stdout.take().unwrap());
    let answers: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    writer.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success(), "{command:?} failed; its words are above");
    assert_eq!(answers.len(), lines.len(), "{command:?} did not answer every line");
    answers
}
