//! `hookyard events replay --unrouted`: routes them by the rules that run now.

use std::io::IsTerminal;

use bytes::Bytes;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;

use super::client::Operator;
use super::output::say;
use super::page::escape;
use super::{Common, Failure, output};
use crate::admin::rules::ReplayView;
use crate::admin::view::StatusView;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The events that no rule took
    #[arg(long, required = true)]
    unrouted: bool,
}

/// What the whole replay did.
#[derive(Debug, Default, Serialize)]
struct Replayed {
    looked: u64,
    routed: u64,
    still_unrouted: u64,
}

/// Page by page: killed half-way, it is simply run again.
pub(super) async fn run(common: &Common, args: &ReplayArgs) -> Result<(), Failure> {
    debug_assert!(args.unrouted, "the only choice there is");
    let operator = Operator::of(common)?;
    let status: StatusView = operator.get("/v1/status").await?;
    let watched = !common.json && std::io::stderr().is_terminal();
    let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(status.counts.unrouted), target);
    let (mut replayed, mut after) = (Replayed::default(), None);
    loop {
        let from = after.map_or_else(String::new, |after: String| format!("&after={}", escape(&after)));
        let path = format!("/v1/events/replay?unrouted=true{from}");
        let page: ReplayView = operator.post(&path, Bytes::new()).await?;
        replayed.looked += page.looked;
        replayed.routed += page.routed;
        bar.set_position(replayed.looked);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    replayed.still_unrouted = replayed.looked - replayed.routed;
    if common.json {
        return output::json(&replayed);
    }
    match replayed.looked {
        0 => say!("no event is unrouted"),
        looked => say!(
            "{looked} unrouted events looked at: {} routed by configuration {}, {} still unrouted",
            replayed.routed,
            status.snapshot,
            replayed.still_unrouted
        ),
    }
    if replayed.still_unrouted > 0 {
        say!("`hookyard events list --routing unrouted` lists them, `hookyard explain EVENT` says why");
    }
    Ok(())
}
