//! What an operator does with rules: test them, explain an event, try a change against history, route what no rule took,
//! and see which rules match.

use serde_json::Value;

use crate::stripe::{another_purchase, fixture, tests_dir};
use crate::yard::Yard;

const RULES: &str = "config/rules/10-checkout.toml";

fn edit(yard: &Yard, edit: impl FnOnce(String) -> String) {
    let path = yard.path(RULES);
    std::fs::write(&path, edit(std::fs::read_to_string(&path).unwrap())).unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn said(yard: &Yard, args: &[&str]) -> (Option<i32>, String, String) {
    let output = yard.run(args);
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn tests_beside_rules_are_run_and_reported() {
    let yard = Yard::shipped();
    let (code, out, err) = said(&yard, &["test"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.contains("ok      a checkout with a campaign goes to sumo  (config/rules/10-checkout.toml:"),
        "{out}"
    );
    assert!(out.ends_with("10 passed, 0 failed; 5 of 5 rules reached (100 %)\n"), "{out}");

    edit(&yard, |text| {
        text.replacen("handlers = [\"sumo\"]", "handlers = [\"direct\"]", 1)
            + "[[rule]]\nname = \"untested\"\nhandlers = [\"sumo\"]\nwhen = { type = \"x\" }\n"
    });
    let (code, out, err) = said(&yard, &["test"]);
    assert_eq!(code, Some(78), "{out}");
    assert!(out.contains("FAILED  a checkout with a campaign goes to sumo"), "{out}");
    assert!(out.contains("no test reaches \"untested\""), "{out}");
    assert!(out.ends_with("8 passed, 2 failed; 5 of 6 rules reached (83 %)\n"), "{out}");
    assert!(err.contains("it should go to sumo, and goes to direct, by"), "{err}");
    let (code, _, err) = said(&yard, &["check", "--dev"]);
    assert_eq!(code, Some(78));
    assert!(err.contains("expect = [\"sumo\"]") && err.contains("the configuration has 2 faults"), "{err}");
    let faults: Value = serde_json::from_slice(&yard.run(&["check", "--dev", "--json"]).stdout).unwrap();
    assert_eq!(faults.as_array().unwrap().len(), 2, "{faults}");
    assert!(faults[0]["line"].as_u64() > Some(30) && faults[0]["severity"] == "error", "{faults}");

    edit(&yard, |text| text.replacen("handlers = [\"direct\"]", "handlers = [\"sumo\"]", 1));
    let (code, _, err) = said(&yard, &["test", "--fail-under", "100"]);
    assert_eq!(code, Some(78));
    assert!(err.contains("reach 83 % of the rules; 100 % are asked for"), "{err}");
    std::fs::remove_file(yard.path("config/events/checkout_without_metadata.json")).unwrap();
    let (_, _, err) = said(&yard, &["test"]);
    assert!(err.contains("checkout_without_metadata.json cannot be read"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_explained_rule_by_rule() {
    let mut yard = Yard::shipped();
    let poster = yard.start().await;
    let event = poster.post(&fixture("16")).await.event();
    yard.wait_until_settled(1).await;
    let explained = yard.ask(&["explain", &event]);
    assert_eq!(explained["routing"], "unrouted: no rule took it");
    assert_eq!(explained["decided"], explained["routing"]);
    assert_eq!(explained["rules"][0]["outcome"], "no_match");
    let (_, out, _) = said(&yard, &["explain", &event]);
    assert!(out.contains("1. \"sumo purchase\" does not match"), "{out}");
    assert!(out.contains("✗ data.object.metadata.sumo_campaign_id is present"), "{out}");

    let file = tests_dir().join("fixtures/01_checkout_completed_sumo_paid.json");
    let (code, out, err) = said(&yard, &["explain", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("1. \"sumo purchase\" takes it: to sumo"), "{out}");
    assert!(out.contains("2. \"direct purchase\" would match, and comes too late"), "{out}");
    assert!(out.ends_with("result    to sumo by rule \"sumo purchase\"\n"), "{out}");
    let (code, _, err) = said(&yard, &["explain", "evt_unknown"]);
    assert_eq!(code, Some(65));
    assert!(err.contains("no event `evt_unknown` is stored"), "{err}");
    assert_eq!(said(&yard, &["explain", "none.json"]).0, Some(66));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_tried_against_history_and_unrouted_events_are_routed_by_it() {
    let mut yard = Yard::shipped();
    let poster = yard.start().await;
    for number in 0..3 {
        assert_eq!(poster.post(&another_purchase("01", number)).await.status, 200);
    }
    let ping = poster.post(&fixture("13b")).await.event();
    poster.post(&fixture("16")).await;
    yard.wait_for_counts("settled", |counts| counts["delivered"] == 3 && counts["unrouted"] == 2).await;
    let (_, out, _) = said(&yard, &["events", "replay", "--unrouted"]);
    assert!(
        out.contains("2 unrouted events looked at: 0 routed") && out.contains("2 still unrouted"),
        "{out}"
    );

    let rule = "\n[[rule]]\nname = \"pings\"\ndrop = \"nobody wants them\"\nwhen = { type = \"v2.core.event_destination.ping\" }\n";
    edit(&yard, |text| text + rule);
    let dry_run = yard.ask(&["check", "--dev", "--against", "last=100"]);
    assert_eq!((&dry_run["looked"], &dry_run["changed"]), (&Value::from(5), &Value::from(1)), "{dry_run:#}");
    assert_eq!(dry_run["ways"][0]["examples"][0], ping.as_str());
    assert_eq!(dry_run["ways"][0]["after"], "dropped by rule \"pings\": nobody wants them");
    assert_eq!(dry_run["rules"][0]["rule"], "pings");
    let (_, out, err) = said(&yard, &["check", "--dev", "--against", "1d"]);
    assert!(out.contains("of 5 events, 1 would go elsewhere:"), "{out}{err}");
    assert_eq!(said(&yard, &["check", "--dev", "--against", "soon"]).0, Some(78));

    let before = yard.ask(&["status"])["snapshot"].clone();
    let (code, _, err) = said(&yard, &["reload", "--against", "last=100"]);
    assert_eq!(code, Some(78), "{err}");
    assert!(
        err.contains("the reload is refused: 0 may go elsewhere; to accept it: --changes-max 1"),
        "{err}"
    );
    assert_eq!(yard.ask(&["status"])["snapshot"], before);
    let (code, out, err) = said(&yard, &["reload", "--against", "last=100", "--changes-max", "1"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("+ rule \"pings\" added"), "{out}");

    let replayed = yard.ask(&["events", "replay", "--unrouted"]);
    assert_eq!((&replayed["routed"], &replayed["still_unrouted"]), (&Value::from(1), &Value::from(1)));
    let again = yard.ask(&["events", "replay", "--unrouted"]);
    assert_eq!((&again["looked"], &again["routed"]), (&Value::from(1), &Value::from(0)));
    let counts = yard.ask(&["status"])["counts"].clone();
    assert_eq!((&counts["unrouted"], &counts["dropped"]), (&Value::from(1), &Value::from(1)), "{counts}");
    assert_eq!(yard.event(&ping)["routing"], "dropped by rule \"pings\": nobody wants them");
}

#[tokio::test(flavor = "multi_thread")]
async fn matches_are_counted_for_each_rule_over_restarts() {
    let mut yard = Yard::shipped();
    let poster = yard.start().await;
    for number in 0..3 {
        poster.post(&another_purchase("01", number)).await;
    }
    yard.wait_until_settled(3).await;
    assert_eq!(yard.terminate().code(), Some(0), "{}", yard.log());
    let poster = yard.start().await;
    poster.post(&another_purchase("01", 3)).await;
    yard.wait_until_settled(4).await;
    let rules = yard.ask(&["status"])["rules"].clone();
    assert_eq!(
        (&rules[0]["rule"], &rules[0]["matched"]),
        (&"sumo purchase".into(), &Value::from(4)),
        "{rules:#}"
    );
    assert!(rules[0]["last_matched"].is_string() && rules[1]["last_matched"].is_null(), "{rules:#}");
    let (_, out, _) = said(&yard, &["status", "--rules", "--quiet-days", "0"]);
    assert!(out.contains("\"direct purchase\"") && out.contains("never"), "{out}");

    let runtime = yard.runtime().unwrap();
    let url = format!("http://{}/metrics", runtime["admin"].as_str().unwrap());
    assert_eq!(get(&url, None).await.0, 401);
    let metrics = metrics(&yard).await;
    for line in [
        "hookyard_rule_matched_total{rule=\"sumo purchase\"} 4",
        "hookyard_rule_matched_total{rule=\"direct purchase\"} 0",
        "hookyard_deliveries{state=\"delivered\"} 4",
        "hookyard_handler_up{handler=\"sumo\"} 1",
        "hookyard_handler_calls_total{handler=\"sumo\",outcome=\"done\"} 1",
        "hookyard_handler_call_seconds_bucket{handler=\"sumo\",le=\"+Inf\"} 1",
        "hookyard_handler_call_seconds_count{handler=\"sumo\"} 1",
        "hookyard_handler_circuit_open{handler=\"sumo\"} 0",
        "# TYPE hookyard_rule_last_matched_timestamp_seconds gauge",
    ] {
        assert!(metrics.lines().any(|it| it == line), "`{line}` is missing in:\n{metrics}");
    }
    let value = |name: &str| {
        let line =
            metrics.lines().find_map(|line| line.strip_prefix(&format!("{name}{{handler=\"sumo\"}} ")));
        line.unwrap_or_else(|| panic!("{name} is missing in:\n{metrics}")).parse::<f64>().unwrap()
    };
    assert!(
        value("hookyard_handler_resident_bytes") > 1e6 && value("hookyard_handler_call_seconds_sum") > 0.0
    );
    assert!(
        metrics.contains("hookyard_plugin_info{") && metrics.contains("isolation=\"process\""),
        "{metrics}"
    );
}

/// What `/metrics` says.
pub(crate) async fn metrics(yard: &Yard) -> String {
    let runtime = yard.runtime().unwrap();
    let url = format!("http://{}/metrics", runtime["admin"].as_str().unwrap());
    let (status, metrics) = get(&url, runtime["dev"]["admin_token"].as_str()).await;
    assert_eq!(status, 200, "{metrics}");
    metrics
}

async fn get(url: &str, token: Option<&str>) -> (u16, String) {
    use http_body_util::{BodyExt, Empty};
    let client =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let mut request = hyper::Request::get(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = client.request(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    (status, text(&answer.into_body().collect().await.unwrap().to_bytes()))
}
