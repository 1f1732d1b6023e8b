//! Statements that a team may replace by its own, for tables of its own: SQL with named parameters (`:email`), read and
//! tried out by the database when the handler is created.
//!
//! The named form is turned into the database's `$1` form once. A `::` is PostgreSQL's cast, and nothing inside quotes or
//! comments is a parameter.

use std::collections::BTreeMap;

use crate::database::{Column, Database, Reader, Value};

/// What a parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Text,
    Number,
}

/// What a column holds that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    Text,
    Number,
    /// Text or a number.
    Id,
}

/// A statement's name in the settings, what it may ask for, and the columns of its rows that are read.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    pub name: &'static str,
    pub parameters: &'static [(&'static str, Type)],
    pub gives: &'static [Gives],
}

/// A statement, ready to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    name: &'static str,
    sql: String,
    /// `$1` is the parameter of that name, and so on.
    order: Vec<(&'static str, Type)>,
    gives: &'static [Gives],
}

/// What is wrong with a statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    #[error("statements: there is no statement `{name}`; those that can be given are {known}")]
    Unknown { name: String, known: String },
    #[error("the statement `{name}` names a parameter :{parameter}; those that it has are {known}")]
    Parameter { name: &'static str, parameter: String, known: String },
    #[error("the statement `{name}` is refused by the database, whose words follow{parameters}")]
    Refused { name: &'static str, parameters: String, source: sqlx::Error },
    #[error("the database cannot be asked about the statements")]
    Unreachable(#[source] sqlx::Error),
    #[error(
        "the statement `{name}` gives back {found} columns, and {wanted} are read; let it give those, in order"
    )]
    TooFew { name: &'static str, found: usize, wanted: usize },
    #[error(
        "the statement `{name}` gives back `{column}` as {kind}, where {wanted} is read; write {column}::{cast}, or leave it out"
    )]
    Column { name: &'static str, column: String, kind: String, wanted: &'static str, cast: &'static str },
}

/// Reads the settings' `statements` against the forms that there are.
pub fn read(
    given: &BTreeMap<String, String>,
    forms: &[Form],
) -> Result<BTreeMap<&'static str, Statement>, StatementError> {
    if let Some(name) = given.keys().find(|name| !forms.iter().any(|form| form.name == name.as_str())) {
        let known: Vec<_> = forms.iter().map(|form| format!("`{}`", form.name)).collect();
        return Err(StatementError::Unknown { name: name.clone(), known: known.join(", ") });
    }
    let given = forms.iter().filter_map(|form| Some((form, given.get(form.name)?)));
    given.map(|(form, text)| Ok((form.name, Statement::read(form, text)?))).collect()
}

/// Lets the database read these statements without running them, and looks at what each would give back.
pub async fn check<'all>(
    statements: impl IntoIterator<Item = &'all Statement>,
    database: &Database,
) -> Result<(), StatementError> {
    let mut statements = statements.into_iter().peekable();
    if statements.peek().is_none() {
        return Ok(());
    }
    let mut reader = database.reader().await.map_err(StatementError::Unreachable)?;
    for statement in statements {
        statement.check(&mut reader).await?;
    }
    reader.close().await.map_err(StatementError::Unreachable)
}

impl Statement {
    /// Turns named parameters into numbered ones.
    pub fn read(form: &Form, text: &str) -> Result<Self, StatementError> {
        let mut statement = Self {
            name: form.name,
            sql: String::with_capacity(text.len()),
            order: Vec::new(),
            gives: form.gives,
        };
        let mut rest = text;
        while let Some((before, name, after)) = next_parameter(rest) {
            let Some(parameter) = form.parameters.iter().find(|(known, _)| *known == name) else {
                let known: Vec<_> = form.parameters.iter().map(|(known, _)| format!(":{known}")).collect();
                let (parameter, known) = (name.to_owned(), known.join(", "));
                return Err(StatementError::Parameter { name: form.name, parameter, known });
            };
            let place = statement.order.iter().position(|known| known == parameter).unwrap_or_else(|| {
                statement.order.push(*parameter);
                statement.order.len() - 1
            });
            statement.sql.push_str(before);
            statement.sql.push_str(&format!("${}", place + 1));
            rest = after;
        }
        statement.sql.push_str(rest);
        Ok(statement)
    }

    async fn check(&self, reader: &mut Reader) -> Result<(), StatementError> {
        let types: Vec<_> = self.order.iter().map(|(_, kind)| *kind).collect();
        let columns = reader.columns(&self.sql, &types).await;
        let columns = columns.map_err(|source| StatementError::Refused {
            name: self.name,
            parameters: self.shown_order(),
            source,
        })?;
        if columns.len() < self.gives.len() {
            let (found, wanted) = (columns.len(), self.gives.len());
            return Err(StatementError::TooFew { name: self.name, found, wanted });
        }
        let wanted = self.gives.iter().map(Some).chain(std::iter::repeat(None));
        match columns.into_iter().zip(wanted).find(|(column, wanted)| !is_readable(column, *wanted)) {
            Some((column, wanted)) => Err(self.unreadable(column, wanted)),
            None => Ok(()),
        }
    }

