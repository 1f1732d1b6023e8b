//! `hookyard deliveries list`.

use clap::{Args, Subcommand};

use super::client::Operator;
use super::output::say;
use super::page::{PageArgs, query_string};
use super::{Common, Failure, output};
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
    #[command(flatten)]
    page: PageArgs,
}

pub(super) async fn run(common: &Common, command: DeliveriesCommand) -> Result<(), Failure> {
    let DeliveriesCommand::List(args) = command;
    let query =
        query_string(&[("handler", args.handler), ("state", args.state), ("event", args.event)], args.page);
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
