//! The typed views of Stripe's events: over every fixture, whose values are held against the same body read without types, and
//! over what Stripe documents that no fixture has.
#![cfg(feature = "stripe")]
#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is the test's failure")]

use std::fs;
use std::path::Path;

use hookyard_plugin::Failure;
use hookyard_plugin::stripe::{
    BillingReason, Charge, CheckoutMode, CheckoutSession, Dispute, DisputeStatus, Invoice, InvoicePayment,
    PaymentIntent, PaymentStatus, Refund, RefundStatus, StripeError, StripeEvent, StripeObject, Subscription,
    SubscriptionStatus,
};
use serde_json::{Value, json};

/// The fixtures' names and bodies.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let mut fixtures: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("INDEX.json"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    fixtures.sort();
    assert!(fixtures.len() > 50);
    fixtures
}

fn read<T: StripeObject>(body: &[u8]) -> StripeEvent<T> {
    StripeEvent::read(body).unwrap_or_else(|error| panic!("{error}"))
}

fn id(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["id"].as_str())
}

/// Holds a view to the object as it stands in the body.
fn same(event_type: &str, body: &[u8], raw: &Value) -> bool {
    match raw["object"].as_str().unwrap_or_default() {
        "checkout.session" => session(&read::<CheckoutSession>(body).into_object(), raw),
        "charge" => charge(&read::<Charge>(body).into_object(), raw),
        "refund" => refund(&read::<Refund>(body).into_object(), raw),
        "dispute" => dispute(&read::<Dispute>(body).into_object(), raw),
        "subscription" => subscription(&read::<Subscription>(body).into_object(), raw),
        "invoice" => invoice(&read::<Invoice>(body).into_object(), raw),
        "invoice_payment" => {
            let paid = read::<InvoicePayment>(body).into_object();
            assert_eq!(Some(&*paid.invoice), id(&raw["invoice"]));
            assert_eq!(paid.payment_intent().map(|id| &**id), id(&raw["payment"]["payment_intent"]));
        }
        other => {
            assert!(
                ["", "payment_method"].contains(&other),
                "{event_type} is about a {other}, which has no view"
            );
            return false;
        }
    }
    true
}

fn session(view: &CheckoutSession, raw: &Value) {
    assert_eq!(Some(&*view.id), id(&raw["id"]));
    assert_eq!(view.mode.as_ref().map(CheckoutMode::as_str), raw["mode"].as_str());
    assert!(!matches!(view.mode, None | Some(CheckoutMode::Other(_))));
    assert_eq!(view.payment_status.as_ref().map(PaymentStatus::as_str), raw["payment_status"].as_str());
    assert!(!matches!(view.payment_status, None | Some(PaymentStatus::Other(_))));
    assert_eq!(view.amount_total, raw["amount_total"].as_i64());
    assert_eq!(view.currency.as_deref(), raw["currency"].as_str());
    assert_eq!(view.locale.as_deref(), raw["locale"].as_str());
    assert_eq!(view.client_reference(), raw["client_reference_id"].as_str());
    assert_eq!(view.customer.as_deref(), id(&raw["customer"]));
    assert_eq!(view.payment_intent.as_deref(), id(&raw["payment_intent"]));
    assert_eq!(view.subscription.as_deref(), id(&raw["subscription"]));
    assert_eq!(view.invoice.as_deref(), id(&raw["invoice"]));
    assert_eq!(view.email(), raw["customer_details"]["email"].as_str());
    assert_eq!(view.name(), raw["customer_details"]["name"].as_str());
    for key in ["sumo_campaign_id", "sumo_product_tier_id", "sumo_quantity", "order_id"] {
        assert_eq!(view.metadata.get(key), raw["metadata"][key].as_str(), "{key}");
    }
}

