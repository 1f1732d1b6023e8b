//! A mail's exact bytes. The same input gives the same bytes on every try: the Date is the event's, the MIME boundary
//! is made of the Message-ID. Values cannot start headers of their own: lettre encodes them, and they are made one line
//! before they reach it.

use std::time::UNIX_EPOCH;

use lettre::Message;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::{Mail, MailError};
use crate::templates::one_line;

/// RFC 3834: a machine wrote this, so vacation notes stay home.
#[derive(Debug, Clone)]
struct AutoSubmitted;

/// Text first, HTML second, as mail programs want it.
pub(super) fn build(from: &Mailbox, mail: &Mail<'_>) -> Result<Message, MailError> {
    let name = mail.to_name.map(one_line).filter(|name| !name.is_empty());
    let boundary: String = mail.message_id.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
    let body = MultiPart::alternative()
        .boundary(boundary)
        .singlepart(SinglePart::plain(mail.words.text.clone()))
        .singlepart(SinglePart::html(mail.words.html.clone()));
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(name, mail.to.address().clone()))
        .subject(one_line(&mail.words.subject))
        .message_id(Some(mail.message_id.to_owned()))
        .date(UNIX_EPOCH + mail.date)
        .header(AutoSubmitted)
        .multipart(body)
        .map_err(|error| MailError::Message { reason: error.to_string() })
}

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
