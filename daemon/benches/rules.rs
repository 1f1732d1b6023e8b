//! What finding the rules of an event costs, by how many rules there are, beside the crate quamina.

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion};
use hookyard::model::clock::UnixMillis;
use hookyard::model::ids::SourceName;
use hookyard::model::verdict::Verdict;
use hookyard::rules::RuleSet;
use hookyard::verify::stripe::sign;
use secrecy::SecretString;

use crate::rule_mix::{event, first_wins, our_texts, ours, their_texts, theirs};

const RULES: [usize; 6] = [1, 10, 100, 1_000, 10_000, 100_000];
/// Other events than the last one each time, so that no cache knows the answer.
const EVENTS: usize = 1_000;
/// Of [`growing`]: some three seconds together.
const ROUNDS: usize = 101;
/// Says to this very program that it only builds one set, to measure the memory of a process that did nothing else.
const BUILD: &str = "HOOKYARD_BENCH_BUILD";

/// One event of 4 KB against rules of every kind: taking it apart, and finding every rule that matches.
pub(crate) fn mixed(criterion: &mut Criterion) {
    let source = SourceName::new("stripe");
    let mut group = criterion.benchmark_group("mixed");
    let secret = SecretString::from("whsec_of_the_benches");
    let events: Vec<Bytes> = (0..EVENTS).map(event).collect();
    let mut next = events.iter().cycle();
    group.bench_function("hmac of the same events", |bencher| {
        bencher.iter(|| sign(&secret, 1_796_000_000, black_box(next.next().unwrap())));
    });
    for rules in RULES {
        let events = events_of(rules);
        let (set, quamina) = (ours(&our_texts(rules)), theirs(&their_texts(rules)));
        let mut hits = 0;
        for body in &events {
            let mut expected = quamina.matches_for_event(body).unwrap();
            expected.sort_unstable();
            hits += expected.len();
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(
                matched(&set.decide(&source, None, UnixMillis(1), body).verdict),
                expected,
                "both find the same rules"
            );
        }
        eprintln!("mixed: {rules} rules, {hits} matches of {EVENTS} events in both");
        let mut next = events.iter().cycle();
        group.bench_function(BenchmarkId::new("hookyard", rules), |bencher| {
            bencher.iter(|| set.decide(&source, None, UnixMillis(1), black_box(next.next().unwrap())));
        });
        group.bench_function(BenchmarkId::new("quamina", rules), |bencher| {
            bencher.iter(|| quamina.matches_for_event(black_box(next.next().unwrap())).unwrap());
        });
    }
}

/// Events that rules all over a set of so many take.
fn events_of(rules: usize) -> Vec<Bytes> {
    (0..EVENTS).map(|number| event(number * 7919 % rules.max(EVENTS))).collect()
}

fn matched(verdict: &Verdict) -> Vec<&str> {
    match verdict {
        Verdict::Deliver(assignments) => assignments.iter().map(|it| it.rule.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// Prints what an event costs against many rules beside what it costs against one, of rounds in turn: the machine's own
/// drift meets both alike.
pub(crate) fn growing() {
    growth("the first match wins", first_wins);
    growth("every match is found", ours);
}

#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn growth(how: &str, build: impl Fn(&[String]) -> RuleSet) {
    let source = SourceName::new("stripe");
    let sizes = [1, 10_000, 100_000];
    let sets = sizes.map(|rules| (build(&our_texts(rules)), events_of(rules)));
    let mut rounds = sizes.map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for ((set, events), took) in sets.iter().zip(&mut rounds) {
            let start = Instant::now();
            for body in events.iter().chain(events) {
                black_box(set.decide(&source, None, UnixMillis(1), black_box(body)));
            }
            took.push(start.elapsed().as_secs_f64());
        }
    }
    for (rules, took) in sizes.iter().zip(&rounds).skip(1) {
        let mut ratios: Vec<f64> = took.iter().zip(&rounds[0]).map(|(many, one)| many / one).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let ratio = ratios[ROUNDS / 2];
        println!("{rules} rules, {how}: {ratio:.2} times what one costs (median of {ROUNDS} rounds in turn)");
    }
}

/// Prints how long each engine takes from the text of 100,000 rules to what answers, and what that holds in memory.
pub(crate) fn building() {
    let program = std::env::current_exe().unwrap();
    for engine in ["hookyard", "quamina"] {
        let built = Command::new(&program).env(BUILD, engine).output().unwrap();
        print!("{}", String::from_utf8_lossy(&built.stdout));
    }
}

/// Builds what [`building`] asked this process for, if it did.
pub(crate) fn build_only() -> bool {
    let Ok(engine) = std::env::var(BUILD) else { return false };
    let rules = RULES[RULES.len() - 1];
    let (took, kb) = match engine.as_str() {
        "hookyard" => measured(&our_texts(rules), ours),
        _ => measured(&their_texts(rules), theirs),
    };
    let (took, memory) = (took.as_millis(), kb / 1024);
    println!("building {rules} mixed rules: {engine} takes {took} ms and {memory} MB");
    true
}

/// How long `build` takes, and what the process holds more while its result lives.
#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn measured<Built>(texts: &[String], build: impl Fn(&[String]) -> Built) -> (Duration, usize) {
    let before = resident_kb();
    let start = Instant::now();
    let built = build(texts);
    let took = start.elapsed();
    let kb = resident_kb() - before;
    drop(built);
    (took, kb)
}

fn resident_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
