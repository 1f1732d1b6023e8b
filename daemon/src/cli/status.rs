//! `hookyard status`.

use super::client::Operator;
use super::output::say;
use super::{Common, Failure, output};
use crate::admin::view::{CountsView, HandlerView, StatusView};

pub(super) async fn run(common: &Common) -> Result<(), Failure> {
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
    say!("door        {}", status.door);
    say!("store       {}", status.store);
    say!("events      {}", events_words(&status.counts));
    say!("deliveries  {}", deliveries_words(&status.counts));
    say!("");
    let rows: Vec<Vec<String>> = status.handlers.iter().map(handler_row).collect();
    output::table(&["HANDLER", "PLUGIN", "STATE", "PID", "WAITING", "CRASHES", "LIBRARY"], &rows);
    Ok(())
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

fn handler_row(handler: &HandlerView) -> Vec<String> {
    let mut state = if handler.up { "up".to_owned() } else { format!("down: {}", handler.why_down) };
    if handler.draining > 0 {
        state.push_str(", the one before still finishes");
    }
    vec![
        handler.handler.clone(),
        format!("{} {}", handler.plugin_id, handler.plugin_version),
        state,
        handler.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        handler.waiting.to_string(),
        handler.crashes.to_string(),
        handler.sha256.chars().take(12).collect(),
    ]
}
