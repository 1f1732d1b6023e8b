//! The plugin for Sumo Marketplace purchases: a paid Checkout Session becomes a user with access, and a mail.
//!
//! hookyard calls [`Sumo::handle`](hookyard_plugin::Handler::handle) for each attempt at a delivery, on several threads
//! at once. Read it top to bottom: guards, one transaction, one mail.
//!
//! Once for each Checkout Session, whatever arrives and however often: the session's row in `purchases` is the claim,
//! and it carries the event that won. Crash points: before the commit nothing happened; between commit and mail the
//! retry finds its own event id and goes on to the mail; after the mail the step's memo and the row in `mails` say so.
//!
//! Refunds, disputes, subscriptions that change and invoices are facts: kept, and what the users concerned may use is
//! worked out anew from all of them (`follow`, `entitle`). They come in any order; the end is the same.
//!
//! Answers: done; ignore `awaiting_payment`, `payment_failed`, `session_expired`, `setup_mode`, `test_mode`, `live_mode`,
//! `not_known`, `no_payment_intent`, `no_subscription`; reject `object_shape`, `dispute_status_unknown`,
//! `subscription_status_unknown`, `not_a_checkout_session`, `invalid_json`, `session_shape`, `payment_status_unknown`, `email_missing`,
//! `email_invalid`, `tier_missing`, `tier_unknown`, `quantity_invalid`, `addons_invalid`, `subscription_taken`,
//! `mail_refused`, `mail_invalid`; retry `database`, `mail`.
//!
//! ```toml
//! [handler.sumo]
//! plugin   = "sumo"
//! settings = { database = "sqlite:var/fulfilment.db", mail = { transport = "file", directory = "var/mail" }, tiers = "config/tiers.toml" }
//! ```

#![forbid(unsafe_code)]

pub mod entitle;
pub mod follow;
pub mod own;
pub mod provision;
pub mod purchase;
#[cfg(test)]
mod tests;
pub mod tiers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hookyard_fulfilment::admit::admit;
use hookyard_fulfilment::database::Database;
use hookyard_fulfilment::facts::{self, Fact};
use hookyard_fulfilment::fault::Fault;
use hookyard_fulfilment::mail::{Mail, MailError, Mailer};
use hookyard_fulfilment::outbox::{self, Owed};
use hookyard_fulfilment::settings::{DatabaseSettings, MailSettings};
use hookyard_fulfilment::templates::{AccessFacts, Choice};
use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};
use serde::Deserialize;
use serde_json::{Value, json};

use entitle::Entitlement;
use follow::follow;
use own::Own;
use provision::{Claim, provision};
use purchase::Purchase;
use tiers::Tiers;

/// `settings` of a handler of this plugin. Paths are relative to the daemon's directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `sqlite:PATH`, made where it is missing, or `postgres://…`; migrated at the start.
    database: DatabaseSettings,
    /// Statements for tables of your own: see `own`.
    #[serde(default)]
    statements: BTreeMap<String, String>,
    mail: MailSettings,
    /// The catalogue of tiers.
    tiers: PathBuf,
    /// `true`: only live events; `false`: only test events; left out: both.
    livemode: Option<bool>,
}

/// The plugin.
#[derive(Debug)]
pub struct Sumo {
    database: Database,
    mailer: Mailer,
    tiers: Tiers,
    own: Own,
    livemode: Option<bool>,
}

impl Handler for Sumo {
    type Settings = Settings;

    fn create(settings: Settings, host: &Host<'_>) -> Result<Self, CreateError> {
        let tiers = Tiers::load(&settings.tiers)?;
        let secret = |name: &str| host.secret(name).map_err(|error| error.message().to_owned());
        let mailer = Mailer::open(settings.mail, secret)?;
        let own = Own::read(&settings.statements)?;
        let database = Database::open(&settings.database, secret)?;
        database.run(own.check(&database))?;
        Ok(Self { database, mailer, tiers, own, livemode: settings.livemode })
    }

