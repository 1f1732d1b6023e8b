//! `hookyard plugin check`: the conformance run, as a test runner tells it. The event is delivered many times over, and what
//! the plugin does with it is really done.

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::subject::SubjectArgs;
use super::tried::log_only;
use crate::cli::output::{self, say};
use crate::cli::{Common, Failure};
use crate::workshop::check::{self, CheckName, Checked, Verdict};

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Make only this check; may be given more than once
    #[arg(long, value_enum)]
    only: Vec<CheckName>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct CheckView<'a> {
    failed: usize,
    warned: usize,
    checks: &'a [Checked],
}

pub(super) async fn run(common: &Common, args: CheckArgs) -> Result<(), Failure> {
    // A plugin that misbehaves is a finding of the run, not a line of its log.
    log_only(common, "off")?;
    let (subject, event) = args.subject.read(None)?;
    let names = if args.only.is_empty() { CheckName::value_variants().to_vec() } else { args.only };
    if !common.json {
        say!("{} checks of {}, each in a process of its own\n", names.len(), subject.library.display());
    }
    let mut tell = |checked: &Checked| {
        if !common.json {
            print(checked);
        }
    };
    let checks = check::check(subject, event, &names, &mut tell).await;
    let checks =
        checks.map_err(|error| Failure::storage(format!("no temporary folder can be made: {error}")))?;
    let count = |is: fn(&Verdict) -> bool| checks.iter().filter(|checked| is(&checked.verdict)).count();
    let failed = count(|verdict| matches!(verdict, Verdict::Failed(_)));
    let warned = count(|verdict| matches!(verdict, Verdict::Warned(_)));
    if common.json {
        output::json(&CheckView { failed, warned, checks: &checks })?;
    } else {
        let skipped = names.len() - checks.len();
        let rest = if skipped > 0 { format!(", {skipped} not made") } else { String::new() };
        let plural = if warned == 1 { "" } else { "s" };
        say!("\n{} passed, {warned} warning{plural}, {failed} failed{rest}", checks.len() - failed - warned);
    }
    match failed {
        0 => Ok(()),
        1 => Err(Failure::bad_data("one check failed; its line says by what")),
        failed => Err(Failure::bad_data(format!("{failed} checks failed; each line says by what"))),
    }
}

fn print(checked: &Checked) {
    let (word, words) = match &checked.verdict {
        Verdict::Passed(words) => ("ok", words),
        Verdict::Warned(words) => ("warning", words),
        Verdict::Failed(words) => ("FAILED", words),
    };
    say!("{}", format!("{word:<8} {:<11} {words}", checked.name).trim_end());
}
