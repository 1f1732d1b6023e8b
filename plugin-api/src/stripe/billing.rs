//! Subscriptions, and the invoices that pay for their periods. Some fields moved with the API version 2025-03-31.basil; each is
//! read from both places.

use serde::Deserialize;

use super::{
    BillingReason, CustomerId, InvoiceId, Metadata, PaymentIntentId, PriceId, StripeObject, SubscriptionId,
    SubscriptionStatus,
};

/// A subscription: what `customer.subscription.*` events are about.
///
/// ```
/// use hookyard_plugin::stripe::{Subscription, SubscriptionStatus};
///
/// let subscription: Subscription = serde_json::from_str(r#"{"id": "sub_1", "status": "active", "cancel_at_period_end": true,
///     "items": {"data": [{"price": {"id": "price_1"}, "quantity": 3, "current_period_end": 1797422461}]}}"#)?;
/// assert_eq!(subscription.status, SubscriptionStatus::Active);
/// assert_eq!(subscription.ends_at(), Some(1797422461));
/// assert_eq!(subscription.items()[0].price.as_deref(), Some("price_1"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Subscription {
    /// Of this subscription.
    pub id: SubscriptionId,
    /// How it stands.
    pub status: SubscriptionStatus,
    /// Who pays.
    pub customer: Option<CustomerId>,
    /// Whether it is cancelled and runs until the period ends.
    #[serde(default)]
    pub cancel_at_period_end: bool,
    /// When it will be cancelled, Unix seconds.
    pub cancel_at: Option<i64>,
    /// What the seller wrote on the subscription itself.
    #[serde(default)]
    pub metadata: Metadata,
    current_period_end: Option<i64>,
    items: Option<Items>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Items {
    data: Vec<SubscriptionItem>,
}

/// One of the things that a subscription is of.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SubscriptionItem {
    /// Null for old plans.
    pub price: Option<PriceId>,
    /// Null where it is metered.
    pub quantity: Option<i64>,
    current_period_end: Option<i64>,
}

/// An invoice: what `invoice.*` events are about.
///
/// ```
/// use hookyard_plugin::stripe::{BillingReason, Invoice};
///
/// let invoice: Invoice = serde_json::from_str(r#"{"id": "in_1", "created": 1794830461, "amount_paid": 2900,
///     "billing_reason": "subscription_cycle", "parent": {"subscription_details": {"subscription": "sub_1"}}}"#)?;
/// assert_eq!(invoice.subscription().map(|id| &**id), Some("sub_1"));
/// assert_eq!(invoice.billing_reason, Some(BillingReason::SubscriptionCycle));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Invoice {
    /// Of this invoice.
    pub id: InvoiceId,
    /// Who pays.
    pub customer: Option<CustomerId>,
    /// Why it was made.
    pub billing_reason: Option<BillingReason>,
    /// What was paid, in the currency's smallest unit.
    pub amount_paid: Option<i64>,
    /// Lowercase ISO 4217.
    pub currency: Option<String>,
    /// When Stripe made it, Unix seconds.
    pub created: i64,
    parent: Option<Parent>,
    subscription: Option<SubscriptionId>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Parent {
    subscription_details: Option<SubscriptionDetails>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct SubscriptionDetails {
    subscription: Option<SubscriptionId>,
}

/// That a payment paid an invoice: what `invoice_payment.*` events are about. The only link between the two since
/// 2025-03-31.basil.
///
/// ```
/// use hookyard_plugin::stripe::InvoicePayment;
///
/// let paid: InvoicePayment = serde_json::from_str(r#"{"invoice": "in_1", "payment": {"payment_intent": "pi_1"}}"#)?;
/// assert_eq!((&*paid.invoice, paid.payment_intent().map(|id| &**id)), ("in_1", Some("pi_1")));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct InvoicePayment {
    /// What was paid.
    pub invoice: InvoiceId,
    payment: Payment,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Payment {
    payment_intent: Option<PaymentIntentId>,
}

impl StripeObject for Subscription {
    const OBJECT: &'static str = "subscription";
}

impl StripeObject for Invoice {
    const OBJECT: &'static str = "invoice";
}

impl StripeObject for InvoicePayment {
    const OBJECT: &'static str = "invoice_payment";
}

impl Subscription {
    /// What it is of.
    pub fn items(&self) -> &[SubscriptionItem] {
        self.items.as_ref().map_or(&[], |items| &items.data)
    }

    /// When the current period ends, Unix seconds: of several items the last.
    pub fn period_end(&self) -> Option<i64> {
        self.items().iter().filter_map(|item| item.current_period_end).max().or(self.current_period_end)
    }

    /// When it ends, Unix seconds, where it was cancelled for a time to come.
    pub fn ends_at(&self) -> Option<i64> {
        self.cancel_at.or(if self.cancel_at_period_end { self.period_end() } else { None })
    }
}

impl Invoice {
    /// The subscription whose period it pays; `None` for an invoice of something else.
    pub fn subscription(&self) -> Option<&SubscriptionId> {
        let details = self.parent.as_ref().and_then(|parent| parent.subscription_details.as_ref());
        details.and_then(|details| details.subscription.as_ref()).or(self.subscription.as_ref())
    }
}

impl InvoicePayment {
    /// What paid it; `None` where it was no payment of Stripe's.
    pub fn payment_intent(&self) -> Option<&PaymentIntentId> {
        self.payment.payment_intent.as_ref()
    }
}
