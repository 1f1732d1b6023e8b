//! Mails to a server. 4xx, a dead line and everything that is not the mail's fault is tried again; 5xx is for good.
//! What a server says goes into the error without addresses: servers like to repeat the recipient.

use std::time::Duration;

use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls as LettreTls, TlsParameters};
use lettre::{Message, SmtpTransport, Transport as _};

use super::MailError;
use crate::fault::chain;
use crate::settings::{Login, Smtp, Tls};

/// For each command; below the handler's timeout of 30 s.
const SMTP_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections kept to the server: as many as deliveries run at once by default.
const SMTP_CONNECTIONS_MAX: u32 = 8;
/// How much of a server's answer an operator needs.
const ANSWER_CHARS_MAX: usize = 300;

/// The mail server. Connects when the first mail goes, so that a server that is down does not keep the handler down.
#[derive(Debug)]
pub(super) struct Server {
    host: String,
    transport: SmtpTransport,
}

impl Server {
    pub(super) fn open(
        settings: &Smtp,
        secret: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<Self, MailError> {
        let tls = match settings.tls {
            Tls::None => LettreTls::None,
            Tls::Starttls => LettreTls::Required(parameters(settings)?),
            Tls::Implicit => LettreTls::Wrapper(parameters(settings)?),
        };
        let mut builder = SmtpTransport::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls)
            .timeout(Some(SMTP_TIMEOUT))
            .pool_config(PoolConfig::new().max_size(SMTP_CONNECTIONS_MAX));
        if let Some(Login { username, password_secret }) = &settings.login {
            let password = secret(password_secret)
                .map_err(|reason| MailError::Secret { name: password_secret.clone(), reason })?;
            builder = builder.credentials(Credentials::new(username.clone(), password));
        }
        Ok(Self { host: settings.host.clone(), transport: builder.build() })
    }

    /// Back when the server has taken the mail.
    pub(super) fn send(&self, message: &Message) -> Result<(), MailError> {
        let Err(error) = self.transport.send(message) else { return Ok(()) };
        let (host, reason) = (self.host.clone(), without_addresses(&chain_once(&error)));
        // RFC 6531: a server without SMTPUTF8 can never take such an address; asking again changes nothing.
        let unreachable =
            error.is_client() && message.envelope().to().iter().any(|to| !to.to_string().is_ascii());
        match error.is_permanent() || unreachable {
            // A refused login or sender is the operator's to mend, not the mail's fault.
            true if is_about_us(&error) => Err(MailError::Unavailable { host, reason }),
            true => Err(MailError::Refused { host, reason }),
            false => Err(MailError::Unavailable { host, reason }),
        }
    }
}

/// 530, 534, 535 and 538 speak of the login, not of the mail.
fn is_about_us(error: &lettre::transport::smtp::Error) -> bool {
    error.status().is_some_and(|code| ["530", "534", "535", "538"].contains(&code.to_string().as_str()))
}

fn parameters(settings: &Smtp) -> Result<TlsParameters, MailError> {
    let tls = |error: &lettre::transport::smtp::Error| MailError::Tls {
        host: settings.host.clone(),
        reason: chain_once(error),
    };
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let pem = std::fs::read(path).map_err(|source| MailError::CaFile { path: path.clone(), source })?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| tls(&error))?);
    }
    builder.build().map_err(|error| tls(&error))
}

/// lettre's errors print their source themselves; only what stands deeper is added.
fn chain_once(error: &lettre::transport::smtp::Error) -> String {
    let deeper = std::error::Error::source(error).and_then(|source| source.source());
    deeper.map_or_else(|| error.to_string(), |deeper| format!("{error}: {}", chain(deeper)))
}

/// Words with an `@` are somebody's address.
fn without_addresses(answer: &str) -> String {
    let words = answer.split_whitespace().map(|word| if word.contains('@') { "(address)" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(ANSWER_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::without_addresses;

    #[test]
    fn an_answer_loses_its_addresses() {
        let answer = "550 5.1.1 <marta@buyer.example>:\r\n recipient marta@buyer.example unknown";
        assert_eq!(without_addresses(answer), "550 5.1.1 (address) recipient (address) unknown");
    }
}
