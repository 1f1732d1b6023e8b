//! From an event's body to its fact. Pure. Stripe's words stay open: one that would decide about money and is not known
//! here is a dead letter, not a guess.

use serde::Deserialize;
use serde_json::Value;

use super::{Body, Charge, Dispute, Fact, Invoice, Refund, Subscription};
use crate::fault::{Fault, word};
use crate::stripe::Reference;

/// Seconds are ordered as text of this many digits: enough until the year 33658.
const SECONDS_MAX: i64 = 999_999_999_999;

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "type")]
    event_type: String,
    created: i64,
    livemode: Option<bool>,
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    object: Value,
}

/// The fact that an event tells, or `None` for an event of another kind (a Checkout Session, a type that says nothing
/// about money or access).
///
/// Faults: ignore `test_mode`, `live_mode`, `no_payment_intent`, `no_subscription`; reject `object_shape`,
/// `dispute_status_unknown`, `subscription_status_unknown`.
pub fn read(body: &[u8], livemode: Option<bool>) -> Result<Option<Fact>, Fault> {
    let Ok(event) = serde_json::from_slice::<Event>(body) else { return Ok(None) };
    let Some(read) = reader(&event.event_type) else { return Ok(None) };
    crate::admit::right_mode(event.livemode, livemode)?;
    read(&event).map(Some)
}

type Reader = fn(&Event) -> Result<Fact, Fault>;

fn reader(event_type: &str) -> Option<Reader> {
    Some(match event_type {
        "charge.refunded" => charge,
        "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => refund,
        "charge.dispute.created"
        | "charge.dispute.updated"
        | "charge.dispute.closed"
        | "charge.dispute.funds_withdrawn"
        | "charge.dispute.funds_reinstated" => dispute,
        "customer.subscription.created"
        | "customer.subscription.updated"
        | "customer.subscription.deleted"
        | "customer.subscription.paused"
        | "customer.subscription.resumed" => subscription,
        "invoice.paid" | "invoice.payment_succeeded" | "invoice.payment_failed" => invoice,
        "invoice_payment.paid" => invoice_payment,
        _ => return None,
    })
}

#[derive(Debug, Deserialize)]
struct RawCharge {
    id: String,
    payment_intent: Option<Reference>,
    amount: i64,
    amount_captured: Option<i64>,
    amount_refunded: i64,
}

fn charge(event: &Event) -> Result<Fact, Fault> {
    let raw: RawCharge = shape(event)?;
    let amount = raw.amount_captured.filter(|captured| *captured > 0).unwrap_or(raw.amount);
    Ok(Fact {
        object_id: raw.id,
        subject: about(raw.payment_intent)?,
        order_key: format!("{:012}{:015}", seconds(event.created), raw.amount_refunded.max(0)),
        body: Body::Charge(Charge { amount, amount_refunded: raw.amount_refunded, at: event.created }),
    })
}

#[derive(Debug, Deserialize)]
struct RawRefund {
    id: String,
    payment_intent: Option<Reference>,
    amount: i64,
    status: Option<String>,
}

fn refund(event: &Event) -> Result<Fact, Fault> {
    let raw: RawRefund = shape(event)?;
    let failed = matches!(raw.status.as_deref(), Some("failed" | "canceled"));
    // Failed stays failed, and the earliest telling says when.
    let order_key = match failed {
        true => format!("1{:012}", SECONDS_MAX - seconds(event.created)),
        false => "0".to_owned(),
    };
    Ok(Fact {
        object_id: raw.id,
        subject: about(raw.payment_intent)?,
        order_key,
        body: Body::Refund(Refund { amount: raw.amount, failed_at: failed.then_some(event.created) }),
    })
}

#[derive(Debug, Deserialize)]
struct RawDispute {
    id: String,
    payment_intent: Option<Reference>,
    status: String,
}

fn dispute(event: &Event) -> Result<Fact, Fault> {
    let raw: RawDispute = shape(event)?;
    let (state, rank) = match raw.status.as_str() {
        "needs_response" | "under_review" | "warning_needs_response" | "warning_under_review" => {
            (Dispute::Open, 0)
        }
        "warning_closed" | "prevented" => (Dispute::Closed, 1),
        "lost" => (Dispute::Lost, 2),
        // Also what `funds_reinstated` tells.
        "won" => (Dispute::Won, 3),
        other => return Err(unknown("dispute_status_unknown", "dispute", other)),
    };
    let order_key = format!("{}{:012}{rank}", u8::from(state != Dispute::Open), seconds(event.created));
    Ok(Fact { object_id: raw.id, subject: about(raw.payment_intent)?, order_key, body: Body::Dispute(state) })
}

#[derive(Debug, Deserialize)]
struct RawSubscription {
    id: String,
    status: String,
    #[serde(default)]
    cancel_at_period_end: bool,
    cancel_at: Option<i64>,
    current_period_end: Option<i64>,
    metadata: Option<std::collections::BTreeMap<String, Option<String>>>,
    items: Option<Items>,
}

#[derive(Debug, Deserialize)]
struct Items {
    data: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    price: Option<Reference>,
    quantity: Option<i64>,
    /// Here since 2025-03-31.basil; before, on the subscription.
    current_period_end: Option<i64>,
}

