//! The stories of the fixtures, orders that come late, come twice or do not match, and the places to die in.
//! Real databases (SQLite and PostgreSQL), real mail files, the plugin's real descriptor.

use std::sync::atomic::{AtomicUsize, Ordering};

use hookyard_plugin::testkit::{Bench, TestEvent, event_id};
use serde_json::json;

use super::*;
use shop::{Shop, changed, fixture, said};

#[path = "../../fulfilment/testing/postgres.rs"]
mod postgres;
#[path = "../../fulfilment/testing/shop.rs"]
mod shop;
#[path = "../../fulfilment/testing/shuffle.rs"]
mod shuffle;

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
        ("04_checkout_async_payment_failed_sumo.json", "retry order_missing", [0; 3]),
        ("08_checkout_completed_sumo_customer_null.json", "retry order_missing", [0; 3]),
        ("11b_charge_refunded_partial.json", "ignore not_known", [0; 3]),
        ("15_charge_dispute_created.json", "ignore not_known", [0; 3]),
        ("16_unhandled_type.json", "reject not_a_checkout_session", [0; 3]),
    ];
    for ((name, expected, rows), shop) in
        stories.into_iter().flat_map(|story| Shop::both().map(|shop| (story, shop)))
    {
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
    for shop in Shop::both() {
        let bench = bench(&shop);
        shop.execute(ORDER_06);
        let delivered = bench.deliver(&fixture(BY_REFERENCE));
        assert_eq!(delivered.result.unwrap()["order"], "order-2026-000417");
        let order = "SELECT payment_intent || ' ' || paid_by_event || ' ' || stripe_session_id FROM orders";
        let expected = format!(
            "pi_3ToyCvEU9259XxebXDCchuV0 {} cs_live_a1bftOZ1lIJMF7RvwVs2qEKbQWAS0T1hi0aZTx35qP3kGpsGpL2Yfx1DxO",
            fixture(BY_REFERENCE).id
        );
        assert_eq!(shop.text(order).unwrap(), expected);
        let mail = &shop.mails()[0];
        assert!(mail.contains("116.10 USD") && mail.contains("order-2026-000417"), "{mail}");
    }
}

#[test]
fn an_order_that_commits_after_its_event_is_found_by_the_retry() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        let early = bench.deliver(&fixture(BY_SESSION));
        assert_eq!(said(&early), "retry order_missing");
        assert!(early.message.contains("cs_live_a1DirectOrderPending0001"), "{}", early.message);
        shop.execute(ORDER_05);
        assert_eq!(said(&bench.deliver(&fixture(BY_SESSION))), "done");
        assert_eq!(counts(&shop), [1, 1, 1]);
    }
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
    for ((fields, order), shop) in
        ways.into_iter().flat_map(|way| Shop::both().map(|shop| (way.clone(), shop)))
    {
        let bench = bench(&shop);
        shop.execute(order);
        assert_eq!(said(&bench.deliver(&changed(BY_SESSION, &fields))), "done", "{fields}");
        assert_eq!(counts(&shop), [1, 1, 1]);
    }
}

#[test]
fn a_payment_of_another_sum_pays_nothing_and_both_figures_are_told() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        shop.execute(ORDER_05);
        for fields in
            [json!({"amount_total": 2800}), json!({"currency": "eur"}), json!({"amount_total": null})]
        {
            let delivered = bench.deliver(&changed(BY_SESSION, &fields));
            assert_eq!(said(&delivered), "reject amount_mismatch");
            assert!(delivered.message.contains("over 2900 usd"), "{}", delivered.message);
        }
        let cheap = bench.deliver(&changed(BY_SESSION, &json!({"amount_total": 2800})));
        assert!(cheap.message.contains("2800 usd"), "{}", cheap.message);
        assert_eq!(counts(&shop), [0; 3]);
    }
}

#[test]
fn a_second_event_of_the_session_finds_the_order_paid() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        shop.execute(ORDER_05);
        bench.deliver(&fixture(BY_SESSION));
        let second = bench.deliver(&TestEvent { id: event_id("second"), ..fixture(BY_SESSION) });
        assert_eq!(said(&second), "done");
        assert_eq!(second.message, format!("already paid by {}", fixture(BY_SESSION).id));
        assert_eq!(counts(&shop), [1, 1, 1]);
    }
}

