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
    /// Adds the next rule, whose text is this.
    pub(super) fn add_rule(&mut self, name: &str, text: &str) {
        self.rules.push((name.to_owned(), fingerprint(text)));
    }

    /// Adds the main file's sections.
    pub(super) fn add_sections(&mut self, sections: &Map<String, Value>) {
        for (section, value) in sections {
            let part = match section.as_str() {
                "server" => Part::Server,
                "store" => Part::Store,
                "source" => Part::Source,
                "plugins" => Part::Plugins,
                "plugin" => Part::Plugin,
                "handler" => Part::Handler,
                _ => {
                    self.parts.insert((Part::Default, String::new()), fingerprint(&value.to_string()));
                    continue;
                }
            };
            let entries = value.as_object().into_iter().flatten();
            let entries = entries.map(|(key, value)| ((part, key.clone()), fingerprint(&value.to_string())));
            self.parts.extend(entries);
        }
    }
}

fn fingerprint(text: &str) -> Fingerprint {
    let digest = Sha256::digest(text);
    std::array::from_fn(|index| digest[index])
}
