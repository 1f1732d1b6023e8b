//! The one transaction of a Sumo purchase: user, claim, subscription, access, and the mail that it owes.
//!
//! Nobody else's transaction overlaps it, so of any number of deliveries for one session, in any number of processes,
//! exactly one inserts the `purchases` row; the others read whose it is. A crash before the commit leaves nothing; a crash
//! after it leaves everything, and the owner's retry finds its own event id in the row. Facts that came before the
//! purchase (a refund, a cancelled subscription) are applied here: what is bought and gone already gives no access.

use hookyard_fulfilment::database::{Database, Tx};
use hookyard_fulfilment::fault::{Fault, word};
use hookyard_fulfilment::outbox::{self, Kind, Owed};

use crate::entitle::{Entitlement, entitle};
use crate::own::Own;
use crate::purchase::Purchase;
use crate::tiers::Tiers;

/// Whose purchase this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// This event's: made just now, or by an earlier attempt of it. The mail is this delivery's to send.
    Ours { entitlement: Box<Entitlement>, owed: Option<Owed> },
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
    tiers: &Tiers,
    own: &Own,
    purchase: &Purchase,
    event_id: &str,
    domain: &str,
) -> Result<Claim, Fault> {
    let mut tx = database.begin().await?;
    let session_id = &purchase.session.id;
    if let Some((owner, user_id)) = owner(&mut tx, session_id).await? {
        if owner != event_id {
            return Ok(Claim::Theirs { event_id: owner });
        }
        let owed = outbox::find(&mut tx, session_id, &[Kind::Welcome, Kind::NewSubscription]).await?;
        let entitlement = entitlement(&mut tx, tiers, own, user_id, session_id).await?;
        tx.commit().await?;
        return Ok(Claim::Ours { entitlement: Box::new(entitlement), owed });
    }
    let user = find_or_create_user(&mut tx, own, purchase).await?;
    claim(&mut tx, purchase, event_id, user.id).await?;
    create_subscription(&mut tx, purchase, user.id).await?;
    keep_grants(&mut tx, purchase).await?;
    let entitlement = entitlement(&mut tx, tiers, own, user.id, session_id).await?;
    let kind = if user.new { Kind::Welcome } else { Kind::NewSubscription };
    let owed = outbox::owe(&mut tx, kind, session_id, event_id, &purchase.email, domain).await?;
    tx.commit().await?;
    Ok(Claim::Ours { entitlement: Box::new(entitlement), owed: Some(owed) })
}

/// The event that fulfilled the session, and for whom.
async fn owner(tx: &mut Tx, session_id: &str) -> Result<Option<(String, i64)>, Fault> {
    Ok(tx
        .row("SELECT event_id, user_id FROM {purchases} WHERE session_id = $1", &[session_id.into()])
        .await?)
}

/// What this purchase gives, after everything that the user bought was worked out anew.
async fn entitlement(
    tx: &mut Tx,
    tiers: &Tiers,
    own: &Own,
    user_id: i64,
    session_id: &str,
) -> Result<Entitlement, Fault> {
    let all = entitle(tx, tiers, own, user_id).await?;
    let this = all.into_iter().find(|entitlement| entitlement.session_id == session_id);
    this.ok_or_else(|| {
        Fault::retry("database", "the purchase has no row in `subscriptions`; was it removed by hand?")
    })
}

/// By normalised e-mail. What an existing user lacks (name, Stripe customer) is filled in; nothing is overwritten.
async fn find_or_create_user(tx: &mut Tx, own: &Own, purchase: &Purchase) -> Result<User, Fault> {
    let user = ours(tx, purchase).await?;
    let Some((own_id, new)) = own.user(tx, purchase).await? else { return Ok(user) };
    tx.execute("UPDATE {users} SET own_id = $1 WHERE id = $2", &[(&own_id).into(), user.id.into()]).await?;
    // Somebody may have been the team's user long before the first purchase.
    Ok(User { new, ..user })
}

