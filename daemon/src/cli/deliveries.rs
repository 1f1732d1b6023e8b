//! `hookyard deliveries list`.

use clap::{Args, Subcommand};

use super::client::Operator;
use super::output::say;
use super::{Common, Failure, events::query_string, output};
use crate::admin::view::{DeliveryView, PageView};

#[derive(Debug, Subcommand)]
pub(super) enum DeliveriesCommand {
    /// List deliveries, newest first
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only this handler's
    #[arg(long)]
    handler: Option<String>,
    /// Only in this state: pending, leased, delivered, ignored, dead, cancelled
    #[arg(long)]
    state: Option<String>,
    /// Only this event's
    #[arg(long)]
    event: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Go on after this one (the `next` of the page before)
    #[arg(long)]
    after: Option<String>,
    /// Oldest first
    #[arg(long)]
    oldest: bool,
}

pub(super) async fn run(common: &Common, command: DeliveriesCommand) -> Result<(), Failure> {
    let DeliveriesCommand::List(args) = command;
    let query = query_string(&[
        ("handler", args.handler),
        ("state", args.state),
        ("event", args.event),
        ("limit", Some(args.limit.to_string())),
        ("after", args.after),
        ("newest", Some((!args.oldest).to_string())),
    ]);
    let page: PageView<DeliveryView> = Operator::of(common)?.get(&format!("/v1/deliveries?{query}")).await?;
    if common.json {
        return output::json(&page);
    }
    let rows: Vec<Vec<String>> = page.rows.iter().map(row).collect();
    output::table(&["EVENT", "HANDLER", "STATE", "ATTEMPTS", "AT", "RULE", "WHY"], &rows);
    if let Some(next) = page.next {
        say!("\nmore: --after {next}");
    }
    Ok(())
}

fn row(delivery: &DeliveryView) -> Vec<String> {
    vec![
        delivery.event.clone(),
        delivery.handler.clone(),
        delivery.state.clone(),
        delivery.attempts.to_string(),
        delivery.at.clone(),
        delivery.rule.clone(),
        delivery.reason.clone(),
    ]
}
