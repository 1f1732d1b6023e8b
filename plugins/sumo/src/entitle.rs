//! What a user may use now: worked out from every purchase of the user and every fact about them, and written down.
//!
//! Called inside each transaction that changes a purchase or a fact. It reads and writes all of it each time, so it has no
//! history of its own: the same purchases and facts give the same rows, whatever came first. One purchase's refund takes
//! away only what that purchase gave, because each has rows of its own.

use std::collections::BTreeMap;

use hookyard_fulfilment::database::Tx;
use hookyard_fulfilment::facts::{self, Facts, Keys, Standing, Status, standing};
use hookyard_fulfilment::fault::Fault;
use serde_json::{Map, Value, json};

use crate::own::Own;
use crate::tiers::Tiers;

/// One purchase, and what it gives now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitlement {
    /// The row in `subscriptions`.
    pub id: i64,
    pub user_id: i64,
    pub session_id: String,
    pub tier: String,
    pub quantity: i64,
    pub standing: Standing,
    /// What it gives while it stands.
    pub grants: BTreeMap<String, i64>,
    pub subscription_id: Option<String>,
    product: Option<String>,
}

/// id, session, product, tier, quantity, amount, payment intent, invoice, subscription
type Row =
    (i64, String, Option<String>, String, i64, Option<i64>, Option<String>, Option<String>, Option<String>);

/// Works out and writes what the user's purchases give now.
pub async fn entitle(tx: &mut Tx, tiers: &Tiers, own: &Own, user_id: i64) -> Result<Vec<Entitlement>, Fault> {
    let select = "SELECT s.id, p.session_id, p.product, p.tier, p.quantity, p.amount_total, p.payment_intent, \
        p.invoice_id, p.subscription_id FROM {purchases} p JOIN {subscriptions} s ON s.session_id = p.session_id \
        WHERE p.user_id = $1 ORDER BY s.id";
    let rows: Vec<Row> = tx.rows(select, &[user_id.into()]).await?;
    let mut entitlements = Vec::with_capacity(rows.len());
    for row in rows {
        entitlements.push(one(tx, tiers, user_id, row).await?);
    }
    supersede(&mut entitlements, tiers);
    let own_id = "SELECT own_id FROM {users} WHERE id = $1";
    let own_id: Option<(Option<String>,)> = tx.row(own_id, &[user_id.into()]).await?;
    let user = own_id.and_then(|(own_id,)| own_id);
    for entitlement in &entitlements {
        let given = write(tx, entitlement).await?;
        let Some(user) = &user else { continue };
        own.subscription(tx, user, entitlement).await?;
        if let Some(given) = given {
            own.access(tx, user, entitlement, &given).await?;
        }
    }
    Ok(entitlements)
}

impl Entitlement {
    /// For an attempt's record: ids, no personal data.
    pub fn result(&self) -> Value {
        json!({
            "id": self.id,
            "user_id": self.user_id,
            "session": self.session_id,
            "tier": self.tier,
            "quantity": self.quantity,
            "status": self.standing.status.word(),
            "access": self.access(),
        })
    }

    /// What it gives now.
    pub fn access(&self) -> Map<String, Value> {
        let given = self.grants.iter().filter(|_| self.standing.status.stands());
        given.map(|(feature, amount)| (feature.clone(), json!(amount))).collect()
    }
}

async fn one(tx: &mut Tx, tiers: &Tiers, user_id: i64, row: Row) -> Result<Entitlement, Fault> {
    let (id, session_id, product, tier, quantity, paid, payment_intent, invoice, subscription) = row;
    let subscription_id = subscription.clone();
    let facts = facts::load(tx, &Keys { payment_intent, invoice, subscription }).await?;
    let standing = standing(&facts, paid);
    let bought = grants(tx, &session_id).await?;
    let (tier, quantity, grants) = plan(&facts, tiers).unwrap_or((tier, quantity, bought));
    Ok(Entitlement { id, user_id, session_id, tier, quantity, standing, grants, subscription_id, product })
}

/// What the subscription was changed to, where Stripe's word of it names a tier of the catalogue.
fn plan(facts: &Facts, tiers: &Tiers) -> Option<(String, i64, BTreeMap<String, i64>)> {
    let (tier_id, quantity) = tiers.plan(facts.subscription.as_ref()?)?;
    let grants = tiers.get(&tier_id)?.grants(quantity).into_iter().collect();
    Some((tier_id, i64::from(quantity), grants))
}

/// A standing purchase takes the place of those whose tiers it replaces, of the same product. The catalogue has no
/// circles, so one of them always remains.
fn supersede(entitlements: &mut [Entitlement], tiers: &Tiers) {
    let standing: Vec<(Option<String>, String)> = entitlements
        .iter()
        .filter(|entitlement| entitlement.standing.status.stands())
        .map(|entitlement| (entitlement.product.clone(), entitlement.tier.clone()))
        .collect();
    for entitlement in entitlements.iter_mut().filter(|entitlement| entitlement.standing.status.stands()) {
        let replaced = standing.iter().any(|(product, tier)| {
            *product == entitlement.product && tiers.replaces(tier, &entitlement.tier)
        });
        if replaced {
            entitlement.standing.status = Status::Superseded;
        }
    }
}

/// Returns what it gives now, where that has changed.
async fn write(tx: &mut Tx, entitlement: &Entitlement) -> Result<Option<BTreeMap<String, i64>>, Fault> {
    let Standing { status, refunded, disputed, ends_at } = entitlement.standing;
    let update = "UPDATE {subscriptions} SET status = $1, refunded = $2, disputed = $3, ends_at = $4, tier = $5, \
        quantity = $6 WHERE id = $7";
    let values = [
        status.word().into(),
        refunded.into(),
        i64::from(disputed).into(),
        ends_at.into(),
        (&entitlement.tier).into(),
        entitlement.quantity.into(),
        entitlement.id.into(),
    ];
    tx.execute(update, &values).await?;
    let given = if status.stands() { entitlement.grants.clone() } else { BTreeMap::new() };
    let select = "SELECT feature, quantity FROM {access} WHERE session_id = $1";
    let had: Vec<(String, i64)> = tx.rows(select, &[(&entitlement.session_id).into()]).await?;
    if had.into_iter().collect::<BTreeMap<_, _>>() == given {
        return Ok(None);
    }
    give(tx, entitlement, &given).await?;
    Ok(Some(given))
}

/// Replaces the purchase's rows in `access`.
async fn give(tx: &mut Tx, entitlement: &Entitlement, given: &BTreeMap<String, i64>) -> Result<(), Fault> {
    tx.execute("DELETE FROM {access} WHERE session_id = $1", &[(&entitlement.session_id).into()]).await?;
    for (feature, amount) in given {
        let insert =
            "INSERT INTO {access} (session_id, user_id, tier, feature, quantity) VALUES ($1, $2, $3, $4, $5)";
        let values = [
            (&entitlement.session_id).into(),
            entitlement.user_id.into(),
            (&entitlement.tier).into(),
            feature.into(),
            (*amount).into(),
        ];
        tx.execute(insert, &values).await?;
    }
    Ok(())
}

async fn grants(tx: &mut Tx, session_id: &str) -> Result<BTreeMap<String, i64>, Fault> {
    let select = "SELECT feature, quantity FROM {grants} WHERE session_id = $1";
    let rows: Vec<(String, i64)> = tx.rows(select, &[session_id.into()]).await?;
    Ok(rows.into_iter().collect())
}
