//! `hookyard deliveries list` and `hookyard deliveries show`.

use clap::{Args, Subcommand};

use super::client::Operator;
use super::events::print_delivery;
use super::output::say;
use super::page::{PageArgs, escape, query_string};
use super::{Common, Failure, output};
use crate::admin::view::{DeliveryView, EventDetailView, PageView};

#[derive(Debug, Subcommand)]
pub(super) enum DeliveriesCommand {
    /// List deliveries, newest first
    List(ListArgs),
    /// Show one delivery: every attempt with its result, every step
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The delivery, as EVENT/HANDLER; the event by Stripe's id or ours
    #[arg(value_name = "EVENT/HANDLER", value_parser = delivery)]
    delivery: (String, String),
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
    match command {
        DeliveriesCommand::List(args) => list(common, args).await,
        DeliveriesCommand::Show(args) => show(common, args).await,
    }
}

async fn show(common: &Common, args: ShowArgs) -> Result<(), Failure> {
    let (event, handler) = args.delivery;
    let detail: EventDetailView =
        Operator::of(common)?.get(&format!("/v1/events/{}", escape(&event))).await?;
    let Some(delivery) = detail.deliveries.iter().find(|delivery| delivery.handler == handler) else {
        let handlers: Vec<&str> = detail.deliveries.iter().map(|it| it.handler.as_str()).collect();
        let goes = if handlers.is_empty() { detail.routing } else { format!("to {}", handlers.join(", ")) };
        return Err(Failure::bad_data(format!(
            "the event {event} has no delivery to `{handler}`: it is {goes}"
        )));
    };
    if common.json {
        return output::json(delivery);
    }
    say!("event     {}  {}", detail.event.event, detail.event.event_type);
    say!("rule      {}", delivery.rule);
    print_delivery(delivery);
    if !delivery.reason.is_empty() {
        say!("          dead: {}", delivery.reason);
    }
    Ok(())
}

fn delivery(words: &str) -> Result<(String, String), String> {
    let (event, handler) = words.rsplit_once('/').ok_or("write EVENT/HANDLER")?;
    Ok((event.to_owned(), handler.to_owned()))
}

async fn list(common: &Common, args: ListArgs) -> Result<(), Failure> {
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
