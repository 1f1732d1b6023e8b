//! The facts' table. Every function runs inside the caller's transaction, which nobody else's overlaps: a purchase and a
//! fact about it cannot miss each other.

use super::{Body, Fact, Facts, Invoice, Keys, UNUSED_KEPT};
use crate::database::Tx;
use crate::fault::Fault;

/// Keeps a fact unless a later word about the same object is here already, and lets those go that nobody came for.
pub async fn note(tx: &mut Tx, fact: &Fact, received_ms: i64) -> Result<(), Fault> {
    let insert = "INSERT INTO {stripe_facts} (kind, object_id, subject, order_key, body, noted_ms) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (kind, object_id) DO UPDATE SET subject = excluded.subject, \
        order_key = excluded.order_key, body = excluded.body, noted_ms = excluded.noted_ms \
        WHERE excluded.order_key > {stripe_facts}.order_key";
    let body = serde_json::to_string(&fact.body).expect("a body is plain data");
    let values = [
        fact.body.kind().into(),
        (&fact.object_id).into(),
        (&fact.subject).into(),
        (&fact.order_key).into(),
        (&body).into(),
        received_ms.into(),
    ];
    tx.execute(insert, &values).await?;
    let kept_ms = i64::try_from(UNUSED_KEPT.as_millis()).expect("210 days are few milliseconds");
    let prune = "DELETE FROM {stripe_facts} WHERE used = 0 AND noted_ms < $1";
    tx.execute(prune, &[(received_ms - kept_ms).into()]).await?;
    Ok(())
}

/// By which ids the purchase of a fact can be found: a refund of a renewal leads from its payment to the invoice and from
/// there to the subscription, as far as these links have been told.
pub async fn whose(tx: &mut Tx, fact: &Fact) -> Result<Keys, Fault> {
    let mut keys = Keys::default();
    match fact.body {
        Body::Charge(_) | Body::Refund(_) | Body::Dispute(_) => {
            keys.payment_intent = Some(fact.subject.clone());
            keys.invoice = subject(tx, "invoice_payment", &fact.subject).await?;
        }
        Body::InvoicePayment => keys.invoice = Some(fact.subject.clone()),
        Body::Invoice(_) => keys.invoice = Some(fact.object_id.clone()),
        Body::Subscription(_) => keys.subscription = Some(fact.subject.clone()),
    }
    if let Some(invoice) = &keys.invoice {
        keys.subscription = subject(tx, "invoice", invoice).await?;
    }
    Ok(keys)
}

/// Everything known about the purchase with these ids; marks it as rested upon.
pub async fn load(tx: &mut Tx, keys: &Keys) -> Result<Facts, Fault> {
    let mut facts = Facts::default();
    let mut latest: Option<(Invoice, String)> = None;
    if let Some(subscription) = &keys.subscription {
        for (object_id, body) in about(tx, subscription).await? {
            match body {
                Body::Subscription(told) => facts.subscription = Some(told),
                Body::Invoice(told) if told.cycle => {
                    let this = (told, object_id);
                    let newer = |(a, a_id): &(Invoice, String), (b, b_id): &(Invoice, String)| {
                        (a.created, a_id) > (b.created, b_id)
                    };
                    if latest.as_ref().is_none_or(|latest| newer(&this, latest)) {
                        latest = Some(this);
                    }
                }
                _ => {}
            }
        }
    }
    facts.invoice = latest.as_ref().map(|(invoice, _)| *invoice);
    let invoice = latest.map(|(_, id)| id).or_else(|| keys.invoice.clone());
    for payment in payments(tx, keys, invoice.as_deref()).await? {
        for (_, body) in about(tx, &payment).await? {
            match body {
                Body::Charge(told) => facts.charges.push(told),
                Body::Refund(told) => facts.refunds.push(told),
                Body::Dispute(told) => facts.disputes.push(told),
                _ => {}
            }
        }
    }
    Ok(facts)
}

/// The payments that the purchase rests on now: its own, or those of its current invoice.
async fn payments(tx: &mut Tx, keys: &Keys, invoice: Option<&str>) -> Result<Vec<String>, Fault> {
    match (&keys.payment_intent, invoice) {
        (Some(payment_intent), _) => Ok(vec![payment_intent.clone()]),
        (None, None) => Ok(Vec::new()),
        (None, Some(invoice)) => {
            let links = about(tx, invoice).await?;
            let links = links.into_iter().filter(|(_, body)| matches!(body, Body::InvoicePayment));
            Ok(links.map(|(payment_intent, _)| payment_intent).collect())
        }
    }
}

async fn about(tx: &mut Tx, subject: &str) -> Result<Vec<(String, Body)>, Fault> {
    let mark = "UPDATE {stripe_facts} SET used = 1 WHERE subject = $1 AND used = 0";
    tx.execute(mark, &[subject.into()]).await?;
    let select = "SELECT object_id, body FROM {stripe_facts} WHERE subject = $1 ORDER BY kind, object_id";
    let rows: Vec<(String, String)> = tx.rows(select, &[subject.into()]).await?;
    let read = |(object_id, body): (String, String)| match serde_json::from_str(&body) {
        Ok(body) => Ok((object_id, body)),
        Err(_) => Err(Fault::retry("database", "a row of the facts cannot be read; was it changed by hand?")),
    };
    rows.into_iter().map(read).collect()
}

async fn subject(tx: &mut Tx, kind: &str, object_id: &str) -> Result<Option<String>, Fault> {
    let select = "SELECT subject FROM {stripe_facts} WHERE kind = $1 AND object_id = $2";
    let row: Option<(String,)> = tx.row(select, &[kind.into(), object_id.into()]).await?;
    Ok(row.map(|(subject,)| subject))
}
