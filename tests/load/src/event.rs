//! Events, made cheaply: a fixture brought to its size once, then for each request a copy with its own ids in place.

use std::str::FromStr;

use bytes::Bytes;
use serde_json::{Map, Value, json};

const REFUND: &str = include_str!("../../fixtures/11c_refund_created.json");
const CHECKOUT: &str = include_str!("../../fixtures/01_checkout_completed_sumo_paid.json");
const INVOICE: &str = include_str!("../../fixtures/14_invoice_paid_30kb.json");

/// Stripe keeps at most this much in one value of `metadata`.
const NOTE_BYTES_MAX: usize = 480;
const NOTE: &str = "Please deliver to the reading room on the second floor and ring twice; the licence is for the \
    whole team, billed to the branch in Porto, reference as in the order form. ";
/// The end of an id: eight letters for the run, fourteen digits for the event.
const RUN_LETTERS: usize = 8;
const NUMBER_DIGITS: usize = 14;
const TAIL_BYTES: usize = RUN_LETTERS + NUMBER_DIGITS;

/// How large the events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// A refund.
    K1,
    /// A Checkout Session.
    K4,
    /// An invoice with many lines: the largest seen of Stripe.
    K46,
}

impl Size {
    fn bytes(self) -> usize {
        match self {
            Self::K1 => 1024,
            Self::K4 => 4 * 1024,
            Self::K46 => 46 * 1024,
        }
    }

    fn fixture(self) -> &'static str {
        match self {
            Self::K1 => REFUND,
            Self::K4 => CHECKOUT,
            Self::K46 => INVOICE,
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "1k" => Ok(Self::K1),
            "4k" => Ok(Self::K4),
            "46k" => Ok(Self::K46),
            _ => Err("sizes are 1k, 4k and 46k".to_owned()),
        }
    }
}

/// What every event of a run is a copy of.
#[derive(Debug)]
pub struct Template {
    text: Vec<u8>,
    /// Where the ends of the ids stand that differ from event to event.
    tails: Vec<usize>,
}

impl Template {
    /// The template of a size. `run` tells this run's events from those of all others.
    pub fn new(size: Size, run: u64) -> Self {
        let mut event: Value = serde_json::from_str(size.fixture()).expect("the fixtures are JSON");
        let ids = [&event["id"], &event["data"]["object"]["id"]];
        let ids = ids.map(|id| id.as_str().expect("an event and its object have ids").to_owned());
        // As Stripe writes it where that fits, and without white space where it does not.
        let write =
            if written(&event, Write::Pretty).len() <= size.bytes() { Write::Pretty } else { Write::Compact };
        pad(&mut event, size.bytes(), write);
        let mut text = written(&event, write);
        let tails: Vec<usize> = ids.iter().flat_map(|id| tails(&text, id)).collect();
        let letters = run_letters(run);
        for at in &tails {
            text[*at..*at + RUN_LETTERS].copy_from_slice(&letters);
        }
        Self { text, tails }
    }

    /// The event of that number: always the same bytes.
    pub fn body(&self, number: u64) -> Bytes {
        let mut digits = [b'0'; NUMBER_DIGITS];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let mut body = self.text.clone();
        for at in &self.tails {
            body[*at + RUN_LETTERS..*at + TAIL_BYTES].copy_from_slice(&digits);
        }
        Bytes::from(body)
    }

    /// How large each body is.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }
}

#[derive(Debug, Clone, Copy)]
enum Write {
    Pretty,
    Compact,
}

fn written(event: &Value, write: Write) -> Vec<u8> {
    let text = match write {
        Write::Pretty => serde_json::to_vec_pretty(event),
        Write::Compact => serde_json::to_vec(event),
    };
    text.expect("JSON can be written")
}

/// Adds notes to the object's metadata until the text is nearly as large as it may be.
fn pad(event: &mut Value, bytes: usize, write: Write) {
    for number in 1.. {
        let mut with_note = event.clone();
        let metadata = &mut with_note["data"]["object"]["metadata"];
        if !metadata.is_object() {
            *metadata = Value::Object(Map::new());
        }
        metadata[format!("note_{number}")] = json!("");
        let room = bytes.saturating_sub(written(&with_note, write).len());
        if room == 0 {
            return;
        }
        let note: String = NOTE.chars().cycle().take(room.min(NOTE_BYTES_MAX)).collect();
        with_note["data"]["object"]["metadata"][format!("note_{number}")] = json!(note);
        *event = with_note;
    }
}

/// Where the ends of this id stand in the text.
fn tails(text: &[u8], id: &str) -> Vec<usize> {
    let quoted = format!("\"{id}\"");
    let starts = text.windows(quoted.len()).enumerate();
    starts
        .filter(|(_, window)| *window == quoted.as_bytes())
        .map(|(at, _)| at + 1 + id.len() - TAIL_BYTES)
        .collect()
}

fn run_letters(run: u64) -> [u8; RUN_LETTERS] {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789xy";
    std::array::from_fn(|place| ALPHABET[(run >> (6 * place)) as usize & 63])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const SIZES: [Size; 3] = [Size::K1, Size::K4, Size::K46];

    #[test]
    fn bodies_are_json_of_about_their_size() {
        for size in SIZES {
            let body = Template::new(size, 7).body(42);
            let event: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(event["object"], "event");
            assert!((size.bytes() - 64..=size.bytes()).contains(&body.len()), "{size:?}: {}", body.len());
        }
    }

    #[test]
    fn each_number_is_an_event_of_its_own_and_always_the_same() {
        for size in SIZES {
            let template = Template::new(size, 7);
            let ids = |body: &[u8]| {
                let event: Value = serde_json::from_slice(body).unwrap();
                (event["id"].to_string(), event["data"]["object"]["id"].to_string())
            };
            let numbers = [0, 1, 9, 10, 99_999_999_999_999];
            let all: HashSet<_> = numbers.iter().map(|number| ids(&template.body(*number))).collect();
            assert_eq!(all.len(), numbers.len());
            assert!(all.iter().all(|(event, _)| event.starts_with("\"evt_")), "{all:?}");
            assert_eq!(template.body(10), template.body(10));
            assert_ne!(ids(&template.body(1)), ids(&Template::new(size, 8).body(1)));
        }
    }
}