    fn shown_order(&self) -> String {
        let list = self.order.iter().enumerate();
        let list: Vec<_> = list.map(|(place, (name, _))| format!("${} is :{name}", place + 1)).collect();
        if list.is_empty() { String::new() } else { format!(" ({})", list.join(", ")) }
    }

    fn unreadable(&self, column: Column, wanted: Option<&Gives>) -> StatementError {
        let (wanted, cast) = match wanted {
            Some(Gives::Number) => ("a whole number", "bigint"),
            Some(Gives::Text) => ("text", "text"),
            Some(Gives::Id) | None => ("text or a whole number", "text"),
        };
        let kind = column.kind.unwrap_or_default();
        StatementError::Column { name: self.name, column: column.name, kind, wanted, cast }
    }

    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The values in the order in which the statement has them; `values` names every parameter of the form.
    pub fn values(&self, values: &[(&'static str, Value)]) -> Vec<Value> {
        let value = |(name, kind): &(&'static str, Type)| {
            let found = values.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            found.unwrap_or(match kind {
                Type::Text => Value::Text(None),
                Type::Number => Value::Number(None),
            })
        };
        self.order.iter().map(value).collect()
    }
}

/// Whether a column can be read as what is wanted of it. Of those beyond, nothing is wanted, but a row is read whole.
fn is_readable(column: &Column, wanted: Option<&Gives>) -> bool {
    // What PostgreSQL's types are called, of those that the driver reads for both databases.
    const TEXTS: [&str; 3] = ["TEXT", "VARCHAR", "CITEXT"];
    const NUMBERS: [&str; 3] = ["INT2", "INT4", "INT8"];
    const OTHERS: [&str; 4] = ["BOOL", "BYTEA", "FLOAT4", "FLOAT8"];
    let Some(kind) = column.kind.as_deref() else { return true };
    let (text, number) = (TEXTS.contains(&kind), NUMBERS.contains(&kind));
    match wanted {
        Some(Gives::Text) => text,
        Some(Gives::Number) => number,
        Some(Gives::Id) => text || number,
        None => text || number || OTHERS.contains(&kind),
    }
}

/// The text before the next `:name`, the name, and the text after it.
fn next_parameter(text: &str) -> Option<(&str, &str, &str)> {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let skipped = skip(rest);
        if skipped > 0 {
            at += skipped;
            continue;
        }
        if let Some(name) = rest.strip_prefix(':').map(word).filter(|name| !name.is_empty()) {
            return Some((&text[..at], name, &rest[1 + name.len()..]));
        }
        at += rest.chars().next().map_or(1, char::len_utf8);
    }
    None
}

/// How many bytes at the start hold no parameter: a cast, something quoted, a comment.
fn skip(rest: &str) -> usize {
    let to_the_end_of =
        |start: usize, end: &str| rest[start..].find(end).map_or(rest.len(), |at| start + at + end.len());
    match rest {
        _ if rest.starts_with("::") => 2,
        _ if rest.starts_with("--") => to_the_end_of(2, "\n"),
        _ if rest.starts_with("/*") => to_the_end_of(2, "*/"),
        _ if rest.starts_with('\'') => to_the_end_of(1, "'"),
        _ if rest.starts_with('"') => to_the_end_of(1, "\""),
        _ => 0,
    }
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form {
        name: "find_user",
        parameters: &[("email", Type::Text), ("quantity", Type::Number)],
        gives: &[Gives::Id],
    };

    fn sql(text: &str) -> String {
        Statement::read(&FORM, text).unwrap().sql
    }

    #[test]
    fn named_parameters_become_numbered_ones() {
        assert_eq!(sql("SELECT id FROM u WHERE e = :email"), "SELECT id FROM u WHERE e = $1");
        assert_eq!(sql("SELECT :quantity, :email, :quantity::text"), "SELECT $1, $2, $1::text");
        let untouched =
            "SELECT ':email', \":email\", 'it''s :email', a[1:2], x::email -- :email\n /* :email */";
        assert_eq!(sql(untouched), untouched);
        assert_eq!(sql("SELECT 'ü', :email"), "SELECT 'ü', $1");
    }

    #[test]
    fn values_come_in_the_statements_order() {
        let statement = Statement::read(&FORM, "SELECT :quantity, :email").unwrap();
        let values = [("email", Value::from("a")), ("quantity", Value::from(3))];
        assert_eq!(statement.values(&values), [Value::from(3), Value::from("a")]);
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let error = Statement::read(&FORM, "SELECT :emial").unwrap_err().to_string();
        assert_eq!(
            error,
            "the statement `find_user` names a parameter :emial; those that it has are :email, :quantity"
        );
        let given = BTreeMap::from([("find_usr".to_owned(), String::new())]);
        let error = read(&given, &[FORM]).unwrap_err().to_string();
        assert_eq!(
            error,
            "statements: there is no statement `find_usr`; those that can be given are `find_user`"
        );
    }
}
