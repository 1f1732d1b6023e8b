//! Every story of fixtures/INDEX.json that sumo and direct own, on SQLite and on PostgreSQL: posted as Stripe posts, signed
//! by the official SDK, and read back from the database and a real mail server. What follows a purchase: `afterwards`.

use serde_json::Value;
use sqlx::AnyPool;

use crate::mail_server;
use crate::stripe::{Poster, fixture, prefixes};
use crate::yard::{Engine, Yard, rows};

/// What a story left behind.
#[derive(Debug, PartialEq, Eq)]
struct World {
    /// e-mail, Stripe customer
    users: Vec<String>,
    /// tier, quantity, Stripe subscription, payment intent or not
    purchases: Vec<String>,
    /// Rows in `access`, for any feature.
    access: usize,
    /// kind, recipient, state
    mails: Vec<String>,
    /// Mails that the server took.
    taken: usize,
    /// handler, state, and the code of the last attempt
    deliveries: Vec<String>,
    unrouted: u64,
}

/// Posts each fixture once, in order, each settled before the next, on both databases, and reads the world: the same.
async fn story(fixtures: &[&str]) -> World {
    let [sqlite, postgres] = Engine::BOTH.map(|engine| told(engine, fixtures));
    let (sqlite, postgres) = tokio::join!(sqlite, postgres);
    assert_eq!(sqlite, postgres, "SQLite and PostgreSQL end alike");
    sqlite
}

async fn told(engine: Engine, fixtures: &[&str]) -> World {
    let mut yard = Yard::shop(engine);
    let poster = yard.start().await;
    for (posted, prefix) in fixtures.iter().enumerate() {
        let answer = poster.post(&fixture(prefix)).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &Value::from("accepted")), "{prefix}");
        yard.wait_until_settled(posted as u64 + 1).await;
    }
    world(&yard).await
}

async fn world(yard: &Yard) -> World {
    let database = yard.database().await;
    let counts = yard.ask(&["status"])["counts"].clone();
    World {
        users: rows(&database, "SELECT email, stripe_customer_id FROM users ORDER BY id").await,
        purchases: purchases(&database).await,
        access: rows(&database, "SELECT feature FROM access").await.len(),
        mails: rows(&database, "SELECT kind, recipient, state FROM mails ORDER BY created_at, message_id")
            .await,
        taken: mail_server::shared().taken_from(&yard.sender()).len(),
        deliveries: deliveries(yard),
        unrouted: counts["unrouted"].as_u64().unwrap(),
    }
}

async fn purchases(database: &AnyPool) -> Vec<String> {
    let query = "SELECT p.tier, s.quantity, s.status, s.stripe_subscription_id, p.payment_intent IS NOT NULL
                 FROM purchases p JOIN subscriptions s USING (session_id) ORDER BY p.created_at";
    rows(database, query).await
}

/// Oldest first: `handler state code`.
fn deliveries(yard: &Yard) -> Vec<String> {
    let list = yard.ask(&["deliveries", "list", "--oldest", "--limit", "100"]);
    let row = |delivery: &Value| {
        let event = yard.event(delivery["event"].as_str().unwrap());
        let tries = event["deliveries"][0]["tries"].as_array().unwrap();
        let code = tries.last().map_or("", |attempt| attempt["code"].as_str().unwrap());
        let (handler, state) = (delivery["handler"].as_str().unwrap(), delivery["state"].as_str().unwrap());
        format!("{handler} {state} {code}").trim_end().to_owned()
    };
    list["rows"].as_array().unwrap().iter().map(row).collect()
}

fn assert_nothing_granted(world: &World) {
    assert!(world.users.is_empty() && world.purchases.is_empty() && world.mails.is_empty(), "{world:#?}");
    assert_eq!((world.access, world.taken), (0, 0));
}

