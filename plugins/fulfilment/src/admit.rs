//! The guards that stand before any fulfilment, the same for every flow: is this a Checkout Session, is it ours, is it
//! paid? Called first by each plugin's `handle`; pure, so nothing has happened yet when one of them says no.

use hookyard_plugin::stripe::{CheckoutMode, CheckoutSession, PaymentStatus, StripeError, StripeEvent};

use crate::fault::{Fault, word};

/// A session that is to be fulfilled: paid, or with nothing to pay.
#[derive(Debug, Clone, PartialEq)]
pub struct Admitted {
    pub session: CheckoutSession,
    /// Whether real money moved.
    pub livemode: bool,
}

/// Reads the body and lets only what must be fulfilled pass.
///
/// `livemode` is the handler's setting: `Some(true)` admits live events only, `Some(false)` test events only, `None`
/// both. Errors: `invalid_json`, `not_a_checkout_session`, `session_shape` (rejected); `test_mode`, `live_mode`,
/// `setup_mode`, `payment_failed`, `session_expired`,
/// `awaiting_payment` (ignored); `payment_status_unknown` (rejected).
pub fn admit(body: &[u8], livemode: Option<bool>) -> Result<Admitted, Fault> {
    let event = session(body)?;
    let live = right_mode(event.livemode, livemode)?;
    if event.object().mode == Some(CheckoutMode::Setup) {
        return Err(Fault::ignore(
            "setup_mode",
            "the session only saved a payment method; nothing was bought",
        ));
    }
    if event.event_type == "checkout.session.async_payment_failed" {
        return Err(Fault::ignore("payment_failed", "the delayed payment failed; nothing is granted"));
    }
    if event.event_type == "checkout.session.expired" {
        return Err(Fault::ignore("session_expired", "the session ended unpaid; nothing is granted"));
    }
    paid(event.object())?;
    Ok(Admitted { session: event.into_object(), livemode: live })
}

/// Reads the body as an event about a Checkout Session. Errors: `invalid_json`, `not_a_checkout_session`, `session_shape`
/// (rejected).
pub fn session(body: &[u8]) -> Result<StripeEvent<CheckoutSession>, Fault> {
    StripeEvent::read(body).map_err(|error| Fault::reject(code(&error), error.to_string()))
}

/// Keeps test money out of a live handler, and live money out of a test one. Whether real money moved.
pub(crate) fn right_mode(event: Option<bool>, livemode: Option<bool>) -> Result<bool, Fault> {
    let live = event.unwrap_or(false);
    match livemode {
        Some(true) if !live => {
            Err(Fault::ignore("test_mode", "a test event; this handler takes only live ones"))
        }
        Some(false) if live => {
            Err(Fault::ignore("live_mode", "a live event; this handler takes only test ones"))
        }
        _ => Ok(live),
    }
}

/// Stripe's rule: fulfil exactly when the payment status is not `unpaid`; but a word that we do not know is not money.
fn paid(session: &CheckoutSession) -> Result<(), Fault> {
    match &session.payment_status {
        Some(PaymentStatus::Paid | PaymentStatus::NoPaymentRequired) => Ok(()),
        Some(PaymentStatus::Unpaid) => Err(Fault::ignore(
            "awaiting_payment",
            "the payment is still under way; checkout.session.async_payment_succeeded will bring it",
        )),
        Some(PaymentStatus::Other(other)) => Err(Fault::reject(
            "payment_status_unknown",
            format!(
                "payment_status `{}` is none that this plugin knows; look the session up at Stripe",
                word(other)
            ),
        )),
        None => Err(Fault::reject("payment_status_unknown", "the session has no payment_status")),
    }
}

fn code(error: &StripeError) -> &'static str {
    match error {
        StripeError::NotJson { .. } => "invalid_json",
        StripeError::OtherObject { .. } => "not_a_checkout_session",
        StripeError::Shape { .. } => "session_shape",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(event_type: &str, live: bool, mode: &str, status: &str) -> Vec<u8> {
        serde_json::json!({"type": event_type, "livemode": live, "data": {"object": {
            "id": "cs_1", "object": "checkout.session", "mode": mode, "payment_status": status }}})
        .to_string()
        .into_bytes()
    }

    fn verdict(body: &[u8], livemode: Option<bool>) -> &'static str {
        match admit(body, livemode) {
            Ok(_) => "admitted",
            Err(fault) => fault.code(),
        }
    }

    #[test]
    fn only_what_is_paid_passes() {
        const COMPLETED: &str = "checkout.session.completed";
        let known = [
            (COMPLETED, "payment", "paid", "admitted"),
            (COMPLETED, "subscription", "paid", "admitted"),
            (COMPLETED, "payment", "no_payment_required", "admitted"),
            (COMPLETED, "payment", "unpaid", "awaiting_payment"),
            (COMPLETED, "setup", "no_payment_required", "setup_mode"),
            (COMPLETED, "payment", "partially_paid", "payment_status_unknown"),
            ("checkout.session.async_payment_succeeded", "payment", "paid", "admitted"),
            ("checkout.session.async_payment_failed", "payment", "unpaid", "payment_failed"),
            ("checkout.session.async_payment_failed", "payment", "paid", "payment_failed"),
        ];
        for (event_type, mode, status, expected) in known {
            assert_eq!(
                verdict(&body(event_type, true, mode, status), None),
                expected,
                "{event_type} {mode} {status}"
            );
        }
    }

    #[test]
    fn the_livemode_setting_keeps_test_money_out() {
        let live = body("checkout.session.completed", true, "payment", "paid");
        let test = body("checkout.session.completed", false, "payment", "paid");
        assert_eq!((verdict(&live, Some(true)), verdict(&test, Some(true))), ("admitted", "test_mode"));
        assert_eq!((verdict(&live, Some(false)), verdict(&test, Some(false))), ("live_mode", "admitted"));
        assert_eq!((verdict(&live, None), verdict(&test, None)), ("admitted", "admitted"));
    }

    #[test]
    fn what_is_no_session_is_rejected() {
        assert_eq!(verdict(b"not json", None), "invalid_json");
        assert_eq!(verdict(b"{}", None), "not_a_checkout_session");
        let shape = br#"{"type":"x","data":{"object":{"object":"checkout.session"}}}"#;
        assert_eq!(verdict(shape, None), "session_shape");
    }
}
