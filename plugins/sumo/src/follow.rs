//! What follows a purchase: a refund, a dispute, a subscription that changes. One transaction keeps the fact and works out
//! anew what every user concerned may use. A fact of nobody's is kept too: its purchase may still come.

use hookyard_fulfilment::database::{Database, Tx};
use hookyard_fulfilment::facts::{self, Body, Fact, Keys};
use hookyard_fulfilment::fault::{Fault, word};

use crate::entitle::{Entitlement, entitle};
use crate::own::Own;
use crate::tiers::Tiers;

/// The entitlements of the purchases that the fact is about, as they are now.
///
/// Faults: ignore `not_known`; reject `tier_unknown`; retry `database`.
pub async fn follow(
    database: &Database,
    tiers: &Tiers,
    own: &Own,
    fact: &Fact,
    received_ms: i64,
) -> Result<Vec<Entitlement>, Fault> {
    known_tier(tiers, fact)?;
    let mut tx = database.begin().await?;
    facts::note(&mut tx, fact, received_ms).await?;
    let keys = facts::whose(&mut tx, fact).await?;
    let (sessions, users) = purchases(&mut tx, &keys).await?;
    let mut entitlements = Vec::new();
    for user_id in users {
        entitlements.extend(entitle(&mut tx, tiers, own, user_id).await?);
    }
    tx.commit().await?;
    if sessions.is_empty() {
        let message = format!(
            "nothing that was bought here rests on {}; the word is kept for the purchase, should it come",
            word(&fact.subject)
        );
        return Err(Fault::ignore("not_known", message));
    }
    entitlements.retain(|entitlement| sessions.contains(&entitlement.session_id));
    Ok(entitlements)
}

/// The sessions with these ids, and whose they are.
async fn purchases(tx: &mut Tx, keys: &Keys) -> Result<(Vec<String>, Vec<i64>), Fault> {
    let select = "SELECT session_id, user_id FROM {purchases} \
        WHERE payment_intent = $1 OR invoice_id = $2 OR subscription_id = $3 ORDER BY user_id";
    let values = [
        keys.payment_intent.as_deref().into(),
        keys.invoice.as_deref().into(),
        keys.subscription.as_deref().into(),
    ];
    let rows: Vec<(String, i64)> = tx.rows(select, &values).await?;
    let (sessions, mut users): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    users.dedup();
    Ok((sessions, users))
}

/// A subscription that names a tier which the catalogue lacks is for a person to look at, before anything is decided.
fn known_tier(tiers: &Tiers, fact: &Fact) -> Result<(), Fault> {
    let Body::Subscription(told) = &fact.body else { return Ok(()) };
    match &told.tier {
        Some(tier) if tiers.get(tier).is_none() => Err(tiers.unknown(tier)),
        _ => Ok(()),
    }
}
