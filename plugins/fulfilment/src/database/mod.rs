//! The plugins' database: a SQLite file, or PostgreSQL, by URL; migrated when the handler is created.
//!
//! The host calls `handle` on several plain threads; each blocks in [`Database::run`] on the runtime that the plugin
//! owns. A commit is on disk when it returns, so what a delivery did survives the loss of the process and of power.
//!
//! One rule makes every transaction easy to reason about, on both databases: **one at a time**. SQLite's `BEGIN IMMEDIATE`
//! takes the write lock at the start; on PostgreSQL an advisory lock does the same among the plugins of one database. What
//! a transaction reads stays true until it commits, in any number of processes. The shop's own statements are not held by
//! that lock, so what they may change at the same moment (orders, users) is changed by conditional statements only.

mod connect;
mod migrate;
mod probe;
mod sql;

use std::path::PathBuf;

use sqlx::{Any, AnyPool, Row as _, Transaction};
use tokio::runtime::Runtime;

use crate::fault::{Fault, chain};
use crate::settings::DatabaseSettings;
use crate::statements::{Statement, StatementError};

use probe::Probe;
pub use probe::{Column, Reader};
use sql::Dialect;
pub use sql::{Columns, Sql, Tables, TablesError, Value};

/// SQLite has one writer at a time, and so have we on PostgreSQL; more connections only wait in more places.
const CONNECTIONS_MAX: u32 = 4;
/// The lock's number is "hookyard" in ASCII. A holder that hangs is waited for less long than an attempt may take.
/// READ COMMITTED, so that what is read after the wait for the lock is what the holder has committed.
const BEGIN_POSTGRES: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '10s'; SELECT pg_advisory_xact_lock(7525356009748001380)";

/// An open, migrated database and the runtime that drives it. Owned by the handler, shared by its threads.
#[derive(Debug)]
pub struct Database {
    pool: AnyPool,
    probe: Probe,
    runtime: Runtime,
    sql: Sql,
}

/// A transaction that nobody else's overlaps. Dropped without a commit, it never happened.
#[derive(Debug)]
pub struct Tx {
    inner: Transaction<'static, Any>,
    sql: Sql,
}

