//! What is decided in memory: the signature, the envelope, the rules.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use hookyard::ingest::envelope;
use hookyard::model::clock::UnixMillis;
use hookyard::model::ids::{HandlerName, RuleName, SourceName};
use hookyard::rules::{Action, Fallback, Parser, Paths, Rule, RuleSet, Watch};
use hookyard::verify::Scheme;
use hookyard::verify::stripe::{StripeScheme, sign};
use http::{HeaderMap, HeaderValue};
use secrecy::SecretString;
use toml::de::DeTable;

use crate::events::{SIZES_KB, body};

const NOW_SECONDS: u64 = 1_796_000_000;
const RULES: [usize; 5] = [1, 10, 100, 1_000, 10_000];

pub(crate) fn verify(criterion: &mut Criterion) {
    let secret = SecretString::from("whsec_of_the_benches");
    let scheme = StripeScheme::new(vec![secret.clone()], Duration::from_secs(300)).unwrap();
    let scheme = Scheme::Stripe(scheme);
    let mut group = criterion.benchmark_group("verify");
    for size_kb in SIZES_KB {
        let body = body("evt_1", size_kb * 1024);
        let mut headers = HeaderMap::new();
        let signature = HeaderValue::try_from(sign(&secret, NOW_SECONDS, &body)).unwrap();
        headers.insert("stripe-signature", signature);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{size_kb}KB")), |bencher| {
            bencher
                .iter(|| scheme.verify(&headers, black_box(&body), UnixMillis(NOW_SECONDS * 1000)).unwrap());
        });
    }
}

pub(crate) fn envelope(criterion: &mut Criterion) {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "hooks.example.com"),
        ("content-type", "application/json; charset=utf-8"),
        ("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)"),
        ("accept", "*/*; q=0.5, application/xml"),
        ("cache-control", "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let source = SourceName::new("stripe");
    let mut group = criterion.benchmark_group("envelope");
    for size_kb in SIZES_KB {
        let body = body("evt_1", size_kb * 1024);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{size_kb}KB")), |bencher| {
            bencher.iter(|| envelope::make(&source, &headers, body.clone(), UnixMillis(1)).unwrap());
        });
    }
}

/// A 4 KB event that only the last rule takes: every rule is asked.
pub(crate) fn matching(criterion: &mut Criterion) {
    let (source, body) = (SourceName::new("stripe"), body("evt_1", 4096));
    let mut group = criterion.benchmark_group("match");
    for rules in RULES {
        let set = rule_set(rules);
        group.bench_function(BenchmarkId::from_parameter(format!("{rules} rules")), |bencher| {
            bencher.iter(|| set.decide(&source, Some(true), UnixMillis(1), black_box(&body)));
        });
    }
}

/// Rules of a shop with so many products; the event is the last one's.
fn rule_set(count: usize) -> RuleSet {
    let (mut watch, mut paths) = (Watch::default(), Paths::stripe());
    let rule = |number: usize| {
        let tier = if number + 1 == count { "tier_2".to_owned() } else { format!("tier_of_{number}") };
        let text = format!(
            r#"when = {{ type = ["checkout.session.completed", "checkout.session.async_payment_succeeded"], metadata.sumo_product_tier_id = "{tier}" }}"#
        );
        let table = DeTable::parse(&text).unwrap();
        let mut parser = Parser::new(&mut watch, &mut paths);
        let when = parser.when(&table.get_ref()["when"]);
        assert!(parser.faults.is_empty());
        Rule::plain(
            RuleName::new(&format!("rule {number}")),
            when,
            Action::Deliver([HandlerName::new("shop")].into()),
        )
    };
    let rules = (0..count).map(rule).collect();
    RuleSet::new(rules, Fallback::Unrouted, watch, BTreeMap::new())
}
