//! The orders' state machine. Each change is one conditional update: the database decides, not a read before it, for the
//! shop writes these rows too.
//!
//! ```text
//! pending ─► expired ─► failed ─► paid ─► partly_refunded · disputed ─► refunded · dispute_lost
//! ```
//!
//! While an order waits, its state only ever moves to the right, so that a failure which is told late does not undo a
//! payment; where a paid order stands is worked out from all facts about its payment, whichever came first. An order that
//! is not there is a retry, not a loss: shops commit orders in their own time, and an event can be faster.

use hookyard_fulfilment::admit::Admitted;
use hookyard_fulfilment::database::{Database, Tx};
use hookyard_fulfilment::email::Email;
use hookyard_fulfilment::facts::{self, Fact, Keys, standing};
use hookyard_fulfilment::fault::{Fault, word};
use hookyard_fulfilment::outbox::{self, Kind, Owed};
use hookyard_plugin::stripe::CheckoutSession;
use serde_json::{Value, json};

use crate::statements::Statements;

/// What became of the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Paid by this event, now or by an earlier attempt of it. `owed` is `None` where no receipt can be addressed.
    Ours { order_id: String, owed: Option<Owed> },
    /// Paid before, by another event of this session or by the shop itself.
    Before { order_id: String, by: String },
}

/// How a session can end without money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Expired,
    Failed,
}

/// An order after a fact about its payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    pub order_id: String,
    pub status: String,
    pub refunded: i64,
}

/// What the update has to know of an order.
#[derive(Debug)]
struct Order {
    id: String,
    session_id: Option<String>,
    amount_total: Option<i64>,
    currency: Option<String>,
    status: String,
    paid_by_event: Option<String>,
}

/// id, stripe_session_id, amount_total, currency, status, paid_by_event
type Row = (String, Option<String>, Option<i64>, Option<String>, String, Option<String>);

/// id, amount paid, payment intent, invoice
type PaidRow = (String, Option<i64>, Option<String>, Option<String>);

/// Marks the session's order paid, once. `receipt` is where the receipt goes; `domain` is the sender's.
///
/// Faults: retry `order_missing`, `order_changed`, `database`; reject `amount_mismatch`, `paid_twice`,
/// `order_not_pending`.
pub async fn settle(
    database: &Database,
    statements: &Statements,
    admitted: &Admitted,
    event_id: &str,
    receipt: Option<&Email>,
    domain: &str,
) -> Result<Settled, Fault> {
    let session = &admitted.session;
    let mut tx = database.begin().await?;
    let order = find(&mut tx, statements, session).await?.ok_or_else(|| missing(session))?;
    if let Some(settled) = before(&mut tx, &order, session, event_id).await? {
        return Ok(settled);
    }
    same_amount(&order, session)?;
    mark_paid(&mut tx, statements, &order, session, event_id).await?;
    // A refund or a dispute may have come before.
    restate(&mut tx, statements, &order.id, session.amount_total, Keys::of(session)).await?;
    let owed = match receipt {
        Some(to) => Some(outbox::owe(&mut tx, Kind::Receipt, &session.id, event_id, to, domain).await?),
        None => None,
    };
    tx.commit().await?;
    Ok(Settled::Ours { order_id: order.id, owed })
}

/// The session ended without money. Says which order waits for it no longer, if one did.
///
/// Faults: retry `order_missing`, `database`.
pub async fn end(
    database: &Database,
    statements: &Statements,
    session: &CheckoutSession,
    ended: Ended,
) -> Result<Option<String>, Fault> {
    let mut tx = database.begin().await?;
    let order = find(&mut tx, statements, session).await?.ok_or_else(|| missing(session))?;
    let status = match ended {
        Ended::Expired => "expired",
        Ended::Failed => "failed",
    };
    let values =
        [("order", (&order.id).into()), ("session", (&*session.id).into()), ("status", status.into())];
    let changed = tx.touch(&statements.end, &values).await?;
    tx.commit().await?;
    Ok((changed == 1).then_some(order.id))
}

/// Keeps a fact and works out anew where the orders stand that it is about.
///
/// Faults: ignore `not_known`; retry `database`.
pub async fn follow(
    database: &Database,
    statements: &Statements,
    fact: &Fact,
    received_ms: i64,
) -> Result<Vec<Followed>, Fault> {
    let mut tx = database.begin().await?;
    facts::note(&mut tx, fact, received_ms).await?;
    let keys = facts::whose(&mut tx, fact).await?;
    let values = [
        ("payment_intent", keys.payment_intent.as_deref().into()),
        ("invoice", keys.invoice.as_deref().into()),
    ];
    let rows: Vec<PaidRow> = tx.rows_of(&statements.find_paid, &values).await?;
    let mut followed = Vec::with_capacity(rows.len());
    for (order_id, amount, payment_intent, invoice) in rows {
        let keys = Keys { payment_intent, invoice, subscription: None };
        followed.push(restate(&mut tx, statements, &order_id, amount, keys).await?);
    }
    tx.commit().await?;
    if followed.is_empty() {
        let message = format!(
            "no order rests on {}; the word is kept for the order, should it be paid",
            word(&fact.subject)
        );
        return Err(Fault::ignore("not_known", message));
    }
    Ok(followed)
}

