//! The mail that a purchase sends: words from the templates, a Message-ID that never changes, a file or a mail server.
//!
//! Called by the plugins inside a step, so a finished mail is not sent again by a retry. If the process dies while it
//! sends, the retry sends the same bytes under the same Message-ID: as a file that is the same file, and a mail server's
//! recipient can tell the copy. Errors sort themselves: what a server refuses for good is a dead letter, all else is
//! tried again. No error holds an address.

mod file;
mod message;
mod smtp;

use std::path::PathBuf;
use std::time::Duration;

use crate::email::Email;
use crate::fault::{Fault, chain};
use crate::settings::{MailSettings, SettingsError, Transport};
use crate::templates::{TemplateError, Templates, Words};

/// The templates and the way out. Owned by the handler, shared by its threads.
#[derive(Debug)]
pub struct Mailer {
    settings: MailSettings,
    templates: Templates,
    exit: Exit,
}

/// A mail to one buyer.
#[derive(Debug, Clone)]
pub struct Mail<'a> {
    /// With its angle brackets.
    pub message_id: &'a str,
    pub to: &'a Email,
    pub to_name: Option<&'a str>,
    pub words: &'a Words,
    /// The `Date` header, since 1970: the event's, so that a copy has the same bytes.
    pub date: Duration,
}

/// Why a mailer cannot be made, or a mail did not go.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("the secret `{name}` for the mail server's password is missing: {reason}")]
    Secret { name: String, reason: String },
    #[error("cannot read the certificate authority {}", path.display())]
    CaFile { path: PathBuf, source: std::io::Error },
    #[error("cannot prepare TLS for the mail server {host}: {reason}")]
    Tls { host: String, reason: String },
    #[error("cannot write the mail to {}; check the directory and its space", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the mail cannot be put together: {reason}")]
    Message { reason: String },
    #[error("the mail server {host} refuses the mail for good: {reason}")]
    Refused { host: String, reason: String },
    #[error("the mail server {host} did not take the mail: {reason}")]
    Unavailable { host: String, reason: String },
}

#[derive(Debug)]
enum Exit {
    File(file::Directory),
    Smtp(smtp::Server),
}

impl Mailer {
    /// Checks the templates; touches nothing.
    pub fn check(settings: &MailSettings) -> Result<(), MailError> {
        Templates::load(settings.templates.as_deref())?;
        Ok(())
    }

    /// Checks everything that can be checked without sending: templates, directory, certificates, the password's secret.
    /// `secret` is asked by name and answers with the value, or with why there is none.
    pub fn open(
        settings: MailSettings,
        secret: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<Self, MailError> {
        let templates = Templates::load(settings.templates.as_deref())?;
        let exit = match &settings.transport {
            Transport::File { directory } => Exit::File(file::Directory::open(directory)?),
            Transport::Smtp(smtp) => Exit::Smtp(smtp::Server::open(smtp, secret)?),
        };
        Ok(Self { settings, templates, exit })
    }

    /// The words.
    pub fn templates(&self) -> &Templates {
        &self.templates
    }

    /// What the mails call the thing that was bought, and where its owner signs in.
    pub fn product(&self) -> (&str, Option<&str>) {
        (&self.settings.product, self.settings.sign_in.as_deref())
    }

    /// The sender's domain: the right-hand side of Message-IDs.
    pub fn domain(&self) -> &str {
        self.settings.from.email.domain()
    }

    /// Sends one mail; back only when the file is on disk or the server has taken it.
    pub fn send(&self, mail: &Mail<'_>) -> Result<(), MailError> {
        let message = message::build(&self.settings.from, mail)?;
        match &self.exit {
            Exit::File(directory) => directory.write(mail.message_id, &message.formatted()),
            Exit::Smtp(server) => server.send(&message),
        }
    }
}

impl From<MailError> for Fault {
    fn from(error: MailError) -> Self {
        let line = chain(&error);
        match error {
            MailError::Refused { .. } => Self::reject("mail_refused", line),
            MailError::Message { .. } => Self::reject("mail_invalid", line),
            _ => Self::retry("mail", line),
        }
    }
}

#[cfg(test)]
mod tests;
