//! `hookyard events erase --email ADDRESS`: what a person has a right to.

use bytes::Bytes;
use clap::Args;
use serde::Serialize;

use super::client::Operator;
use super::output::say;
use super::{Common, Failure, output};
use crate::admin::erase::{ErasePageView, EraseRequest, FoundView};

#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    /// Whose data: an event is theirs where some value of its body is this address
    #[arg(long)]
    email: String,
    /// Erase; without it, only show what would be
    #[arg(long)]
    yes: bool,
    /// Also events that handlers are not finished with: they will see what is left
    #[arg(long, requires = "yes")]
    force: bool,
}

/// What the whole request did.
#[derive(Debug, Default, Serialize)]
struct Done {
    looked: u64,
    found: Vec<FoundView>,
}

/// Page by page: killed half-way, it is simply run again.
pub(super) async fn run(common: &Common, args: &EraseArgs) -> Result<(), Failure> {
    let operator = Operator::of(common)?;
    let (mut done, mut after) = (Done::default(), None);
    loop {
        let request = EraseRequest {
            email: args.email.clone(),
            apply: args.yes,
            force: args.force,
            after: after.take(),
        };
        let body = serde_json::to_vec(&request).map_err(|error| Failure::internal(error.to_string()))?;
        let page: ErasePageView = operator.post("/v1/events/erase", Bytes::from(body)).await?;
        done.looked += page.looked;
        done.found.extend(page.found);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if common.json {
        return output::json(&done);
    }
    tell(&done, args);
    Ok(())
}

fn tell(done: &Done, args: &EraseArgs) {
    if done.found.is_empty() {
        say!("none of {} events holds that address", done.looked);
        return;
    }
    let row = |found: &FoundView| {
        let event = &found.event;
        let words = [&event.event, &event.received, &event.event_type, &event.provider_id, &found.outcome];
        words.map(Clone::clone).to_vec()
    };
    let rows: Vec<Vec<String>> = done.found.iter().map(row).collect();
    output::table(&["EVENT", "RECEIVED", "TYPE", "PROVIDER ID", ""], &rows);
    let count = |outcome: &str| done.found.iter().filter(|found| found.outcome == outcome).count();
    if !args.yes {
        say!("\n{} events hold that address; nothing was changed: --yes erases", done.found.len());
        return;
    }
    say!("\n{} erased; their bytes leave the disk as docs/privacy.md says", count("erased"));
    if count("unfinished") > 0 {
        say!(
            "{} left alone: handlers are not finished with them; later, or with --force",
            count("unfinished")
        );
    }
}
