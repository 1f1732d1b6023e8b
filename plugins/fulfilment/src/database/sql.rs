//! How statements are written once for both databases: `$1` parameters, `{table}` for a table's name, `{now}` for the
//! database's clock. Values are text or 64-bit numbers, and so are the columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use sqlx::any::{Any, AnyArguments, AnyRow};
use sqlx::query::{Query, QueryAs};
use sqlx::{AssertSqlSafe, FromRow};

/// The tables, by the names that the statements use.
const TABLES: [&str; 9] = [
    "users",
    "purchases",
    "grants",
    "subscriptions",
    "access",
    "orders",
    "mails",
    "stripe_facts",
    "fulfilment_schema",
];

/// PostgreSQL cuts names at 63 bytes; an index's name is a table's and a word.
const NAME_CHARS_MAX: usize = 40;

/// `tables = { users = "shop_users" }`: other names for our tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Tables(BTreeMap<String, String>);

/// What is wrong with `tables`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TablesError {
    #[error("tables: there is no table `{name}`; those that can be renamed are {}", TABLES.join(", "))]
    Unknown { name: String },
    #[error("tables: `{name}` is no name for a table; use at most 40 lowercase letters, digits and `_`")]
    Name { name: String },
}

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

/// Writes statements for one database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sql {
    dialect: Dialect,
    words: Arc<Vec<(String, String)>>,
}

/// What a parameter holds. The type stands fixed even where there is no value: PostgreSQL wants to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(Option<String>),
    Number(Option<i64>),
}

/// A row's columns as a tuple.
pub trait Columns: for<'r> FromRow<'r, AnyRow> + Send + Unpin {}
impl<T: for<'r> FromRow<'r, AnyRow> + Send + Unpin> Columns for T {}

impl Sql {
    pub(super) fn new(dialect: Dialect, tables: &Tables) -> Result<Self, TablesError> {
        if let Some(name) = tables.0.keys().find(|name| !TABLES.contains(&name.as_str())) {
            return Err(TablesError::Unknown { name: name.clone() });
        }
        if let Some(name) = tables.0.values().find(|name| !is_name(name)) {
            return Err(TablesError::Name { name: name.clone() });
        }
        let name = |table: &str| tables.0.get(table).map_or_else(|| table.to_owned(), Clone::clone);
        let mut words: Vec<_> = TABLES.iter().map(|table| (format!("{{{table}}}"), name(table))).collect();
        words.push(("{now}".to_owned(), dialect.now().to_owned()));
        Ok(Self { dialect, words: Arc::new(words) })
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The statement as this database reads it.
    pub fn write(&self, sql: &str) -> String {
        self.words.iter().fold(sql.to_owned(), |sql, (word, written)| match sql.contains(word.as_str()) {
            true => sql.replace(word.as_str(), written),
            false => sql,
        })
    }

    pub(super) fn query(&self, sql: &str, values: &[Value]) -> Query<'static, Any, AnyArguments> {
        let query = sqlx::query(AssertSqlSafe(self.write(sql)));
        values.iter().cloned().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
        })
    }

    pub(super) fn query_as<T: Columns>(
        &self,
        sql: &str,
        values: &[Value],
    ) -> QueryAs<'static, Any, T, AnyArguments> {
        let query = sqlx::query_as(AssertSqlSafe(self.write(sql)));
        values.iter().cloned().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Number(number) => query.bind(number),
        })
    }
}

impl Dialect {
    /// Now, as RFC 3339 text in UTC with milliseconds.
    fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
            Self::Postgres => {
                "to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(first)
        && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(old: &str, new: &str) -> Tables {
        Tables(BTreeMap::from([(old.to_owned(), new.to_owned())]))
    }

    #[test]
    fn a_statement_is_written_with_the_tables_names_and_the_databases_clock() {
        let sql = Sql::new(Dialect::Sqlite, &tables("users", "shop_users")).unwrap();
        assert_eq!(
            sql.write("UPDATE {users} SET x = {now} WHERE id IN (SELECT user_id FROM {access})"),
            "UPDATE shop_users SET x = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id IN (SELECT user_id FROM access)"
        );
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for name in ["", "Users", "1users", "users; DROP TABLE x", "app.users", &"x".repeat(41)] {
            let error = Sql::new(Dialect::Sqlite, &tables("users", name)).unwrap_err();
            assert!(matches!(error, TablesError::Name { .. }), "{error}");
        }
        let error = Sql::new(Dialect::Sqlite, &tables("usres", "x")).unwrap_err();
        assert!(error.to_string().contains("there is no table `usres`"), "{error}");
    }
}
