//! The settings that the shipped plugins share, as they stand under `[handler.X] settings`.
//!
//! Read once, when the host creates the handler. Unknown keys are faults, and so is a key that belongs to the other
//! transport: a typing mistake must not become a mail that never goes.

use std::path::PathBuf;

use lettre::message::Mailbox;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use crate::database::Tables;

/// `database = "sqlite:var/fulfilment.db"`, or a table where there is more to say:
/// `database = { url = "postgres://shop@db.example/shop", password_secret = "database_password" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseSettings {
    pub url: String,
    /// The secret that holds PostgreSQL's password.
    pub password_secret: Option<String>,
    /// Other names for our tables.
    pub tables: Tables,
}

/// `mail = { transport = "file", directory = "var/mail" }`, or `transport = "smtp"` and its keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawMail")]
pub struct MailSettings {
    pub transport: Transport,
    /// Who the mails are from.
    pub from: Mailbox,
    /// What was bought, as the mails call it.
    pub product: String,
    /// Where a buyer signs in: the welcome mail's button.
    pub sign_in: Option<String>,
    /// A directory whose files replace the shipped templates.
    pub templates: Option<PathBuf>,
}

/// How a mail leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// One `.eml` file a mail: for development, and for shops whose mail server collects a directory.
    File {
        directory: PathBuf,
    },
    Smtp(Smtp),
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    /// A certificate authority of your own, PEM; beside the public ones.
    pub ca_file: Option<PathBuf>,
    pub login: Option<Login>,
}

/// The password itself comes from the host, by the secret's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    pub password_secret: String,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Plain, then encrypted by STARTTLS, or not at all: never sent in the clear. Port 587.
    Starttls,
    /// Encrypted from the first byte. Port 465.
    Implicit,
    /// In the clear: for a relay on the same machine. Port 25.
    None,
}

/// What is wrong with a `mail` table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("mail: transport = \"{transport}\" needs `{key}`")]
    Missing { transport: &'static str, key: &'static str },
    #[error(
        "mail: `{key}` has no meaning with transport = \"{transport}\"; remove it or change the transport"
    )]
    Stray { transport: &'static str, key: &'static str },
    #[error("mail: from = \"{from}\" is not an address such as \"Inkwell <hello@inkwell.example>\"")]
    From { from: String },
    #[error("mail: `username` and `password_secret` belong together; one of them is missing")]
    HalfLogin,
    #[error(
        "mail: tls = \"none\" would send the password to `{host}` in the clear; use \"starttls\" or \"implicit\""
    )]
    PasswordInTheClear { host: String },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDatabase {
    url: String,
    password_secret: Option<String>,
    #[serde(default)]
    tables: Tables,
}

impl From<&str> for DatabaseSettings {
    fn from(url: &str) -> Self {
        Self { url: url.to_owned(), password_secret: None, tables: Tables::default() }
    }
}

impl<'de> Deserialize<'de> for DatabaseSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UrlOrTable;
        impl<'de> Visitor<'de> for UrlOrTable {
            type Value = DatabaseSettings;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a database's URL, or a table with `url`")
            }

            fn visit_str<E: serde::de::Error>(self, url: &str) -> Result<DatabaseSettings, E> {
                Ok(url.into())
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<DatabaseSettings, M::Error> {
                let raw = RawDatabase::deserialize(MapAccessDeserializer::new(map))
                    .map_err(|error| M::Error::custom(format!("database: {error}")))?;
                Ok(DatabaseSettings {
                    url: raw.url,
                    password_secret: raw.password_secret,
                    tables: raw.tables,
                })
            }
        }
        deserializer.deserialize_any(UrlOrTable)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMail {
    transport: Word,
    from: Option<String>,
    product: Option<String>,
    sign_in: Option<String>,
    templates: Option<PathBuf>,
    directory: Option<PathBuf>,
    host: Option<String>,
    port: Option<u16>,
    tls: Option<Tls>,
    ca_file: Option<PathBuf>,
    username: Option<String>,
    password_secret: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    File,
    Smtp,
}

impl TryFrom<RawMail> for MailSettings {
    type Error = SettingsError;

    fn try_from(mut raw: RawMail) -> Result<Self, SettingsError> {
        let from = match (raw.from.take(), raw.transport) {
            (Some(from), _) => from,
            // Files go nowhere, so any sender will do.
            (None, Word::File) => "hookyard <hookyard@localhost.localdomain>".to_owned(),
            (None, Word::Smtp) => return Err(SettingsError::Missing { transport: "smtp", key: "from" }),
        };
        let from: Mailbox = from.parse().map_err(|_| SettingsError::From { from })?;
        let product =
            raw.product.take().or_else(|| from.name.clone()).unwrap_or_else(|| "your purchase".to_owned());
        let (sign_in, templates) = (raw.sign_in.take(), raw.templates.take());
        let transport = match raw.transport {
            Word::File => raw.file()?,
            Word::Smtp => raw.smtp()?,
        };
        Ok(Self { transport, from, product, sign_in, templates })
    }
}

