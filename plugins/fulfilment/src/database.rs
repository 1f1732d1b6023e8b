//! The plugins' database: one SQLite file, made and migrated when the handler is created.
//!
//! The host calls `handle` on several plain threads; each blocks in [`Database::run`] on the runtime that the plugin
//! owns. A commit is on disk when it returns (WAL with synchronous=FULL), so what a delivery did survives the loss of
//! the process and of power. sumo's and direct's hosts open the same file at the same moment: migrations run inside one
//! immediate transaction, and whoever comes second finds them done.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};
use tokio::runtime::Runtime;

use crate::fault::{Fault, chain};

/// SQLite has one writer at a time; more connections only wait in more places.
const CONNECTIONS_MAX: u32 = 4;
/// How long a writer waits for another process's transaction, which takes milliseconds.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// How long a delivery waits for one of the connections; below the handler's timeout of 30 s.
const CONNECTION_WAIT: Duration = Duration::from_secs(15);
/// Switching a new file to WAL fails at once, without the busy wait, when another process does the same: try again.
const OPEN_TRIES_MAX: u32 = 100;
const OPEN_PAUSE: Duration = Duration::from_millis(50);

/// The schema's steps in order; a step that has shipped is never edited.
const MIGRATIONS: [(i64, &str); 1] = [(1, include_str!("../migrations/0001_fulfilment.sql"))];

/// An open, migrated database and the runtime that drives it. Owned by the handler, shared by its threads.
#[derive(Debug)]
pub struct Database {
    pool: SqlitePool,
    runtime: Runtime,
}

/// Why the database cannot be had, or did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("database = \"{url}\" is not a SQLite file; write it as \"sqlite:var/fulfilment.db\"")]
    Url { url: String },
    #[error("cannot make the directory {} for the database", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("cannot start the threads that drive the database")]
    Runtime(#[source] std::io::Error),
    #[error("cannot open the database {}; check that this user may write there", path.display())]
    Open { path: PathBuf, source: sqlx::Error },
    #[error("cannot bring the database to schema version {version}; it is as it was")]
    Migrate { version: i64, source: sqlx::Error },
    #[error("the database has schema version {found}, this plugin knows {known}; use the newer plugin")]
    Newer { found: i64, known: i64 },
    #[error("the database refused")]
    Query(#[from] sqlx::Error),
}

impl Database {
    /// Opens the file that `url` (`sqlite:PATH`, relative to the daemon's directory) names; makes it, its directory and
    /// its tables where they are missing. Safe while other processes do the same.
    pub fn open(url: &str) -> Result<Self, DatabaseError> {
        let (path, options) = options(url)?;
        make_parent(&path)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("fulfilment-db")
            .enable_all()
            .build()
            .map_err(DatabaseError::Runtime)?;
        let pool = runtime.block_on(async {
            let pool = connect(options, &path).await?;
            migrate(&pool).await?;
            Ok::<_, DatabaseError>(pool)
        })?;
        Ok(Self { pool, runtime })
    }

    /// Whether `url` names a SQLite file; touches nothing.
    pub fn check(url: &str) -> Result<(), DatabaseError> {
        options(url).map(|_| ())
    }

    /// Runs database work to its end on the calling thread. Not for threads that drive a runtime themselves.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// For statements outside a transaction.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// A transaction that holds the write lock from its start, so that what it reads stays true until it commits.
    /// Dropped without a commit, it never happened.
    pub async fn begin(&self) -> Result<Transaction<'static, Sqlite>, DatabaseError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
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

fn options(url: &str) -> Result<(PathBuf, SqliteConnectOptions), DatabaseError> {
    let refused = || DatabaseError::Url { url: without_password(url) };
    if !url.starts_with("sqlite:") || url.contains(":memory:") || url.contains("mode=memory") {
        return Err(refused());
    }
    let options = SqliteConnectOptions::from_str(url).map_err(|_| refused())?;
    let path = options.get_filename().to_path_buf();
    if path.as_os_str().is_empty() {
        return Err(refused());
    }
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_WAIT)
        .foreign_keys(true);
    Ok((path, options))
}

/// What stands between `//` and `@` may be a password, and errors are logged.
fn without_password(url: &str) -> String {
    match (url.find("//"), url.rfind('@')) {
        (Some(start), Some(end)) if start < end => format!("{}//…{}", &url[..start], &url[end..]),
        _ => url.to_owned(),
    }
}

fn make_parent(path: &Path) -> Result<(), DatabaseError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => std::fs::create_dir_all(parent)
            .map_err(|source| DatabaseError::Directory { path: parent.to_path_buf(), source }),
        _ => Ok(()),
    }
}

