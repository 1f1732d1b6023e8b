//! `hookyard events list` and `hookyard events show`; `events replay` is next door.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use super::client::Operator;
use super::erase::{self, EraseArgs};
use super::output::say;
use super::page::{PageArgs, escape, query_string};
use super::replay::{self, ReplayArgs};
use super::{Common, Failure, output};
use crate::admin::view::{AttemptView, DeliveryView, EventDetailView, EventView, PageView, StepView};

#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// Erase the personal data of whoever has an e-mail address, in all that is finished
    Erase(EraseArgs),
    /// List stored events, newest first
    List(ListArgs),
    /// Route past events again, by the rules that run now
    Replay(ReplayArgs),
    /// Show one event: where it was routed, and every attempt at it
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only of this type, such as checkout.session.completed
    #[arg(long = "type")]
    event_type: Option<String>,
    /// Only waiting, routed, unrouted or dropped ones
    #[arg(long)]
    routing: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Our event id, or the provider's (evt_…)
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    event: String,
    /// Also print the body, as received
    #[arg(long)]
    body: bool,
}

pub(super) async fn run(common: &Common, command: EventsCommand) -> Result<(), Failure> {
    match command {
        EventsCommand::Erase(args) => erase::run(common, &args).await,
        EventsCommand::List(args) => list(common, args).await,
        EventsCommand::Replay(args) => replay::run(common, &args).await,
        EventsCommand::Show(args) => show(common, &args).await,
    }
}

async fn list(common: &Common, args: ListArgs) -> Result<(), Failure> {
    let query = query_string(&[("type", args.event_type), ("routing", args.routing)], args.page);
    let page: PageView<EventView> = Operator::of(common)?.get(&format!("/v1/events?{query}")).await?;
    if common.json {
        return output::json(&page);
    }
    let rows: Vec<Vec<String>> = page.rows.iter().map(row).collect();
    output::table(&["EVENT", "RECEIVED", "SOURCE", "TYPE", "PROVIDER ID"], &rows);
    if let Some(next) = page.next {
        say!("\nmore: --after {next}");
    }
    Ok(())
}

async fn show(common: &Common, args: &ShowArgs) -> Result<(), Failure> {
    let path = format!("/v1/events/{}?body={}", escape(&args.event), args.body);
    let event: EventDetailView = Operator::of(common)?.get(&path).await?;
    if common.json {
        return output::json(&event);
    }
    print_detail(&event);
    if let Some(body) = &event.body {
        say!("\n{body}");
    }
    Ok(())
}

/// One event for a person.
pub(super) fn print_detail(detail: &EventDetailView) {
    let event = &detail.event;
    say!("event     {}  {}", event.event, event.event_type);
    say!("from      {}, {}, received {}", event.source, event.provider_id, event.received);
    if let Some(hash) = &detail.body_sha256 {
        say!("redacted  {}; the body received had the SHA-256 {hash}", detail.redacted);
    }
    if detail.erased {
        say!("erased    its personal fields, at somebody's request");
    }
    say!("routing   {}", detail.routing);
    for delivery in &detail.deliveries {
        print_delivery(delivery);
    }
}

/// One delivery for a person.
pub(super) fn print_delivery(delivery: &DeliveryView) {
    let when = match delivery.state.as_str() {
        "pending" => "next attempt",
        "leased" => "under way until",
        _ => "at",
    };
    say!("{:<9} {} {when} {}", delivery.handler, delivery.state, delivery.at);
    for attempt in &delivery.tries {
        print_attempt(attempt);
    }
    for step in &delivery.steps {
        print_step(step, delivery.state == "leased");
    }
}

fn print_step(step: &StepView, under_way: bool) {
    match (step.state.as_str(), &step.memo) {
        ("done", Some(memo)) => say!("          step {}: done, {memo}", step.name),
        ("done", None) => say!("          step {}: done", step.name),
        _ if under_way => say!("          step {}: begun", step.name),
        _ => {
            say!("          step {}: unsure, it was begun and its end is not known;", step.name);
            say!("            if it was done, the far side knows it by the idempotency key {}", step.key);
        }
    }
}

fn print_attempt(attempt: &AttemptView) {
    let code = if attempt.code.is_empty() { String::new() } else { format!(" {}", attempt.code) };
    let message = if attempt.message.is_empty() { String::new() } else { format!(": {}", attempt.message) };
    say!(
        "          attempt {} in {} ms: {}{code}{message}",
        attempt.number,
        attempt.duration_ms,
        attempt.outcome
    );
    for line in &attempt.log {
        say!("            log: {line}");
    }
    if let Some(result) = &attempt.result {
        let text = serde_json::to_string_pretty(result).unwrap_or_default();
        for line in text.lines() {
            say!("            {line}");
        }
    }
}

fn row(event: &EventView) -> Vec<String> {
    vec![
        event.event.clone(),
        event.received.clone(),
        event.source.clone(),
        event.event_type.clone(),
        event.provider_id.clone(),
    ]
}
