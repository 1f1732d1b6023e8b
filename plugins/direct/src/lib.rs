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
//! Answers: done; ignore `awaiting_payment`, `payment_failed`, `setup_mode`, `test_mode`, `live_mode`; reject
//! `not_a_checkout_session`, `invalid_json`, `session_shape`, `payment_status_unknown`, `amount_mismatch`,
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
#[cfg(test)]
mod tests;

use std::time::Duration;

use hookyard_fulfilment::admit::{Admitted, admit};
use hookyard_fulfilment::database::Database;
use hookyard_fulfilment::email::Email;
use hookyard_fulfilment::fault::Fault;
use hookyard_fulfilment::mail::{Mail, MailError, Mailer};
use hookyard_fulfilment::money::format_amount;
use hookyard_fulfilment::outbox::{self, Owed};
use hookyard_fulfilment::settings::MailSettings;
use hookyard_fulfilment::templates::ReceiptFacts;
use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};
use serde::Deserialize;
use serde_json::json;

use orders::{Settled, settle};

/// `settings` of a handler of this plugin. Paths are relative to the daemon's directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `sqlite:PATH`; made and migrated where it is missing.
    database: String,
    mail: MailSettings,
    /// `true`: only live events; `false`: only test events; left out: both.
    livemode: Option<bool>,
}

/// The plugin.
#[derive(Debug)]
pub struct Direct {
    database: Database,
    mailer: Mailer,
    livemode: Option<bool>,
}

/// Where the receipt can go, or why it cannot.
type Receipt = Result<Email, &'static str>;

impl Handler for Direct {
    type Settings = Settings;

    fn create(settings: Settings, host: &Host<'_>) -> Result<Self, CreateError> {
        let secret = |name: &str| host.secret(name).map_err(|error| error.message().to_owned());
        let mailer = Mailer::open(settings.mail, secret)?;
        let database = Database::open(&settings.database)?;
        Ok(Self { database, mailer, livemode: settings.livemode })
    }

    fn check(settings: &Settings) -> Result<(), CreateError> {
        Mailer::check(&settings.mail)?;
        Ok(Database::check(&settings.database)?)
    }

    fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        let admitted = match admit(event.body(), self.livemode) {
            Ok(admitted) => admitted,
            Err(fault) => return fault.into_outcome(),
        };
        let receipt = receipt(&admitted);
        let to = receipt.as_ref().ok();
        let settled =
            self.database.run(settle(&self.database, &admitted, event.id(), to, self.mailer.domain()))?;
        match settled {
            Settled::Before { order_id, by } => Ok(Outcome::done()
                .with_message(format!("already paid by {by}"))
                .with_result(json!({ "order": order_id, "session": admitted.session.id, "paid_by": by }))),
            Settled::Ours { order_id, owed } => {
                let message = self.receipt(event, cx, &admitted, &order_id, owed.as_ref(), &receipt)?;
                let mail =
                    owed.map(|owed| json!({ "message_id": owed.message_id, "kind": owed.kind.word() }));
                let result = json!({ "order": order_id, "session": admitted.session.id, "mail": mail });
                Ok(Outcome::done().with_message(message).with_result(result))
            }
        }
    }
}

impl Direct {
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
        let words = self.mailer.templates().receipt(&facts);
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

fn receipt(admitted: &Admitted) -> Receipt {
    let given = admitted.session.email().ok_or("the session names no e-mail address")?;
    Email::parse(given).map_err(|_| "the session's e-mail address is not valid")
}

hookyard_plugin::export!(Direct, id = "com.hookyard.direct");