fn charge(view: &Charge, raw: &Value) {
    assert_eq!(Some(&*view.id), id(&raw["id"]));
    assert_eq!(view.payment_intent.as_deref(), id(&raw["payment_intent"]));
    assert_eq!(
        (Some(view.amount), Some(view.amount_refunded)),
        (raw["amount"].as_i64(), raw["amount_refunded"].as_i64())
    );
    assert_eq!(
        (view.amount_captured, view.currency.as_deref()),
        (raw["amount_captured"].as_i64(), raw["currency"].as_str())
    );
}

fn refund(view: &Refund, raw: &Value) {
    assert_eq!(Some(&*view.id), id(&raw["id"]));
    assert_eq!(view.payment_intent.as_deref(), id(&raw["payment_intent"]));
    assert_eq!(
        (Some(view.amount), view.currency.as_deref()),
        (raw["amount"].as_i64(), raw["currency"].as_str())
    );
    assert_eq!(view.status.as_ref().map(RefundStatus::as_str), raw["status"].as_str());
    assert_eq!(view.has_failed(), raw["status"] == "failed");
}

fn dispute(view: &Dispute, raw: &Value) {
    assert_eq!(Some(&*view.id), id(&raw["id"]));
    assert_eq!(view.payment_intent.as_deref(), id(&raw["payment_intent"]));
    assert_eq!((view.amount, view.currency.as_deref()), (raw["amount"].as_i64(), raw["currency"].as_str()));
    assert_eq!(Some(view.status.as_str()), raw["status"].as_str());
    assert!(!matches!(view.status, DisputeStatus::Other(_)));
}

fn subscription(view: &Subscription, raw: &Value) {
    assert_eq!(Some(&*view.id), id(&raw["id"]));
    assert_eq!(Some(view.status.as_str()), raw["status"].as_str());
    assert!(!matches!(view.status, SubscriptionStatus::Other(_)));
    assert_eq!(view.customer.as_deref(), id(&raw["customer"]));
    assert_eq!(Some(view.cancel_at_period_end), raw["cancel_at_period_end"].as_bool());
    let items = raw["items"]["data"].as_array().unwrap();
    assert_eq!(view.items().len(), items.len());
    for (view, raw) in view.items().iter().zip(items) {
        assert_eq!((view.price.as_deref(), view.quantity), (id(&raw["price"]), raw["quantity"].as_i64()));
    }
    let period_end = items.iter().filter_map(|item| item["current_period_end"].as_i64()).max();
    assert_eq!(view.period_end(), period_end);
    let at_its_end = if view.cancel_at_period_end { period_end } else { None };
    assert_eq!(view.ends_at(), raw["cancel_at"].as_i64().or(at_its_end));
    assert_eq!(view.metadata.get("sumo_quantity"), raw["metadata"]["sumo_quantity"].as_str());
}

fn invoice(view: &Invoice, raw: &Value) {
    assert_eq!(Some(&*view.id), id(&raw["id"]));
    assert_eq!(
        (view.amount_paid, Some(view.created)),
        (raw["amount_paid"].as_i64(), raw["created"].as_i64())
    );
    assert_eq!(
        (view.customer.as_deref(), view.currency.as_deref()),
        (id(&raw["customer"]), raw["currency"].as_str())
    );
    assert_eq!(view.billing_reason.as_ref().map(BillingReason::as_str), raw["billing_reason"].as_str());
    let subscription = id(&raw["parent"]["subscription_details"]["subscription"]);
    assert_eq!(view.subscription().map(|id| &**id), subscription);
}

#[test]
fn every_fixture_is_read_as_it_stands() {
    let mut read = 0;
    for (_, body) in fixtures() {
        let raw: Value = serde_json::from_slice(&body).unwrap();
        if same(raw["type"].as_str().unwrap(), &body, &raw["data"]["object"]) {
            let event: StripeEvent<serde::de::IgnoredAny> = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (event.id.as_deref(), Some(&*event.event_type)),
                (raw["id"].as_str(), raw["type"].as_str())
            );
            assert_eq!((event.created, event.livemode), (raw["created"].as_i64(), raw["livemode"].as_bool()));
            read += 1;
        }
    }
    assert!(read >= 50, "{read} fixtures have a view");
}

