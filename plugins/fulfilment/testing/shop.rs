//! A shop for the plugins' tests: a real database (a SQLite file, or one of a real PostgreSQL), a mail directory, and the
//! fixtures. Included by the tests of sumo and direct; part of no library.

use std::path::{Path, PathBuf};

use hookyard_fulfilment::database::Database;
use hookyard_plugin::testkit::{Delivered, Said, TestEvent, event_id};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::postgres;

/// What the plugins write to, in an order in which it can be cleared.
const TABLES: [&str; 8] =
    ["mails", "access", "grants", "subscriptions", "purchases", "users", "orders", "stripe_facts"];

/// One shop; its files go when it is dropped.
pub(crate) struct Shop {
    directory: TempDir,
    url: String,
}

impl Shop {
    /// On SQLite.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("fulfilment.db").display());
        Self { directory, url }
    }

    /// One on each database.
    pub(crate) fn both() -> [Self; 2] {
        let postgres = Self { url: postgres::shared().database(), ..Self::new() };
        [Self::new(), postgres]
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// The settings that both plugins have.
    pub(crate) fn settings(&self) -> Value {
        json!({"database": self.url(), "mail": {"transport": "file", "directory": self.path("mail")}})
    }

    /// The same with a mail server that is not there.
    pub(crate) fn settings_without_mail(&self) -> Value {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mail = json!({"transport": "smtp", "host": "127.0.0.1", "port": port, "tls": "none",
            "from": "hookyard@localhost.localdomain"});
        json!({"database": self.url(), "mail": mail})
    }

    pub(crate) fn database(&self) -> Database {
        Database::open(&self.url.as_str().into(), |_| Ok(String::new())).unwrap()
    }

    pub(crate) fn execute(&self, sql: &'static str) {
        let database = self.database();
        database.run(sqlx::query(sql).execute(database.pool())).unwrap();
    }

    pub(crate) fn number(&self, sql: &'static str) -> i64 {
        let database = self.database();
        let (number,): (i64,) = database.run(sqlx::query_as(sql).fetch_one(database.pool())).unwrap();
        number
    }

    pub(crate) fn text(&self, sql: &'static str) -> Option<String> {
        let database = self.database();
        let (text,): (Option<String>,) =
            database.run(sqlx::query_as(sql).fetch_one(database.pool())).unwrap();
        text
    }

    /// As it was before anything happened.
    pub(crate) fn clear(&self) {
        clear(&self.database());
        if self.path("mail").exists() {
            std::fs::remove_dir_all(self.path("mail")).unwrap();
            std::fs::create_dir(self.path("mail")).unwrap();
        }
    }

    /// The mails written, each whole.
    pub(crate) fn mails(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path("mail")) else { return Vec::new() };
        entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }
}

/// Takes everything out of the tables.
pub(crate) fn clear(database: &Database) {
    for table in TABLES {
        database.run(database.execute(&format!("DELETE FROM {table}"), &[])).unwrap();
    }
}

/// A fixture as hookyard would deliver it; hookyard's event id is made of the provider's.
pub(crate) fn fixture(name: &str) -> TestEvent {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(name);
    event(&std::fs::read(path).unwrap())
}

/// A fixture with some of its session's fields replaced.
pub(crate) fn changed(name: &str, fields: &Value) -> TestEvent {
    let mut body: Value = serde_json::from_slice(&fixture(name).body).unwrap();
    for (key, value) in fields.as_object().unwrap() {
        let (parent, field) = key.rsplit_once('/').unwrap_or(("", key));
        let parent =
            if parent.is_empty() { "/data/object".to_owned() } else { format!("/data/object/{parent}") };
        body.pointer_mut(&parent).unwrap()[field] = value.clone();
    }
    event(&serde_json::to_vec(&body).unwrap())
}

fn event(bytes: &[u8]) -> TestEvent {
    let body: Value = serde_json::from_slice(bytes).unwrap();
    let id = event_id(body["id"].as_str().unwrap());
    TestEvent { id, ..TestEvent::new(body["type"].as_str().unwrap(), bytes) }
}

/// The outcome in the words of the tests' tables; also checks that nothing personal is told.
pub(crate) fn said(delivered: &Delivered) -> String {
    let told = format!("{delivered:?}").to_lowercase();
    for personal in ["marta", "quental", "jürgen", "weiß", "buyer.example"] {
        assert!(!told.contains(personal), "personal data in {told}");
    }
    let word = match delivered.outcome {
        Said::Done => "done",
        Said::Ignore => "ignore",
        Said::Retry(_) => "retry",
        Said::Reject => "reject",
        Said::Panicked => "panicked",
        Said::Crashed => "crashed",
        Said::TimedOut => "timed out",
    };
    format!("{word} {}", delivered.code).trim_end().to_owned()
}
