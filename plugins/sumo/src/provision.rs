//! The one transaction of a Sumo purchase: user, claim, subscription, access, and the mail that it owes.
//!
//! It holds the write lock from its first statement, so of any number of deliveries for one session, in any number of
//! processes, exactly one inserts the `purchases` row; the others read whose it is. A crash before the commit leaves
//! nothing; a crash after it leaves everything, and the owner's retry finds its own event id in the row.

use hookyard_fulfilment::database::Database;
use hookyard_fulfilment::fault::{Fault, word};
use hookyard_fulfilment::outbox::{self, Kind, Owed};
use sqlx::SqliteConnection;

use crate::purchase::Purchase;

/// Whose purchase this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// This event's: made just now, or by an earlier attempt of it. The mail is this delivery's to send.
    Ours { user_id: i64, owed: Option<Owed> },
    /// Another event of the same session fulfilled it; its delivery sends the mail.
    Theirs { event_id: String },
}

struct User {
    id: i64,
    new: bool,
}

/// Makes all rows of the purchase, once. `domain` is the sender's, for the mail's Message-ID.
pub async fn provision(
    database: &Database,
    purchase: &Purchase,
    event_id: &str,
    domain: &str,
) -> Result<Claim, Fault> {
    let mut tx = database.begin().await?;
    let user = find_or_create_user(&mut tx, purchase).await?;
    if !claim(&mut tx, purchase, event_id, user.id).await? {
        let owner = owner(&mut tx, purchase, event_id).await?;
        tx.rollback().await?;
        return Ok(owner);
    }
    create_subscription(&mut tx, purchase, user.id).await?;
    grant_access(&mut tx, purchase, user.id).await?;
    let kind = if user.new { Kind::Welcome } else { Kind::NewSubscription };
    let owed = outbox::owe(&mut tx, kind, &purchase.session.id, event_id, &purchase.email, domain).await?;
    tx.commit().await?;
    Ok(Claim::Ours { user_id: user.id, owed: Some(owed) })
}

/// By normalised e-mail. What an existing user lacks (name, Stripe customer) is filled in; nothing is overwritten.
async fn find_or_create_user(tx: &mut SqliteConnection, purchase: &Purchase) -> Result<User, Fault> {
    let (name, customer) = (purchase.session.name(), purchase.session.customer_id());
    let insert = "INSERT INTO users (email, email_given, name, stripe_customer_id, source) \
        VALUES (?, ?, ?, ?, 'sumo') ON CONFLICT (email) DO NOTHING RETURNING id";
    let made: Option<(i64,)> = sqlx::query_as(insert)
        .bind(purchase.email.normal())
        .bind(purchase.email.given())
        .bind(name)
        .bind(customer)
        .fetch_optional(&mut *tx)
        .await?;
    if let Some((id,)) = made {
        return Ok(User { id, new: true });
    }
    let update = "UPDATE users SET name = COALESCE(name, ?), stripe_customer_id = COALESCE(stripe_customer_id, ?) \
        WHERE email = ? RETURNING id";
    let (id,): (i64,) =
        sqlx::query_as(update).bind(name).bind(customer).bind(purchase.email.normal()).fetch_one(tx).await?;
    Ok(User { id, new: false })
}

/// Whether the session was still free.
async fn claim(
    tx: &mut SqliteConnection,
    purchase: &Purchase,
    event_id: &str,
    user_id: i64,
) -> Result<bool, Fault> {
    let session = &purchase.session;
    let insert = "INSERT INTO purchases (session_id, event_id, user_id, payment_intent, subscription_id, campaign, \
        product, tier, sumo_user_id, quantity, addons, amount_total, currency, livemode) \
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (session_id) DO NOTHING";
    let done = sqlx::query(insert)
        .bind(&session.id)
        .bind(event_id)
        .bind(user_id)
        .bind(session.payment_intent_id())
        .bind(session.subscription_id())
        .bind(session.metadata("sumo_campaign_id"))
        .bind(session.metadata("sumo_product_id"))
        .bind(&purchase.tier_id)
        .bind(session.metadata("sumo_user_id"))
        .bind(purchase.quantity)
        .bind(&purchase.addons)
        .bind(session.amount_total)
        .bind(session.currency.as_deref())
        .bind(purchase.livemode)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

async fn owner(tx: &mut SqliteConnection, purchase: &Purchase, event_id: &str) -> Result<Claim, Fault> {
    let session_id = &purchase.session.id;
    let (owner, user_id): (String, i64) =
        sqlx::query_as("SELECT event_id, user_id FROM purchases WHERE session_id = ?")
            .bind(session_id)
            .fetch_one(&mut *tx)
            .await?;
    if owner != event_id {
        return Ok(Claim::Theirs { event_id: owner });
    }
    let owed = outbox::find(tx, session_id, &[Kind::Welcome, Kind::NewSubscription]).await?;
    Ok(Claim::Ours { user_id, owed })
}

async fn create_subscription(
    tx: &mut SqliteConnection,
    purchase: &Purchase,
    user_id: i64,
) -> Result<(), Fault> {
    let subscription_id = purchase.session.subscription_id();
    let taken: Option<(String,)> =
        sqlx::query_as("SELECT session_id FROM subscriptions WHERE stripe_subscription_id = ?")
            .bind(subscription_id)
            .fetch_optional(&mut *tx)
            .await?;
    if let Some((other,)) = taken {
        let message = format!("the session's subscription belongs to the session {} already", word(&other));
        return Err(Fault::reject("subscription_taken", message));
    }
    let insert = "INSERT INTO subscriptions (session_id, user_id, stripe_subscription_id, tier, quantity, status) \
        VALUES (?, ?, ?, ?, ?, 'active')";
    sqlx::query(insert)
        .bind(&purchase.session.id)
        .bind(user_id)
        .bind(subscription_id)
        .bind(&purchase.tier_id)
        .bind(purchase.quantity)
        .execute(tx)
        .await?;
    Ok(())
}

async fn grant_access(tx: &mut SqliteConnection, purchase: &Purchase, user_id: i64) -> Result<(), Fault> {
    for (feature, amount) in &purchase.grants {
        let insert =
            "INSERT INTO access (session_id, user_id, tier, feature, quantity) VALUES (?, ?, ?, ?, ?)";
        sqlx::query(insert)
            .bind(&purchase.session.id)
            .bind(user_id)
            .bind(&purchase.tier_id)
            .bind(feature)
            .bind(amount)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}