fn event(object: &Value) -> Vec<u8> {
    json!({ "id": "evt_1", "type": "a.b", "created": 1, "livemode": true, "data": { "object": object } })
        .to_string()
        .into_bytes()
}

#[test]
fn what_is_null_or_absent_is_none() {
    let mut whole: Value =
        serde_json::from_slice(&fixtures().into_iter().find(|(name, _)| name.starts_with("10_")).unwrap().1)
            .unwrap();
    let session = whole["data"]["object"].as_object_mut().unwrap();
    for (key, value) in session.iter_mut() {
        if !["id", "object"].contains(&&**key) {
            *value = Value::Null;
        }
    }
    let nulls = read::<CheckoutSession>(whole.to_string().as_bytes()).into_object();
    let absent = json!({ "object": "checkout.session", "id": &*nulls.id });
    let absent = read::<CheckoutSession>(&event(&absent)).into_object();
    assert_eq!(nulls, absent);
    assert_eq!((absent.email(), absent.name(), absent.client_reference()), (None, None, None));
    assert_eq!((absent.amount_total, absent.customer, absent.payment_status), (None, None, None));
}

#[test]
fn what_can_be_expanded_is_read_either_way() {
    let object = json!({ "object": "checkout.session", "id": "cs_1", "customer": { "id": "cus_1", "email": "x" },
        "payment_intent": "pi_1", "invoice": { "id": "in_1", "lines": {} } });
    let session = read::<CheckoutSession>(&event(&object)).into_object();
    let ids = (session.customer.as_deref(), session.payment_intent.as_deref(), session.invoice.as_deref());
    assert_eq!(ids, (Some("cus_1"), Some("pi_1"), Some("in_1")));
}

#[test]
fn a_new_word_of_stripes_is_kept_with_its_text() {
    let object = json!({ "object": "payment_intent", "id": "pi_1", "amount": 1, "status": "in_escrow" });
    let payment = read::<PaymentIntent>(&event(&object)).into_object();
    assert_eq!(payment.status.as_str(), "in_escrow");
    assert_eq!(payment.status.to_string(), "in_escrow");
}

#[test]
fn before_basil_the_fields_stood_elsewhere() {
    let object =
        json!({ "object": "invoice", "id": "in_1", "created": 1, "subscription": { "id": "sub_1" } });
    assert_eq!(read::<Invoice>(&event(&object)).object().subscription().map(|id| &**id), Some("sub_1"));
    let object = json!({ "object": "subscription", "id": "sub_1", "status": "active", "cancel_at_period_end": true,
        "current_period_end": 7, "items": { "data": [{ "price": "price_1", "quantity": null }] } });
    assert_eq!(read::<Subscription>(&event(&object)).object().ends_at(), Some(7));
}

#[test]
fn what_is_no_such_event_is_named_without_its_data_and_never_delivered_again() {
    let read = |body: &[u8]| StripeEvent::<CheckoutSession>::read(body).map(drop);
    assert_eq!(read(b"{\"a\":"), Err(StripeError::NotJson { line: 1, column: 5 }));
    for body in [
        "[]",
        "null",
        "{}",
        r#"{"data":{"object":{"object":"charge"}}}"#,
        r#"{"data":7}"#,
        r#"{"data":null}"#,
    ] {
        assert_eq!(
            read(body.as_bytes()),
            Err(StripeError::OtherObject { expected: "checkout.session" }),
            "{body}"
        );
    }
    let number = json!({ "object": "checkout.session", "id": "cs_1", "metadata": { "sumo_quantity": 7 } });
    assert!(
        matches!(read(&event(&number)), Err(StripeError::Shape { line: 1, .. })),
        "a number is no absence"
    );
    let wrong = json!({ "object": "checkout.session", "id": "cs_1", "amount_total": "marta@buyer.example" });
    let failure = Failure::from(read(&event(&wrong)).unwrap_err());
    assert!(failure.is_reject());
    assert_eq!(failure.code(), "stripe_shape");
    assert!(!failure.message().contains("marta"), "{}", failure.message());
}
