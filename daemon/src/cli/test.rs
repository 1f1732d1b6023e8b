//! `hookyard test`: runs the tests that stand beside the rules, as a test runner would.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::output::say;
use super::{Common, Failure, color_on_stderr, config_failure, output};
use crate::config::{self, LoadOptions, TestRun, Tested};

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// The configuration file, in place of `--config`
    file: Option<PathBuf>,
    /// Fail where the tests reach less than this share of the rules, in percent
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    fail_under: Option<u8>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct RunView {
    passed: usize,
    failed: usize,
    tests: Vec<TestView>,
    rules: usize,
    /// Rules that no test's event was taken by.
    unreached: Vec<String>,
}

#[derive(Debug, Serialize)]
struct TestView {
    name: String,
    place: String,
    passed: bool,
    rules: Vec<String>,
    /// `{severity, file, line, column, message, help}`
    failure: Option<serde_json::Value>,
}

/// Needs neither secrets nor pins: only rules are asked.
pub(super) fn run(common: &Common, args: &TestArgs) -> Result<(), Failure> {
    let path = args.file.as_ref().unwrap_or(&common.config);
    let env = |_: &str| Some("set-for-this-test".to_owned());
    let loaded = config::load(LoadOptions { path, dev: true, env: &env })
        .map_err(|faults| config_failure(path, &faults))?;
    let run = loaded.run_tests();
    let failed = run.tests.iter().filter(|tested| tested.failure.is_some()).count();
    if common.json {
        output::json(&view(&run, failed))?;
    } else {
        print(&run, failed);
    }
    let reached = percent(run.rules - run.unreached.len(), run.rules);
    match args.fail_under {
        _ if failed > 0 => Err(Failure::config(format!("{failed} of {} tests failed", run.tests.len()))),
        Some(least) if reached < usize::from(least) => {
            Err(Failure::config(format!("the tests reach {reached} % of the rules; {least} % are asked for")))
        }
        _ => Ok(()),
    }
}

fn print(run: &TestRun, failed: usize) {
    for Tested { name, place, failure, .. } in &run.tests {
        say!("{}  {name}  ({place})", if failure.is_none() { "ok    " } else { "FAILED" });
    }
    let mut failures = run.tests.iter().filter_map(|tested| tested.failure.as_ref()).peekable();
    if failures.peek().is_some() {
        say!("");
    }
    failures.for_each(|failure| eprintln!("{}", failure.render(color_on_stderr())));
    if !run.unreached.is_empty() {
        say!("\nno test reaches {}", quoted(&run.unreached));
    }
    let reached = run.rules - run.unreached.len();
    say!(
        "\n{} passed, {failed} failed; {reached} of {} rules reached ({} %)",
        run.tests.len() - failed,
        run.rules,
        percent(reached, run.rules)
    );
}

fn view(run: &TestRun, failed: usize) -> RunView {
    let test = |tested: &Tested| TestView {
        name: tested.name.clone(),
        place: tested.place.clone(),
        passed: tested.failure.is_none(),
        rules: tested.rules.clone(),
        failure: tested.failure.as_ref().map(config::Diagnostic::to_json),
    };
    RunView {
        passed: run.tests.len() - failed,
        failed,
        tests: run.tests.iter().map(test).collect(),
        rules: run.rules,
        unreached: run.unreached.clone(),
    }
}

fn percent(part: usize, whole: usize) -> usize {
    (part * 100).checked_div(whole).unwrap_or(100)
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}