impl Followed {
    /// For an attempt's record.
    pub fn result(&self) -> Value {
        json!({ "order": self.order_id, "status": self.status, "refunded": self.refunded })
    }
}

/// Writes what the facts come to.
async fn restate(
    tx: &mut Tx,
    statements: &Statements,
    order_id: &str,
    paid: Option<i64>,
    keys: Keys,
) -> Result<Followed, Fault> {
    let facts = facts::load(tx, &Keys { subscription: None, ..keys }).await?;
    let standing = standing(&facts, paid);
    let status = match standing.status {
        facts::Status::Active => "paid",
        other => other.word(),
    };
    let values = [
        ("order", order_id.into()),
        ("status", status.into()),
        ("refunded", standing.refunded.into()),
        ("disputed", i64::from(standing.disputed).into()),
    ];
    let status = tx.own(&statements.state, &values).await?;
    let status =
        status.ok_or_else(|| Fault::retry("order_changed", "the order was removed while it was changed"))?;
    Ok(Followed { order_id: order_id.to_owned(), status, refunded: standing.refunded })
}

async fn find(
    tx: &mut Tx,
    statements: &Statements,
    session: &CheckoutSession,
) -> Result<Option<Order>, Fault> {
    let values = [
        ("session", (&*session.id).into()),
        ("client_reference", session.client_reference().into()),
        ("order_id", session.metadata.get("order_id").into()),
    ];
    let row = tx.rows_of::<Row>(&statements.find, &values).await?.into_iter().next();
    Ok(row.map(|(id, session_id, amount_total, currency, status, paid_by_event)| Order {
        id,
        session_id,
        amount_total,
        currency,
        status,
        paid_by_event,
    }))
}

fn missing(session: &CheckoutSession) -> Fault {
    let mut tried = vec!["its session id"];
    if session.client_reference().is_some() {
        tried.push("client_reference_id");
    }
    if session.metadata.get("order_id").is_some() {
        tried.push("metadata.order_id");
    }
    let message = format!(
        "no order for the session {} (looked for {}); the shop has to write it into `orders`",
        word(&session.id),
        tried.join(", ")
    );
    Fault::retry("order_missing", message)
}

/// An order that somebody has marked paid already, if so.
async fn before(
    tx: &mut Tx,
    order: &Order,
    session: &CheckoutSession,
    event_id: &str,
) -> Result<Option<Settled>, Fault> {
    let paid = ["paid", "partly_refunded", "disputed", "refunded", "dispute_lost"];
    let by = match &order.paid_by_event {
        Some(by) => by.clone(),
        None if paid.contains(&order.status.as_str()) => "the shop".to_owned(),
        None => return Ok(None),
    };
    let owed = outbox::find(tx, &session.id, &[Kind::Receipt]).await?;
    // A shop's own table need not keep the event: the mail's row knows it too.
    if by == event_id || owed.as_ref().is_some_and(|owed| owed.event_id == event_id) {
        return Ok(Some(Settled::Ours { order_id: order.id.clone(), owed }));
    }
    if order.session_id.as_ref().is_some_and(|paid| **paid != *session.id) {
        let message = format!(
            "the order {} was paid by another Checkout Session before; refund the payment of {}",
            word(&order.id),
            word(&session.id)
        );
        return Err(Fault::reject("paid_twice", message));
    }
    Ok(Some(Settled::Before { order_id: order.id.clone(), by }))
}

/// An order without a sum takes whatever Checkout charged.
fn same_amount(order: &Order, session: &CheckoutSession) -> Result<(), Fault> {
    let (Some(amount), Some(currency)) = (order.amount_total, order.currency.as_deref()) else {
        return Ok(());
    };
    let paid_currency = session.currency.as_deref().unwrap_or("");
    if session.amount_total == Some(amount) && currency.eq_ignore_ascii_case(paid_currency) {
        return Ok(());
    }
    let message = format!(
        "the order {} is over {amount} {}, the session over {} {} (in the smallest unit); not marked paid",
        word(&order.id),
        word(currency),
        session.amount_total.map_or_else(|| "no sum".to_owned(), |paid| paid.to_string()),
        word(paid_currency)
    );
    Err(Fault::reject("amount_mismatch", message))
}

async fn mark_paid(
    tx: &mut Tx,
    statements: &Statements,
    order: &Order,
    session: &CheckoutSession,
    event_id: &str,
) -> Result<(), Fault> {
    let values = [
        ("order", (&order.id).into()),
        ("session", (&*session.id).into()),
        ("payment_intent", session.payment_intent.as_deref().into()),
        ("invoice", session.invoice.as_deref().into()),
        ("amount", session.amount_total.into()),
        ("event", event_id.into()),
    ];
    let changed = tx.touch(&statements.pay, &values).await?;
    match (changed, order.status.as_str()) {
        (1, _) => Ok(()),
        (_, "pending" | "expired" | "failed") => {
            Err(Fault::retry("order_changed", "the order changed while it was being marked paid"))
        }
        (_, other) => Err(Fault::reject(
            "order_not_pending",
            format!("the order {} is `{}`, but its session is paid", word(&order.id), word(other)),
        )),
    }
}
