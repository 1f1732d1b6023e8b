//! The stories of the fixtures, orders that come late, come twice or do not match, and the places to die in.
//! Real SQLite files, real mail files, the plugin's real descriptor.

use std::sync::atomic::{AtomicUsize, Ordering};

use hookyard_plugin::testkit::{Bench, TestEvent};
use serde_json::json;

use super::*;
use shop::{Shop, changed, fixture, said};

#[path = "../../fulfilment/testing/shop.rs"]
mod shop;

const BY_SESSION: &str = "05_checkout_completed_direct_paid.json";
const BY_REFERENCE: &str = "06_checkout_completed_direct_client_reference.json";
const NO_METADATA: &str = "07_checkout_completed_metadata_null.json";

const ORDER_05: &str = "INSERT INTO orders (id, stripe_session_id, amount_total, currency) VALUES \
    ('order-5', 'cs_live_a1DirectOrderPending0001Ch96hExzIpIQftca4svm9zWxNV31eSjE8h', 2900, 'usd')";
const ORDER_06: &str =
    "INSERT INTO orders (id, amount_total, currency) VALUES ('order-2026-000417', 11610, 'usd')";
const ORDER_07: &str = "INSERT INTO orders (id, stripe_session_id) VALUES \
    ('order-7', 'cs_live_a17bvMp3jfcD8uzhNN3KnQFcurmIdjh5tYTXMRsSQTEM4vbxPEEUlVQxH8')";

fn bench(shop: &Shop) -> Bench {
    Bench::new::<Direct>(&shop.settings())
}

/// orders paid, mails sent, mails on disk
fn counts(shop: &Shop) -> [i64; 3] {
    [
        shop.number("SELECT count(*) FROM orders WHERE status = 'paid' AND paid_at IS NOT NULL"),
        shop.number("SELECT count(*) FROM mails WHERE state = 'sent'"),
        i64::try_from(shop.mails().len()).unwrap(),
    ]
}

#[test]
fn every_story_ends_as_its_fixture_says() {
    let stories = [
        (BY_SESSION, "done", [1, 1, 1]),
        (BY_REFERENCE, "done", [1, 1, 1]),
        (NO_METADATA, "done", [1, 1, 1]),
        ("10c_checkout_completed_setup_mode.json", "ignore setup_mode", [0; 3]),
        ("02_checkout_completed_sumo_unpaid_delayed.json", "ignore awaiting_payment", [0; 3]),
        ("04_checkout_async_payment_failed_sumo.json", "ignore payment_failed", [0; 3]),
        ("08_checkout_completed_sumo_customer_null.json", "retry order_missing", [0; 3]),
        ("11b_charge_refunded_partial.json", "reject not_a_checkout_session", [0; 3]),
        ("15_charge_dispute_created.json", "reject not_a_checkout_session", [0; 3]),
    ];
    for (name, expected, rows) in stories {
        let shop = Shop::new();
        let bench = bench(&shop);
        for order in [ORDER_05, ORDER_06, ORDER_07] {
            shop.execute(order);
        }
        let delivered = bench.deliver(&fixture(name));
        assert_eq!(said(&delivered), expected, "{name}: {}", delivered.message);
        assert_eq!(counts(&shop), rows, "{name}");
    }
}

#[test]
fn the_order_knows_what_paid_it_and_the_receipt_says_how_much() {
    let shop = Shop::new();
    let bench = bench(&shop);
    shop.execute(ORDER_06);
    let delivered = bench.deliver(&fixture(BY_REFERENCE));
    assert_eq!(delivered.result.unwrap()["order"], "order-2026-000417");
    let order = "SELECT payment_intent || ' ' || paid_by_event || ' ' || stripe_session_id FROM orders";
    let expected = "pi_3ToyCvEU9259XxebXDCchuV0 hookyard-evt_1TpavHOXPQnbGi9gKVHijEUf \
        cs_live_a1bftOZ1lIJMF7RvwVs2qEKbQWAS0T1hi0aZTx35qP3kGpsGpL2Yfx1DxO";
    assert_eq!(shop.text(order).unwrap(), expected);
    let mail = &shop.mails()[0];
    assert!(mail.contains("116.10 USD") && mail.contains("order-2026-000417"), "{mail}");
}

#[test]
fn an_order_that_commits_after_its_event_is_found_by_the_retry() {
    let shop = Shop::new();
    let bench = bench(&shop);
    let early = bench.deliver(&fixture(BY_SESSION));
    assert_eq!(said(&early), "retry order_missing");
    assert!(early.message.contains("cs_live_a1DirectOrderPending0001"), "{}", early.message);
    shop.execute(ORDER_05);
    assert_eq!(said(&bench.deliver(&fixture(BY_SESSION))), "done");
    assert_eq!(counts(&shop), [1, 1, 1]);
}

#[test]
fn an_order_is_found_by_each_of_the_shops_words() {
    let ways = [
        (
            json!({"client_reference_id": "ref-1", "metadata": null}),
            "INSERT INTO orders (id, client_reference) VALUES ('o', 'ref-1')",
        ),
        (json!({"client_reference_id": "o", "metadata": {}}), "INSERT INTO orders (id) VALUES ('o')"),
        (
            json!({"client_reference_id": null, "metadata": {"order_id": "o"}}),
            "INSERT INTO orders (id) VALUES ('o')",
        ),
        (
            json!({"client_reference_id": "else", "metadata": {"order_id": "o"}}),
            "INSERT INTO orders (id) VALUES ('o')",
        ),
    ];
    for (fields, order) in ways {
        let shop = Shop::new();
        let bench = bench(&shop);
        shop.execute(order);
        assert_eq!(said(&bench.deliver(&changed(BY_SESSION, &fields))), "done", "{fields}");
        assert_eq!(counts(&shop), [1, 1, 1]);
    }
}

