//! What follows a purchase, on SQLite and on PostgreSQL: refunds, disputes, subscriptions that change, orders that end.
//! Each row of a table is a story: the fixtures posted in order, and where the purchase stands after each.

use serde_json::Value;

use crate::stripe::fixture;
use crate::yard::{Engine, Yard, rows};

/// Where everything stands: `status refunded disputed` of each purchase, and the features that its user has.
async fn stands(yard: &Yard) -> String {
    let database = yard.database().await;
    let subscriptions = "SELECT tier, quantity, status, refunded, disputed FROM subscriptions ORDER BY id";
    let access =
        "SELECT feature, CAST(SUM(quantity) AS BIGINT) FROM access GROUP BY feature ORDER BY feature";
    let (purchases, access) = (rows(&database, subscriptions).await, rows(&database, access).await);
    format!("{}; {}", purchases.join(" "), access.join(" "))
}

/// Posts the fixtures one by one on both databases; after each, what was bought stands as the row says.
async fn stories(told: &[(&str, &str)]) {
    for engine in Engine::BOTH {
        let mut yard = Yard::shop(engine);
        let poster = yard.start().await;
        for (posted, (prefix, expected)) in told.iter().enumerate() {
            assert_eq!(poster.post(&fixture(prefix)).await.status, 200);
            yard.wait_until_settled(posted as u64 + 1).await;
            assert_eq!(stands(&yard).await, *expected, "{engine:?} after {prefix}");
        }
        let dead = yard.ask(&["status"])["counts"]["dead"].clone();
        assert_eq!(dead, Value::from(0), "{engine:?}");
    }
}

const PLUS: &str = "projects|150 storage_gb|300";
const PRO: &str = "api_access|1 priority_support|1 projects|500 seats|5 storage_gb|1000";

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_takes_away_when_it_is_whole_and_gives_back_when_it_fails() {
    stories(&[
        ("01", &format!("tier_2|3|active|0|0; {PLUS}")),
        ("17", &format!("tier_2|3|partly_refunded|5900|0; {PLUS}")),
        ("11", "tier_2|3|refunded|17700|0; "),
        ("11c", "tier_2|3|refunded|17700|0; "),
        ("18", &format!("tier_2|3|active|0|0; {PLUS}")),
        ("18b", &format!("tier_2|3|active|0|0; {PLUS}")),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_before_its_purchase_waits_for_it() {
    stories(&[("11", "; "), ("01", "tier_2|3|refunded|17700|0; "), ("17", "tier_2|3|refunded|17700|0; ")])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_takes_away_only_when_it_is_lost() {
    stories(&[
        ("01", &format!("tier_2|3|active|0|0; {PLUS}")),
        ("19", &format!("tier_2|3|disputed|0|1; {PLUS}")),
        ("19a", "tier_2|3|dispute_lost|0|0; "),
        ("19c", &format!("tier_2|3|active|0|0; {PLUS}")),
    ])
    .await;
    stories(&[
        ("19b", "; "),
        ("01", &format!("tier_2|3|active|0|0; {PLUS}")),
        ("19", &format!("tier_2|3|active|0|0; {PLUS}")),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_lives_and_ends() {
    stories(&[
        ("14", "; "),
        ("10", &format!("tier_pro|5|active|0|0; {PRO}")),
        ("12a", &format!("tier_pro|5|ending|0|0; {PRO}")),
        ("22d", &format!("tier_pro|5|active|0|0; {PRO}")),
        ("20", &format!("tier_pro|5|past_due|0|0; {PRO}")),
        ("12b", &format!("tier_pro|5|past_due|0|0; {PRO}")),
        ("20b", &format!("tier_pro|5|active|0|0; {PRO}")),
        ("20a", &format!("tier_pro|5|active|0|0; {PRO}")),
        ("22", "tier_pro|5|unpaid|0|0; "),
        ("12", "tier_pro|5|canceled|0|0; "),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_paused_and_changes_its_tier() {
    stories(&[
        ("10", &format!("tier_pro|5|active|0|0; {PRO}")),
        ("22a", "tier_pro|5|paused|0|0; "),
        ("22b", &format!("tier_pro|5|active|0|0; {PRO}")),
        ("22c", "tier_3|2|active|0|0; priority_support|1 projects|500 seats|20 storage_gb|1000"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_a_subscriptions_payment_finds_it_through_its_invoice() {
    stories(&[
        ("21a", "; "),
        ("10", &format!("tier_pro|5|active|0|0; {PRO}")),
        ("21", "tier_pro|5|refunded|9500|0; "),
        ("14", "tier_pro|5|refunded|9500|0; "),
        ("20a", &format!("tier_pro|5|active|0|0; {PRO}")),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_purchases_refund_takes_only_what_it_gave() {
    let both = "priority_support|1 projects|400 seats|10 storage_gb|800";
    stories(&[
        ("01", &format!("tier_2|3|active|0|0; {PLUS}")),
        ("25", &format!("tier_2|3|active|0|0 tier_3|1|active|0|0; {both}")),
        ("25a", &format!("tier_2|3|active|0|0 tier_3|1|refunded|24900|0; {PLUS}")),
    ])
    .await;
}

/// Posts direct fixtures one by one on both databases; after each the order stands as the row says.
async fn orders(told: &[(&str, &str)]) {
    for engine in Engine::BOTH {
        let mut yard = Yard::shop(engine);
        let poster = yard.start().await;
        let database = yard.database().await;
        let insert = "INSERT INTO orders (id, stripe_session_id, amount_total, currency) VALUES \
            ('order-5', 'cs_live_a1DirectOrderPending0001Ch96hExzIpIQftca4svm9zWxNV31eSjE8h', 2900, 'usd')";
        sqlx::query(insert).execute(&database).await.unwrap();
        for (posted, (prefix, expected)) in told.iter().enumerate() {
            assert_eq!(poster.post(&fixture(prefix)).await.status, 200);
            yard.wait_until_settled(posted as u64 + 1).await;
            let order = rows(&database, "SELECT status, refunded, disputed FROM orders").await;
            assert_eq!(order, [*expected], "{engine:?} after {prefix}");
        }
        let dead = yard.ask(&["status"])["counts"]["dead"].clone();
        assert_eq!(dead, Value::from(0), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_paid_refunded_and_disputed() {
    orders(&[
        ("05", "paid|0|0"),
        ("11b", "partly_refunded|1000|0"),
        ("15", "disputed|1000|1"),
        ("24a", "dispute_lost|1000|0"),
        ("24", "refunded|2900|0"),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_refund_comes_first_is_paid_and_refunded_at_once() {
    orders(&[("24", "pending|0|0"), ("05", "refunded|2900|0"), ("11b", "refunded|2900|0")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_not_paid_expires_or_fails() {
    orders(&[("23", "expired|0|0"), ("23b", "failed|0|0"), ("23c", "paid|0|0")]).await;
    orders(&[("23a", "pending|0|0"), ("23c", "paid|0|0"), ("23b", "paid|0|0"), ("23", "paid|0|0")]).await;
}
