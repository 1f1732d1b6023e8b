//! The promise that order does not matter: a story's events, shuffled and doubled as chance will have it, end with the same
//! rows and the same mails as in order. `HOOKYARD_ORDERS=1000` tries that many orders of each story; included by the tests
//! of sumo and direct.

use hookyard_fulfilment::database::Database;
use hookyard_plugin::testkit::{Bench, Said, TestEvent, event_id};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::shop::{self, Shop, fixture};

/// Orders of each story on SQLite; PostgreSQL has a tenth.
const ORDERS: u32 = 60;

/// What nothing may change: everything but times, row numbers, and which event or which of a user's purchases was first.
const ROWS: [&str; 6] = [
    "SELECT 'user ' || email || ' ' || COALESCE(name, '-') || ' ' || source FROM users ORDER BY 1",
    "SELECT 'purchase ' || session_id || ' ' || tier || ' ' || quantity FROM purchases ORDER BY 1",
    "SELECT 'stands ' || session_id || ' ' || tier || ' ' || quantity || ' ' || status || ' ' || refunded || ' ' || disputed \
     || ' ' || COALESCE(ends_at, 0) FROM subscriptions ORDER BY 1",
    "SELECT 'access ' || session_id || ' ' || feature || ' ' || quantity FROM access ORDER BY 1",
    "SELECT 'order ' || id || ' ' || status || ' ' || refunded || ' ' || disputed || ' ' || COALESCE(payment_intent, '-') \
     FROM orders ORDER BY 1",
    "SELECT 'mail ' || kind || ' ' || recipient || ' ' || state FROM mails ORDER BY 1",
];

/// Where in the story, and whether as another event of Stripe's or as the same one again.
type Order = Vec<(usize, bool)>;

/// Tries the story on both databases; `before` is what the shop itself wrote before.
pub(crate) fn any_order_ends_alike(bench: impl Fn(&Shop) -> Bench, before: &'static str, story: &[&str]) {
    let orders = std::env::var("HOOKYARD_ORDERS").map_or(ORDERS, |orders| orders.parse().unwrap());
    for (shop, orders) in Shop::both().into_iter().zip([orders, orders.div_ceil(10)]) {
        let (bench, database) = (bench(&shop), shop.database());
        let told = |order: &Order, run: usize| end(&bench, &database, before, story, order, run);
        let in_order: Order = (0..story.len()).map(|place| (place, false)).collect();
        let expected = told(&in_order, 0);
        assert!(
            expected.iter().any(|row| row.starts_with("mail ")) || !story[0].starts_with("01"),
            "{expected:#?}"
        );
        let mut runner =
            TestRunner::new(Config { cases: orders, failure_persistence: None, ..Config::default() });
        let run = std::cell::Cell::new(0);
        let outcome = runner.run(&shuffled(story.len()), |order| {
            run.set(run.get() + 1);
            prop_assert_eq!(&told(&order, run.get()), &expected);
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{story:?}: {error}");
        }
    }
}

/// Every event at least once, some twice, in any order.
fn shuffled(events: usize) -> impl Strategy<Value = Order> {
    let again = prop::collection::vec((0..events, any::<bool>()), 0..=events);
    again.prop_flat_map(move |again| {
        let once = (0..events).map(|place| (place, false));
        Just(once.chain(again).collect::<Order>()).prop_shuffle()
    })
}

fn end(
    bench: &Bench,
    database: &Database,
    before: &'static str,
    story: &[&str],
    order: &Order,
    run: usize,
) -> Vec<String> {
    shop::clear(database);
    if !before.is_empty() {
        database.run(database.execute(before, &[])).unwrap();
    }
    for (place, another) in order {
        let event = fixture(story[*place]);
        let event = TestEvent { id: event_id(&format!("{run}-{another}-{}", event.id)), ..event };
        let delivered = bench.deliver(&event);
        assert!(
            matches!(delivered.outcome, Said::Done | Said::Ignore),
            "{}: {}",
            story[*place],
            delivered.message
        );
    }
    ROWS.iter().flat_map(|sql| lines(database, sql)).collect()
}

fn lines(database: &Database, sql: &'static str) -> Vec<String> {
    let rows: Vec<(String,)> = database.run(sqlx::query_as(sql).fetch_all(database.pool())).unwrap();
    rows.into_iter().map(|(line,)| line).collect()
}
