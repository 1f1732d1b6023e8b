//! `hookyard plugin run`.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::subject::SubjectArgs;
use super::tried::{PRINTED, failure, is_finished, log_only, millis};
use crate::admin::view;
use crate::cli::output::{self, say};
use crate::cli::{Common, Failure};
use crate::model::attempt::Outcome;
use crate::model::memory::StepState;
use crate::workshop::StepSeen;
use crate::workshop::trial::{Trial, Tried};

#[derive(Debug, Args)]
pub(in crate::cli) struct RunArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// The event's type (default: the body's own `type`)
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// How often the event is delivered: from the second on as a retry, which skips finished steps
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    /// Seconds that one attempt may take
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct RunView {
    ready_ms: f64,
    attempts: Vec<AttemptView>,
}

#[derive(Debug, Serialize)]
struct AttemptView {
    outcome: &'static str,
    code: String,
    message: String,
    result: Option<Value>,
    retry_after_ms: Option<u128>,
    took_ms: f64,
    steps: Vec<StepView>,
    log: Vec<String>,
}

#[derive(Debug, Serialize)]
struct StepView {
    name: String,
    before: &'static str,
    recorded: Option<Value>,
}

pub(super) async fn run(common: &Common, args: RunArgs) -> Result<(), Failure> {
    // What the plugin prints is told as it comes; what it logs stands with its attempt.
    log_only(common, PRINTED)?;
    let (subject, event) = args.subject.read(args.event_type.as_deref())?;
    let timeout = Duration::from_secs(args.timeout);
    let trial = Trial::start(subject, timeout).await.map_err(|error| failure(&error))?;
    let mut view = RunView { ready_ms: millis(trial.ready), attempts: Vec::new() };
    for attempt in 1..=args.times {
        let tried = trial.deliver(&event, attempt).await;
        view.attempts.push(attempt_view(&tried));
        if !common.json {
            print(attempt, args.times, view.attempts.last().expect("one was pushed"));
        }
    }
    trial.stop().await;
    if common.json {
        output::json(&view)?;
    } else {
        say!("ready     in {:.1} ms", view.ready_ms);
    }
    let last = view.attempts.last().expect("at least one attempt was made");
    match last.outcome {
        outcome if is_finished(outcome) => Ok(()),
        other => Err(Failure::bad_data(format!("the plugin is not done with the event: {other}"))),
    }
}

fn attempt_view(tried: &Tried) -> AttemptView {
    let outcome = &tried.report.outcome;
    let detail = outcome.detail();
    let retry_after = match outcome {
        Outcome::Retry { after, .. } => *after,
        _ => None,
    };
    AttemptView {
        outcome: outcome.word(),
        code: detail.map(|detail| detail.code.clone()).unwrap_or_default(),
        message: outcome.message(),
        result: detail.and_then(|detail| serde_json::from_str(detail.result.as_deref()?).ok()),
        retry_after_ms: retry_after.map(|after| after.as_millis()),
        took_ms: millis(tried.report.duration),
        steps: tried.steps.iter().map(step_view).collect(),
        log: tried.report.log.clone(),
    }
}

fn step_view(seen: &StepSeen) -> StepView {
    let (before, remembered) = match &seen.before {
        StepState::Run => ("run", None),
        StepState::Unsure => ("unsure", None),
        StepState::Done(memo) => ("done before", Some(view::memo(memo))),
    };
    let recorded = seen.recorded.as_deref().map(view::memo).or(remembered);
    StepView { name: seen.id.step.to_string(), before, recorded }
}

fn print(attempt: u32, times: u32, view: &AttemptView) {
    if times > 1 {
        say!("attempt   {attempt}");
    }
    let code = if view.code.is_empty() { String::new() } else { format!(" ({})", view.code) };
    let message = if view.message.is_empty() { String::new() } else { format!(": {}", view.message) };
    say!("outcome   {}{code}{message}", view.outcome);
    if let Some(after) = view.retry_after_ms {
        say!("again     after {after} ms");
    }
    if let Some(result) = &view.result {
        say!("result    {result}");
    }
    for step in &view.steps {
        let recorded = step.recorded.as_ref().map_or_else(|| "not ended".to_owned(), ToString::to_string);
        say!("step      {}  {}: {recorded}", step.name, step.before);
    }
    for line in &view.log {
        say!("log       {line}");
    }
    say!("took      {:.1} ms", view.took_ms);
}
