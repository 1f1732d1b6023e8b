//! The load generator counts what the daemon counts: figures of a generator that miscounts are worth nothing.

use std::process::{Command, Output};

use serde_json::Value;

use crate::stripe::SECRET;
use crate::yard::{Yard, profile_dir};

/// Runs the generator in the yard's folder, where it finds the daemon by itself.
fn load(yard: &Yard, args: &[&str]) -> Output {
    let program = profile_dir().join("hookyard-load");
    assert!(program.exists(), "{} is not built: cargo build --workspace", program.display());
    let mut command = Command::new(program);
    command.args(args).current_dir(yard.path("")).env_remove("HOOKYARD_CONFIG");
    command.env("SECRET_OF_THE_SOURCE", SECRET).env_remove("STRIPE_WEBHOOK_SECRET");
    command.output().unwrap()
}

fn report(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn of_whole_run(report: &Value, word: &str) -> u64 {
    report["whole_run"][word].as_u64().unwrap_or_else(|| panic!("no `{word}` in {report}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_generators_counts_are_the_daemons() {
    let mut yard = Yard::shipped();
    yard.start().await;
    let runs: [&[&str]; 3] = [
        &["--size", "4k", "--connections", "16", "--duplicates", "0.2", "--bad-signatures", "0.2"],
        &["--size", "46k", "--connections", "4", "--http2", "--duplicates", "0.2", "--bad-signatures", "0.2"],
        &["--size", "1k", "--rate", "200", "--secret-env", "SECRET_OF_THE_SOURCE"],
    ];
    let mut accepted = 0;
    for run in runs {
        let args = [run, &["--duration", "1s", "--warm-up", "200ms", "--json"]].concat();
        let report = report(&load(&yard, &args));
        accepted += of_whole_run(&report, "accepted");
        assert!(report["throughput_per_second"].as_f64() > Some(0.0), "{report}");
        assert_eq!(report["whole_run"]["error"], Value::Null, "{report}");
        if run.contains(&"--duplicates") {
            assert!(of_whole_run(&report, "duplicate") > 0 && of_whole_run(&report, "400") > 0, "{report}");
        }
        assert_eq!(yard.ask(&["status"])["counts"]["events"], accepted, "{report}");
    }
}

#[test]
fn a_run_that_cannot_be_made_says_why() {
    let yard = Yard::shipped();
    yard.edit_config(|text| text.replacen("127.0.0.1:0", "127.0.0.1:9", 1));
    let secret = ["--secret-env", "SECRET_OF_THE_SOURCE"];
    let cases: [(&[&str], i32, &str); 5] = [
        (&[], 77, "the secret of source `stripe` is not known here"),
        (&secret, 69, "nobody answers at http://127.0.0.1:9/webhooks/stripe"),
        (&["--secret-env", "NOT_THERE"], 77, "NOT_THERE"),
        (&["--url", "http://192.0.2.1/", secret[0], secret[1]], 64, "not on this machine"),
        (&["--config", "none.toml"], 78, "none.toml"),
    ];
    for (args, code, words) in cases {
        let output = load(&yard, args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    }
}
