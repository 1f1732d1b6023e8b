//! The stories of the fixtures, and the ways in which the same purchase can arrive twice or be cut short.
//! Real databases (SQLite and PostgreSQL), real mail files, the plugin's real descriptor.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hookyard_fulfilment::admit::admit;
use hookyard_plugin::testkit::{Bench, TestEvent, event_id};
use serde_json::json;

use super::*;
use shop::{Shop, changed, fixture, said};

mod afterwards;
mod own_tables;
#[path = "../../fulfilment/testing/postgres.rs"]
mod postgres;
#[path = "../../fulfilment/testing/shop.rs"]
mod shop;
#[path = "../../fulfilment/testing/shuffle.rs"]
mod shuffle;

const PAID: &str = "01_checkout_completed_sumo_paid.json";
const PAID_AGAIN: &str = "01b_checkout_completed_sumo_paid_second_event.json";

fn with_tiers(mut settings: Value) -> Value {
    settings["tiers"] = json!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/tiers.toml"));
    settings
}

fn bench(shop: &Shop) -> Bench {
    Bench::new::<Sumo>(&with_tiers(shop.settings()))
}

/// users, purchases, subscriptions, access rows, mails sent, mails on disk
fn counts(shop: &Shop) -> [i64; 6] {
    [
        shop.number("SELECT count(*) FROM users"),
        shop.number("SELECT count(*) FROM purchases"),
        shop.number("SELECT count(*) FROM subscriptions"),
        shop.number("SELECT count(*) FROM access"),
        shop.number("SELECT count(*) FROM mails WHERE state = 'sent'"),
        i64::try_from(shop.mails().len()).unwrap(),
    ]
}

const NOTHING: [i64; 6] = [0; 6];
/// One purchase of tier_2: two features.
const PLUS: [i64; 6] = [1, 1, 1, 2, 1, 1];

#[test]
fn every_story_ends_as_its_fixture_says() {
    let stories = [
        (PAID, "done", PLUS),
        ("02_checkout_completed_sumo_unpaid_delayed.json", "ignore awaiting_payment", NOTHING),
        ("03_checkout_async_payment_succeeded_sumo.json", "done", [1, 1, 1, 4, 1, 1]),
        ("04a_checkout_completed_sumo_unpaid_then_fails.json", "ignore awaiting_payment", NOTHING),
        ("04_checkout_async_payment_failed_sumo.json", "ignore payment_failed", NOTHING),
        ("08_checkout_completed_sumo_customer_null.json", "done", PLUS),
        ("09_checkout_completed_sumo_email_null.json", "reject email_missing", NOTHING),
        ("10_checkout_completed_sumo_subscription.json", "done", [1, 1, 1, 5, 1, 1]),
        ("10b_checkout_completed_sumo_no_payment_required.json", "done", PLUS),
        ("10c_checkout_completed_setup_mode.json", "ignore setup_mode", NOTHING),
        ("10d_checkout_completed_sumo_testmode.json", "done", PLUS),
        ("10e_checkout_completed_connect_account.json", "done", PLUS),
        ("07_checkout_completed_metadata_null.json", "reject tier_missing", NOTHING),
        ("11_charge_refunded_full.json", "ignore not_known", NOTHING),
        ("14_invoice_paid_30kb.json", "ignore not_known", NOTHING),
        ("16_unhandled_type.json", "reject not_a_checkout_session", NOTHING),
        ("26_checkout_expired_sumo.json", "ignore session_expired", NOTHING),
    ];
    for ((name, expected, rows), shop) in
        stories.into_iter().flat_map(|story| Shop::both().map(|shop| (story, shop)))
    {
        let delivered = bench(&shop).deliver(&fixture(name));
        assert_eq!(said(&delivered), expected, "{name}: {}", delivered.message);
        assert_eq!(counts(&shop), rows, "{name}");
    }
    let thin = TestEvent::new("v1.checkout.session.completed", br#"{"object":"v2.core.event","data":null}"#);
    assert_eq!(said(&bench(&Shop::new()).deliver(&thin)), "reject not_a_checkout_session");
}

#[test]
fn a_purchase_is_recorded_as_stripe_told_it() {
    let shop = Shop::new();
    let delivered = bench(&shop).deliver(&fixture("10_checkout_completed_sumo_subscription.json"));
    let user = "SELECT email || ' ' || name || ' ' || stripe_customer_id || ' ' || source FROM users";
    assert_eq!(shop.text(user).unwrap(), "marta.quental@buyer.example Marta Quental cus_kyTwbptHioyrTG sumo");
    let subscription =
        "SELECT stripe_subscription_id || ' ' || tier || ' ' || quantity || ' ' || status FROM subscriptions";
    assert_eq!(shop.text(subscription).unwrap(), "sub_1Toz8BWpVdSVh5tKCbPWYEaK tier_pro 5 active");
    let purchase = "SELECT campaign || ' ' || product || ' ' || sumo_user_id || ' ' || amount_total || ' ' || currency \
        || ' ' || livemode || ' ' || coalesce(payment_intent, 'none') || ' ' || addons FROM purchases";
    assert_eq!(
        shop.text(purchase).unwrap(),
        "camp_yic4oh7dkn prod_32ffkn2o user_fdyns7fig 9500 usd 1 none [{\"id\":\"addon_extra_seats\",\"quantity\":2}]"
    );
    let result = delivered.result.unwrap();
    let access =
        json!({"api_access": 1, "priority_support": 1, "projects": 500, "seats": 5, "storage_gb": 1000});
    assert_eq!(result["access"], access);
    assert_eq!(result["user_id"], 1);
    let access =
        "SELECT group_concat(feature || '=' || quantity) FROM (SELECT * FROM access ORDER BY feature)";
    assert_eq!(
        shop.text(access).unwrap(),
        "api_access=1,priority_support=1,projects=500,seats=5,storage_gb=1000"
    );
    let times = "SELECT count(*) FROM users WHERE created_at GLOB '20??-??-??T??:??:??.???Z'";
    assert_eq!(shop.number(times), 1);
}

#[test]
fn a_second_event_for_one_session_does_nothing() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        bench.deliver(&fixture(PAID));
        let second = bench.deliver(&fixture(PAID_AGAIN));
        assert_eq!(said(&second), "done");
        assert_eq!(second.message, format!("already fulfilled by {}", fixture(PAID).id));
        assert!(second.steps.is_empty(), "the first event's delivery owns the mail");
        assert_eq!(counts(&shop), PLUS);
    }
}