/// Why the database cannot be had, or did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(
        "database = \"{url}\" is neither a SQLite file (\"sqlite:var/fulfilment.db\") nor PostgreSQL \
         (\"postgres://user@host/name\")"
    )]
    Url { url: String },
    #[error(
        "database: a password stands in the URL {url}; give its secret's name: \
         database = {{ url = \"…\", password_secret = \"database_password\" }}"
    )]
    PasswordInUrl { url: String },
    #[error("database: the URL {url} takes no password; remove `password_secret`")]
    NoPassword { url: String },
    #[error("the secret `{name}` with the database's password is missing: {reason}")]
    Secret { name: String, reason: String },
    #[error("cannot make the directory {} for the database", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("cannot start the threads that drive the database")]
    Runtime(#[source] std::io::Error),
    #[error("cannot open the database {url}; check that it is there and that this user may write to it")]
    Open { url: String, source: sqlx::Error },
    #[error("cannot bring the database to schema version {version}; it is as it was")]
    Migrate { version: i64, source: sqlx::Error },
    #[error("the database has schema version {found}, this plugin knows {known}; use the newer plugin")]
    Newer { found: i64, known: i64 },
    #[error(transparent)]
    Tables(#[from] TablesError),
    #[error(transparent)]
    Statement(#[from] StatementError),
    #[error("the database refused")]
    Query(#[from] sqlx::Error),
}

impl Database {
    /// Opens what `url` names: `sqlite:PATH` (relative to the daemon's directory; made, with its directory, where it is
    /// missing) or `postgres://…`, and brings its tables up to date. Safe while other processes do the same.
    ///
    /// `secret` is asked by name for the password and answers with the value, or with why there is none.
    pub fn open(
        settings: &DatabaseSettings,
        secret: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<Self, DatabaseError> {
        let mut target = connect::Target::read(&settings.url)?;
        let sql = Sql::new(target.dialect(), &settings.tables)?;
        if let Some(name) = &settings.password_secret {
            let missing = |reason| DatabaseError::Secret { name: name.clone(), reason };
            target.set_password(&secret(name).map_err(missing)?)?;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("fulfilment-db")
            .enable_all()
            .build()
            .map_err(DatabaseError::Runtime)?;
        let probe = target.probe()?;
        let pool = runtime.block_on(async {
            let pool = target.connect().await?;
            migrate::migrate(&pool, &sql).await?;
            Ok::<_, DatabaseError>(pool)
        })?;
        Ok(Self { pool, probe, runtime, sql })
    }

    /// Whether the settings can be meant; touches nothing.
    pub fn check(settings: &DatabaseSettings) -> Result<(), DatabaseError> {
        let target = connect::Target::read(&settings.url)?;
        Sql::new(target.dialect(), &settings.tables)?;
        Ok(())
    }

    /// Runs database work to its end on the calling thread. Not for threads that drive a runtime themselves.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// For statements outside a transaction.
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// How statements are written for this database.
    pub fn sql(&self) -> &Sql {
        &self.sql
    }

    /// A transaction that holds the one lock from its start. Dropped without a commit, it never happened.
    pub async fn begin(&self) -> Result<Tx, DatabaseError> {
        let inner = self.pool.begin_with(begin(&self.sql)).await?;
        Ok(Tx { inner, sql: self.sql.clone() })
    }

    /// A connection of its own, for statements that are only read.
    pub async fn reader(&self) -> Result<Reader, sqlx::Error> {
        self.probe.reader(self.sql.clone()).await
    }

    /// One statement outside a transaction; how many rows it touched.
    pub async fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        Ok(self.sql.query(sql, values).execute(&self.pool).await?.rows_affected())
    }
}

impl Tx {
    /// Runs a statement; how many rows it touched.
    pub async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, sqlx::Error> {
        Ok(self.sql.query(sql, values).execute(&mut *self.inner).await?.rows_affected())
    }

    /// The statement's only row, if there is one.
    pub async fn row<T: Columns>(&mut self, sql: &str, values: &[Value]) -> Result<Option<T>, sqlx::Error> {
        self.sql.query_as(sql, values).fetch_optional(&mut *self.inner).await
    }

    /// Every row.
    pub async fn rows<T: Columns>(&mut self, sql: &str, values: &[Value]) -> Result<Vec<T>, sqlx::Error> {
        self.sql.query_as(sql, values).fetch_all(&mut *self.inner).await
    }

    /// Every row of a statement that may be a team's own.
    pub async fn rows_of<T: Columns>(
        &mut self,
        statement: &Statement,
        values: &[(&'static str, Value)],
    ) -> Result<Vec<T>, sqlx::Error> {
        self.rows(statement.sql(), &statement.values(values)).await
    }

    /// How many rows a statement that may be a team's own has touched.
    pub async fn touch(
        &mut self,
        statement: &Statement,
        values: &[(&'static str, Value)],
    ) -> Result<u64, sqlx::Error> {
        self.execute(statement.sql(), &statement.values(values)).await
    }

    /// Runs a statement that may be a team's own. The first column of its first row as text, where it gives one.
    pub async fn own(
        &mut self,
        statement: &Statement,
        values: &[(&'static str, Value)],
    ) -> Result<Option<String>, sqlx::Error> {
        let query = self.sql.query(statement.sql(), &statement.values(values));
        let Some(row) = query.fetch_optional(&mut *self.inner).await? else { return Ok(None) };
        if row.is_empty() {
            return Ok(None);
        }
        match row.try_get::<Option<i64>, _>(0) {
            Ok(number) => Ok(number.map(|number| number.to_string())),
            Err(_) => row.try_get::<Option<String>, _>(0),
        }
    }

    /// Makes it so.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.inner.commit().await
    }
}

impl From<DatabaseError> for Fault {
    /// A database comes back, fills up and is emptied, is locked and released: always worth another try.
    fn from(error: DatabaseError) -> Self {
        Self::retry("database", chain(&error))
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        DatabaseError::Query(error).into()
    }
}

fn begin(sql: &Sql) -> &'static str {
    match sql.dialect() {
        Dialect::Sqlite => "BEGIN IMMEDIATE",
        Dialect::Postgres => BEGIN_POSTGRES,
    }
}

#[cfg(test)]
mod tests;
