//! The name of a snapshot: a hash over what the files say.
//!
//! Comments, blanks, the order of keys and the names of the rule files do not change it; the order of rules does. Tests
//! stand beside the configuration and are no part of it. Secrets are references in the files, so none goes in.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use toml::de::DeValue;

use super::files::Document;
use super::json;
use super::outline::Outline;
use crate::model::ids::SnapshotHash;

/// How many of the 64 hex digits name a snapshot: enough that no two of an installation ever meet.
const HASH_DIGITS: usize = 16;

/// The hash of a configuration, and what it is made of. Where a value is no JSON the configuration has a fault, and
/// neither is of use.
pub(super) fn of(documents: &[Document<'_>]) -> (SnapshotHash, Outline) {
    let (mut main, mut rules) = (Map::new(), Vec::new());
    for document in documents {
        for (key, entry) in &document.table {
            match (key.get_ref().as_ref(), entry.get_ref()) {
                ("rule", DeValue::Array(list)) => {
                    rules.extend(list.iter().filter_map(|rule| json::value(rule).ok()));
                }
                ("test", _) => {}
                (key, _) => {
                    main.insert(key.to_owned(), json::value(entry).unwrap_or_default());
                }
            }
        }
    }
    let outline = Outline::new(&main, &rules);
    main.insert("rule".to_owned(), Value::Array(rules));
    // serde_json keeps objects in the order of their keys, so that this is one text for one content.
    let digest = hex::encode(Sha256::digest(Value::Object(main).to_string()));
    (SnapshotHash::new(&digest[..HASH_DIGITS]), outline)
}
