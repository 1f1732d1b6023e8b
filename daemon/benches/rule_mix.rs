//! Rules of every usual kind, each as hookyard and as quamina say it, and the events that they are asked about.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;

use bytes::Bytes;
use hookyard::model::ids::{HandlerName, RuleName};
use hookyard::rules::{Action, Fallback, Parser, Paths, Rule, RuleSet, Watch};
use quamina::{Quamina, QuaminaBuilder};
use toml::Spanned;
use toml::de::DeTable;

const TYPES: [&str; 12] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.expired",
    "customer.created",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "invoice.paid",
    "invoice.payment_failed",
    "charge.refunded",
    "charge.dispute.created",
    "payment_intent.succeeded",
];

/// More than any field's automaton of the largest set takes: quamina's default of 10 MB refuses it.
const QUAMINA_BYTES_MAX: usize = 4 * 1024 * 1024 * 1024;

fn event_type(number: usize) -> &'static str {
    TYPES[number % TYPES.len()]
}

/// Rule `number`: 60 in 100 ask for a type and a text under `metadata`, 15 for a beginning, 10 for a span of numbers, 5
/// for presence, 5 for an end, 5 for one of several texts and against another.
fn rule(number: usize) -> (String, String) {
    let kind = event_type(number / 100);
    match number % 100 {
        0..60 => (
            format!(r#"type = "{kind}", metadata.tier = "tier_{number}""#),
            object(kind, &format!(r#""metadata": {{"tier": ["tier_{number}"]}}"#)),
        ),
        60..75 => (
            format!(r#"type = "{kind}", metadata.campaign = {{ prefix = "camp_{number}_" }}"#),
            object(kind, &format!(r#""metadata": {{"campaign": [{{"prefix": "camp_{number}_"}}]}}"#)),
        ),
        75..85 => {
            let (low, high) = (number * 10, number * 10 + 100);
            (
                format!(r#"type = "{kind}", obj.amount_total = {{ ge = {low}, lt = {high} }}"#),
                object(kind, &format!(r#""amount_total": [{{"numeric": [">=", {low}, "<", {high}]}}]"#)),
            )
        }
        85..90 => (
            format!(r#"type = "{kind}", metadata.shop_{number} = {{ present = true }}"#),
            object(kind, &format!(r#""metadata": {{"shop_{number}": [{{"exists": true}}]}}"#)),
        ),
        90..95 => (
            format!(r#"type = "{kind}", obj.customer_email = {{ suffix = "@shop-{number}.example" }}"#),
            object(kind, &format!(r#""customer_email": [{{"suffix": "@shop-{number}.example"}}]"#)),
        ),
        _ => (
            format!(
                r#"type = ["{kind}", "invoice.paid"], metadata.tier = "tier_{number}", obj.mode = {{ present = true, ne = "setup" }}"#
            ),
            format!(
                r#"{{"type": ["{kind}", "invoice.paid"], "data": {{"object": {{"metadata": {{"tier": ["tier_{number}"]}}, "mode": [{{"anything-but": ["setup"]}}]}}}}}}"#
            ),
        ),
    }
}

fn object(kind: &str, field: &str) -> String {
    format!(r#"{{"type": ["{kind}"], "data": {{"object": {{{field}}}}}}}"#)
}

/// Rules of one file.
const FILE_RULES: usize = 1_000;
/// As many as one daemon may run. Rules that match one event together are near each other, and have different ones.
const HANDLERS: usize = 64;

/// The first `count` rules as hookyard writes them.
pub(crate) fn our_texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("when = {{ {} }}", rule(number).0)).collect()
}

/// The first `count` rules as quamina writes them.
pub(crate) fn their_texts(count: usize) -> Vec<String> {
    (0..count).map(|number| rule(number).1).collect()
}

/// The rules that these texts write, each of which asks for a copy, so that a verdict names all that match.
pub(crate) fn ours(texts: &[String]) -> RuleSet {
    set(texts, true)
}

/// The same rules as they are without a word about it: the first that matches ends the search.
pub(crate) fn first_wins(texts: &[String]) -> RuleSet {
    set(texts, false)
}

fn set(texts: &[String], continues: bool) -> RuleSet {
    let (mut watch, mut paths) = (Watch::default(), Paths::stripe());
    let rule = |(number, table): (usize, Spanned<DeTable<'_>>)| {
        let mut parser = Parser::new(&mut watch, &mut paths);
        let when = parser.when(&table.get_ref()["when"]);
        assert!(parser.faults.is_empty());
        Rule {
            continues,
            ..Rule::plain(
                RuleName::new(&number.to_string()),
                when,
                Action::Deliver([HandlerName::new(&format!("handler-{}", number % HANDLERS))].into()),
            )
        }
    };
    // As the daemon does with its files: the next one is parsed while one is compiled.
    let rules = thread::scope(|scope| {
        let (sender, parsed) = mpsc::sync_channel::<Vec<_>>(1);
        let files = texts.chunks(FILE_RULES).map(|file| file.iter().map(|text| table(text)).collect());
        scope.spawn(move || files.for_each(|file| sender.send(file).unwrap()));
        parsed.into_iter().flatten().enumerate().map(rule).collect()
    });
    RuleSet::new(rules, Fallback::Unrouted, watch, BTreeMap::new())
}

fn table(text: &str) -> Spanned<DeTable<'_>> {
    DeTable::parse(text).unwrap()
}

/// The same rules in quamina.
pub(crate) fn theirs(texts: &[String]) -> Quamina<usize> {
    let builder = QuaminaBuilder::new().with_arena_byte_budget(QUAMINA_BYTES_MAX);
    let mut quamina = builder.build().unwrap();
    for (number, text) in texts.iter().enumerate() {
        quamina.add_pattern(number, text).unwrap();
    }
    quamina
}

/// A purchase of 4 KB as Stripe writes it, which a rule near `number` may take.
pub(crate) fn event(number: usize) -> Bytes {
    const FIXTURE: &str = include_str!("../../tests/fixtures/01_checkout_completed_sumo_paid.json");
    let kind = event_type(number / 100);
    let metadata = format!(
        r#""metadata": {{
        "tier": "tier_{number}",
        "campaign": "camp_{number}_spring",
        "shop_{number}": "yes","#
    );
    FIXTURE
        .replace("\"type\": \"checkout.session.completed\"", &format!("\"type\": \"{kind}\""))
        .replace("\"amount_total\": 17700", &format!("\"amount_total\": {}", number * 10 + 5))
        .replace("\"customer_email\": null", &format!("\"customer_email\": \"buyer@shop-{number}.example\""))
        .replace("\"metadata\": {\n", &metadata)
        .into()
}
