//! From an event's body to its fact. Pure. Stripe's words stay open: one that would decide about money and is not known
//! here is a dead letter, not a guess.

use hookyard_plugin::stripe::{
    self, BillingReason, DisputeStatus, PaymentIntentId, StripeEvent, StripeObject, SubscriptionStatus,
};
use serde::de::IgnoredAny;

use super::{Body, Charge, Dispute, Fact, Invoice, Refund, Subscription};
use crate::fault::{Fault, word};

/// Seconds are ordered as text of this many digits: enough until the year 33658.
const SECONDS_MAX: i64 = 999_999_999_999;

/// An event that tells a fact, before its object is read.
#[derive(Debug)]
struct Event<'a> {
    event_type: String,
    created: i64,
    body: &'a [u8],
}

/// The fact that an event tells, or `None` for an event of another kind (a Checkout Session, a type that says nothing
/// about money or access).
///
/// Faults: ignore `test_mode`, `live_mode`, `no_payment_intent`, `no_subscription`; reject `object_shape`,
/// `dispute_status_unknown`, `subscription_status_unknown`.
pub fn read(body: &[u8], livemode: Option<bool>) -> Result<Option<Fact>, Fault> {
    let Ok(about) = serde_json::from_slice::<StripeEvent<IgnoredAny>>(body) else { return Ok(None) };
    let (Some(read), Some(created)) = (reader(&about.event_type), about.created) else { return Ok(None) };
    crate::admit::right_mode(about.livemode, livemode)?;
    read(&Event { event_type: about.event_type, created, body }).map(Some)
}

type Reader = fn(&Event<'_>) -> Result<Fact, Fault>;

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

fn charge(event: &Event<'_>) -> Result<Fact, Fault> {
    let charge: stripe::Charge = object(event)?;
    let (amount, amount_refunded) = (charge.captured(), charge.amount_refunded);
    Ok(Fact {
        object_id: charge.id.into_string(),
        subject: about(charge.payment_intent.as_ref())?,
        order_key: format!("{:012}{:015}", seconds(event.created), amount_refunded.max(0)),
        body: Body::Charge(Charge { amount, amount_refunded, at: event.created }),
    })
}

fn refund(event: &Event<'_>) -> Result<Fact, Fault> {
    let refund: stripe::Refund = object(event)?;
    let failed = refund.has_failed();
    // Failed stays failed, and the earliest telling says when.
    let order_key = match failed {
        true => format!("1{:012}", SECONDS_MAX - seconds(event.created)),
        false => "0".to_owned(),
    };
    Ok(Fact {
        object_id: refund.id.into_string(),
        subject: about(refund.payment_intent.as_ref())?,
        order_key,
        body: Body::Refund(Refund { amount: refund.amount, failed_at: failed.then_some(event.created) }),
    })
}

fn dispute(event: &Event<'_>) -> Result<Fact, Fault> {
    let dispute: stripe::Dispute = object(event)?;
    let (state, rank) = match &dispute.status {
        DisputeStatus::NeedsResponse
        | DisputeStatus::UnderReview
        | DisputeStatus::WarningNeedsResponse
        | DisputeStatus::WarningUnderReview => (Dispute::Open, 0),
        DisputeStatus::WarningClosed | DisputeStatus::Prevented => (Dispute::Closed, 1),
        DisputeStatus::Lost => (Dispute::Lost, 2),
        // Also what `funds_reinstated` tells.
        DisputeStatus::Won => (Dispute::Won, 3),
        DisputeStatus::Other(other) => return Err(unknown("dispute_status_unknown", "dispute", other)),
    };
    let order_key = format!("{}{:012}{rank}", u8::from(state != Dispute::Open), seconds(event.created));
    Ok(Fact {
        object_id: dispute.id.into_string(),
        subject: about(dispute.payment_intent.as_ref())?,
        order_key,
        body: Body::Dispute(state),
    })
}

fn subscription(event: &Event<'_>) -> Result<Fact, Fault> {
    let subscription: stripe::Subscription = object(event)?;
    let deleted = event.event_type == "customer.subscription.deleted";
    let status = if deleted { &SubscriptionStatus::Canceled } else { &subscription.status };
    // Of two tellings in one second: one that has ended is last, and one that has begun to run is after one that had not.
    let rank = match status {
        SubscriptionStatus::Incomplete => 0,
        SubscriptionStatus::Paused => 1,
        SubscriptionStatus::Unpaid => 2,
        SubscriptionStatus::PastDue => 3,
        SubscriptionStatus::Trialing => 4,
        SubscriptionStatus::Active => 5,
        SubscriptionStatus::IncompleteExpired => 6,
        SubscriptionStatus::Canceled => 7,
        SubscriptionStatus::Other(other) => {
            return Err(unknown("subscription_status_unknown", "subscription", other));
        }
    };
    let metadata = |key: &str| subscription.metadata.get(key).map(str::to_owned);
    let items = subscription.items().iter();
    let body = Subscription {
        status: status.as_str().to_owned(),
        ends_at: subscription.ends_at(),
        at: event.created,
        tier: metadata("sumo_product_tier_id"),
        quantity: metadata("sumo_quantity"),
        items: items
            .filter_map(|item| Some((item.price.as_deref()?.to_owned(), item.quantity.unwrap_or(1))))
            .collect(),
    };
    let order_key = format!(
        "{}{:012}{:012}{rank}{}",
        u8::from(rank >= 6),
        seconds(event.created),
        seconds(subscription.period_end().unwrap_or(0)),
        serde_json::to_string(&body).unwrap_or_default()
    );
    let id = subscription.id.into_string();
    Ok(Fact { object_id: id.clone(), subject: id, order_key, body: Body::Subscription(body) })
}

fn invoice(event: &Event<'_>) -> Result<Fact, Fault> {
    let invoice: stripe::Invoice = object(event)?;
    let subject = invoice.subscription().map(ToString::to_string).ok_or_else(|| {
        Fault::ignore(
            "no_subscription",
            "the invoice belongs to no subscription, so nothing here follows from it",
        )
    })?;
    let paid = event.event_type != "invoice.payment_failed";
    let cycle = matches!(
        invoice.billing_reason,
        None | Some(BillingReason::SubscriptionCreate | BillingReason::SubscriptionCycle)
    );
    let body = Invoice {
        paid,
        amount_paid: invoice.amount_paid.unwrap_or(0),
        created: invoice.created,
        cycle,
        at: event.created,
    };
    Ok(Fact {
        object_id: invoice.id.into_string(),
        subject,
        order_key: format!("{}{:012}", u8::from(paid), seconds(event.created)),
        body: Body::Invoice(body),
    })
}

/// The only link from a subscription's invoice to its payment since 2025-03-31.basil.
fn invoice_payment(event: &Event<'_>) -> Result<Fact, Fault> {
    let paid: stripe::InvoicePayment = object(event)?;
    Ok(Fact {
        object_id: about(paid.payment_intent())?,
        subject: paid.invoice.to_string(),
        order_key: paid.invoice.to_string(),
        body: Body::InvoicePayment,
    })
}

fn object<T: StripeObject>(event: &Event<'_>) -> Result<T, Fault> {
    StripeEvent::read(event.body).map(StripeEvent::into_object).map_err(|_| {
        let message = format!(
            "the object of this {} does not have the shape that Stripe documents",
            word(&event.event_type)
        );
        Fault::reject("object_shape", message)
    })
}

fn about(payment_intent: Option<&PaymentIntentId>) -> Result<String, Fault> {
    payment_intent.map(ToString::to_string).ok_or_else(|| {
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
