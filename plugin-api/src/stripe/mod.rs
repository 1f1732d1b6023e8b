//! Typed views of Stripe's events: what fulfilment reads of them, and no more. Feature `stripe`.
//!
//! hookyard has verified the signature and stored the body before a handler sees it; these types only read it. They are
//! lenient where Stripe is: fields that are not named here are skipped, what Stripe documents as nullable is an `Option`
//! (null and absent alike), what can be expanded is read as an id or as an object, and its words stay open
//! (`Other(String)`), because new ones appear. Amounts are `i64` in the currency's smallest unit, currencies lowercase ISO 4217,
//! times Unix seconds. All of it is owned.
//!
//! ```
//! use hookyard_plugin::stripe::{CheckoutSession, PaymentStatus, StripeEvent};
//! # use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};
//! # struct Sumo;
//! # impl Handler for Sumo {
//! #     type Settings = serde_json::Value;
//! #     fn create(_: serde_json::Value, _: &Host<'_>) -> Result<Self, CreateError> { Ok(Self) }
//! fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
//!     // What is no Checkout Session is a dead letter: its bytes will never change.
//!     let session = StripeEvent::<CheckoutSession>::read(event.body())?.into_object();
//!     match session.payment_status {
//!         Some(PaymentStatus::Paid | PaymentStatus::NoPaymentRequired) => {}
//!         Some(PaymentStatus::Unpaid) => return Ok(Outcome::ignore("unpaid", "the payment is under way")),
//!         Some(PaymentStatus::Other(_)) | None => return Err(Failure::reject("status", "is that money?")),
//!     }
//!     let tier = session.metadata.get("sumo_product_tier_id").unwrap_or("free");
//!     Ok(Outcome::done().with_message(format!("{} gets {tier}", session.id)))
//! }
//! # }
//! # use hookyard_plugin::testkit::{Bench, Said, TestEvent};
//! # let bench = Bench::new::<Sumo>(&serde_json::json!({}));
//! # let body = br#"{"id":"evt_1","type":"checkout.session.completed","data":{"object":{"object":"checkout.session","id":"cs_1",
//! #     "payment_status":"paid","metadata":{"sumo_product_tier_id":"tier_2"}}}}"#;
//! # let delivered = bench.deliver(&TestEvent::new("checkout.session.completed", body));
//! # assert_eq!(delivered.message, "cs_1 gets tier_2");
//! # assert_eq!(bench.deliver(&TestEvent::new("x", b"{}")).code, "stripe_object");
//! ```

mod billing;
mod checkout;
mod id;
mod metadata;
mod payment;
mod word;

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::Failure;

pub use billing::{Invoice, InvoicePayment, Subscription, SubscriptionItem};
pub use checkout::{CheckoutSession, CustomerDetails};
pub use id::{
    ChargeId, CustomerId, DisputeId, InvoiceId, PaymentIntentId, PriceId, RefundId, SessionId, SubscriptionId,
};
pub use metadata::Metadata;
pub use payment::{Charge, Dispute, PaymentIntent, Refund};
pub use word::{
    BillingReason, CheckoutMode, DisputeStatus, PaymentIntentStatus, PaymentStatus, RefundStatus,
    SubscriptionStatus,
};

/// An event of Stripe's that is about a `T`.
///
/// To decide by the type before the object is read, read it about anything:
///
/// ```
/// use hookyard_plugin::stripe::{Charge, StripeEvent};
/// use serde::de::IgnoredAny;
///
/// let body = br#"{"id": "evt_1", "type": "charge.refunded", "created": 1794830461, "livemode": true,
///     "data": {"object": {"object": "charge", "id": "ch_1", "amount": 2900, "amount_refunded": 900}}}"#;
/// let event: StripeEvent<IgnoredAny> = serde_json::from_slice(body)?;
/// assert_eq!((&*event.event_type, event.livemode), ("charge.refunded", Some(true)));
///
/// let charge = StripeEvent::<Charge>::read(body).unwrap().into_object();
/// assert_eq!(charge.amount - charge.amount_refunded, 2000);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StripeEvent<T> {
    /// `evt_…`
    pub id: Option<String>,
    /// Such as `checkout.session.completed`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it happened, Unix seconds. Events do not come in its order.
    pub created: Option<i64>,
    /// Whether real money moved.
    pub livemode: Option<bool>,
    data: Data<T>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Data<T> {
    object: T,
}

/// An object that an event can be about.
pub trait StripeObject: DeserializeOwned {
    /// What its own field `object` says, such as `checkout.session`.
    const OBJECT: &'static str;
}

/// Why a body is no such event. It tells the place, and nothing of what stands there: bodies hold names and addresses.
///
/// Deliberately no `std::error::Error`, which `?` would make a retry: with `?` this becomes a rejection, as the bytes will
/// never change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StripeError {
    /// The body is no JSON.
    NotJson {
        /// Of the body, from 1.
        line: usize,
        /// In the line, from 1.
        column: usize,
    },
    /// The event is about something else.
    OtherObject {
        /// What was to be read.
        expected: &'static str,
    },
    /// The object is of that kind, and not as Stripe documents it.
    Shape {
        /// What was to be read.
        object: &'static str,
        /// Of the body, from 1.
        line: usize,
        /// In the line, from 1.
        column: usize,
    },
}

impl<T> StripeEvent<T> {
    /// What the event is about.
    pub fn object(&self) -> &T {
        &self.data.object
    }

    /// Takes out what the event is about.
    pub fn into_object(self) -> T {
        self.data.object
    }
}

impl<T: StripeObject> StripeEvent<T> {
    /// Reads an event's exact body.
    ///
    /// # Errors
    /// [`StripeError`], which `?` makes a rejection with the code `invalid_json`, `stripe_object` or `stripe_shape`.
    pub fn read(body: &[u8]) -> Result<Self, StripeError> {
        if object_word(body)?.as_deref() != Some(T::OBJECT) {
            return Err(StripeError::OtherObject { expected: T::OBJECT });
        }
        serde_json::from_slice(body).map_err(|error| StripeError::Shape {
            object: T::OBJECT,
            line: error.line(),
            column: error.column(),
        })
    }
}

/// What `data.object.object` says, where the body has it.
fn object_word(body: &[u8]) -> Result<Option<String>, StripeError> {
    #[derive(Deserialize)]
    struct Event {
        data: Data<Object>,
    }
    #[derive(Deserialize)]
    struct Object {
        object: String,
    }
    match serde_json::from_slice::<Event>(body) {
        Ok(event) => Ok(Some(event.data.object.object)),
        Err(error) if error.classify() == Category::Data => Ok(None),
        Err(error) => Err(StripeError::NotJson { line: error.line(), column: error.column() }),
    }
}

impl StripeError {
    /// The word for machines of the rejection that it becomes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "invalid_json",
            Self::OtherObject { .. } => "stripe_object",
            Self::Shape { .. } => "stripe_shape",
        }
    }
}

impl fmt::Display for StripeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { line, column } => {
                write!(f, "the body is not JSON (line {line}, column {column})")
            }
            Self::OtherObject { expected } => {
                write!(
                    f,
                    "the event's object is no `{expected}`; let the rule name only types that are about one"
                )
            }
            Self::Shape { object, line, column } => write!(
                f,
                "the `{object}` does not have the shape that Stripe documents (line {line}, column {column} of the body)"
            ),
        }
    }
}

impl From<StripeError> for Failure {
    fn from(error: StripeError) -> Self {
        Self::reject(error.code(), error.to_string())
    }
}
