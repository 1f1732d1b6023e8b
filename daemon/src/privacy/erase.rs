//! What is erased for a data subject, who is known by an e-mail address.
//!
//! An event is one of the subject's where some string of its body is the address, in any case of letters. Of such a body
//! the address goes wherever it stands as a whole value, and everything under the keys by which Stripe names people,
//! whoever they are. Ids, amounts, types and times stay: the business has to keep them.

use std::ops::Range;

use super::leaves::{At, decoded, each_leaf};
use super::redact::{REDACTED, replacement, spliced};

/// Stripe's keys of personal data; all below them goes too.
const PERSONAL: [&str; 19] = [
    "address",
    "billing_details",
    "business_name",
    "collected_information",
    "custom_fields",
    "customer_address",
    "customer_details",
    "customer_email",
    "customer_name",
    "customer_phone",
    "customer_shipping",
    "customer_tax_ids",
    "email",
    "individual_name",
    "phone",
    "receipt_email",
    "shipping",
    "shipping_details",
    "tax_ids",
];
/// A customer's own name; a product's name elsewhere stays.
const NAMES: [[&str; 3]; 2] = [["data", "object", "name"], ["data", "previous_attributes", "name"]];
/// What stands for the address in a text.
const WORD: &str = "[redacted]";

/// Who is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// In lower case.
    email: String,
}

impl Subject {
    /// `None` where it is no e-mail address.
    pub fn new(email: &str) -> Option<Self> {
        let email = email.trim().to_lowercase();
        let (local, domain) = email.rsplit_once('@')?;
        let plain = !email.chars().any(|letter| letter.is_whitespace() || letter.is_control());
        (plain && !local.is_empty() && !domain.is_empty()).then_some(Self { email })
    }

    /// Whether the address is a value of this JSON.
    pub fn is_in(&self, json: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(json) else { return false };
        let mut found = false;
        each_leaf(text, |_, span| found |= self.is(&text[span]));
        found
    }

    /// The body without the address and all personal fields; other bytes stay.
    pub fn erase(&self, body: &[u8]) -> Vec<u8> {
        self.without(body, |at| at.iter().any(is_personal) || is_name(at))
    }

    /// JSON without the address, where it stands as a value.
    pub fn erase_value(&self, json: &str) -> String {
        String::from_utf8_lossy(&self.without(json.as_bytes(), |_| false)).into_owned()
    }

    /// A text without the address, in any case of letters; `None` where it is not in it.
    pub fn erase_text(&self, text: &str) -> Option<String> {
        let (mut erased, mut rest) = (String::new(), text);
        while let Some(at) = self.find(rest) {
            erased.push_str(&rest[..at.start]);
            erased.push_str(WORD);
            rest = &rest[at.end..];
        }
        (!erased.is_empty()).then(|| erased + rest)
    }

    fn without(&self, json: &[u8], personal: impl Fn(&[At<'_>]) -> bool) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(json) else { return json.to_vec() };
        let mut replaced = Vec::new();
        each_leaf(text, |at, span| {
            let leaf = &text[span.clone()];
            if self.is(leaf) {
                replaced.push((span, REDACTED));
            } else if personal(at)
                && let Some(replacement) = replacement(leaf)
            {
                replaced.push((span, replacement));
            }
        });
        spliced(text, &replaced)
    }

    fn is(&self, leaf: &str) -> bool {
        leaf.starts_with('"') && decoded(leaf).trim().to_lowercase() == self.email
    }

    /// The first place of the address. Lower case may be of another length, so letters are compared one by one.
    fn find(&self, text: &str) -> Option<Range<usize>> {
        text.char_indices().find_map(|(start, _)| {
            let mut wanted = self.email.chars();
            let mut next = wanted.next();
            for (at, letter) in text[start..].char_indices() {
                for lower in letter.to_lowercase() {
                    if next != Some(lower) {
                        return None;
                    }
                    next = wanted.next();
                }
                if next.is_none() {
                    return Some(start..start + at + letter.len_utf8());
                }
            }
            None
        })
    }
}

fn is_personal(step: &At<'_>) -> bool {
    matches!(step, At::Key(key) if PERSONAL.contains(&&**key))
}

fn is_name(at: &[At<'_>]) -> bool {
    NAMES.iter().any(|name| {
        name.len() == at.len()
            && name.iter().zip(at).all(|(name, step)| matches!(step, At::Key(key) if key == name))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::leaves::tests::{json, written};
    use super::*;

    fn subject() -> Subject {
        Subject::new(" Ada@Example.com ").unwrap()
    }

    #[test]
    fn an_event_is_found_by_a_whole_value_in_any_case() {
        for (json, found) in [
            (r#"{"data":{"object":{"customer_details":{"email":"ADA@example.com"}}}}"#, true),
            (r#"{"a":["x","\u0061da@example.com"]}"#, true),
            (r#"{"a":"xada@example.com"}"#, false),
            (r#"{"ada@example.com":1}"#, false),
            ("", false),
        ] {
            assert_eq!(subject().is_in(json.as_bytes()), found, "{json}");
        }
        for none in ["", "ada", "@example.com", "ada@", "a b@example.com"] {
            assert_eq!(Subject::new(none), None, "{none}");
        }
    }

    #[test]
    fn personal_fields_go_and_ids_and_amounts_stay() {
        let body = r#"{ "id":"evt_1", "data":{"object":{"id":"cs_1","amount_total":4900,"name":"Ada","plan":{"name":"Gold"},
"customer_details":{"email":"Ada@example.com","name":"Ada","tax_exempt":"none","address":{"line1":"x","n":7}},
"metadata":{"order":"7","contact":"ada@EXAMPLE.com"}},"previous_attributes":{"name":"A"}}}"#;
        let erased = r#"{ "id":"evt_1", "data":{"object":{"id":"cs_1","amount_total":4900,"name":"[redacted]","plan":{"name":"Gold"},
"customer_details":{"email":"[redacted]","name":"[redacted]","tax_exempt":"[redacted]","address":{"line1":"[redacted]","n":null}},
"metadata":{"order":"7","contact":"[redacted]"}},"previous_attributes":{"name":"[redacted]"}}}"#;
        assert_eq!(String::from_utf8(subject().erase(body.as_bytes())).unwrap(), erased);
        assert_eq!(
            subject().erase_value(r#"{"to":"ada@example.com","n":1}"#),
            r#"{"to":"[redacted]","n":1}"#
        );
    }

    #[test]
    fn texts_lose_the_address_and_nothing_else() {
        let erased = |text: &str| subject().erase_text(text);
        assert_eq!(erased("to <ADA@example.com>, ada@example.com").unwrap(), "to <[redacted]>, [redacted]");
        assert_eq!(erased("to \u{130}da@example.com"), None);
        assert_eq!(erased(""), None);
    }

    proptest! {
        #[test]
        fn nothing_of_it_is_left_and_it_is_json_still(body in json(), pretty: bool, at in "[a-c]|email") {
            let mut body = body;
            if let Some(members) = body.as_object_mut() {
                members.insert(at, "aDa@example.com".into());
            }
            let text = written(&body, pretty, true);
            let erased = subject().erase(text.as_bytes());
            prop_assert!(!subject().is_in(&erased));
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&erased).is_ok());
            prop_assert_eq!(subject().erase(&erased), erased);
        }
    }
}