    fn check(settings: &Settings) -> Result<(), CreateError> {
        Tiers::load(&settings.tiers)?;
        Mailer::check(&settings.mail)?;
        Own::read(&settings.statements)?;
        Ok(Database::check(&settings.database)?)
    }

    fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        match facts::read(event.body(), self.livemode) {
            Ok(None) => self.fulfil(event, cx),
            Ok(Some(fact)) => self.follow(event, &fact),
            Err(fault) => fault.into_outcome(),
        }
    }
}

impl Sumo {
    /// A Checkout Session that was paid: once, a user with access and a mail.
    fn fulfil(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        let admitted = match admit(event.body(), self.livemode) {
            Ok(admitted) => admitted,
            Err(fault) => return fault.into_outcome(),
        };
        let purchase = Purchase::read(admitted, &self.tiers)?;
        let work =
            provision(&self.database, &self.tiers, &self.own, &purchase, event.id(), self.mailer.domain());
        match self.database.run(work)? {
            Claim::Theirs { event_id } => Ok(Outcome::done()
                .with_message(format!("already fulfilled by {event_id}"))
                .with_result(json!({ "session": purchase.session.id, "fulfilled_by": event_id }))),
            Claim::Ours { entitlement, owed } => {
                if let Some(owed) = &owed {
                    self.mail(event, cx, &purchase, owed)?;
                }
                Ok(Outcome::done().with_result(result(&purchase, &entitlement, owed.as_ref())))
            }
        }
    }

    /// What came after: the entitlements that it is about are worked out anew.
    fn follow(&self, event: &Event<'_>, fact: &Fact) -> Result<Outcome, Failure> {
        let received_ms = i64::try_from(event.received_unix_ms()).unwrap_or(i64::MAX);
        match self.database.run(follow(&self.database, &self.tiers, &self.own, fact, received_ms)) {
            Ok(entitlements) => {
                let entitlements: Vec<_> = entitlements.iter().map(Entitlement::result).collect();
                Ok(Outcome::done().with_result(json!({ "entitlements": entitlements })))
            }
            Err(fault) => fault.into_outcome(),
        }
    }

    fn mail(&self, event: &Event<'_>, cx: &Cx<'_>, purchase: &Purchase, owed: &Owed) -> Result<(), Failure> {
        let name = purchase.session.name();
        let (product, sign_in) = self.mailer.product();
        let facts = AccessFacts {
            name,
            product,
            tier: &purchase.tier_name,
            quantity: purchase.quantity,
            features: &purchase.grants,
            sign_in,
        };
        let choice = Choice { tier: Some(&purchase.tier_id), locale: purchase.session.locale.as_deref() };
        let words = self.mailer.templates().access(owed.kind, choice, &facts);
        let words = words.map_err(|error| Fault::from(MailError::from(error)))?;
        let mail = Mail {
            message_id: &owed.message_id,
            to: &purchase.email,
            to_name: name,
            words: &words,
            date: Duration::from_millis(event.received_unix_ms()),
        };
        outbox::pay(&self.database, &self.mailer, cx, owed, &mail)
    }
}

/// What was done, for the attempt's record: ids, no personal data.
fn result(purchase: &Purchase, entitlement: &Entitlement, owed: Option<&Owed>) -> Value {
    json!({
        "user_id": entitlement.user_id,
        "session": purchase.session.id,
        "subscription": {
            "id": entitlement.id,
            "status": entitlement.standing.status.word(),
            "tier": entitlement.tier,
            "quantity": entitlement.quantity,
            "stripe_subscription_id": purchase.session.subscription.as_deref(),
        },
        "access": entitlement.access(),
        "mail": owed.map(|owed| json!({ "message_id": owed.message_id, "kind": owed.kind.word() })),
    })
}

// SQLite locks by process: two copies of it in one would not see each other's locks.
hookyard_plugin::export!(Sumo, id = "com.hookyard.sumo", needs_isolation);
