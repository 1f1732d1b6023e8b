//! Where a test's inline event has a value: the same path that a rule would look at.

use super::alias::Aliases;
use super::path::{self, Step};

/// The keys that `text` leads through from the event's root, with what its alias stands for; or why it is no place for a
/// value.
///
/// # Errors
/// A sentence, where the text is no path, has a `[*]`, or begins with an alias that does not mean one thing.
pub fn place(text: &str, aliases: &Aliases) -> Result<Vec<String>, String> {
    let written = path::parse(text).map_err(|fault| fault.to_string())?;
    let steps = match written.from_root {
        true => written.steps,
        false => aliases.replace(written.steps).map_err(|_| {
            format!("`{text}` begins with an alias that the sources do not share: say source = \"…\" too")
        })?,
    };
    let key = |step: &Step| match step {
        Step::Key(key) => Ok(key.to_string()),
        Step::Each => Err(format!("`{text}` is no place for a value: `[*]` stands for every element")),
    };
    steps.iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::Aliases;

    fn place(text: &str) -> Result<Vec<String>, String> {
        super::place(text, &Aliases::stripe())
    }

    #[test]
    fn a_value_stands_where_a_rule_would_look() {
        assert_eq!(place("metadata.x").unwrap(), ["data", "object", "metadata", "x"]);
        assert_eq!(place(r#"$.metadata["a.b"]"#).unwrap(), ["metadata", "a.b"]);
        assert!(place("obj.lines[*].id").unwrap_err().contains("every element"));
        assert!(place("a b").is_err());
    }
}
