//! Refunds against a ledger: a small model of Stripe makes refunds and lets some fail, tells of them as Stripe does, and
//! knows how much money is gone. Whatever was subscribed to, and in whatever order it is told, we come to the same sum.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::super::{Body, Fact, read};
use super::*;

const AMOUNT: i64 = 100;

/// What Stripe does next: refund so much, or let the refund of that number fail. A second or more passes before it.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Refund(i64),
    Fail(usize),
}

/// What is true, and the events that told it.
#[derive(Debug, Default)]
struct Ledger {
    now: i64,
    refunds: Vec<(i64, bool)>,
    events: Vec<Vec<u8>>,
}

impl Ledger {
    fn gone(&self) -> i64 {
        self.refunds.iter().filter(|(_, failed)| !failed).map(|(amount, _)| amount).sum()
    }

    fn does(&mut self, deed: Deed) {
        self.now += 1;
        match deed {
            Deed::Refund(amount) => {
                let amount = amount.min(AMOUNT - self.gone());
                if amount == 0 {
                    return;
                }
                self.refunds.push((amount, false));
                self.tell_refund("refund.created", self.refunds.len() - 1, "succeeded");
                let charge = json!({"id": "ch_1", "payment_intent": "pi_1", "amount": AMOUNT,
                    "amount_captured": AMOUNT, "amount_refunded": self.gone()});
                self.tell("charge.refunded", &charge);
            }
            Deed::Fail(number) if number < self.refunds.len() && !self.refunds[number].1 => {
                self.refunds[number].1 = true;
                self.tell_refund("refund.failed", number, "failed");
                self.tell_refund("refund.updated", number, "failed");
            }
            Deed::Fail(_) => {}
        }
    }

    fn tell_refund(&mut self, event_type: &str, number: usize, status: &str) {
        let amount = self.refunds[number].0;
        let id = format!("re_{number}");
        self.tell(
            event_type,
            &json!({"id": id, "payment_intent": "pi_1", "amount": amount, "status": status}),
        );
    }

    fn tell(&mut self, event_type: &str, object: &serde_json::Value) {
        self.events.push(told(event_type, self.now, object));
    }
}

/// What the table keeps: the greater order key of each object.
fn kept(events: impl IntoIterator<Item = Vec<u8>>) -> Facts {
    let mut rows: BTreeMap<String, Fact> = BTreeMap::new();
    for event in events {
        let fact = read(&event, None).unwrap().unwrap();
        let newer = rows.get(&fact.object_id).is_none_or(|row| fact.order_key > row.order_key);
        if newer {
            rows.insert(fact.object_id.clone(), fact);
        }
    }
    let mut facts = Facts::default();
    for row in rows.into_values() {
        match row.body {
            Body::Charge(told) => facts.charges.push(told),
            Body::Refund(told) => facts.refunds.push(told),
            Body::Dispute(told) => facts.disputes.push(told),
            Body::Subscription(told) => facts.subscription = Some(told),
            Body::Invoice(_) | Body::InvoicePayment => {}
        }
    }
    facts
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![(1..=AMOUNT).prop_map(Deed::Refund), (0..4_usize).prop_map(Deed::Fail)];
    prop::collection::vec(deed, 0..8)
}