#[test]
fn unpaid_then_paid_is_fulfilled_once_and_writes_the_name_right() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        let unpaid = bench.deliver(&fixture("02_checkout_completed_sumo_unpaid_delayed.json"));
        assert_eq!((said(&unpaid).as_str(), counts(&shop)), ("ignore awaiting_payment", NOTHING));
        let paid = fixture("03_checkout_async_payment_succeeded_sumo.json");
        assert_eq!(said(&bench.deliver(&paid)), "done");
        assert_eq!(said(&bench.deliver(&paid)), "done");
        assert_eq!(counts(&shop), [1, 1, 1, 4, 1, 1]);
        assert_eq!(shop.text("SELECT email FROM users").unwrap(), "jürgen.weiß@buyer.example");
    }
}

#[test]
fn somebody_who_was_here_before_gets_the_other_mail() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        bench.deliver(&fixture("08_checkout_completed_sumo_customer_null.json"));
        assert_eq!(shop.number("SELECT count(*) FROM users WHERE stripe_customer_id IS NULL"), 1);
        let again = changed(PAID, &json!({"customer_details/email": " Marta.Quental@Buyer.Example "}));
        let delivered = bench.deliver(&again);
        assert_eq!(delivered.result.unwrap()["mail"]["kind"], "new_subscription");
        assert_eq!(counts(&shop), [1, 2, 2, 4, 2, 2]);
        assert_eq!(shop.text("SELECT stripe_customer_id FROM users").unwrap(), "cus_BKnCfK2vuAiSDM");
        let subjects: Vec<_> = shop
            .mails()
            .iter()
            .filter_map(|eml| eml.lines().find(|line| line.starts_with("Subject: ")).map(str::to_owned))
            .collect();
        assert!(subjects.contains(&"Subject: Welcome to hookyard".to_owned()), "{subjects:?}");
        assert!(subjects.contains(&"Subject: Your new hookyard plan: Plus".to_owned()), "{subjects:?}");
    }
}