impl RawMail {
    fn file(self) -> Result<Transport, SettingsError> {
        let strays = [
            (self.host.is_some(), "host"),
            (self.port.is_some(), "port"),
            (self.tls.is_some(), "tls"),
            (self.ca_file.is_some(), "ca_file"),
            (self.username.is_some(), "username"),
            (self.password_secret.is_some(), "password_secret"),
        ];
        if let Some((_, key)) = strays.into_iter().find(|(present, _)| *present) {
            return Err(SettingsError::Stray { transport: "file", key });
        }
        let directory =
            self.directory.ok_or(SettingsError::Missing { transport: "file", key: "directory" })?;
        Ok(Transport::File { directory })
    }

    fn smtp(self) -> Result<Transport, SettingsError> {
        if self.directory.is_some() {
            return Err(SettingsError::Stray { transport: "smtp", key: "directory" });
        }
        let host = self.host.ok_or(SettingsError::Missing { transport: "smtp", key: "host" })?;
        let tls = self.tls.unwrap_or(Tls::Starttls);
        let login = match (self.username, self.password_secret) {
            (Some(username), Some(password_secret)) => Some(Login { username, password_secret }),
            (None, None) => None,
            _ => return Err(SettingsError::HalfLogin),
        };
        let here = ["localhost", "127.0.0.1", "::1"].contains(&host.as_str());
        if login.is_some() && tls == Tls::None && !here {
            return Err(SettingsError::PasswordInTheClear { host });
        }
        let port = self.port.unwrap_or_else(|| tls.port());
        Ok(Transport::Smtp(Smtp { host, port, tls, ca_file: self.ca_file, login }))
    }
}

impl Tls {
    fn port(self) -> u16 {
        match self {
            Self::Starttls => 587,
            Self::Implicit => 465,
            Self::None => 25,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: serde_json::Value) -> Result<MailSettings, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_database_is_a_url_or_a_table() {
        let read =
            |value| serde_json::from_value::<DatabaseSettings>(value).map_err(|error| error.to_string());
        assert_eq!(read(json!("sqlite:x.db")).unwrap(), "sqlite:x.db".into());
        let table =
            read(json!({"url": "postgres://u@h/d", "password_secret": "p", "tables": {"users": "u"}}))
                .unwrap();
        assert_eq!((table.url.as_str(), table.password_secret.as_deref()), ("postgres://u@h/d", Some("p")));
        assert!(
            read(json!({"url": "sqlite:x.db", "pasword_secret": "p"}))
                .unwrap_err()
                .contains("database: unknown field `pasword_secret`")
        );
        assert!(read(json!(7)).unwrap_err().contains("a database's URL, or a table with `url`"));
    }

    #[test]
    fn the_shortest_file_transport_is_enough() {
        let settings = read(json!({"transport": "file", "directory": "var/mail"})).unwrap();
        assert_eq!(settings.transport, Transport::File { directory: "var/mail".into() });
        assert_eq!(settings.product, "hookyard");
    }

    #[test]
    fn smtp_has_safe_defaults() {
        let settings =
            read(json!({"transport": "smtp", "host": "mail.example", "from": "Inkwell <a@inkwell.example>",
            "username": "u", "password_secret": "smtp_password"}))
            .unwrap();
        let Transport::Smtp(smtp) = settings.transport else { panic!("smtp was asked for") };
        assert_eq!((smtp.port, smtp.tls), (587, Tls::Starttls));
        assert_eq!(settings.product, "Inkwell");
    }

    #[test]
    fn each_mistake_is_named() {
        let mistakes = [
            (json!({"transport": "file"}), "needs `directory`"),
            (json!({"transport": "pigeon"}), "unknown variant `pigeon`"),
            (json!({"transport": "file", "directory": "x", "host": "y"}), "`host` has no meaning"),
            (json!({"transport": "file", "directory": "x", "folder": "y"}), "unknown field `folder`"),
            (json!({"transport": "file", "directory": "x", "from": "nobody"}), "from = \"nobody\""),
            (json!({"transport": "smtp", "host": "m"}), "needs `from`"),
            (json!({"transport": "smtp", "from": "a@b.example"}), "needs `host`"),
            (
                json!({"transport": "smtp", "host": "m", "from": "a@b.example", "username": "u"}),
                "belong together",
            ),
            (
                json!({"transport": "smtp", "host": "m", "from": "a@b.example", "tls": "none", "username": "u",
                    "password_secret": "p"}),
                "in the clear",
            ),
        ];
        for (settings, expected) in mistakes {
            let error = read(settings).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
