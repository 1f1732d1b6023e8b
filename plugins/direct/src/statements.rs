//! The statements about orders. Those of the shipped `orders` table stand here; a shop with a table of its own gives its
//! own in the settings, any of them:
//!
//! | statement | when | parameters | gives |
//! |---|---|---|---|
//! | `find_order` | at a checkout | `:session`, `:client_reference`, `:order_id` | one row: id, session, amount, currency, status, the event that paid it |
//! | `pay_order` | at a payment; must do nothing where the order no longer waits | `:order`, `:session`, `:payment_intent`, `:invoice`, `:amount`, `:event` | touches one row, or none |
//! | `end_order` | at a failure or an expiry (`:status`); must do nothing where it no longer waits | `:order`, `:session`, `:status` | touches one row, or none |
//! | `find_paid_order` | at a refund or a dispute | `:payment_intent`, `:invoice` | rows: id, amount paid, payment intent, invoice |
//! | `state_order` | then, with where the order stands | `:order`, `:status`, `:refunded`, `:disputed` | one row: the status that it has now |

use std::collections::BTreeMap;

use hookyard_fulfilment::database::Database;
use hookyard_fulfilment::statements::{self, Form, Gives, Statement, StatementError, Type, read};

const FIND: Form = Form {
    name: "find_order",
    parameters: &[("session", Type::Text), ("client_reference", Type::Text), ("order_id", Type::Text)],
    gives: &[Gives::Text, Gives::Text, Gives::Number, Gives::Text, Gives::Text, Gives::Text],
};
/// By the session, else by the shop's reference, else by `metadata.order_id`.
const FIND_SHIPPED: &str = "SELECT id, stripe_session_id, amount_total, currency, status, paid_by_event FROM {orders} \
    WHERE stripe_session_id = :session OR client_reference = :client_reference OR id = :client_reference \
    OR id = :order_id ORDER BY CASE WHEN stripe_session_id = :session THEN 0 \
    WHEN client_reference = :client_reference THEN 1 WHEN id = :client_reference THEN 2 ELSE 3 END LIMIT 1";

const PAY: Form = Form {
    name: "pay_order",
    parameters: &[
        ("order", Type::Text),
        ("session", Type::Text),
        ("payment_intent", Type::Text),
        ("invoice", Type::Text),
        ("amount", Type::Number),
        ("event", Type::Text),
    ],
    gives: &[],
};
/// The session that paid is the order's session from now on, whichever the shop had noted.
const PAY_SHIPPED: &str = "UPDATE {orders} SET status = 'paid', payment_intent = :payment_intent, invoice_id = :invoice, \
    amount_paid = :amount, paid_by_event = :event, stripe_session_id = :session, paid_at = {now} \
    WHERE id = :order AND status IN ('pending', 'expired', 'failed')";

const END: Form = Form {
    name: "end_order",
    parameters: &[("order", Type::Text), ("session", Type::Text), ("status", Type::Text)],
    gives: &[],
};
/// The order may wait for another session by now, and that one may still be paid.
const END_SHIPPED: &str = "UPDATE {orders} SET status = :status WHERE id = :order \
    AND (status = 'pending' OR (status = 'expired' AND :status = 'failed')) \
    AND (stripe_session_id IS NULL OR stripe_session_id = :session)";

const FIND_PAID: Form = Form {
    name: "find_paid_order",
    parameters: &[("payment_intent", Type::Text), ("invoice", Type::Text)],
    gives: &[Gives::Text, Gives::Number, Gives::Text, Gives::Text],
};
const FIND_PAID_SHIPPED: &str = "SELECT id, COALESCE(amount_paid, amount_total), payment_intent, invoice_id \
    FROM {orders} \
    WHERE payment_intent = :payment_intent OR invoice_id = :invoice ORDER BY id";

const STATE: Form = Form {
    name: "state_order",
    parameters: &[
        ("order", Type::Text),
        ("status", Type::Text),
        ("refunded", Type::Number),
        ("disputed", Type::Number),
    ],
    gives: &[Gives::Text],
};
/// A state of the shop's own (shipped, say) is left alone; the sums are written anyhow.
const STATE_SHIPPED: &str = "UPDATE {orders} SET refunded = :refunded, disputed = :disputed, status = CASE WHEN status IN \
    ('paid', 'partly_refunded', 'disputed', 'refunded', 'dispute_lost') THEN :status ELSE status END \
    WHERE id = :order RETURNING status";

/// One of each.
#[derive(Debug)]
pub struct Statements {
    pub find: Statement,
    pub pay: Statement,
    pub end: Statement,
    pub find_paid: Statement,
    pub state: Statement,
}

impl Statements {
    /// Those of the settings, and the shipped ones for the others; touches nothing.
    pub fn read(given: &BTreeMap<String, String>) -> Result<Self, StatementError> {
        let mut given = read(given, &[FIND, PAY, END, FIND_PAID, STATE])?;
        let mut one = |form: &Form, shipped: &str| match given.remove(form.name) {
            Some(own) => Ok(own),
            None => Statement::read(form, shipped),
        };
        Ok(Self {
            find: one(&FIND, FIND_SHIPPED)?,
            pay: one(&PAY, PAY_SHIPPED)?,
            end: one(&END, END_SHIPPED)?,
            find_paid: one(&FIND_PAID, FIND_PAID_SHIPPED)?,
            state: one(&STATE, STATE_SHIPPED)?,
        })
    }

    /// Lets the database read each of them.
    pub async fn check(&self, database: &Database) -> Result<(), StatementError> {
        let all = [&self.find, &self.pay, &self.end, &self.find_paid, &self.state];
        statements::check(all, database).await
    }
}
