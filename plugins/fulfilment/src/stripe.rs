//! What the plugins read of a Stripe event: a lenient, typed view of a Checkout Session.
//!
//! Every field that Stripe documents as nullable is an `Option`, fields that it may add are skipped, and its words
//! (`mode`, `payment_status`) stay text because new ones appear. A fault tells where in the body it is, never what
//! stands there: bodies hold names and addresses.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::facts::Keys;

/// An event whose object is a Checkout Session.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CheckoutEvent {
    /// The event's type, such as `checkout.session.completed`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Whether real money moved; absent only in hand-made events.
    pub livemode: Option<bool>,
    data: Data,
}

/// A Checkout Session, as far as fulfilment needs it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CheckoutSession {
    /// `cs_live_…` or `cs_test_…`: the key under which a purchase happens once.
    pub id: String,
    /// `payment`, `subscription`, `setup`, or a word of the future.
    pub mode: Option<String>,
    /// `paid`, `unpaid`, `no_payment_required`, or a word of the future.
    pub payment_status: Option<String>,
    /// In the currency's smallest unit; null in setup mode.
    pub amount_total: Option<i64>,
    /// Lowercase ISO 4217.
    pub currency: Option<String>,
    /// The language in which the buyer saw Checkout, such as `de` or `pt-BR`; null or `auto` where Stripe chose.
    pub locale: Option<String>,
    /// The shop's own reference.
    pub client_reference_id: Option<String>,
    /// Null for guests.
    pub customer: Option<Reference>,
    pub customer_details: Option<CustomerDetails>,
    /// Null outside payment mode, and where there was nothing to pay.
    pub payment_intent: Option<Reference>,
    /// Null outside subscription mode.
    pub subscription: Option<Reference>,
    /// The first invoice in subscription mode.
    pub invoice: Option<Reference>,
    metadata: Option<BTreeMap<String, Option<String>>>,
}

/// What the buyer typed into Checkout.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CustomerDetails {
    pub email: Option<String>,
    pub name: Option<String>,
}

/// Another object of Stripe's: its id, or the object itself where somebody expanded it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Reference {
    Id(String),
    Object { id: String },
}

/// Why a body is no Checkout Session event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StripeError {
    #[error("the body is not JSON (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("the event's object is not a Checkout Session; let the rule name only checkout.session.* types")]
    NotACheckoutSession,
    #[error(
        "the Checkout Session does not have the shape that Stripe documents (line {line}, column {column} of the body)"
    )]
    Shape { line: usize, column: usize },
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Data {
    object: CheckoutSession,
}

impl CheckoutEvent {
    /// Reads an event's exact body.
    pub fn parse(body: &[u8]) -> Result<Self, StripeError> {
        let any: Value = serde_json::from_slice(body)
            .map_err(|error| StripeError::NotJson { line: error.line(), column: error.column() })?;
        if any.pointer("/data/object/object").and_then(Value::as_str) != Some("checkout.session") {
            return Err(StripeError::NotACheckoutSession);
        }
        serde_json::from_slice(body)
            .map_err(|error| StripeError::Shape { line: error.line(), column: error.column() })
    }

    /// The session that the event is about.
    pub fn session(&self) -> &CheckoutSession {
        &self.data.object
    }

    /// Takes the session out.
    pub fn into_session(self) -> CheckoutSession {
        self.data.object
    }
}

