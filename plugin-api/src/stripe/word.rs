//! Stripe's words for how its objects stand. They stay open: a new one is `Other`, with its text, for the handler to
//! decide what it takes it for.

use std::fmt;

use serde::Deserialize;

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
        #[serde(from = "String")]
        pub enum $name {
            $($(#[$word_doc])* $variant,)*
            /// A word that is not known here.
            Other(String),
        }

        impl $name {
            /// Stripe's own word.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match &*word {
                    $($word => Self::$variant,)*
                    _ => Self::Other(word),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}

words! {
    /// What a Checkout Session is for.
    CheckoutMode {
        /// One payment.
        Payment = "payment",
        /// A subscription.
        Subscription = "subscription",
        /// A payment method is saved; nothing is bought.
        Setup = "setup",
    }

    /// Whether a Checkout Session is paid. Stripe's rule is to fulfil unless it is `unpaid`; an unknown word is no money.
    ///
    /// ```
    /// use hookyard_plugin::stripe::PaymentStatus;
    ///
    /// let word = |word: &str| PaymentStatus::from(word.to_owned());
    /// assert_eq!(word("paid"), PaymentStatus::Paid);
    /// assert_eq!(word("in_escrow"), PaymentStatus::Other("in_escrow".to_owned()));
    /// assert_eq!(word("in_escrow").as_str(), "in_escrow");
    /// ```
    PaymentStatus {
        /// The money is there.
        Paid = "paid",
        /// A delayed payment is under way, or failed.
        Unpaid = "unpaid",
        /// There was nothing to pay.
        NoPaymentRequired = "no_payment_required",
    }

    /// How a payment stands.
    PaymentIntentStatus {
        /// It waits for a payment method.
        RequiresPaymentMethod = "requires_payment_method",
        /// It waits to be confirmed.
        RequiresConfirmation = "requires_confirmation",
        /// It waits for the buyer, such as for a bank's confirmation.
        RequiresAction = "requires_action",
        /// A delayed payment is under way.
        Processing = "processing",
        /// It is authorised and not captured.
        RequiresCapture = "requires_capture",
        /// It was given up.
        Canceled = "canceled",
        /// The money is there.
        Succeeded = "succeeded",
    }

    /// How a refund stands.
    RefundStatus {
        /// Under way.
        Pending = "pending",
        /// It waits for the buyer.
        RequiresAction = "requires_action",
        /// The money went back.
        Succeeded = "succeeded",
        /// The money is still here.
        Failed = "failed",
        /// The money is still here.
        Canceled = "canceled",
    }

    /// How a dispute stands.
    DisputeStatus {
        /// An inquiry that waits for an answer.
        WarningNeedsResponse = "warning_needs_response",
        /// An inquiry that the bank looks at.
        WarningUnderReview = "warning_under_review",
        /// An inquiry that came to nothing.
        WarningClosed = "warning_closed",
        /// It waits for an answer.
        NeedsResponse = "needs_response",
        /// The bank looks at it.
        UnderReview = "under_review",
        /// It was kept from becoming one.
        Prevented = "prevented",
        /// The money is back.
        Won = "won",
        /// The money is gone.
        Lost = "lost",
    }

    /// How a subscription stands.
    SubscriptionStatus {
        /// The first payment is awaited, 23 hours long.
        Incomplete = "incomplete",
        /// The first payment never came.
        IncompleteExpired = "incomplete_expired",
        /// In its trial.
        Trialing = "trialing",
        /// Paid.
        Active = "active",
        /// A renewal is not paid, and is tried again.
        PastDue = "past_due",
        /// A renewal is not paid, and is not tried again.
        Unpaid = "unpaid",
        /// Ended.
        Canceled = "canceled",
        /// Its trial ended without a payment method.
        Paused = "paused",
    }

    /// Why an invoice was made.
    BillingReason {
        /// The first of a subscription.
        SubscriptionCreate = "subscription_create",
        /// A renewal.
        SubscriptionCycle = "subscription_cycle",
        /// A change within a period.
        SubscriptionUpdate = "subscription_update",
        /// Usage beyond a threshold.
        SubscriptionThreshold = "subscription_threshold",
        /// By hand.
        Manual = "manual",
    }
}
