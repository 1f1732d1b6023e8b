//! What Stripe tells after a purchase: refunds, disputes, subscriptions that change, invoices.
//!
//! Such events carry no `sumo_*` metadata and come in any order, some of them before the purchase. So each is kept as a
//! *fact*: the newest word about one object of Stripe's, where "newest" is a total order made of the event's own content
//! (`order_key`) and never of its arrival. What stands is then worked out from all facts by one pure function
//! ([`standing()`]); the same facts give the same end, whatever came first and however often.
//!
//! ```text
//! event ─► read ─► note (the greater order_key wins) ─► whose? ─► load that purchase's facts ─► standing
//!                                                         └─ nobody's yet: the fact waits for its purchase
//! ```
//!
//! Facts that no purchase or order rests on are another shop's, or early. They go after [`UNUSED_KEPT`].

mod read;
mod standing;
mod table;

use std::time::Duration;

use hookyard_plugin::stripe::CheckoutSession;
use serde::{Deserialize, Serialize};

pub use read::read;
pub use standing::{Standing, Status, standing};
pub use table::{load, note, whose};

/// How long a fact waits for its purchase: a dead letter can be redelivered for 180 days by default, and Stripe itself
/// sends an event again for 30.
pub const UNUSED_KEPT: Duration = Duration::from_secs(210 * 24 * 3600);

/// One object's newest word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub object_id: String,
    /// The payment intent, subscription or invoice that it is about.
    pub subject: String,
    /// Of two facts about one object the one with the greater key stands.
    pub order_key: String,
    pub body: Body,
}

/// What was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    Charge(Charge),
    Refund(Refund),
    Dispute(Dispute),
    Subscription(Subscription),
    Invoice(Invoice),
    InvoicePayment,
}

/// How much of a charge has gone back, as Stripe counted it at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub amount: i64,
    pub amount_refunded: i64,
    /// The event's second.
    pub at: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    pub amount: i64,
    /// The second in which it failed or was cancelled: then the money is still here.
    pub failed_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dispute {
    Open,
    /// A warning that came to nothing.
    Closed,
    Lost,
    Won,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Stripe's word.
    pub status: String,
    /// Where it was cancelled at its period's end.
    pub ends_at: Option<i64>,
    /// The event's second.
    pub at: i64,
    /// `metadata.sumo_product_tier_id` and `sumo_quantity`, where the seller keeps them up to date.
    pub tier: Option<String>,
    pub quantity: Option<String>,
    /// Price and quantity of each item.
    pub items: Vec<(String, i64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    pub paid: bool,
    pub amount_paid: i64,
    /// When Stripe made the invoice: the latest is the current period's.
    pub created: i64,
    /// The first one, or a renewal: what it pays is the period, not a change within it.
    pub cycle: bool,
    /// The event's second.
    pub at: i64,
}

/// The ids by which a purchase and what follows it find each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    pub payment_intent: Option<String>,
    pub invoice: Option<String>,
    pub subscription: Option<String>,
}

/// Everything known about one purchase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub charges: Vec<Charge>,
    pub refunds: Vec<Refund>,
    pub disputes: Vec<Dispute>,
    pub subscription: Option<Subscription>,
    /// The latest that pays for a period.
    pub invoice: Option<Invoice>,
}

impl Keys {
    /// By which what follows finds this session.
    pub fn of(session: &CheckoutSession) -> Self {
        Self {
            payment_intent: session.payment_intent.as_deref().map(str::to_owned),
            invoice: session.invoice.as_deref().map(str::to_owned),
            subscription: session.subscription.as_deref().map(str::to_owned),
        }
    }
}

impl Body {
    /// The word in the table.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Charge(_) => "charge",
            Self::Refund(_) => "refund",
            Self::Dispute(_) => "dispute",
            Self::Subscription(_) => "subscription",
            Self::Invoice(_) => "invoice",
            Self::InvoicePayment => "invoice_payment",
        }
    }
}