#[test]
fn a_second_session_for_a_paid_order_is_money_to_give_back() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        shop.execute(ORDER_06);
        bench.deliver(&fixture(BY_REFERENCE));
        let other =
            TestEvent { id: event_id("other"), ..changed(BY_REFERENCE, &json!({"id": "cs_live_other"})) };
        let delivered = bench.deliver(&other);
        assert_eq!(said(&delivered), "reject paid_twice");
        assert!(delivered.message.contains("cs_live_other"), "{}", delivered.message);
        assert_eq!(counts(&shop), [1, 1, 1]);
    }
}

#[test]
fn what_the_shop_did_to_an_order_itself_is_respected() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        shop.execute(ORDER_05);
        shop.execute("UPDATE orders SET status = 'paid'");
        let delivered = bench.deliver(&fixture(BY_SESSION));
        assert_eq!(
            (said(&delivered).as_str(), delivered.message.as_str()),
            ("done", "already paid by the shop")
        );
        shop.execute("UPDATE orders SET status = 'cancelled'");
        assert_eq!(said(&bench.deliver(&fixture(BY_SESSION))), "reject order_not_pending");
        assert!(shop.mails().is_empty());
    }
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
    for shop in Shop::both() {
        let hosts = [bench(&shop), bench(&shop)];
        shop.execute(ORDER_05);
        let mailed = AtomicUsize::new(0);
        let gate = std::sync::Barrier::new(32);
        std::thread::scope(|scope| {
            for number in 0..32 {
                let (host, gate, mailed) = (&hosts[number % 2], &gate, &mailed);
                let event = TestEvent { id: event_id(&format!("event {number}")), ..fixture(BY_SESSION) };
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
}

#[test]
fn a_receipt_that_cannot_go_is_sent_by_the_retry() {
    for shop in Shop::both() {
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
}

#[test]
fn a_crash_between_receipt_and_record_sends_the_same_file_again() {
    for shop in Shop::both() {
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
}

#[test]
fn a_crash_anywhere_leaves_one_paid_order_and_one_receipt() {
    let shop = Shop::new();
    let bench = bench(&shop);
    shop.execute(ORDER_05);
    let crashes = bench.crash_at_every_call(&fixture(BY_SESSION), |again| {
        assert_eq!(said(again), "done", "{}", again.message);
        assert_eq!(counts(&shop), [1, 1, 1]);
        shop.clear();
        shop.execute(ORDER_05);
    });
    assert!(crashes > 4, "the receipt's step is begun and ended, and each has two moments");
}

#[test]
fn any_order_of_an_orders_events_ends_alike() {
    let refunds = [
        BY_SESSION,
        "11b_charge_refunded_partial.json",
        "15_charge_dispute_created.json",
        "24a_charge_dispute_closed_lost_direct.json",
        "24_charge_refunded_full_direct.json",
    ];
    for events in 2..=5 {
        shuffle::any_order_ends_alike(bench, ORDER_05, &refunds[..events]);
    }
    let delayed = [
        "23a_checkout_completed_direct_unpaid.json",
        "23_checkout_expired_direct.json",
        "23b_checkout_async_payment_failed_direct.json",
        "23c_checkout_async_payment_succeeded_direct.json",
    ];
    for events in 2..=4 {
        shuffle::any_order_ends_alike(bench, ORDER_05, &delayed[..events]);
    }
}

#[test]
fn a_session_that_ends_does_not_end_an_order_that_waits_for_another() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        shop.execute("INSERT INTO orders (id, stripe_session_id) VALUES ('o', 'cs_live_another')");
        let expired = changed("23_checkout_expired_direct.json", &json!({"client_reference_id": "o"}));
        assert_eq!(said(&bench.deliver(&expired)), "done");
        assert_eq!(shop.text("SELECT status FROM orders").unwrap(), "pending");
    }
}

#[test]
fn a_state_of_the_shops_own_is_left_alone() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        shop.execute(ORDER_05);
        bench.deliver(&fixture(BY_SESSION));
        shop.execute("UPDATE orders SET status = 'shipped'");
        let refund = bench.deliver(&fixture("24_charge_refunded_full_direct.json"));
        assert_eq!(refund.result.unwrap()["orders"][0]["status"], "shipped");
        assert_eq!(shop.number("SELECT refunded FROM orders WHERE status = 'shipped'"), 2900);
    }
}

#[test]
fn a_setting_can_ignore_orders_that_are_not_there() {
    for shop in Shop::both() {
        let mut settings = shop.settings();
        settings["order_missing"] = json!("ignore");
        let bench = Bench::new::<Direct>(&settings);
        assert_eq!(said(&bench.deliver(&fixture(BY_SESSION))), "ignore order_missing");
        assert_eq!(said(&bench.deliver(&fixture("23_checkout_expired_direct.json"))), "ignore order_missing");
    }
}

/// A shop's own orders on PostgreSQL: numbered, with words of its own for where they stand.
const OWN_ORDERS: &str = "CREATE SCHEMA shop; CREATE TABLE shop.sales (number BIGINT PRIMARY KEY, checkout TEXT, cents BIGINT, \
    money TEXT, state TEXT NOT NULL DEFAULT 'waiting', intent TEXT, back BIGINT); \
    INSERT INTO shop.sales VALUES (5, 'cs_live_a1DirectOrderPending0001Ch96hExzIpIQftca4svm9zWxNV31eSjE8h', 2900, 'usd')";

#[test]
fn a_shops_own_orders_are_kept_by_its_own_statements() {
    let [_, shop] = Shop::both();
    let database = shop.database();
    database.run(sqlx::raw_sql(OWN_ORDERS).execute(database.pool())).unwrap();
    let mut settings = shop.settings();
    settings["statements"] = json!({
        "find_order": "SELECT number::text, checkout, cents, money, CASE state WHEN 'waiting' THEN 'pending' ELSE state END, \
            NULL::text FROM shop.sales WHERE checkout = :session",
        "pay_order": "UPDATE shop.sales SET state = 'paid', intent = :payment_intent \
            WHERE number = :order::bigint AND state = 'waiting'",
        "end_order": "UPDATE shop.sales SET state = :status WHERE number = :order::bigint AND state = 'waiting'",
        "find_paid_order": "SELECT number::text, cents, intent, NULL::text FROM shop.sales WHERE intent = :payment_intent",
        "state_order": "UPDATE shop.sales SET state = :status, back = :refunded WHERE number = :order::bigint RETURNING state",
    });
    let bench = Bench::new::<Direct>(&settings);
    for _ in 0..2 {
        let paid = bench.deliver(&fixture(BY_SESSION));
        assert_eq!(said(&paid), "done");
        assert_eq!(
            paid.result.unwrap()["mail"]["kind"],
            "receipt",
            "a retry knows its own event by the mail's row"
        );
    }
    assert_eq!(
        shop.text("SELECT state || ' ' || intent FROM shop.sales").unwrap(),
        "paid pi_3THUWNo41jlMihenXkVzlZqr"
    );
    bench.deliver(&fixture("24_charge_refunded_full_direct.json"));
    assert_eq!(shop.text("SELECT state || ' ' || back FROM shop.sales").unwrap(), "refunded 2900");
    assert_eq!(shop.mails().len(), 1);
}

#[test]
fn an_order_whose_sum_checkout_decided_is_refunded_whole_in_either_order() {
    let refund = json!({"payment_intent": "pi_3THUWNo41jlMihenXkVzlZqr", "amount": 2900});
    let refund = changed("11c_refund_created.json", &refund);
    for first in [BY_SESSION, ""] {
        for shop in Shop::both() {
            let bench = bench(&shop);
            shop.execute(
                "INSERT INTO orders (id, stripe_session_id) VALUES \
                 ('o', 'cs_live_a1DirectOrderPending0001Ch96hExzIpIQftca4svm9zWxNV31eSjE8h')",
            );
            if !first.is_empty() {
                bench.deliver(&fixture(first));
            }
            bench.deliver(&refund);
            bench.deliver(&fixture(BY_SESSION));
            assert_eq!(shop.text("SELECT status || refunded FROM orders").unwrap(), "refunded2900");
        }
    }
}
