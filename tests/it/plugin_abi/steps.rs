//! What a plugin may ask for: steps that survive its crash, pairs, secrets, log lines; from C and from Rust.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hookyard::model::attempt::{Detail, Outcome};
use hookyard::model::ids::PluginId;

use super::bench::{Bench, call, call_as, misbehave};

fn done(message: &str, result: Option<&str>) -> Outcome {
    let result = result.map(str::to_owned);
    Outcome::Done(Detail { code: String::new(), message: message.to_owned(), result })
}

#[tokio::test]
async fn a_plugin_in_c_uses_everything_that_the_host_offers() {
    let bench = Bench::new();
    let host = bench.start(bench.spec(&bench.compile("good", &[]))).await.unwrap();
    let first = call(&host, "good").await;
    assert_eq!(first.outcome, done("charged", Some("{\"language\":\"c\"}")));
    assert_eq!(first.log, ["from C state=fine"]);
    let again = call_as(&host, "good", "good", 2).await;
    assert_eq!(again.outcome, done("charged before", Some("{\"language\":\"c\"}")));
    let key = (PluginId::new("com.hookyard.test.c"), b"last".to_vec());
    assert_eq!(bench.memory.kv.lock().unwrap()[&key].version, 2);
}

#[tokio::test]
async fn what_a_plugins_libraries_log_stands_with_the_attempt() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let report = call(&host, "library.logs").await;
    assert_eq!(report.outcome, done("logged", None));
    assert_eq!(report.log, ["by tracing rows=3 table=orders", "by log target=lettre"]);
}

#[tokio::test]
async fn an_event_arrives_as_it_was_sent() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let report = call_as(&host, "echo", "echo", 3).await;
    let result = report.outcome.detail().unwrap().result.clone().unwrap();
    let seen: serde_json::Value = serde_json::from_str(&result).unwrap();
    let id = super::bench::event("echo", "echo").id.to_string();
    let sent = serde_json::json!({
        "id": id, "source": "test", "rule": "a rule", "attempt": 3, "received": 1_794_830_461_000_u64,
        "content_type": "application/json", "header": "täst", "body": { "name": "Márta" },
    });
    assert_eq!(seen, sent);
}

#[tokio::test]
async fn a_crash_inside_a_step_leaves_it_unsure_with_the_same_key() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let crashed = call_as(&host, "step.crash_inside", "payment", 1).await;
    assert!(matches!(crashed.outcome, Outcome::Crashed { .. }), "{crashed:?}");
    let second = call_as(&host, "step", "payment", 2).await;
    let key = bench.memory.steps.lock().unwrap().keys().next().unwrap().clone();
    let expected = format!("\"key of {} charge\"", key.delivery);
    assert_eq!(second.outcome, done("unsure", Some(&expected)));
    assert_eq!(call_as(&host, "step", "payment", 3).await.outcome, done("done", Some(&expected)));
}

#[tokio::test]
async fn a_crash_after_a_step_does_not_do_it_again() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let crashed = call_as(&host, "step.crash_after", "payment", 1).await;
    assert!(matches!(crashed.outcome, Outcome::Crashed { .. }), "{crashed:?}");
    let second = call_as(&host, "step", "payment", 2).await.outcome;
    let Outcome::Done(detail) = second else { panic!("{second:?}") };
    assert_eq!(detail.message, "done");
}

/// What the far side saw of each effect: its keys, in the order in which they came.
fn seen(far: &Path) -> BTreeMap<String, Vec<String>> {
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in std::fs::read_to_string(far).unwrap_or_default().lines() {
        let (effect, key) = line.split_once(' ').unwrap();
        seen.entry(effect.to_owned()).or_default().push(key.to_owned());
    }
    seen
}

#[tokio::test]
async fn a_crash_after_any_host_call_makes_no_effect_twice_but_under_one_key() {
    let bench = Bench::new();
    let library = bench.compile("effects", &[]);
    // How many of the lives with one crash had the far side asked twice.
    let (mut crashes, mut doubtful) = (0, 0);
    for dying in 1..=2 {
        for die in 1.. {
            let name = format!("{dying}.{die}");
            let far = bench.dir.path().join(&name);
            let mut spec = bench.spec(&library);
            spec.settings_json = format!("{{\"die\":{die},\"dying\":{dying},\"far\":\"{}\"}}", far.display());
            let host = bench.start(spec).await.unwrap();
            let mut attempt = 1;
            let outcome = loop {
                match call_as(&host, "effects", &name, attempt).await.outcome {
                    Outcome::Crashed { what } => assert!(what.contains("SIGABRT"), "{name}: {what}"),
                    other => break other,
                }
                attempt += 1;
            };
            assert_eq!(outcome, done("both are made", None), "{name}");
            let seen = seen(&far);
            assert_eq!(seen.len(), 2, "{name}: {seen:?}");
            for (effect, keys) in &seen {
                let same = keys.iter().all(|key| *key == keys[0] && key.contains(effect.as_str()));
                assert!(same && keys.len() < attempt as usize + 1, "{name}: {seen:?}");
            }
            if attempt == 1 {
                break;
            }
            crashes += 1;
            doubtful += usize::from(dying == 1 && seen.values().any(|keys| keys.len() > 1));
        }
    }
    assert!(crashes >= 28, "{crashes}: an attempt has twelve host calls and two effects");
    assert_eq!(doubtful, 2, "only a crash between an effect and its record leaves a doubt");
}

#[tokio::test]
async fn steps_belong_to_one_event_and_one_handler() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let mut other = bench.spec(&misbehave());
    other.handler = hookyard::model::ids::HandlerName::new("another");
    let other = bench.start(other).await.unwrap();
    for (host, name) in [(&*host, "one"), (&*host, "two"), (&other, "one")] {
        let outcome = call_as(host, "step", name, 1).await.outcome;
        assert_eq!(outcome.detail().unwrap().message, "run", "{name}");
    }
    assert_eq!(bench.memory.steps.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn pairs_are_versioned_and_bounded() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let outcome = call(&host, "kv").await.outcome;
    assert_eq!(outcome, done("hookyard could not write the pair `large`: it is too large", None));
}

#[tokio::test]
async fn a_secret_is_handed_over_and_a_missing_one_is_named() {
    let bench = Bench::new();
    let mut spec = bench.spec(&misbehave());
    spec.settings_json = r#"{"secret":"token"}"#.to_owned();
    let host = bench.start(spec.clone()).await.unwrap();
    assert_eq!(call(&host, "secret").await.outcome, done("s3cret", None));
    spec.settings_json = r#"{"secret":"tokem"}"#.to_owned();
    let said = bench.start(spec).await.unwrap_err().to_string();
    assert!(said.contains("the handler has no secret `tokem`"), "{said}");
}

#[tokio::test]
async fn the_last_lines_are_kept_without_control_characters() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let log = call(&host, "log").await.log;
    assert_eq!(log.len(), hookyard::model::limits::ATTEMPT_LOG_LINES_MAX);
    assert_eq!(log[0], "line number=81");
    assert_eq!(log.last().unwrap(), "with a newline and  [31ma colour");
}

#[tokio::test]
async fn a_serial_plugin_is_never_called_twice_at_once() {
    let bench = Bench::new();
    let host = Arc::new(bench.start(bench.spec(&bench.compile("serial", &[]))).await.unwrap());
    assert!(host.status().serial);
    let calls: Vec<_> = (0..8)
        .map(|number| {
            let host = Arc::clone(&host);
            tokio::spawn(async move { call_as(&host, "serial", &number.to_string(), 1).await.outcome })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), done("", None));
    }
}
