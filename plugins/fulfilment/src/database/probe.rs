//! What a database says of a statement without running it: whether it can be run at all, and what it gives back.
//!
//! Asked of the database's own driver, on a connection of its own: the one that hides both databases behind one type cannot
//! say which type it does not know.

use sqlx::postgres::{PgConnectOptions, PgConnection, PgTypeInfo};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Executor as _, SqlSafeStr as _};
use sqlx::{Statement as _, TypeInfo as _};

use super::sql::Sql;
use crate::statements::Type;

/// How to reach the database. Shows nothing of it: options hold a password.
pub(super) enum Probe {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
}

/// A column that a statement gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// The database's name for its type, in capitals; `None` on SQLite, where each value has a type of its own.
    pub kind: Option<String>,
}

/// A connection that statements are read on.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    sql: Sql,
}

#[derive(Debug)]
enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Probe {
    pub(super) async fn reader(&self, sql: Sql) -> Result<Reader, sqlx::Error> {
        let connection = match self {
            Self::Sqlite(options) => Connection::Sqlite(SqliteConnection::connect_with(options).await?),
            Self::Postgres(options) => Connection::Postgres(PgConnection::connect_with(options).await?),
        };
        Ok(Reader { connection, sql })
    }
}

impl Reader {
    /// Lets the database read a statement, whose parameters have these types, without running it: are its tables, columns
    /// and parameters there? What it gives back.
    pub async fn columns(&mut self, sql: &str, types: &[Type]) -> Result<Vec<Column>, sqlx::Error> {
        let sql = AssertSqlSafe(self.sql.write(sql)).into_sql_str();
        match &mut self.connection {
            Connection::Sqlite(connection) => {
                let statement = connection.prepare(sql).await?;
                let column = |name: &str| Column { name: name.to_owned(), kind: None };
                Ok(statement.columns().iter().map(|it| column(it.name())).collect())
            }
            Connection::Postgres(connection) => {
                let types: Vec<PgTypeInfo> = types.iter().copied().map(postgres_type).collect();
                let statement = connection.prepare_with(sql, &types).await?;
                let columns = statement.columns().iter().map(|column| Column {
                    name: column.name().to_owned(),
                    kind: Some(column.type_info().name().to_uppercase()),
                });
                Ok(columns.collect())
            }
        }
    }

    /// Ends the connection as the database likes it.
    pub async fn close(self) -> Result<(), sqlx::Error> {
        match self.connection {
            Connection::Sqlite(connection) => connection.close().await,
            Connection::Postgres(connection) => connection.close().await,
        }
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite(_) => "Probe::Sqlite",
            Self::Postgres(_) => "Probe::Postgres",
        })
    }
}

fn postgres_type(kind: Type) -> PgTypeInfo {
    match kind {
        Type::Text => <str as sqlx::Type<sqlx::Postgres>>::type_info(),
        Type::Number => <i64 as sqlx::Type<sqlx::Postgres>>::type_info(),
    }
}
