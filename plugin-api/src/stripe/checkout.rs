//! Checkout Sessions: what `checkout.session.*` events are about.

use serde::Deserialize;

use super::metadata::present;
use super::{
    CheckoutMode, CustomerId, InvoiceId, Metadata, PaymentIntentId, PaymentStatus, SessionId, StripeObject,
    SubscriptionId,
};

/// A Checkout Session.
///
/// ```
/// use hookyard_plugin::stripe::{CheckoutMode, CheckoutSession};
///
/// let session: CheckoutSession = serde_json::from_str(r#"{"id": "cs_1", "mode": "payment", "amount_total": 2900,
///     "currency": "usd", "customer": null, "customer_details": {"email": " marta@buyer.example ", "name": ""}}"#)?;
/// assert_eq!((&session.mode, session.amount_total), (&Some(CheckoutMode::Payment), Some(2900)));
/// assert_eq!(session.customer, None); // a guest
/// let (email, name) = (session.customer_details.as_ref().unwrap().email(), session.name());
/// assert_eq!((email, name), (Some("marta@buyer.example"), None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CheckoutSession {
    /// The key under which a purchase happens once: several events may be about one session.
    pub id: SessionId,
    /// What it is for.
    pub mode: Option<CheckoutMode>,
    /// Whether it is paid.
    pub payment_status: Option<PaymentStatus>,
    /// In the currency's smallest unit; null in setup mode.
    pub amount_total: Option<i64>,
    /// Lowercase ISO 4217.
    pub currency: Option<String>,
    /// The language in which the buyer saw Checkout, such as `de` or `pt-BR`; null or `auto` where Stripe chose.
    pub locale: Option<String>,
    /// The shop's own reference, as it came; [`Self::client_reference`] is without blanks.
    pub client_reference_id: Option<String>,
    /// Null for guests.
    pub customer: Option<CustomerId>,
    /// What the buyer typed into Checkout.
    pub customer_details: Option<CustomerDetails>,
    /// Null outside payment mode, and where there was nothing to pay.
    pub payment_intent: Option<PaymentIntentId>,
    /// Null outside subscription mode.
    pub subscription: Option<SubscriptionId>,
    /// The first invoice in subscription mode.
    pub invoice: Option<InvoiceId>,
    /// What the seller wrote on it. Nothing of it is on the payment or the charge that follow, unless the seller wrote it there.
    #[serde(default)]
    pub metadata: Metadata,
}

/// What the buyer typed into Checkout.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CustomerDetails {
    /// As it came; [`Self::email`] is without blanks.
    pub email: Option<String>,
    /// As it came; [`Self::name`] is without blanks.
    pub name: Option<String>,
}

impl StripeObject for CheckoutSession {
    const OBJECT: &'static str = "checkout.session";
}

impl CheckoutSession {
    /// The buyer's address as typed, `None` where it is missing or blank.
    pub fn email(&self) -> Option<&str> {
        self.customer_details.as_ref()?.email()
    }

    /// The buyer's name, `None` where it is missing or blank.
    pub fn name(&self) -> Option<&str> {
        self.customer_details.as_ref()?.name()
    }

    /// The shop's reference, `None` where it is missing or blank.
    pub fn client_reference(&self) -> Option<&str> {
        present(self.client_reference_id.as_deref()?)
    }
}

impl CustomerDetails {
    /// The address, `None` where it is missing or blank.
    pub fn email(&self) -> Option<&str> {
        present(self.email.as_deref()?)
    }

    /// The name, `None` where it is missing or blank.
    pub fn name(&self) -> Option<&str> {
        present(self.name.as_deref()?)
    }
}