async fn connect(options: SqliteConnectOptions, path: &Path) -> Result<SqlitePool, DatabaseError> {
    let mut tries = 1;
    loop {
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(CONNECTION_WAIT)
            .connect_with(options.clone());
        match pool.await {
            Ok(pool) => return Ok(pool),
            Err(error) if is_busy(&error) && tries < OPEN_TRIES_MAX => tries += 1,
            Err(source) => return Err(DatabaseError::Open { path: path.to_path_buf(), source }),
        }
        tokio::time::sleep(OPEN_PAUSE).await;
    }
}

/// SQLITE_BUSY and its extended codes.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

async fn migrate(pool: &SqlitePool) -> Result<(), DatabaseError> {
    let known = MIGRATIONS[MIGRATIONS.len() - 1].0;
    let fault = |source| DatabaseError::Migrate { version: known, source };
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(fault)?;
    sqlx::query("CREATE TABLE IF NOT EXISTS fulfilment_schema (version INTEGER PRIMARY KEY)")
        .execute(&mut *tx)
        .await
        .map_err(fault)?;
    let (found,): (i64,) = sqlx::query_as("SELECT COALESCE(MAX(version), 0) FROM fulfilment_schema")
        .fetch_one(&mut *tx)
        .await
        .map_err(fault)?;
    if found > known {
        return Err(DatabaseError::Newer { found, known });
    }
    for (version, statements) in MIGRATIONS.into_iter().filter(|(version, _)| *version > found) {
        let fault = |source| DatabaseError::Migrate { version, source };
        sqlx::raw_sql(statements).execute(&mut *tx).await.map_err(fault)?;
        sqlx::query("INSERT INTO fulfilment_schema (version) VALUES (?)")
            .bind(version)
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
    }
    tx.commit().await.map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(directory: &Path) -> String {
        format!("sqlite:{}/deep/er/fulfilment.db", directory.display())
    }

    #[test]
    fn a_new_file_is_made_with_its_directory_and_tables_and_opens_again() {
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let database = Database::open(&url(directory.path())).unwrap();
            let (tables,): (i64,) = database
                .run(
                    sqlx::query_as(
                        "SELECT count(*) FROM sqlite_master WHERE name IN \
                        ('users','purchases','subscriptions','access','orders','mails')",
                    )
                    .fetch_one(database.pool()),
                )
                .unwrap();
            assert_eq!(tables, 6);
        }
    }

    #[test]
    fn commits_are_synced_and_foreign_keys_hold() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&url(directory.path())).unwrap();
        for (sql, expected) in
            [("PRAGMA synchronous", "2"), ("PRAGMA foreign_keys", "1"), ("PRAGMA journal_mode", "wal")]
        {
            let row: sqlx::sqlite::SqliteRow =
                database.run(sqlx::query(sql).fetch_one(database.pool())).unwrap();
            let shown = sqlx::Row::try_get::<String, _>(&row, 0)
                .or_else(|_| sqlx::Row::try_get::<i64, _>(&row, 0).map(|number| number.to_string()))
                .unwrap();
            assert_eq!(shown, expected, "{sql}");
        }
    }

    #[test]
    fn many_openers_at_once_all_succeed() {
        let directory = tempfile::tempdir().unwrap();
        let url = url(directory.path());
        let gate = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    gate.wait();
                    Database::open(&url).unwrap();
                });
            }
        });
    }

    /// Not a test of its own: what each process of the next test runs.
    #[test]
    #[ignore = "run by many_processes_at_once_all_succeed"]
    fn opener_process() {
        let Ok(url) = std::env::var("OPENER_DATABASE") else { return };
        Database::open(&url).unwrap();
    }

    #[test]
    fn many_processes_at_once_all_succeed() {
        let directory = tempfile::tempdir().unwrap();
        let opener = || {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "database::tests::opener_process", "--ignored"])
                .env("OPENER_DATABASE", url(directory.path()))
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let openers: Vec<_> = std::iter::repeat_with(opener).take(6).collect();
        for opener in openers {
            let output = opener.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
        }
    }

    #[test]
    fn a_schema_of_the_future_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&url(directory.path())).unwrap();
        database
            .run(sqlx::query("INSERT INTO fulfilment_schema VALUES (99)").execute(database.pool()))
            .unwrap();
        let error = Database::open(&url(directory.path())).unwrap_err();
        assert!(matches!(error, DatabaseError::Newer { found: 99, known: 1 }), "{error}");
    }

    #[test]
    fn other_urls_are_refused_without_their_password() {
        for url in ["postgres://u:geheim@h/db", "sqlite::memory:", "sqlite:", "var/x.db"] {
            let error = Database::open(url).unwrap_err();
            assert!(matches!(error, DatabaseError::Url { .. }), "{error}");
            assert!(!error.to_string().contains("geheim"));
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let error = Database::open("sqlite:/dev/null/x/fulfilment.db").unwrap_err();
        assert!(error.to_string().contains("/dev/null/x"), "{error}");
    }
}
