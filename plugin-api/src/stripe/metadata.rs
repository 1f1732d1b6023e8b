//! What the seller wrote on an object.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Keys and texts of the seller's own. Null, as Stripe may send it, is empty.
///
/// ```
/// use hookyard_plugin::stripe::Metadata;
///
/// let metadata: Metadata = serde_json::from_str(r#"{"order": "17", "blank": " ", "null": null}"#)?;
/// assert_eq!(metadata.get("order"), Some("17"));
/// assert_eq!((metadata.get("blank"), metadata.get("null"), metadata.get("missing")), (None, None, None));
/// assert_eq!(serde_json::from_str::<Metadata>("null")?, Metadata::default());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Option<BTreeMap<String, Option<String>>>")]
pub struct Metadata(BTreeMap<String, Option<String>>);

impl Metadata {
    /// A value as it is. Blank is absent: Stripe itself drops keys that are set to "".
    pub fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.get(key)?.as_deref()?;
        present(value).map(|_| value)
    }
}

impl From<Option<BTreeMap<String, Option<String>>>> for Metadata {
    fn from(read: Option<BTreeMap<String, Option<String>>>) -> Self {
        Self(read.unwrap_or_default())
    }
}

/// The text without the space around it, `None` where nothing is left.
pub(super) fn present(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty()).then_some(text)
}
