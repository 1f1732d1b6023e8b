//! The plugin for a shop's own checkout: the pending order of a paid Checkout Session is marked paid, and a receipt goes.
//!
//! hookyard calls [`Direct::handle`](hookyard_plugin::Handler::handle) for each attempt at a delivery, on several
//! threads at once. Read it top to bottom: guards, one transaction, one mail. The `orders` table is the shop's to fill:
//! see the documentation of `hookyard_fulfilment`.
//!
//! Crash points: before the commit nothing happened; between commit and mail the retry finds its own event id on the
//! order and goes on to the receipt; after the mail the step's memo and the row in `mails` say so.
//!
//! A session without a usable e-mail address still pays its order: the money came. The answer is then done, with a
//! message that says why no receipt went.
//!
//! A session that ends without money, a refund and a dispute move the order on (`orders` draws its states).
//!
//! Answers: done; ignore `awaiting_payment`, `setup_mode`, `test_mode`, `live_mode`, `not_known`, `no_payment_intent`,
//! `no_subscription`, and `order_missing` where the settings say so; reject `object_shape`, `dispute_status_unknown`,
//! `subscription_status_unknown`, `not_a_checkout_session`, `invalid_json`, `session_shape`, `payment_status_unknown`, `amount_mismatch`,
//! `paid_twice`, `order_not_pending`, `mail_refused`, `mail_invalid`; retry `order_missing`, `order_changed`,
//! `database`, `mail`.
//!
//! ```toml
//! [handler.direct]
//! plugin   = "direct"
//! settings = { database = "sqlite:var/fulfilment.db", mail = { transport = "file", directory = "var/mail" } }
//! ```

#![forbid(unsafe_code)]

pub mod orders;
pub mod statements;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use hookyard_fulfilment::admit::{self, Admitted, admit};
use hookyard_fulfilment::database::Database;
use hookyard_fulfilment::email::Email;
use hookyard_fulfilment::facts::{self, Fact};
use hookyard_fulfilment::fault::Fault;
use hookyard_fulfilment::mail::{Mail, MailError, Mailer};
use hookyard_fulfilment::money::format_amount;
use hookyard_fulfilment::outbox::{self, Owed};
use hookyard_fulfilment::settings::{DatabaseSettings, MailSettings};
use hookyard_fulfilment::templates::{Choice, ReceiptFacts};
use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};
use serde::Deserialize;
use serde_json::json;

use orders::{Ended, Followed, Settled, end, follow, settle};
use statements::Statements;

/// `settings` of a handler of this plugin. Paths are relative to the daemon's directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `sqlite:PATH`, made where it is missing, or `postgres://…`; migrated at the start.
    database: DatabaseSettings,
    /// Statements for an orders table of your own: see `statements`.
    #[serde(default)]
    statements: BTreeMap<String, String>,
    mail: MailSettings,
    /// `true`: only live events; `false`: only test events; left out: both.
    livemode: Option<bool>,
    /// What an event is whose order is not there.
    #[serde(default)]
    order_missing: OrderMissing,
}

/// What an event is whose order is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OrderMissing {
    /// Tried again by the schedule, and a dead letter at its end: the order may be on its way.
    #[default]
    Retry,
    /// Nothing to do here: for a Stripe account that sells more than this shop.
    Ignore,
}

/// The plugin.
#[derive(Debug)]
pub struct Direct {
    database: Database,
    mailer: Mailer,
    livemode: Option<bool>,
    order_missing: OrderMissing,
    statements: Statements,
}

/// Where the receipt can go, or why it cannot.
type Receipt = Result<Email, &'static str>;

impl Handler for Direct {
    type Settings = Settings;

    fn create(settings: Settings, host: &Host<'_>) -> Result<Self, CreateError> {
        let secret = |name: &str| host.secret(name).map_err(|error| error.message().to_owned());
        let mailer = Mailer::open(settings.mail, secret)?;
        let statements = Statements::read(&settings.statements)?;
        let database = Database::open(&settings.database, secret)?;
        database.run(statements.check(&database))?;
        Ok(Self {
            database,
            mailer,
            livemode: settings.livemode,
            order_missing: settings.order_missing,
            statements,
        })
    }

    fn check(settings: &Settings) -> Result<(), CreateError> {
        Mailer::check(&settings.mail)?;
        Statements::read(&settings.statements)?;
        Ok(Database::check(&settings.database)?)
    }

    fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        match facts::read(event.body(), self.livemode) {
            Ok(None) => self.checkout(event, cx),
            Ok(Some(fact)) => self.follow(event, &fact),
            Err(fault) => fault.into_outcome(),
        }
    }
}

