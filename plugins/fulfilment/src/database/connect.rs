//! From a URL to connections. A URL may hold a password, so errors show it without.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyPool, Executor as _};

use super::probe::Probe;
use super::sql::Dialect;
use super::{CONNECTIONS_MAX, DatabaseError};

/// How long a delivery waits for one of the connections; below the handler's timeout of 30 s.
const CONNECTION_WAIT: Duration = Duration::from_secs(15);
/// A SQLite commit is on disk (WAL, synced), and a writer waits 5 s for another process's, which takes milliseconds.
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
    PRAGMA foreign_keys = ON";
/// Switching a new file to WAL fails at once, without the busy wait, when another process does the same: try again.
const OPEN_TRIES_MAX: u32 = 100;
const OPEN_PAUSE: Duration = Duration::from_millis(50);

/// What a URL names, checked.
#[derive(Debug)]
pub(super) struct Target {
    dialect: Dialect,
    options: AnyConnectOptions,
    /// For errors.
    shown: String,
    /// The SQLite file.
    file: Option<PathBuf>,
}

impl Target {
    /// Touches nothing.
    pub(super) fn read(url: &str) -> Result<Self, DatabaseError> {
        let shown = without_password(url);
        let refused = || DatabaseError::Url { url: shown.clone() };
        let (dialect, url, file) = if url.starts_with("sqlite:") {
            let file = sqlite_file(url).ok_or_else(refused)?;
            (
                Dialect::Sqlite,
                format!("{url}{}mode=rwc", if url.contains('?') { '&' } else { '?' }),
                Some(file),
            )
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            PgConnectOptions::from_str(url).map_err(|_| refused())?;
            if has_password(url) {
                return Err(DatabaseError::PasswordInUrl { url: shown });
            }
            (Dialect::Postgres, url.to_owned(), None)
        } else {
            return Err(refused());
        };
        let options = AnyConnectOptions::from_str(&url).map_err(|_| refused())?;
        Ok(Self { dialect, options, shown, file })
    }

    /// Puts the password where the driver looks for it.
    pub(super) fn set_password(&mut self, password: &str) -> Result<(), DatabaseError> {
        let taken = self.dialect == Dialect::Postgres
            && self.options.database_url.set_password(Some(password)).is_ok();
        if taken { Ok(()) } else { Err(DatabaseError::NoPassword { url: self.shown.clone() }) }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// For statements that are only read.
    pub(super) fn probe(&self) -> Result<Probe, DatabaseError> {
        let url = &self.options.database_url;
        let probe = match self.dialect {
            Dialect::Sqlite => SqliteConnectOptions::from_str(url.as_str()).map(Probe::Sqlite),
            Dialect::Postgres => PgConnectOptions::from_str(url.as_str()).map(Probe::Postgres),
        };
        probe.map_err(|_| DatabaseError::Url { url: self.shown.clone() })
    }

    pub(super) async fn connect(&self) -> Result<AnyPool, DatabaseError> {
        sqlx::any::install_default_drivers();
        if let Some(file) = &self.file {
            make_parent(file)?;
        }
        let mut tries = 1;
        loop {
            match self.pool().await {
                Ok(pool) => return Ok(pool),
                Err(error) if is_busy(&error) && tries < OPEN_TRIES_MAX => tries += 1,
                Err(source) => return Err(DatabaseError::Open { url: self.shown.clone(), source }),
            }
            tokio::time::sleep(OPEN_PAUSE).await;
        }
    }

    async fn pool(&self) -> Result<AnyPool, sqlx::Error> {
        let settings = (self.dialect == Dialect::Sqlite).then_some(SQLITE_SETTINGS);
        AnyPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(CONNECTION_WAIT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    match settings {
                        Some(settings) => connection.execute(settings).await.map(|_| ()),
                        None => Ok(()),
                    }
                })
            })
            .connect_with(self.options.clone())
            .await
    }
}

/// `None` for what is no file: each connection would have a database of its own.
fn sqlite_file(url: &str) -> Option<PathBuf> {
    if url.contains(":memory:") || url.contains("mode=") {
        return None;
    }
    let file = SqliteConnectOptions::from_str(url).ok()?.get_filename().to_path_buf();
    (!file.as_os_str().is_empty()).then_some(file)
}

fn make_parent(path: &Path) -> Result<(), DatabaseError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => std::fs::create_dir_all(parent)
            .map_err(|source| DatabaseError::Directory { path: parent.to_path_buf(), source }),
        _ => Ok(()),
    }
}

/// What stands between `//` and `@` may be a password, and errors are logged.
fn without_password(url: &str) -> String {
    match (url.find("//"), url.rfind('@')) {
        (Some(start), Some(end)) if start < end => format!("{}//…{}", &url[..start], &url[end..]),
        _ => url.to_owned(),
    }
}

/// `postgres://user:password@…`
fn has_password(url: &str) -> bool {
    let user = url.split("//").nth(1).and_then(|rest| rest.rsplit_once('@'));
    user.is_some_and(|(user, _)| user.contains(':'))
}

/// SQLITE_BUSY and its extended codes.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}
