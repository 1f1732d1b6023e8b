//! A configuration with five faults: one run names all five, each with its file, its line and what to do.

use std::path::Path;

use hookyard::config::{ConfigError, LoadOptions, load};

const FIVE_FAULTS: &str = r#"[server]
listen = "localhost:8080"

[source.stripe]
path = "/webhooks/stripe"
scheme = "stripe"
secrets = ["env:NOT_SET_ANYWHERE"]

[plugin.sumo]
path = "libhookyard_sumo.so"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

[handler.sumo]
plugin = "sumo"
concurency = 8
timeout = 30

[[rule]]
name = "sumo purchase"
when = { type = "checkout.session.completed" }
handlers = ["smo"]

[default]
unrouted = true
"#;

fn load_text(directory: &Path, text: &str) -> Result<(), ConfigError> {
    let path = directory.join("hookyard.toml");
    std::fs::write(&path, text).expect("the directory is the test's own");
    load(LoadOptions { path: &path, dev: false, env: &|_| None }).map(|_| ())
}

#[test]
fn five_faults_are_reported_in_one_run() {
    let directory = tempfile::tempdir().unwrap();
    let error = load_text(directory.path(), FIVE_FAULTS).unwrap_err();
    let seen: Vec<(usize, usize, &str, &str)> = error
        .faults
        .iter()
        .map(|fault| (fault.line().unwrap(), fault.column().unwrap(), fault.message(), fault.help().unwrap()))
        .collect();
    let expected = [
        (
            2,
            10,
            "`localhost:8080` is not an address to listen on",
            "did you mean \"127.0.0.1:8080\"? names are not resolved",
        ),
        (
            7,
            12,
            "the environment variable NOT_SET_ANYWHERE is not set",
            "set it for the daemon, or start with --dev for a throw-away secret",
        ),
        (15, 1, "unknown key `concurency` in [handler.sumo]", "did you mean `concurrency`?"),
        (16, 11, "`timeout` takes a duration, and this is an integer", "write timeout = \"30s\""),
        (21, 13, "there is no handler `smo`", "did you mean `sumo`?"),
    ];
    assert_eq!(seen, expected);
    assert_eq!(error.to_string(), "the configuration has 5 faults");
}

#[test]
fn each_is_shown_with_its_line_and_told_to_programs() {
    let directory = tempfile::tempdir().unwrap();
    let error = load_text(directory.path(), FIVE_FAULTS).unwrap_err();
    let report = error.render(false);
    for line in [
        "2 │ listen = \"localhost:8080\"",
        "7 │ secrets = [\"env:NOT_SET_ANYWHERE\"]",
        "15 │ concurency = 8",
        "16 │ timeout = 30",
        "21 │ handlers = [\"smo\"]",
    ] {
        assert!(report.contains(line), "{line} in {report}");
    }
    let file = directory.path().join("hookyard.toml").display().to_string();
    let fifth = serde_json::json!({
        "severity": "error", "file": file, "line": 21, "column": 13,
        "message": "there is no handler `smo`", "help": "did you mean `sumo`?",
    });
    assert_eq!(error.to_json()[4], fifth);
    assert_eq!(error.to_json().as_array().unwrap().len(), 5);
}

#[test]
fn without_the_faults_it_loads() {
    let directory = tempfile::tempdir().unwrap();
    let mended = FIVE_FAULTS
        .replace("localhost", "127.0.0.1")
        .replace("env:NOT_SET_ANYWHERE", &format!("file:{}", directory.path().join("secret").display()))
        .replace("concurency = 8\n", "")
        .replace("timeout = 30\n", "timeout = \"30s\"\n")
        .replace("[\"smo\"]", "[\"sumo\"]");
    std::fs::write(directory.path().join("secret"), "whsec_x\n").unwrap();
    load_text(directory.path(), &mended).unwrap_or_else(|error| panic!("{}", error.render(false)));
}