impl Direct {
    /// A Checkout Session: paid, or ended without money.
    fn checkout(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        let done = match admit(event.body(), self.livemode) {
            Ok(admitted) => self.settle(event, cx, &admitted),
            Err(fault) => match ended(&fault) {
                Some(ended) => self.end(event, ended),
                None => return fault.into_outcome(),
            },
        };
        match done {
            Err(failure)
                if failure.code() == "order_missing" && self.order_missing == OrderMissing::Ignore =>
            {
                Ok(Outcome::ignore("order_missing", failure.message()))
            }
            done => done,
        }
    }

    /// The order waits no longer for this session.
    fn end(&self, event: &Event<'_>, ended: Ended) -> Result<Outcome, Failure> {
        let session = admit::session(event.body())?.into_object();
        let order = self.database.run(end(&self.database, &self.statements, &session, ended))?;
        let message = if order.is_some() { "" } else { "the order waits for another session, or is paid" };
        let result = json!({ "order": order, "session": session.id });
        Ok(Outcome::done().with_message(message).with_result(result))
    }

    /// A refund, a dispute: where the order stands is worked out anew.
    fn follow(&self, event: &Event<'_>, fact: &Fact) -> Result<Outcome, Failure> {
        let received_ms = i64::try_from(event.received_unix_ms()).unwrap_or(i64::MAX);
        match self.database.run(follow(&self.database, &self.statements, fact, received_ms)) {
            Ok(orders) => {
                let orders: Vec<_> = orders.iter().map(Followed::result).collect();
                Ok(Outcome::done().with_result(json!({ "orders": orders })))
            }
            Err(fault) => fault.into_outcome(),
        }
    }

    fn settle(&self, event: &Event<'_>, cx: &Cx<'_>, admitted: &Admitted) -> Result<Outcome, Failure> {
        let receipt = receipt(admitted);
        let to = receipt.as_ref().ok();
        let settled = self.database.run(settle(
            &self.database,
            &self.statements,
            admitted,
            event.id(),
            to,
            self.mailer.domain(),
        ))?;
        match settled {
            Settled::Before { order_id, by } => Ok(Outcome::done()
                .with_message(format!("already paid by {by}"))
                .with_result(json!({ "order": order_id, "session": admitted.session.id, "paid_by": by }))),
            Settled::Ours { order_id, owed } => {
                let message = self.receipt(event, cx, admitted, &order_id, owed.as_ref(), &receipt)?;
                let mail =
                    owed.map(|owed| json!({ "message_id": owed.message_id, "kind": owed.kind.word() }));
                let result = json!({ "order": order_id, "session": admitted.session.id, "mail": mail });
                Ok(Outcome::done().with_message(message).with_result(result))
            }
        }
    }

    /// Sends the receipt that is owed. Returns what to tell the operator: nothing, or why none could go.
    fn receipt(
        &self,
        event: &Event<'_>,
        cx: &Cx<'_>,
        admitted: &Admitted,
        order_id: &str,
        owed: Option<&Owed>,
        receipt: &Receipt,
    ) -> Result<String, Failure> {
        let (to, owed) = match (receipt, owed) {
            (Ok(to), Some(owed)) => (to, owed),
            (Ok(_), None) => return Ok(String::new()),
            (Err(why), _) => return Ok(format!("the order is paid; no receipt went: {why}")),
        };
        let session = &admitted.session;
        let amount = session.amount_total.zip(session.currency.as_deref());
        let amount = amount.map(|(amount, currency)| format_amount(amount, currency));
        let (product, _) = self.mailer.product();
        let facts =
            ReceiptFacts { name: session.name(), product, order: order_id, amount: amount.as_deref() };
        let choice = Choice { tier: None, locale: session.locale.as_deref() };
        let words = self.mailer.templates().receipt(choice, &facts);
        let words = words.map_err(|error| Fault::from(MailError::from(error)))?;
        let mail = Mail {
            message_id: &owed.message_id,
            to,
            to_name: session.name(),
            words: &words,
            date: Duration::from_millis(event.received_unix_ms()),
        };
        outbox::pay(&self.database, &self.mailer, cx, owed, &mail)?;
        Ok(String::new())
    }
}

/// What the guard turned away because no money came.
fn ended(fault: &Fault) -> Option<Ended> {
    match fault.code() {
        "payment_failed" => Some(Ended::Failed),
        "session_expired" => Some(Ended::Expired),
        _ => None,
    }
}

fn receipt(admitted: &Admitted) -> Receipt {
    let given = admitted.session.email().ok_or("the session names no e-mail address")?;
    Email::parse(given).map_err(|_| "the session's e-mail address is not valid")
}

// SQLite locks by process: two copies of it in one would not see each other's locks.
hookyard_plugin::export!(Direct, id = "com.hookyard.direct", needs_isolation);
