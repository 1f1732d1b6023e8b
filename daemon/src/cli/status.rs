//! `hookyard status`.

use clap::Args;

use super::client::Operator;
use super::output::say;
use super::{Common, Failure, output};
use crate::admin::plugins::{CanaryView, TallyView};
use crate::admin::rules::MatchedView;
use crate::admin::view::{CountsView, HandlerView, StatusView};
use crate::model::isolation::Isolation;
use crate::model::limits::RULES_NAMED_MAX;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Also list every rule: how many events it took, and when last
    #[arg(long)]
    rules: bool,
    /// Name the rules that took no event for so many days
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    quiet_days: u64,
}

pub(super) async fn run(common: &Common, args: &StatusArgs) -> Result<(), Failure> {
    let status: StatusView = Operator::of(common)?.get("/v1/status").await?;
    if common.json {
        return output::json(&status);
    }
    let dev = if status.dev { " (--dev: throw-away secrets)" } else { "" };
    say!("hookyard {}{dev}, configuration {}", status.version, status.snapshot);
    if status.rolled_back {
        say!(
            "            rolled back: the files say something else, and the next reload or start takes them"
        );
    }
    if let Some(refused) = &status.reload_refused {
        say!("reload      refused at {}: {}", refused.at, refused.why);
    }
    if let Some(why) = &status.restart_asked {
        say!("restart     asked for: {why}");
    }
    say!("door        {}", status.door);
    say!("store       {}", status.store);
    say!("events      {}", events_words(&status.counts));
    say!("deliveries  {}", deliveries_words(&status.counts));
    say!("rules       {}", rules_words(&status.rules, status.rules_total, args.quiet_days));
    say!("");
    let rows: Vec<Vec<String>> = status.handlers.iter().flat_map(handler_rows).collect();
    output::table(&["HANDLER", "PLUGIN", "STATE", "PID", "WAITING", "CRASHES", "LIBRARY"], &rows);
    for words in status.handlers.iter().filter_map(canary_words) {
        say!("\n{words}");
    }
    if args.rules {
        say!("");
        let rows: Vec<Vec<String>> = status.rules.iter().map(rule_row).collect();
        output::table(&["RULE", "MATCHED", "LAST MATCHED", "COUNTED SINCE"], &rows);
        if let Some(more) = status.rules_total.checked_sub(status.rules.len()).filter(|more| *more > 0) {
            say!("and {more} more, which took events later; GET /v1/rules has all");
        }
    }
    Ok(())
}

/// How many there are, and those that look forgotten. `rules` are those that were quiet the longest of `total`.
fn rules_words(rules: &[MatchedView], total: usize, days: u64) -> String {
    let left_out = total.saturating_sub(rules.len());
    let rules: Vec<&MatchedView> = rules.iter().filter(|rule| rule.rule != "default").collect();
    let quiet: Vec<String> = rules
        .iter()
        .filter(|rule| rule.quiet_days >= days)
        .map(|rule| format!("\"{}\"", rule.rule))
        .collect();
    let count = rules.len() + left_out;
    match quiet.len() {
        many if many == rules.len() && left_out > 0 => {
            format!("{count}, of which {many} or more took no event for {days} days or more")
        }
        0 => format!("{count}, none of them quiet for {days} days or more"),
        many if many > RULES_NAMED_MAX => {
            format!("{count}, of which {many} took no event for {days} days or more (`--rules` lists them)")
        }
        _ => format!("{count}, of which {} took no event for {days} days or more", quiet.join(", ")),
    }
}

fn rule_row(rule: &MatchedView) -> Vec<String> {
    let last = rule.last_matched.clone().unwrap_or_else(|| "never".to_owned());
    vec![rule.rule.clone(), rule.matched.to_string(), last, rule.counted_since.clone()]
}

fn events_words(counts: &CountsView) -> String {
    format!(
        "{} stored, {} waiting to be routed, {} unrouted, {} dropped",
        counts.events, counts.to_route, counts.unrouted, counts.dropped
    )
}

fn deliveries_words(counts: &CountsView) -> String {
    format!(
        "{} delivered, {} ignored, {} pending, {} under way, {} dead, {} cancelled",
        counts.delivered, counts.ignored, counts.pending, counts.leased, counts.dead, counts.cancelled
    )
}

/// The handler; and below it its canary, where it has one.
fn handler_rows(handler: &HandlerView) -> Vec<Vec<String>> {
    let canary = handler.canary.as_ref();
    let canary = canary.map(|canary| row("└ canary", &canary.host, state_words(&canary.host), String::new()));
    std::iter::once(handler_row(handler)).chain(canary).collect()
}

/// How a handler's canary does, or why there is none any more.
fn canary_words(handler: &HandlerView) -> Option<String> {
    let name = &handler.handler;
    if let Some(CanaryView { share, began, new, old, .. }) = &handler.canary {
        let counted = |side: &TallyView| {
            format!("{} answered, {} rejected, {} to try again", side.answered, side.rejected, side.retried)
        };
        let (new, old) = (counted(new), counted(old));
        return Some(format!(
            "the canary of {name} gets {share} of the events since {began}: {new}; beside it {old}"
        ));
    }
    let why = &handler.rolled_back_why;
    (!why.is_empty()).then(|| format!("the configured library of {name} was rolled back as a canary: {why}"))
}

fn handler_row(handler: &HandlerView) -> Vec<String> {
    let mut state = state_words(handler);
    if handler.isolation == Isolation::Inline.word() {
        state.push_str(", shares fate with daemon");
    }
    if handler.hanging > 0 {
        state.push_str(&format!(", {} of its calls hang until the daemon is started again", handler.hanging));
    }
    if handler.draining > 0 {
        state.push_str(", the one before still finishes");
    }
    if handler.rolled_back {
        state.push_str(&format!(
            ", rolled back (`hookyard plugin reload {}` takes the configured one)",
            handler.plugin
        ));
    }
    row(&handler.handler, handler, state, handler.waiting.to_string())
}

fn row(name: &str, handler: &HandlerView, state: String, waiting: String) -> Vec<String> {
    let pids: Vec<String> =
        handler.processes.iter().filter_map(|process| Some(process.pid?.to_string())).collect();
    vec![
        name.to_owned(),
        format!("{} {}", handler.plugin_id, handler.plugin_version),
        state,
        pids.join(" "),
        waiting,
        handler.crashes.to_string(),
        output::short(&handler.sha256).to_owned(),
    ]
}

/// `up`; of several processes, how many; and why one is not.
fn state_words(handler: &HandlerView) -> String {
    if !handler.up {
        return format!("down: {}", handler.why_down);
    }
    let (all, up) = (handler.processes.len(), handler.processes.iter().filter(|process| process.up).count());
    match handler.processes.iter().find(|process| !process.up) {
        Some(down) => format!("up, {up} of {all} processes: {}", down.why_down),
        None if all > 1 => format!("up, {up} of {all} processes"),
        None => "up".to_owned(),
    }
}
