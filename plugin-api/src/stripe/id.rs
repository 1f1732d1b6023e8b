//! Ids of Stripe's objects, one type each, so that a customer's cannot be passed for a payment's.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// An id as it comes: the word, or the object itself where somebody expanded it.
#[derive(Deserialize)]
#[serde(untagged)]
enum IdOrObject {
    Id(String),
    Object { id: String },
}

impl IdOrObject {
    fn into_id(self) -> String {
        match self {
            Self::Id(id) | Self::Object { id } => id,
        }
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        ///
        /// It is read from the word, or from the expanded object, and used as the text that it is.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
        #[serde(from = "IdOrObject")]
        pub struct $name(String);

        impl $name {
            /// The id as text, owned.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl From<IdOrObject> for $name {
            fn from(read: IdOrObject) -> Self {
                Self(read.into_id())
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// `cs_live_…` or `cs_test_…`, of a [`super::CheckoutSession`].
    SessionId,
    /// `cus_…`
    ///
    /// ```
    /// use hookyard_plugin::stripe::CustomerId;
    ///
    /// let plain: CustomerId = serde_json::from_str(r#""cus_1""#)?;
    /// let expanded: CustomerId = serde_json::from_str(r#"{"id": "cus_1", "email": "marta@buyer.example"}"#)?;
    /// assert_eq!(plain, expanded);
    /// assert!(plain.starts_with("cus_"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    CustomerId,
    /// `pi_…`, of a [`super::PaymentIntent`].
    PaymentIntentId,
    /// `ch_…` or `py_…`, of a [`super::Charge`].
    ChargeId,
    /// `re_…` or `pyr_…`, of a [`super::Refund`].
    RefundId,
    /// `du_…` or `dp_…`, of a [`super::Dispute`].
    DisputeId,
    /// `sub_…`, of a [`super::Subscription`].
    SubscriptionId,
    /// `in_…`, of an [`super::Invoice`].
    InvoiceId,
    /// `price_…`
    PriceId,
}
