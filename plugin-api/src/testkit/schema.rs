//! Keeps the file with the settings' JSON Schema true to their type.

use std::path::Path;

use schemars::JsonSchema;

/// Holds the file to the settings' type. Where they differ the file is written anew and this fails, so that nobody
/// changes the settings unseen: look at the difference, and run the tests again.
///
/// Call it from a test with `concat!(env!("CARGO_MANIFEST_DIR"), "/settings.schema.json")`.
///
/// # Panics
/// Where the file was not true, or cannot be read or written.
pub fn assert_schema<S: JsonSchema>(path: impl AsRef<Path>) {
    let path = path.as_ref();
    let schema = schemars::schema_for!(S);
    let text = serde_json::to_string_pretty(&schema)
        .unwrap_or_else(|error| panic!("the schema of the settings is no JSON: {error}"));
    let text = text + "\n";
    if std::fs::read_to_string(path).is_ok_and(|stands| stands == text) {
        return;
    }
    std::fs::write(path, text)
        .unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
    panic!(
        "{} did not say what the settings' type says: it has been written anew; look at it, and run the tests again",
        path.display()
    );
}