const MARTA: &str = "marta.quental@buyer.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_sumo_checkout_makes_a_customer() {
    let world = story(&["01"]).await;
    assert_eq!(world.users, [format!("{MARTA}|cus_BKnCfK2vuAiSDM")]);
    assert_eq!(world.purchases, ["tier_2|3|active||1"]);
    assert!(world.access > 0);
    assert_eq!(world.mails, [format!("welcome|{MARTA}|sent")]);
    assert_eq!((world.taken, world.deliveries), (1, vec!["sumo delivered".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_event_for_one_session_changes_nothing() {
    let world = story(&["01", "01b"]).await;
    assert_eq!((world.users.len(), world.purchases.len(), world.mails.len(), world.taken), (1, 1, 1, 1));
    assert_eq!(world.deliveries.len(), 2, "two Events, two deliveries: {world:#?}");
    assert!(world.deliveries.iter().all(|delivery| delivery.starts_with("sumo delivered")), "{world:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_checkout_grants_nothing_until_it_is_paid() {
    assert_nothing_granted(&story(&["02"]).await);
    let world = story(&["02", "03"]).await;
    assert_eq!(world.users.len(), 1);
    assert!(world.users[0].starts_with("jürgen.weiß@buyer.example|"), "{world:#?}");
    assert_eq!(world.purchases.len(), 1);
    assert!(world.purchases[0].starts_with("tier_3|1|active"), "{world:#?}");
    assert_eq!(world.mails, ["welcome|jürgen.weiß@buyer.example|sent"]);
    assert_eq!(world.deliveries, ["sumo ignored awaiting_payment", "sumo delivered"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_checkout_that_fails_grants_nothing() {
    let world = story(&["04a", "04"]).await;
    assert_nothing_granted(&world);
    assert_eq!(world.deliveries, ["sumo ignored awaiting_payment", "sumo ignored payment_failed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sumo_checkout_that_nobody_finishes_grants_nothing() {
    let world = story(&["26"]).await;
    assert_nothing_granted(&world);
    assert_eq!(world.deliveries, ["sumo ignored session_expired"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_user_gets_the_new_subscription_mail() {
    let world = story(&["01", "08"]).await;
    assert_eq!(world.users.len(), 1);
    assert_eq!(world.purchases, ["tier_2|3|active||1", "tier_2|1|active||1"]);
    assert_eq!(world.mails, [format!("welcome|{MARTA}|sent"), format!("new_subscription|{MARTA}|sent")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_without_a_customer_is_served() {
    let world = story(&["08"]).await;
    assert_eq!(world.users, [format!("{MARTA}|")]);
    assert_eq!(world.purchases.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_email_is_a_dead_letter_and_no_loop() {
    let world = story(&["09"]).await;
    assert_nothing_granted(&world);
    assert_eq!(world.deliveries, ["sumo dead email_missing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscription_mode_and_free_checkouts_are_fulfilled() {
    let world = story(&["10"]).await;
    assert_eq!(world.purchases, ["tier_pro|5|active|sub_1Toz8BWpVdSVh5tKCbPWYEaK|0"]);
    let world = story(&["10b"]).await;
    assert_eq!(world.purchases, ["tier_2|1|active||0"]);
    assert_eq!(world.taken, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_mode_fulfils_nothing() {
    let world = story(&["10c"]).await;
    assert_nothing_granted(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_installation_grants_nothing_for_test_money() {
    for engine in Engine::BOTH {
        let mut yard = Yard::shop(engine);
        yard.edit_config(|text| text.replace("livemode = \"any\"", "livemode = \"live\""));
        let poster = yard.start().await;
        assert_eq!(poster.post(&fixture("10d")).await.status, 200);
        yard.wait_until_settled(1).await;
        let world = world(&yard).await;
        assert_nothing_granted(&world);
        assert_eq!(world.unrouted, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_accounts_checkout_is_an_event_of_its_own() {
    let world = story(&["10e"]).await;
    assert_eq!((world.purchases.len(), world.taken), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn types_that_no_rule_names_are_kept_unrouted() {
    let others = ["13", "13b", "16", "23a"];
    let world = story(&others).await;
    assert_nothing_granted(&world);
    assert_eq!(world.unrouted, others.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_checkout_pays_its_order_once() {
    for (engine, prefix, find_by) in [
        (Engine::Sqlite, "05", "stripe_session_id"),
        (Engine::Postgres, "05", "stripe_session_id"),
        (Engine::Sqlite, "06", "client_reference"),
        (Engine::Postgres, "06", "client_reference"),
    ] {
        let mut yard = Yard::shop(engine);
        let poster = yard.start().await;
        pending_order(&yard, prefix, find_by).await;
        poster.post(&fixture(prefix)).await;
        yard.wait_until_settled(1).await;
        assert_paid_once(&yard).await;
        assert_eq!(deliveries(&yard), ["direct delivered"], "{prefix}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_null_goes_to_direct() {
    for engine in Engine::BOTH {
        let mut yard = Yard::shop(engine);
        let poster = yard.start().await;
        pending_order(&yard, "07", "stripe_session_id").await;
        poster.post(&fixture("07")).await;
        yard.wait_until_settled(1).await;
        assert_paid_once(&yard).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_commits_after_its_event_is_found_by_a_retry() {
    for engine in Engine::BOTH {
        let mut yard = Yard::shop(engine);
        let poster = yard.start().await;
        let event = poster.post(&fixture("05")).await.event();
        yard.wait_for_counts("tried once", |counts| counts["pending"] == 1 && counts["leased"] == 0).await;
        wait_for_first_try(&yard, &event).await;
        pending_order(&yard, "05", "stripe_session_id").await;
        yard.wait_until_settled(1).await;
        assert_paid_once(&yard).await;
        let tries = yard.event(&event)["deliveries"][0]["tries"].as_array().unwrap().clone();
        assert_eq!(
            (tries[0]["outcome"].as_str(), tries[0]["code"].as_str()),
            (Some("retry"), Some("order_missing"))
        );
        assert_eq!(tries.last().unwrap()["outcome"], "done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_copies_at_once_are_one_event_and_one_purchase() {
    for engine in Engine::BOTH {
        let mut yard = Yard::shop(engine);
        let poster = yard.start().await;
        let posts: Vec<_> = (0..32)
            .map(|_| {
                let poster = poster.clone();
                tokio::spawn(async move { poster.post(&fixture("01")).await })
            })
            .collect();
        let mut words = Vec::new();
        let mut ids = Vec::new();
        for post in posts {
            let answer = post.await.unwrap();
            assert_eq!(answer.status, 200);
            ids.push(answer.event());
            words.push(answer.body["status"].as_str().unwrap().to_owned());
        }
        ids.dedup();
        assert_eq!(ids.len(), 1, "one event id: {ids:?}");
        assert_eq!(words.iter().filter(|word| *word == "accepted").count(), 1);
        yard.wait_until_settled(1).await;
        let world = world(&yard).await;
        assert_eq!((world.users.len(), world.purchases.len(), world.taken), (1, 1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_events_of_one_session_at_once_are_one_purchase() {
    for engine in Engine::BOTH {
        let mut yard = Yard::shop(engine);
        let poster = yard.start().await;
        let post = |prefix: &'static str, poster: Poster| async move { poster.post(&fixture(prefix)).await };
        let (first, second) = tokio::join!(post("01", poster.clone()), post("01b", poster));
        assert_ne!(first.event(), second.event());
        yard.wait_until_settled(2).await;
        let world = world(&yard).await;
        assert_eq!((world.users.len(), world.purchases.len(), world.mails.len(), world.taken), (1, 1, 1, 1));
    }
}

/// Each recorded event is part of a story here or in `afterwards`: one that is added without a story is seen.
#[test]
fn every_recorded_event_has_its_story() {
    let told = [include_str!("stories.rs"), include_str!("afterwards.rs")].concat();
    for prefix in prefixes() {
        assert!(told.contains(&format!("\"{prefix}\"")), "{prefix} is in no story");
    }
}

/// What the shop does before it sends the buyer to Checkout.
async fn pending_order(yard: &Yard, prefix: &str, find_by: &str) {
    let event: Value = serde_json::from_slice(&fixture(prefix)).unwrap();
    let session = &event["data"]["object"];
    let key = match find_by {
        "stripe_session_id" => session["id"].as_str(),
        _ => session["client_reference_id"].as_str(),
    };
    let database = yard.database().await;
    let insert = match find_by {
        "stripe_session_id" => {
            "INSERT INTO orders (id, stripe_session_id, amount_total, currency) VALUES ('order-1', $1, $2, $3)"
        }
        _ => {
            "INSERT INTO orders (id, client_reference, amount_total, currency) VALUES ('order-1', $1, $2, $3)"
        }
    };
    sqlx::query(insert)
        .bind(key.unwrap().to_owned())
        .bind(session["amount_total"].as_i64())
        .bind(session["currency"].as_str().map(str::to_owned))
        .execute(&database)
        .await
        .unwrap();
}

async fn assert_paid_once(yard: &Yard) {
    let database = yard.database().await;
    let orders =
        rows(&database, "SELECT status, payment_intent IS NOT NULL, paid_at IS NOT NULL FROM orders").await;
    assert_eq!(orders, ["paid|1|1"]);
    assert_eq!(rows(&database, "SELECT kind, state FROM mails").await, ["receipt|sent"]);
    assert_eq!(mail_server::shared().taken_from(&yard.sender()).len(), 1);
}

async fn wait_for_first_try(yard: &Yard, event: &str) {
    while yard.event(event)["deliveries"][0]["tries"].as_array().is_none_or(Vec::is_empty) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
