//! The name of a snapshot: a hash over what the files say.
//!
//! Comments, blanks, the order of keys and the names of the rule files do not change it; the order of rules does. Tests
//! stand beside the configuration and are no part of it. Secrets are references in the files, so none goes in.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use toml::de::DeValue;

use super::files::Document;
use super::json;
use super::outline::Outline;
use crate::model::ids::SnapshotHash;

/// How many of the 64 hex digits name a snapshot: enough that no two of an installation ever meet.
const HASH_DIGITS: usize = 16;

/// What goes into the hash, file by file.
#[derive(Debug, Default)]
pub(super) struct Digest {
    sections: Map<String, Value>,
    outline: Outline,
    /// The text of every rule, with commas between.
    rules: String,
}

impl Digest {
    /// Takes in what the next file says.
    pub(super) fn add(&mut self, document: &Document<'_>) {
        for (key, entry) in &document.table {
            match (key.get_ref().as_ref(), entry.get_ref()) {
                ("rule", DeValue::Array(list)) => {
                    list.iter()
                        .filter_map(|rule| json::value(rule).ok())
                        .for_each(|rule| self.add_rule(&rule));
                }
                ("test", _) => {}
                (key, _) => {
                    self.sections.insert(key.to_owned(), json::value(entry).unwrap_or_default());
                }
            }
        }
    }

    /// The hash of the configuration, and what it is made of. Where a value is no JSON the configuration has a fault, and
    /// neither is of use.
    pub(super) fn finish(mut self) -> (SnapshotHash, Outline) {
        self.outline.add_sections(&self.sections);
        // One text for one content, for serde_json keeps objects in the order of their keys. A section `rule` is no array,
        // and a fault.
        let mut whole: BTreeMap<&str, String> =
            self.sections.iter().map(|(key, value)| (key.as_str(), value.to_string())).collect();
        whole.insert("rule", format!("[{}]", self.rules));
        let whole: Vec<String> = whole.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let digest = hex::encode(Sha256::digest(format!("{{{}}}", whole.join(","))));
        (SnapshotHash::new(&digest[..HASH_DIGITS]), self.outline)
    }

    fn add_rule(&mut self, rule: &Value) {
        let text = rule.to_string();
        self.outline.add_rule(rule["name"].as_str().unwrap_or_default(), &text);
        if !self.rules.is_empty() {
            self.rules.push(',');
        }
        self.rules.push_str(&text);
    }
}