#[test]
fn faulty_data_is_a_dead_letter_and_changes_nothing() {
    let cases = [
        (json!({"customer_details": null}), "reject email_missing"),
        (json!({"customer_details/email": "  "}), "reject email_missing"),
        (json!({"customer_details/email": "marta.quental"}), "reject email_invalid"),
        (json!({"metadata/sumo_quantity": "3x"}), "reject quantity_invalid"),
        (json!({"metadata/sumo_product_tier_id": "tier_99"}), "reject tier_unknown"),
        (json!({"metadata/sumo_product_tier_id": ""}), "reject tier_missing"),
        (json!({"metadata/sumo_addons": "{}"}), "reject addons_invalid"),
        (json!({"payment_status": "maybe"}), "reject payment_status_unknown"),
    ];
    for shop in Shop::both() {
        let bench = bench(&shop);
        for (fields, expected) in &cases {
            assert_eq!(said(&bench.deliver(&changed(PAID, fields))), *expected);
        }
        let unknown = bench.deliver(&changed(PAID, &json!({"metadata/sumo_product_tier_id": "tier_99"})));
        assert!(
            unknown.message.contains("tier_99") && unknown.message.contains("tiers.toml"),
            "{}",
            unknown.message
        );
        assert_eq!(counts(&shop), NOTHING);
    }
}

#[test]
fn one_subscription_cannot_be_sold_by_two_sessions() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        bench.deliver(&fixture("10_checkout_completed_sumo_subscription.json"));
        let other = changed(PAID, &json!({"subscription": "sub_1Toz8BWpVdSVh5tKCbPWYEaK"}));
        assert_eq!(said(&bench.deliver(&other)), "reject subscription_taken");
        assert_eq!(shop.number("SELECT count(*) FROM purchases"), 1);
    }
}

#[test]
fn a_live_handler_grants_nothing_for_test_money() {
    for shop in Shop::both() {
        let mut settings = with_tiers(shop.settings());
        settings["livemode"] = json!(true);
        let bench = Bench::new::<Sumo>(&settings);
        let test = bench.deliver(&fixture("10d_checkout_completed_sumo_testmode.json"));
        assert_eq!((said(&test).as_str(), counts(&shop)), ("ignore test_mode", NOTHING));
        assert_eq!(said(&bench.deliver(&fixture(PAID))), "done");
    }
}

#[test]
fn thirty_two_events_of_one_session_at_once_in_two_hosts_make_one_purchase() {
    for shop in Shop::both() {
        let hosts = [bench(&shop), bench(&shop)];
        let mailed = AtomicUsize::new(0);
        let gate = std::sync::Barrier::new(32);
        std::thread::scope(|scope| {
            for number in 0..32 {
                let (host, gate, mailed) = (&hosts[number % 2], &gate, &mailed);
                let event = TestEvent { id: event_id(&format!("event {number}")), ..fixture(PAID) };
                scope.spawn(move || {
                    gate.wait();
                    let delivered = host.deliver(&event);
                    assert_eq!(said(&delivered), "done");
                    mailed.fetch_add(delivered.steps.len(), Ordering::SeqCst);
                });
            }
        });
        assert_eq!(mailed.load(Ordering::SeqCst), 1, "only the event that won sends the mail");
        assert_eq!(counts(&shop), PLUS);
    }
}

#[test]
fn one_event_thirty_two_times_at_once_is_one_purchase_and_one_mail_file() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        let gate = std::sync::Barrier::new(32);
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    gate.wait();
                    assert_eq!(said(&bench.deliver(&fixture(PAID))), "done");
                });
            }
        });
        assert_eq!(counts(&shop), PLUS);
    }
}

#[test]
fn different_buyers_at_once_do_not_get_in_each_others_way() {
    for shop in Shop::both() {
        let bench = bench(&shop);
        std::thread::scope(|scope| {
            for number in 0..16 {
                let bench = &bench;
                scope.spawn(move || {
                    let fields = json!({"id": format!("cs_{number}"), "customer_details/email": format!("b{}@x.example", number / 2)});
                    let event = TestEvent { id: event_id(&format!("event {number}")), ..changed(PAID, &fields) };
                    assert_eq!(said(&bench.deliver(&event)), "done");
                });
            }
        });
        assert_eq!(counts(&shop), [8, 16, 16, 32, 16, 16]);
        assert_eq!(shop.number("SELECT count(*) FROM mails WHERE kind = 'welcome'"), 8);
    }
}

/// A future that is dropped after some polls: what a process that dies in the middle leaves behind.
struct Cut<'a, F> {
    work: Pin<&'a mut F>,
    polls: usize,
}

impl<F: Future> Future for Cut<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.work.as_mut().poll(context).map(Some)
    }
}