impl CheckoutSession {
    /// A metadata value as it is. Blank is absent: Stripe itself drops keys that are set to "".
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let value = self.metadata.as_ref()?.get(key)?.as_deref()?;
        present(value).map(|_| value)
    }

    /// The buyer's address as typed, `None` where it is missing or blank.
    pub fn email(&self) -> Option<&str> {
        present(self.customer_details.as_ref()?.email.as_deref()?)
    }

    /// The buyer's name, `None` where it is missing or blank.
    pub fn name(&self) -> Option<&str> {
        present(self.customer_details.as_ref()?.name.as_deref()?)
    }

    /// The shop's reference, `None` where it is missing or blank.
    pub fn client_reference(&self) -> Option<&str> {
        present(self.client_reference_id.as_deref()?)
    }

    /// `cus_…`
    pub fn customer_id(&self) -> Option<&str> {
        self.customer.as_ref().map(Reference::id)
    }

    /// `pi_…`
    pub fn payment_intent_id(&self) -> Option<&str> {
        self.payment_intent.as_ref().map(Reference::id)
    }

    /// `sub_…`
    pub fn subscription_id(&self) -> Option<&str> {
        self.subscription.as_ref().map(Reference::id)
    }

    /// By which the events that follow find this session.
    pub fn keys(&self) -> Keys {
        let id =
            |reference: &Option<Reference>| reference.as_ref().map(|reference| reference.id().to_owned());
        Keys {
            payment_intent: id(&self.payment_intent),
            invoice: id(&self.invoice),
            subscription: id(&self.subscription),
        }
    }

    /// `in_…`
    pub fn invoice_id(&self) -> Option<&str> {
        self.invoice.as_ref().map(Reference::id)
    }
}

impl Reference {
    /// The id, however it came.
    pub fn id(&self) -> &str {
        match self {
            Self::Id(id) | Self::Object { id } => id,
        }
    }
}

fn present(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(session: &str) -> Vec<u8> {
        format!(r#"{{"id":"evt_1","type":"checkout.session.completed","livemode":true,"data":{{"object":{session}}}}}"#)
            .into_bytes()
    }

    #[test]
    fn every_nullable_field_may_be_null_or_absent() {
        let nulls = r#"{"id":"cs_1","object":"checkout.session","mode":null,"payment_status":null,"amount_total":null,
            "currency":null,"client_reference_id":null,"customer":null,"customer_details":null,"payment_intent":null,
            "subscription":null,"metadata":null}"#;
        let absent = r#"{"id":"cs_1","object":"checkout.session"}"#;
        for body in [nulls, absent] {
            let parsed = CheckoutEvent::parse(&event(body)).unwrap();
            let session = parsed.session();
            assert_eq!(session.id, "cs_1");
            assert_eq!((session.email(), session.name(), session.metadata("x")), (None, None, None));
            assert_eq!((session.customer_id(), session.subscription_id()), (None, None));
        }
    }

    #[test]
    fn references_are_read_as_ids_and_as_objects() {
        let body = r#"{"id":"cs_1","object":"checkout.session","customer":{"id":"cus_1","email":"x"},"payment_intent":"pi_1"}"#;
        let parsed = CheckoutEvent::parse(&event(body)).unwrap();
        assert_eq!(parsed.session().customer_id(), Some("cus_1"));
        assert_eq!(parsed.session().payment_intent_id(), Some("pi_1"));
    }

    #[test]
    fn blank_metadata_is_absent_and_a_value_that_is_no_text_is_no_absence() {
        let body = r#"{"id":"cs_1","object":"checkout.session","metadata":{"a":"  ","b":" 3 ","c":null}}"#;
        let parsed = CheckoutEvent::parse(&event(body)).unwrap();
        let session = parsed.session();
        assert_eq!(
            (session.metadata("a"), session.metadata("b"), session.metadata("c")),
            (None, Some(" 3 "), None)
        );
        let number = r#"{"id":"cs_1","object":"checkout.session","metadata":{"sumo_quantity":7}}"#;
        assert!(matches!(CheckoutEvent::parse(&event(number)), Err(StripeError::Shape { .. })));
    }

    #[test]
    fn what_is_no_session_is_named_without_its_data() {
        assert_eq!(CheckoutEvent::parse(b"{\"a\":"), Err(StripeError::NotJson { line: 1, column: 5 }));
        for body in ["[]", "null", "{}", r#"{"data":{"object":{"object":"charge"}}}"#, r#"{"data":7}"#] {
            assert_eq!(CheckoutEvent::parse(body.as_bytes()), Err(StripeError::NotACheckoutSession));
        }
        let wrong =
            event(r#"{"id":"cs_1","object":"checkout.session","amount_total":"secret@buyer.example"}"#);
        let error = CheckoutEvent::parse(&wrong).unwrap_err();
        assert!(matches!(error, StripeError::Shape { line: 1, .. }), "{error:?}");
        assert!(!error.to_string().contains("secret"));
    }
}
