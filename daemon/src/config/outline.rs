//! What a configuration is made of, each part by a fingerprint of what the files say of it.
//!
//! Made with the snapshot's hash; `diff` compares two of them, so that neither text nor secret has to be kept for it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::diff::Part;

/// Half a SHA-256: no two texts of an installation ever share one.
type Fingerprint = [u8; 16];

/// The parts of one configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// In file order.
    pub(super) rules: Vec<(String, Fingerprint)>,
    pub(super) parts: BTreeMap<(Part, String), Fingerprint>,
}

impl Outline {
    /// From the files' sections and from all their rules.
    pub(super) fn new(sections: &Map<String, Value>, rules: &[Value]) -> Self {
        let name = |rule: &Value| rule["name"].as_str().unwrap_or_default().to_owned();
        let mut parts = BTreeMap::new();
        for (section, value) in sections {
            let part = match section.as_str() {
                "server" => Part::Server,
                "store" => Part::Store,
                "source" => Part::Source,
                "plugin" => Part::Plugin,
                "handler" => Part::Handler,
                _ => {
                    parts.insert((Part::Default, String::new()), fingerprint(value));
                    continue;
                }
            };
            let entries = value.as_object().into_iter().flatten();
            parts.extend(entries.map(|(key, value)| ((part, key.clone()), fingerprint(value))));
        }
        Self { rules: rules.iter().map(|rule| (name(rule), fingerprint(rule))).collect(), parts }
    }
}

fn fingerprint(value: &Value) -> Fingerprint {
    let digest = Sha256::digest(value.to_string());
    std::array::from_fn(|index| digest[index])
}
