//! The mails that purchases owe. A row is written in the purchase's own transaction, so a mail is owed from the moment
//! that the purchase stands; it is marked sent after the mail left. A crash between the two sends the mail again under
//! the same Message-ID: twice at the worst, never not at all.

use hookyard_plugin::{Cx, Failure, Step};
use sha2::{Digest, Sha256};

use crate::database::{Database, DatabaseError, Tx};
use crate::email::Email;
use crate::fault::Fault;
use crate::mail::{Mail, Mailer};

/// Which mail a purchase owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To somebody new.
    Welcome,
    /// To somebody who was here before.
    NewSubscription,
    /// For a paid order.
    Receipt,
}

/// A mail that is owed, or was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// With its angle brackets.
    pub message_id: String,
    pub kind: Kind,
    pub sent: bool,
    /// The event whose delivery sends it.
    pub event_id: String,
}

impl Kind {
    /// Every kind's word.
    pub const WORDS: [&str; 3] = ["welcome", "new_subscription", "receipt"];

    /// The word in the database, and the name of the mail's template.
    pub fn word(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::NewSubscription => "new_subscription",
            Self::Receipt => "receipt",
        }
    }
}

/// Writes the debt down inside the purchase's transaction. `domain` is the sender's.
pub async fn owe(
    tx: &mut Tx,
    kind: Kind,
    session_id: &str,
    event_id: &str,
    to: &Email,
    domain: &str,
) -> Result<Owed, DatabaseError> {
    let message_id = message_id(kind, session_id, domain);
    let sql =
        "INSERT INTO {mails} (message_id, session_id, kind, recipient, event_id) VALUES ($1, $2, $3, $4, $5)";
    let values =
        [(&message_id).into(), session_id.into(), kind.word().into(), to.given().into(), event_id.into()];
    tx.execute(sql, &values).await?;
    Ok(Owed { message_id, kind, sent: false, event_id: event_id.to_owned() })
}

/// What a session owes of these kinds; `None` where no mail could be addressed.
pub async fn find(tx: &mut Tx, session_id: &str, kinds: &[Kind]) -> Result<Option<Owed>, DatabaseError> {
    let sql = "SELECT message_id, kind, state, event_id FROM {mails} WHERE session_id = $1";
    let rows: Vec<(String, String, String, String)> = tx.rows(sql, &[session_id.into()]).await?;
    Ok(rows.into_iter().find_map(|(message_id, word, state, event_id)| {
        let kind = kinds.iter().copied().find(|kind| kind.word() == word)?;
        Some(Owed { message_id, kind, sent: state == "sent", event_id })
    }))
}

/// Pays the debt: sends the mail in the step `mail`, then strikes the row off. A mail that is marked as sent is not sent
/// again, whoever redelivers its event. Blocks; call it outside [`Database::run`].
pub fn pay(
    database: &Database,
    mailer: &Mailer,
    cx: &Cx<'_>,
    owed: &Owed,
    mail: &Mail<'_>,
) -> Result<(), Failure> {
    if owed.sent {
        return Ok(());
    }
    cx.step("mail", |step: &Step| {
        if step.unsure() {
            cx.warn("an earlier attempt at this mail did not end; it goes again under the same Message-ID");
        }
        mailer.send(mail).map_err(|error| Failure::from(Fault::from(error)))
    })?;
    database.run(mark_sent(database, &owed.message_id)).map_err(|error| Failure::from(Fault::from(error)))
}

/// Again is harmless.
async fn mark_sent(database: &Database, message_id: &str) -> Result<(), DatabaseError> {
    let sql =
        "UPDATE {mails} SET state = 'sent', sent_at = {now} WHERE message_id = $1 AND state = 'pending'";
    database.execute(sql, &[message_id.into()]).await?;
    Ok(())
}

/// The same for the same purchase and kind, on every machine and for ever; tells nothing of either to a stranger.
fn message_id(kind: Kind, session_id: &str, domain: &str) -> String {
    let digest =
        Sha256::new().chain_update(session_id).chain_update(":").chain_update(kind.word()).finalize();
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("<{}.{hex}@{domain}>", kind.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_stable_and_tells_kinds_and_sessions_apart() {
        let id = message_id(Kind::Welcome, "cs_1", "inkwell.example");
        assert_eq!(id, "<welcome.7e58e24fcf69110856c7382214a17c45@inkwell.example>");
        assert_ne!(id, message_id(Kind::Receipt, "cs_1", "inkwell.example"));
        assert_ne!(id, message_id(Kind::Welcome, "cs_2", "inkwell.example"));
    }
}
