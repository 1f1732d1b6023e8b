//! What happens to the money of one payment: the payment itself, its charge, refunds and disputes.
//!
//! None of them carries the metadata of a Checkout Session: what belongs together is found by the payment intent.

use serde::Deserialize;

use super::{
    ChargeId, CustomerId, DisputeId, DisputeStatus, Metadata, PaymentIntentId, PaymentIntentStatus, RefundId,
    RefundStatus, StripeObject,
};

/// A payment: what `payment_intent.*` events are about.
///
/// ```
/// use hookyard_plugin::stripe::{PaymentIntent, PaymentIntentStatus};
///
/// let payment: PaymentIntent = serde_json::from_str(r#"{"id": "pi_1", "amount": 2900, "amount_received": 2900,
///     "currency": "usd", "customer": null, "status": "succeeded"}"#)?;
/// assert_eq!((payment.status, payment.amount_received), (PaymentIntentStatus::Succeeded, Some(2900)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PaymentIntent {
    /// By which a session, its charge, refunds and disputes find each other.
    pub id: PaymentIntentId,
    /// What is to be paid, in the currency's smallest unit.
    pub amount: i64,
    /// What was paid, in the currency's smallest unit.
    pub amount_received: Option<i64>,
    /// Lowercase ISO 4217.
    pub currency: Option<String>,
    /// How it stands.
    pub status: PaymentIntentStatus,
    /// Null for guests.
    pub customer: Option<CustomerId>,
    /// What the seller wrote on the payment itself.
    #[serde(default)]
    pub metadata: Metadata,
}

/// A charge: what `charge.*` events are about that are about no dispute or refund.
///
/// ```
/// use hookyard_plugin::stripe::Charge;
///
/// let charge: Charge = serde_json::from_str(r#"{"id": "ch_1", "payment_intent": "pi_1", "amount": 2900,
///     "amount_captured": 2500, "amount_refunded": 2500, "currency": "usd"}"#)?;
/// assert_eq!(charge.captured(), 2500);
/// assert!(charge.amount_refunded >= charge.captured()); // all of it went back
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Charge {
    /// Of this charge.
    pub id: ChargeId,
    /// Null where it belongs to no payment intent.
    pub payment_intent: Option<PaymentIntentId>,
    /// What was authorised, in the currency's smallest unit.
    pub amount: i64,
    /// What was taken, in the currency's smallest unit; see [`Self::captured`].
    pub amount_captured: Option<i64>,
    /// What has gone back until now, all refunds together, in the currency's smallest unit.
    pub amount_refunded: i64,
    /// Lowercase ISO 4217.
    pub currency: Option<String>,
}

/// A refund: what `refund.*` and `charge.refund.updated` events are about.
///
/// ```
/// use hookyard_plugin::stripe::{Refund, RefundStatus};
///
/// let refund: Refund = serde_json::from_str(r#"{"id": "re_1", "payment_intent": "pi_1", "amount": 900, "status": "failed"}"#)?;
/// assert!(refund.has_failed());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Refund {
    /// Of this refund.
    pub id: RefundId,
    /// Null where the charge belongs to no payment intent.
    pub payment_intent: Option<PaymentIntentId>,
    /// In the currency's smallest unit.
    pub amount: i64,
    /// Lowercase ISO 4217.
    pub currency: Option<String>,
    /// How it stands. One that succeeded can still fail.
    pub status: Option<RefundStatus>,
}

/// A dispute: what `charge.dispute.*` events are about.
///
/// ```
/// use hookyard_plugin::stripe::{Dispute, DisputeStatus};
///
/// let dispute: Dispute = serde_json::from_str(r#"{"id": "du_1", "payment_intent": "pi_1", "amount": 2900, "status": "lost"}"#)?;
/// assert_eq!(dispute.status, DisputeStatus::Lost);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Dispute {
    /// Of this dispute.
    pub id: DisputeId,
    /// Null where the charge belongs to no payment intent.
    pub payment_intent: Option<PaymentIntentId>,
    /// What is disputed, in the currency's smallest unit.
    pub amount: Option<i64>,
    /// Lowercase ISO 4217.
    pub currency: Option<String>,
    /// How it stands.
    pub status: DisputeStatus,
}

impl StripeObject for PaymentIntent {
    const OBJECT: &'static str = "payment_intent";
}

impl StripeObject for Charge {
    const OBJECT: &'static str = "charge";
}

impl StripeObject for Refund {
    const OBJECT: &'static str = "refund";
}

impl StripeObject for Dispute {
    const OBJECT: &'static str = "dispute";
}

impl Charge {
    /// What was taken, in the currency's smallest unit: all of it, where nothing else is said.
    pub fn captured(&self) -> i64 {
        self.amount_captured.filter(|captured| *captured > 0).unwrap_or(self.amount)
    }
}

impl Refund {
    /// Whether the money is still here.
    pub fn has_failed(&self) -> bool {
        matches!(self.status, Some(RefundStatus::Failed | RefundStatus::Canceled))
    }
}
