//! `hookyard reload`.

use bytes::Bytes;
use clap::Args;

use super::client::Operator;
use super::output::say;
use super::page::escape;
use super::{Common, Failure, output};
use crate::admin::control::{ChangeView, ReloadView};

#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    /// Try the new rules against stored events first: last=30d, or last=1000 for the newest thousand
    #[arg(long, value_name = "last=…")]
    against: Option<String>,
    /// How many of those may go elsewhere; where it would be more, the reload is refused
    #[arg(long, requires = "against", default_value_t = 0)]
    changes_max: u64,
}

pub(super) async fn run(common: &Common, args: &ReloadArgs) -> Result<(), Failure> {
    let path = match &args.against {
        Some(against) => {
            format!("/v1/reload?against={}&changes_max={}", escape(against), args.changes_max)
        }
        None => "/v1/reload".to_owned(),
    };
    let reloaded: ReloadView = Operator::of(common)?.post(&path, Bytes::new()).await?;
    if common.json {
        return output::json(&reloaded);
    }
    print(&reloaded);
    Ok(())
}

/// What a reload or a rollback did, for a person.
pub(super) fn print(reloaded: &ReloadView) {
    for warning in &reloaded.warnings {
        eprintln!("{warning}");
    }
    if let Some(dry_run) = &reloaded.dry_run {
        say!("{}\n", dry_run.words());
    }
    let before = &reloaded.before;
    match reloaded.changes.is_empty() && reloaded.new_hosts.is_empty() && reloaded.canaries.is_empty() {
        true => say!("nothing has changed: configuration {before} runs on"),
        false => say!("configuration {} runs, in place of {before}", reloaded.snapshot),
    }
    for change in &reloaded.changes {
        say!("  {} {}", sign(change), change.text);
    }
    for handler in &reloaded.new_hosts {
        say!("  handler {handler} has a new host; the one before, if any, finishes what it began");
    }
    for plugin in &reloaded.canaries {
        say!(
            "  plugin {plugin}: its new library gets the configured share of new events first; `hookyard status` shows how it does"
        );
    }
    for waiting in &reloaded.waiting_for_nobody {
        let wait = match waiting.deliveries {
            1 => "1 delivery waits".to_owned(),
            many => format!("{many} deliveries wait"),
        };
        let handler = &waiting.handler;
        say!(
            "  attention: {wait} for the handler {handler}, which the configuration does not name: kept until it does"
        );
    }
}

fn sign(change: &ChangeView) -> char {
    match change.how.as_str() {
        "added" => '+',
        "removed" => '-',
        _ => '~',
    }
}
