//! `hookyard reload`.

use bytes::Bytes;
use clap::Args;

use super::client::Operator;
use super::output::say;
use super::{Common, Failure, output};
use crate::admin::control::{ChangeView, ReloadView};

#[derive(Debug, Args)]
pub(super) struct ReloadArgs {}

pub(super) async fn run(common: &Common, _args: &ReloadArgs) -> Result<(), Failure> {
    let reloaded: ReloadView = Operator::of(common)?.post("/v1/reload", Bytes::new()).await?;
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
    let before = &reloaded.before;
    match reloaded.changes.is_empty() && reloaded.new_hosts.is_empty() {
        true => say!("nothing has changed: configuration {before} runs on"),
        false => say!("configuration {} runs, in place of {before}", reloaded.snapshot),
    }
    for change in &reloaded.changes {
        say!("  {} {}", sign(change), change.text);
    }
    for handler in &reloaded.new_hosts {
        say!("  handler {handler} has a new host; the one before, if any, finishes what it began");
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
