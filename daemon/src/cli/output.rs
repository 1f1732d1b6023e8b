//! How answers are printed: aligned columns for people, JSON for machines.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use super::Failure;

const HASH_DIGITS_SHOWN: usize = 12;

/// The beginning of a hash, as it is shown and as `plugin rollback --to` takes it.
pub(super) fn short(sha256: &str) -> &str {
    sha256.get(..HASH_DIGITS_SHOWN).unwrap_or(sha256)
}

/// Rows under a heading, each column as wide as its widest cell.
pub(super) fn table(heading: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heading[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        say!("{}", padded.join("  ").trim_end());
    };
    line(heading);
    for row in rows {
        line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// Pretty JSON on standard output.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::internal(format!("the answer cannot be written as JSON: {error}")))?;
    say!("{text}");
    Ok(())
}

/// One line on standard output. Where nobody reads on (`| head`), there is nothing left to do.
pub(super) fn line(text: &str) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        let code = if error.kind() == ErrorKind::BrokenPipe { 0 } else { 74 };
        std::process::exit(code);
    }
}

/// `println!` that a closed pipe does not make panic.
macro_rules! say {
    ($($words:tt)*) => { $crate::cli::output::line(&format!($($words)*)) };
}
pub(super) use say;