async fn ours(tx: &mut Tx, purchase: &Purchase) -> Result<User, Fault> {
    let (name, customer) = (purchase.session.name(), purchase.session.customer.as_deref());
    let insert = "INSERT INTO {users} (email, email_given, name, stripe_customer_id, source) \
        VALUES ($1, $2, $3, $4, 'sumo') ON CONFLICT (email) DO NOTHING RETURNING id";
    let values =
        [purchase.email.normal().into(), purchase.email.given().into(), name.into(), customer.into()];
    if let Some((id,)) = tx.row::<(i64,)>(insert, &values).await? {
        return Ok(User { id, new: true });
    }
    let update = "UPDATE {users} SET name = COALESCE(name, $1), \
        stripe_customer_id = COALESCE(stripe_customer_id, $2) WHERE email = $3 RETURNING id";
    let values = [name.into(), customer.into(), purchase.email.normal().into()];
    let row: Option<(i64,)> = tx.row(update, &values).await?;
    let (id,) =
        row.ok_or_else(|| Fault::retry("database", "the user was removed while the purchase was written"))?;
    Ok(User { id, new: false })
}

/// The row that makes the session ours. Its key is the session: a second one cannot be.
async fn claim(tx: &mut Tx, purchase: &Purchase, event_id: &str, user_id: i64) -> Result<(), Fault> {
    let session = &purchase.session;
    let insert = "INSERT INTO {purchases} (session_id, event_id, user_id, payment_intent, subscription_id, invoice_id, \
        customer_id, campaign, product, tier, sumo_user_id, quantity, addons, amount_total, currency, livemode) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    let values = [
        (&*session.id).into(),
        event_id.into(),
        user_id.into(),
        session.payment_intent.as_deref().into(),
        session.subscription.as_deref().into(),
        session.invoice.as_deref().into(),
        session.customer.as_deref().into(),
        session.metadata.get("sumo_campaign_id").into(),
        session.metadata.get("sumo_product_id").into(),
        (&purchase.tier_id).into(),
        session.metadata.get("sumo_user_id").into(),
        i64::from(purchase.quantity).into(),
        (&purchase.addons).into(),
        session.amount_total.into(),
        session.currency.as_deref().into(),
        i64::from(purchase.livemode).into(),
    ];
    tx.execute(insert, &values).await?;
    Ok(())
}

async fn create_subscription(tx: &mut Tx, purchase: &Purchase, user_id: i64) -> Result<(), Fault> {
    let subscription_id = purchase.session.subscription.as_deref();
    let taken: Option<(String,)> = tx
        .row(
            "SELECT session_id FROM {subscriptions} WHERE stripe_subscription_id = $1",
            &[subscription_id.into()],
        )
        .await?;
    if let Some((other,)) = taken {
        let message = format!("the session's subscription belongs to the session {} already", word(&other));
        return Err(Fault::reject("subscription_taken", message));
    }
    let insert = "INSERT INTO {subscriptions} (session_id, user_id, stripe_subscription_id, tier, quantity, status) \
        VALUES ($1, $2, $3, $4, $5, 'active')";
    let values = [
        (&*purchase.session.id).into(),
        user_id.into(),
        subscription_id.into(),
        (&purchase.tier_id).into(),
        i64::from(purchase.quantity).into(),
    ];
    tx.execute(insert, &values).await?;
    Ok(())
}

/// What was bought stays what it was, however the catalogue changes.
async fn keep_grants(tx: &mut Tx, purchase: &Purchase) -> Result<(), Fault> {
    for (feature, amount) in &purchase.grants {
        let insert = "INSERT INTO {grants} (session_id, feature, quantity) VALUES ($1, $2, $3)";
        tx.execute(insert, &[(&*purchase.session.id).into(), feature.into(), (*amount).into()]).await?;
    }
    Ok(())
}