#[test]
fn a_transaction_cut_anywhere_leaves_all_or_nothing_and_the_retry_finishes_it() {
    let shop = Shop::new();
    let bench = bench(&shop);
    let tiers =
        Tiers::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/tiers.toml").as_ref()).unwrap();
    let purchase = Purchase::read(admit(&fixture(PAID).body, None).unwrap(), &tiers).unwrap();
    let own = Own::default();
    let mut cuts = 0;
    loop {
        let database = shop.database();
        let id = fixture(PAID).id;
        let cut = database.run(async {
            let work = pin!(provision(&database, &tiers, &own, &purchase, &id, "localhost.localdomain"));
            Cut { work, polls: cuts }.await
        });
        drop(database);
        let [users, purchases, subscriptions, access, ..] = counts(&shop);
        let whole = [users, purchases, subscriptions, access / 2];
        assert!(whole == [0; 4] || whole == [1; 4], "after {cuts} polls: {whole:?}");
        if cut.is_some() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 5, "the transaction has more places to die in than {cuts}");
    assert_eq!(said(&bench.deliver(&fixture(PAID))), "done");
    assert_eq!(counts(&shop), PLUS);
}

#[test]
fn a_mail_that_cannot_go_is_sent_by_the_retry_with_nothing_granted_twice() {
    for shop in Shop::both() {
        let down = Bench::new::<Sumo>(&with_tiers(shop.settings_without_mail()));
        for _ in 0..2 {
            assert_eq!(said(&down.deliver(&fixture(PAID))), "retry mail");
            assert_eq!(counts(&shop), [1, 1, 1, 2, 0, 0]);
        }
        assert_eq!(said(&bench(&shop).deliver(&fixture(PAID))), "done");
        assert_eq!(counts(&shop), PLUS);
        assert!(shop.mails()[0].contains("Welcome to"), "a retry does not turn the new user into an old one");
    }
}

#[test]
fn a_crash_between_mail_and_record_sends_the_same_file_again() {
    for shop in Shop::both() {
        bench(&shop).deliver(&fixture(PAID));
        let before = shop.mails();
        shop.execute("UPDATE mails SET state = 'pending', sent_at = NULL");
        let restarted = bench(&shop);
        restarted.make_unsure(&fixture(PAID).id, "mail");
        assert_eq!(said(&restarted.deliver(&fixture(PAID))), "done");
        assert_eq!(shop.mails(), before);
        assert_eq!(counts(&shop), PLUS);
    }
}

#[test]
fn a_crash_anywhere_leaves_one_purchase_and_one_mail() {
    let shop = Shop::new();
    let crashes = bench(&shop).crash_at_every_call(&fixture(PAID), |again| {
        assert_eq!(said(again), "done", "{}", again.message);
        assert_eq!(counts(&shop), PLUS);
        shop.clear();
    });
    assert!(crashes > 4, "the mail's step is begun and ended, and each has two moments");
}

#[test]
fn a_mail_whose_step_or_row_says_sent_is_not_sent_again() {
    for shop in Shop::both() {
        let bench_of_first = bench(&shop);
        bench_of_first.deliver(&fixture(PAID));
        std::fs::remove_dir_all(shop.path("mail")).unwrap();
        shop.execute("UPDATE mails SET state = 'pending', sent_at = NULL");
        assert_eq!(said(&bench_of_first.deliver(&fixture(PAID))), "done", "the step remembers");
        assert_eq!(counts(&shop), [1, 1, 1, 2, 1, 0]);
        assert_eq!(said(&bench(&shop).deliver(&fixture(PAID))), "done", "the row remembers");
        assert_eq!(counts(&shop), [1, 1, 1, 2, 1, 0]);
    }
}

#[test]
fn wrong_settings_are_told_in_a_sentence() {
    let shop = Shop::new();
    let mut no_tiers = shop.settings();
    no_tiers["tiers"] = json!("/nowhere/tiers.toml");
    let mut typo = with_tiers(shop.settings());
    typo["databse"] = json!("x");
    let mut mysql = with_tiers(shop.settings());
    mysql["database"] = json!("mysql://localhost/x");
    let mut table = with_tiers(shop.settings());
    table["database"] = json!({"url": "sqlite:x.db", "tables": {"users": "users; --"}});
    let mistakes = [
        (no_tiers, "/nowhere/tiers.toml"),
        (typo, "unknown field `databse`"),
        (mysql, "neither a SQLite file"),
        (table, "is no name for a table"),
    ];
    for (settings, expected) in mistakes {
        let error = Bench::try_new::<Sumo>(&settings, &[]).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
