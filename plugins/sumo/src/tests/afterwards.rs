//! What follows a purchase: refunds, disputes, subscriptions and upgrades, in every order.

use super::*;

#[test]
fn any_order_of_a_refunds_events_ends_alike() {
    shuffle::any_order_ends_alike(
        bench,
        "",
        &[
            PAID,
            PAID_AGAIN,
            "17_charge_refunded_partial_sumo.json",
            "11_charge_refunded_full.json",
            "11c_refund_created.json",
            "18_refund_failed.json",
            "18b_refund_updated_failed.json",
        ],
    );
    shuffle::any_order_ends_alike(
        bench,
        "",
        &[PAID, "17_charge_refunded_partial_sumo.json", "11_charge_refunded_full.json"],
    );
}

#[test]
fn any_order_of_a_disputes_events_ends_alike() {
    let (opened, won) = ("19_charge_dispute_created_sumo.json", "19b_charge_dispute_closed_won.json");
    let (lost, back) = ("19a_charge_dispute_closed_lost.json", "19c_charge_dispute_funds_reinstated.json");
    for story in [&[PAID, opened, won][..], &[PAID, opened, lost], &[PAID, opened, lost, back]] {
        shuffle::any_order_ends_alike(bench, "", story);
    }
}

#[test]
fn any_order_of_a_subscriptions_events_ends_alike() {
    let life = [
        "14_invoice_paid_30kb.json",
        "10_checkout_completed_sumo_subscription.json",
        "12a_customer_subscription_updated_cancel_at_period_end.json",
        "22d_customer_subscription_updated_stays.json",
        "20_invoice_payment_failed.json",
        "12b_customer_subscription_updated_past_due.json",
        "20b_customer_subscription_updated_active.json",
        "20a_invoice_paid_renewal.json",
        "22_customer_subscription_updated_unpaid.json",
        "12_customer_subscription_deleted.json",
    ];
    for events in [6, 8, 9, 10] {
        shuffle::any_order_ends_alike(bench, "", &life[..events]);
    }
    shuffle::any_order_ends_alike(
        bench,
        "",
        &[
            "10_checkout_completed_sumo_subscription.json",
            "22a_customer_subscription_paused.json",
            "22b_customer_subscription_resumed.json",
            "22c_customer_subscription_updated_tier.json",
        ],
    );
    shuffle::any_order_ends_alike(
        bench,
        "",
        &[
            "21_invoice_payment_paid.json",
            "14_invoice_paid_30kb.json",
            "10_checkout_completed_sumo_subscription.json",
            "21a_charge_refunded_subscription.json",
        ],
    );
}

#[test]
fn any_order_of_two_purchases_and_their_refunds_ends_alike() {
    shuffle::any_order_ends_alike(
        bench,
        "",
        &[
            PAID,
            "25_checkout_completed_sumo_upgrade.json",
            "25a_charge_refunded_upgrade.json",
            "17_charge_refunded_partial_sumo.json",
        ],
    );
}

#[test]
fn any_order_of_a_delayed_payments_events_ends_alike() {
    for story in [
        ["02_checkout_completed_sumo_unpaid_delayed.json", "03_checkout_async_payment_succeeded_sumo.json"],
        ["04a_checkout_completed_sumo_unpaid_then_fails.json", "04_checkout_async_payment_failed_sumo.json"],
    ] {
        shuffle::any_order_ends_alike(bench, "", &story);
    }
}

#[test]
fn an_upgrade_takes_the_place_of_what_it_replaces_as_long_as_it_stands() {
    for shop in Shop::both() {
        let catalogue =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/tiers.toml")).unwrap();
        let tiers = shop.path("tiers.toml");
        std::fs::write(&tiers, catalogue.replace("[tier.tier_3]", "[tier.tier_3]\nreplaces = [\"tier_2\"]"))
            .unwrap();
        let mut settings = shop.settings();
        settings["tiers"] = json!(tiers);
        let bench = Bench::new::<Sumo>(&settings);
        let states = || shop.text("SELECT MIN(status) || ' ' || MAX(status) FROM subscriptions").unwrap();
        bench.deliver(&fixture(PAID));
        bench.deliver(&fixture("25_checkout_completed_sumo_upgrade.json"));
        assert_eq!(states(), "active superseded");
        assert_eq!(shop.number("SELECT quantity FROM access WHERE feature = 'projects'"), 250);
        bench.deliver(&fixture("25a_charge_refunded_upgrade.json"));
        assert_eq!(states(), "active refunded");
        assert_eq!(shop.number("SELECT quantity FROM access WHERE feature = 'projects'"), 150);
    }
}

#[test]
fn what_follows_says_which_entitlements_it_changed() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        let early = bench.deliver(&fixture("17_charge_refunded_partial_sumo.json"));
        assert_eq!(said(&early), "ignore not_known");
        assert!(early.message.contains("pi_3TK2xTY2xA6bznBRkirAgsXO"), "{}", early.message);
        bench.deliver(&fixture(PAID));
        let refund = bench.deliver(&fixture("11_charge_refunded_full.json"));
        let entitlement = &refund.result.unwrap()["entitlements"][0];
        assert_eq!((&entitlement["id"], &entitlement["user_id"]), (&json!(1), &json!(1)), "{entitlement}");
        assert_eq!((&entitlement["status"], &entitlement["access"]), (&json!("refunded"), &json!({})));
    }
}

#[test]
fn facts_of_nobodys_go_after_their_time_and_those_of_a_purchase_stay() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        bench.deliver(&fixture(PAID));
        bench.deliver(&fixture("11_charge_refunded_full.json"));
        bench.deliver(&fixture("12_customer_subscription_deleted.json"));
        assert_eq!(shop.number("SELECT count(*) FROM stripe_facts"), 2);
        let late = fixture("15_charge_dispute_created.json");
        let kept = u64::try_from(facts::UNUSED_KEPT.as_millis()).unwrap();
        let late = TestEvent { received_unix_ms: late.received_unix_ms + kept + 1, ..late };
        bench.deliver(&late);
        let kinds = "SELECT MIN(kind) || ' ' || MAX(kind) FROM stripe_facts";
        assert_eq!(shop.text(kinds).unwrap(), "charge dispute", "the subscription's is gone");
    }
}
