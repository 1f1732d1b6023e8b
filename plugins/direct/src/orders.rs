//! The one transaction of a direct purchase: the order is marked paid by a single conditional update, together with the
//! receipt that this owes.
//!
//! Of two deliveries at once one finds the order pending and one does not: the database decides, not a read before it.
//! An order that is not there is a retry, not a loss: shops commit orders in their own time, and an event can be faster.

use hookyard_fulfilment::admit::Admitted;
use hookyard_fulfilment::database::Database;
use hookyard_fulfilment::email::Email;
use hookyard_fulfilment::fault::{Fault, word};
use hookyard_fulfilment::outbox::{self, Kind, Owed};
use hookyard_fulfilment::stripe::CheckoutSession;
use sqlx::SqliteConnection;

/// What became of the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Paid by this event, now or by an earlier attempt of it. `owed` is `None` where no receipt can be addressed.
    Ours { order_id: String, owed: Option<Owed> },
    /// Paid before, by another event of this session or by the shop itself.
    Before { order_id: String, by: String },
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

/// Marks the session's order paid, once. `receipt` is where the receipt goes; `domain` is the sender's.
///
/// Faults: retry `order_missing`, `order_changed`, `database`; reject `amount_mismatch`, `paid_twice`,
/// `order_not_pending`.
pub async fn settle(
    database: &Database,
    admitted: &Admitted,
    event_id: &str,
    receipt: Option<&Email>,
    domain: &str,
) -> Result<Settled, Fault> {
    let session = &admitted.session;
    let mut tx = database.begin().await?;
    let order = find(&mut tx, session).await?.ok_or_else(|| missing(session))?;
    if let Some(settled) = before(&mut tx, &order, session, event_id).await? {
        return Ok(settled);
    }
    same_amount(&order, session)?;
    mark_paid(&mut tx, &order, session, event_id).await?;
    let owed = match receipt {
        Some(to) => Some(outbox::owe(&mut tx, Kind::Receipt, &session.id, event_id, to, domain).await?),
        None => None,
    };
    tx.commit().await?;
    Ok(Settled::Ours { order_id: order.id, owed })
}

/// By the session, else by the shop's reference, else by `metadata.order_id`.
async fn find(tx: &mut SqliteConnection, session: &CheckoutSession) -> Result<Option<Order>, Fault> {
    let by_session = "SELECT id, stripe_session_id, amount_total, currency, status, paid_by_event FROM orders \
        WHERE stripe_session_id = ?";
    let by_reference = "SELECT id, stripe_session_id, amount_total, currency, status, paid_by_event FROM orders \
        WHERE client_reference = ?";
    let by_id = "SELECT id, stripe_session_id, amount_total, currency, status, paid_by_event FROM orders \
        WHERE id = ?";
    let ways = [
        (by_session, Some(session.id.as_str())),
        (by_reference, session.client_reference()),
        (by_id, session.client_reference()),
        (by_id, session.metadata("order_id")),
    ];
    for (sql, key) in ways {
        let Some(key) = key else { continue };
        let row: Option<Row> = sqlx::query_as(sql).bind(key).fetch_optional(&mut *tx).await?;
        if let Some((id, session_id, amount_total, currency, status, paid_by_event)) = row {
            return Ok(Some(Order { id, session_id, amount_total, currency, status, paid_by_event }));
        }
    }
    Ok(None)
}

fn missing(session: &CheckoutSession) -> Fault {
    let mut tried = vec!["its session id"];
    if session.client_reference().is_some() {
        tried.push("client_reference_id");
    }
    if session.metadata("order_id").is_some() {
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
    tx: &mut SqliteConnection,
    order: &Order,
    session: &CheckoutSession,
    event_id: &str,
) -> Result<Option<Settled>, Fault> {
    let by = match (&order.paid_by_event, order.status.as_str()) {
        (Some(by), _) => by.clone(),
        (None, "paid") => "the shop".to_owned(),
        _ => return Ok(None),
    };
    if by == event_id {
        let owed = outbox::find(tx, &session.id, &[Kind::Receipt]).await?;
        return Ok(Some(Settled::Ours { order_id: order.id.clone(), owed }));
    }
    if order.session_id.as_ref().is_some_and(|paid| *paid != session.id) {
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
    tx: &mut SqliteConnection,
    order: &Order,
    session: &CheckoutSession,
    event_id: &str,
) -> Result<(), Fault> {
    // The session that paid is the order's session from now on, whichever the shop had noted.
    let update = "UPDATE orders SET status = 'paid', payment_intent = ?, paid_by_event = ?, stripe_session_id = ?, \
        paid_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = ? AND status = 'pending'";
    let done = sqlx::query(update)
        .bind(session.payment_intent_id())
        .bind(event_id)
        .bind(&session.id)
        .bind(&order.id)
        .execute(tx)
        .await?;
    match (done.rows_affected(), order.status.as_str()) {
        (1, _) => Ok(()),
        (_, "pending") => {
            Err(Fault::retry("order_changed", "the order changed while it was being marked paid"))
        }
        (_, other) => Err(Fault::reject(
            "order_not_pending",
            format!("the order {} is `{}`, but its session is paid", word(&order.id), word(other)),
        )),
    }
}