#[test]
fn a_payment_of_another_sum_pays_nothing_and_both_figures_are_told() {
    let shop = Shop::new();
    let bench = bench(&shop);
    shop.execute(ORDER_05);
    for fields in [json!({"amount_total": 2800}), json!({"currency": "eur"}), json!({"amount_total": null})] {
        let delivered = bench.deliver(&changed(BY_SESSION, &fields));
        assert_eq!(said(&delivered), "reject amount_mismatch");
        assert!(delivered.message.contains("over 2900 usd"), "{}", delivered.message);
    }
    let cheap = bench.deliver(&changed(BY_SESSION, &json!({"amount_total": 2800})));
    assert!(cheap.message.contains("2800 usd"), "{}", cheap.message);
    assert_eq!(counts(&shop), [0; 3]);
}

#[test]
fn a_second_event_of_the_session_finds_the_order_paid() {
    let shop = Shop::new();
    let bench = bench(&shop);
    shop.execute(ORDER_05);
    bench.deliver(&fixture(BY_SESSION));
    let second = bench.deliver(&TestEvent { id: "second".to_owned(), ..fixture(BY_SESSION) });
    assert_eq!(said(&second), "done");
    assert_eq!(second.message, format!("already paid by {}", fixture(BY_SESSION).id));
    assert_eq!(counts(&shop), [1, 1, 1]);
}

#[test]
fn a_second_session_for_a_paid_order_is_money_to_give_back() {
    let shop = Shop::new();
    let bench = bench(&shop);
    shop.execute(ORDER_06);
    bench.deliver(&fixture(BY_REFERENCE));
    let other =
        TestEvent { id: "other".to_owned(), ..changed(BY_REFERENCE, &json!({"id": "cs_live_other"})) };
    let delivered = bench.deliver(&other);
    assert_eq!(said(&delivered), "reject paid_twice");
    assert!(delivered.message.contains("cs_live_other"), "{}", delivered.message);
    assert_eq!(counts(&shop), [1, 1, 1]);
}

#[test]
fn what_the_shop_did_to_an_order_itself_is_respected() {
    let shop = Shop::new();
    let bench = bench(&shop);
    shop.execute(ORDER_05);
    shop.execute("UPDATE orders SET status = 'paid'");
    let delivered = bench.deliver(&fixture(BY_SESSION));
    assert_eq!((said(&delivered).as_str(), delivered.message.as_str()), ("done", "already paid by the shop"));
    shop.execute("UPDATE orders SET status = 'cancelled'");
    assert_eq!(said(&bench.deliver(&fixture(BY_SESSION))), "reject order_not_pending");
    assert!(shop.mails().is_empty());
}

#[test]
fn without_an_address_the_order_is_paid_and_the_operator_told() {
    for email in [json!(null), json!("  "), json!("marta.quental")] {
        let shop = Shop::new();
        let bench = bench(&shop);
        shop.execute(ORDER_05);
        let event = changed(BY_SESSION, &json!({"customer_details/email": email}));
        for _ in 0..2 {
            let delivered = bench.deliver(&event);
            assert_eq!(said(&delivered), "done");
            assert!(delivered.message.contains("no receipt went"), "{}", delivered.message);
        }
        assert_eq!(counts(&shop), [1, 0, 0]);
    }
}

#[test]
fn thirty_two_events_of_one_session_at_once_in_two_hosts_pay_once() {
    let shop = Shop::new();
    let hosts = [bench(&shop), bench(&shop)];
    shop.execute(ORDER_05);
    let mailed = AtomicUsize::new(0);
    let gate = std::sync::Barrier::new(32);
    std::thread::scope(|scope| {
        for number in 0..32 {
            let (host, gate, mailed) = (&hosts[number % 2], &gate, &mailed);
            let event = TestEvent { id: format!("event-{number}"), ..fixture(BY_SESSION) };
            scope.spawn(move || {
                gate.wait();
                let delivered = host.deliver(&event);
                assert_eq!(said(&delivered), "done");
                mailed.fetch_add(delivered.steps.len(), Ordering::SeqCst);
            });
        }
    });
    assert_eq!(mailed.load(Ordering::SeqCst), 1, "only the event that won sends the mail");
    assert_eq!(counts(&shop), [1, 1, 1]);
}

#[test]
fn a_receipt_that_cannot_go_is_sent_by_the_retry() {
    let shop = Shop::new();
    let down = Bench::new::<Direct>(&shop.settings_without_mail());
    shop.execute(ORDER_05);
    assert_eq!(said(&down.deliver(&fixture(BY_SESSION))), "retry mail");
    assert_eq!(counts(&shop), [1, 0, 0]);
    shop.execute("UPDATE orders SET status = 'shipped'");
    assert_eq!(
        said(&bench(&shop).deliver(&fixture(BY_SESSION))),
        "done",
        "shipping does not lose the receipt"
    );
    assert_eq!(shop.mails().len(), 1);
}

#[test]
fn a_crash_between_receipt_and_record_sends_the_same_file_again() {
    let shop = Shop::new();
    let first = bench(&shop);
    shop.execute(ORDER_05);
    first.deliver(&fixture(BY_SESSION));
    let before = shop.mails();
    shop.execute("UPDATE mails SET state = 'pending', sent_at = NULL");
    let restarted = bench(&shop);
    restarted.make_unsure(&fixture(BY_SESSION).id, "mail");
    assert_eq!(said(&restarted.deliver(&fixture(BY_SESSION))), "done");
    assert_eq!(shop.mails(), before);
    assert_eq!(counts(&shop), [1, 1, 1]);
}