fn subscription(event: &Event) -> Result<Fact, Fault> {
    let raw: RawSubscription = shape(event)?;
    let deleted = event.event_type == "customer.subscription.deleted";
    let status = if deleted { "canceled".to_owned() } else { raw.status.clone() };
    // Of two tellings in one second: one that has ended is last, and one that has begun to run is after one that had not.
    let rank = match status.as_str() {
        "incomplete" => 0,
        "paused" => 1,
        "unpaid" => 2,
        "past_due" => 3,
        "trialing" => 4,
        "active" => 5,
        "incomplete_expired" => 6,
        "canceled" => 7,
        other => return Err(unknown("subscription_status_unknown", "subscription", other)),
    };
    let items = raw.items.map(|items| items.data).unwrap_or_default();
    let period_end = items.iter().filter_map(|item| item.current_period_end).max().or(raw.current_period_end);
    let ends_at = raw.cancel_at.or(if raw.cancel_at_period_end { period_end } else { None });
    let metadata =
        |key: &str| raw.metadata.as_ref()?.get(key)?.clone().filter(|value| !value.trim().is_empty());
    let items: Vec<_> = items
        .into_iter()
        .filter_map(|item| Some((item.price?.id().to_owned(), item.quantity.unwrap_or(1))))
        .collect();
    let body = Subscription {
        status,
        ends_at,
        at: event.created,
        tier: metadata("sumo_product_tier_id"),
        quantity: metadata("sumo_quantity"),
        items,
    };
    let order_key = format!(
        "{}{:012}{:012}{rank}{}",
        u8::from(rank >= 6),
        seconds(event.created),
        seconds(period_end.unwrap_or(0)),
        serde_json::to_string(&body).unwrap_or_default()
    );
    Ok(Fact { object_id: raw.id.clone(), subject: raw.id, order_key, body: Body::Subscription(body) })
}

#[derive(Debug, Deserialize)]
struct RawInvoice {
    id: String,
    /// Since 2025-03-31.basil.
    parent: Option<Parent>,
    /// Before it.
    subscription: Option<Reference>,
    billing_reason: Option<String>,
    amount_paid: Option<i64>,
    created: i64,
}

#[derive(Debug, Deserialize)]
struct Parent {
    subscription_details: Option<SubscriptionDetails>,
}

#[derive(Debug, Deserialize)]
struct SubscriptionDetails {
    subscription: Option<Reference>,
}

fn invoice(event: &Event) -> Result<Fact, Fault> {
    let raw: RawInvoice = shape(event)?;
    let within =
        raw.parent.and_then(|parent| parent.subscription_details).and_then(|details| details.subscription);
    let subscription = within.or(raw.subscription).ok_or_else(|| {
        Fault::ignore(
            "no_subscription",
            "the invoice belongs to no subscription, so nothing here follows from it",
        )
    })?;
    let paid = event.event_type != "invoice.payment_failed";
    let cycle =
        matches!(raw.billing_reason.as_deref(), None | Some("subscription_create" | "subscription_cycle"));
    let invoice = Invoice {
        paid,
        amount_paid: raw.amount_paid.unwrap_or(0),
        created: raw.created,
        cycle,
        at: event.created,
    };
    Ok(Fact {
        object_id: raw.id,
        subject: subscription.id().to_owned(),
        order_key: format!("{}{:012}", u8::from(paid), seconds(event.created)),
        body: Body::Invoice(invoice),
    })
}

#[derive(Debug, Deserialize)]
struct RawInvoicePayment {
    invoice: Reference,
    payment: Payment,
}

#[derive(Debug, Deserialize)]
struct Payment {
    payment_intent: Option<Reference>,
}

/// The only link from a subscription's invoice to its payment since 2025-03-31.basil.
fn invoice_payment(event: &Event) -> Result<Fact, Fault> {
    let raw: RawInvoicePayment = shape(event)?;
    Ok(Fact {
        object_id: about(raw.payment.payment_intent)?,
        subject: raw.invoice.id().to_owned(),
        order_key: raw.invoice.id().to_owned(),
        body: Body::InvoicePayment,
    })
}

fn shape<T: serde::de::DeserializeOwned>(event: &Event) -> Result<T, Fault> {
    serde_json::from_value(event.data.object.clone()).map_err(|_| {
        let message = format!(
            "the object of this {} does not have the shape that Stripe documents",
            word(&event.event_type)
        );
        Fault::reject("object_shape", message)
    })
}

fn about(payment_intent: Option<Reference>) -> Result<String, Fault> {
    payment_intent.map(|reference| reference.id().to_owned()).ok_or_else(|| {
        Fault::ignore(
            "no_payment_intent",
            "it names no payment intent, so it is about no Checkout Session's payment",
        )
    })
}

fn unknown(code: &'static str, what: &str, status: &str) -> Fault {
    Fault::reject(
        code,
        format!(
            "the {what}'s status `{}` is none that this plugin knows; look it up at Stripe",
            word(status)
        ),
    )
}

fn seconds(at: i64) -> i64 {
    at.clamp(0, SECONDS_MAX)
}