fn is_of(event: &[u8], words: &[&str]) -> bool {
    let event: serde_json::Value = serde_json::from_slice(event).unwrap();
    words.contains(&event["type"].as_str().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn what_went_back_is_what_the_ledger_says(
        (deeds, order) in deeds().prop_flat_map(|deeds| (Just(deeds), Just((0..100_usize).collect::<Vec<_>>()).prop_shuffle())),
        subscribed in 0..3_usize,
    ) {
        let mut ledger = Ledger::default();
        deeds.into_iter().for_each(|deed| ledger.does(deed));
        // The three ways in which an endpoint may be subscribed: all, only refunds, only the charge and what failed.
        let words: &[&str] = [
            &["charge.refunded", "refund.created", "refund.updated", "refund.failed"][..],
            &["refund.created", "refund.failed"],
            &["charge.refunded", "refund.failed"],
        ][subscribed];
        let told: Vec<_> = ledger.events.iter().filter(|event| is_of(event, words)).cloned().collect();
        let shuffled = order.iter().filter_map(|place| told.get(*place)).cloned().chain(told.first().cloned());
        let standing = standing(&kept(shuffled), Some(AMOUNT));
        prop_assert_eq!(standing.refunded, ledger.gone());
        prop_assert_eq!(standing.status == Status::Refunded, ledger.gone() == AMOUNT);
        prop_assert_eq!(standing.status.stands(), ledger.gone() < AMOUNT);
    }
}

fn told(event_type: &str, created: i64, object: &serde_json::Value) -> Vec<u8> {
    let word = match event_type {
        "customer.subscription.updated" | "customer.subscription.deleted" => "subscription",
        "charge.refunded" | "charge.succeeded" => "charge",
        "refund.created" | "refund.updated" | "refund.failed" => "refund",
        "charge.dispute.closed" => "dispute",
        other => panic!("say what {other} is about"),
    };
    let mut object = object.clone();
    object["object"] = word.into();
    json!({"type": event_type, "created": created, "livemode": true, "data": {"object": object}})
        .to_string()
        .into_bytes()
}

#[test]
fn each_state_of_a_subscription_gives_or_takes() {
    let rows = [
        ("active", true, "active"),
        ("trialing", true, "active"),
        ("past_due", true, "past_due"),
        ("incomplete", true, "active"),
        ("unpaid", false, "unpaid"),
        ("paused", false, "paused"),
        ("incomplete_expired", false, "canceled"),
        ("canceled", false, "canceled"),
    ];
    for (status, stands, word) in rows {
        let event = told("customer.subscription.updated", 1, &json!({"id": "sub_1", "status": status}));
        let standing = standing(&kept([event]), None);
        assert_eq!((standing.status.stands(), standing.status.word()), (stands, word), "{status}");
    }
}

#[test]
fn of_two_words_in_one_second_the_later_state_stands() {
    let updated =
        |status: &str| told("customer.subscription.updated", 1, &json!({"id": "sub_1", "status": status}));
    let deleted = told("customer.subscription.deleted", 1, &json!({"id": "sub_1", "status": "active"}));
    for (events, word) in [
        (vec![updated("active"), updated("incomplete")], "active"),
        (vec![updated("incomplete"), updated("active")], "active"),
        (vec![deleted.clone(), updated("active")], "canceled"),
        (vec![updated("active"), deleted], "canceled"),
    ] {
        assert_eq!(standing(&kept(events), None).status.word(), word);
    }
}

#[test]
fn a_word_of_the_future_is_a_dead_letter_and_no_guess() {
    let subscription = told("customer.subscription.updated", 1, &json!({"id": "sub_1", "status": "asleep"}));
    assert_eq!(read(&subscription, None).unwrap_err().code(), "subscription_status_unknown");
    let dispute =
        told("charge.dispute.closed", 1, &json!({"id": "du_1", "payment_intent": "pi_1", "status": "drawn"}));
    assert_eq!(read(&dispute, None).unwrap_err().code(), "dispute_status_unknown");
    let refund = told("refund.created", 1, &json!({"id": "re_1", "payment_intent": null, "amount": 5}));
    assert_eq!(read(&refund, None).unwrap_err().code(), "no_payment_intent");
    assert_eq!(
        read(&told("charge.refunded", 1, &json!({"id": "ch_1"})), None).unwrap_err().code(),
        "object_shape"
    );
    assert!(read(&told("charge.succeeded", 1, &json!({})), None).unwrap().is_none());
}

#[test]
fn a_free_purchase_is_not_refunded_by_nothing() {
    assert_eq!(standing(&Facts::default(), Some(0)).status, Status::Active);
}
