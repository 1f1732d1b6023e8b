//! The configuration that ships: it loads, and it decides every recorded Stripe event as the table says.

use std::path::{Path, PathBuf};

use super::load_with;
use crate::config::{Diagnostic, Loaded, Scheme};
use crate::model::clock::UnixMillis;
use crate::model::ids::{HandlerName, SourceName};
use crate::model::retention::Retention;
use crate::model::verdict::Verdict;
use crate::rules::Livemode;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn shipped() -> Loaded {
    let env = |name: &str| Some(format!("value of {name}"));
    load_with(&root().join("config/hookyard.toml"), true, &env)
        .unwrap_or_else(|error| panic!("{}", error.render(false)))
}

#[test]
fn loads_without_a_warning() {
    let Loaded { snapshot, warnings, .. } = shipped();
    assert_eq!(warnings.iter().map(Diagnostic::message).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(snapshot.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(snapshot.server.admin.unwrap().listen.to_string(), "127.0.0.1:8081");
    assert_eq!(snapshot.store.path, Path::new("var/hookyard"));
    assert_eq!(snapshot.store.retention, Retention::default(), "what it writes is the default");
    let [source] = &snapshot.sources[..] else { panic!("{:?}", snapshot.sources) };
    let Scheme::Stripe { secrets, tolerance } = &source.scheme;
    assert_eq!((&*source.path, secrets.len(), tolerance.as_secs()), ("/webhooks/stripe", 1, 300));
    assert_eq!(source.livemode, Livemode::Any);
    let handlers: Vec<&str> = snapshot.handlers.keys().map(HandlerName::as_str).collect();
    assert_eq!(handlers, ["direct", "sumo"]);
    let rules: Vec<&str> = snapshot.rules.rules().iter().map(|rule| rule.name.as_str()).collect();
    let expected = [
        "sumo purchase",
        "direct purchase",
        "sumo checkout without money",
        "direct checkout without money",
        "after a purchase",
    ];
    assert_eq!(rules, expected);
}

#[test]
fn every_default_that_a_comment_of_it_names_is_the_real_one() {
    let text = std::fs::read_to_string(root().join("config/hookyard.toml")).unwrap();
    let commented: String = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_commented_setting(rest)).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_ne!(commented, text);
    let config = super::Config::new(&commented).with(
        "rules/10-checkout.toml",
        &std::fs::read_to_string(root().join("config/rules/10-checkout.toml")).unwrap(),
    );
    let loaded = load_with(&config.path(super::MAIN), true, &|_| Some("x".to_owned()));
    let with_comments = loaded.unwrap_or_else(|error| panic!("{}", error.render(false))).snapshot;
    let without = shipped().snapshot;
    assert_eq!(format!("{:?}", with_comments.server), format!("{:?}", without.server));
    assert_eq!(with_comments.store, without.store);
}

fn is_commented_setting(line: &str) -> bool {
    ["_max", "_min", "_timeout", "cache_bytes"]
        .iter()
        .any(|word| line.split_once('=').is_some_and(|(key, _)| key.trim_end().ends_with(word)))
}

#[test]
fn decides_every_recorded_event() {
    const UNROUTED: &str = "no rule took it";
    const BOTH: &str = "sumo direct";
    let expected = [
        ("01_checkout_completed_sumo_paid.json", "sumo"),
        ("01b_checkout_completed_sumo_paid_second_event.json", "sumo"),
        ("02_checkout_completed_sumo_unpaid_delayed.json", "sumo"),
        ("03_checkout_async_payment_succeeded_sumo.json", "sumo"),
        ("04_checkout_async_payment_failed_sumo.json", "sumo"),
        ("04a_checkout_completed_sumo_unpaid_then_fails.json", "sumo"),
        ("05_checkout_completed_direct_paid.json", "direct"),
        ("06_checkout_completed_direct_client_reference.json", "direct"),
        ("07_checkout_completed_metadata_null.json", "direct"),
        ("08_checkout_completed_sumo_customer_null.json", "sumo"),
        ("09_checkout_completed_sumo_email_null.json", "sumo"),
        ("10_checkout_completed_sumo_subscription.json", "sumo"),
        ("10b_checkout_completed_sumo_no_payment_required.json", "sumo"),
        ("10c_checkout_completed_setup_mode.json", UNROUTED),
        ("10d_checkout_completed_sumo_testmode.json", "sumo"),
        ("10e_checkout_completed_connect_account.json", "sumo"),
        ("11_charge_refunded_full.json", BOTH),
        ("11b_charge_refunded_partial.json", BOTH),
        ("11c_refund_created.json", BOTH),
        ("12_customer_subscription_deleted.json", BOTH),
        ("12a_customer_subscription_updated_cancel_at_period_end.json", BOTH),
        ("12b_customer_subscription_updated_past_due.json", BOTH),
        ("13_v2_thin_v1_checkout_session_completed.json", UNROUTED),
        ("13b_v2_thin_event_destination_ping.json", UNROUTED),
        ("14_invoice_paid_30kb.json", BOTH),
        ("15_charge_dispute_created.json", BOTH),
        ("16_unhandled_type.json", UNROUTED),
        ("17_charge_refunded_partial_sumo.json", BOTH),
        ("18_refund_failed.json", BOTH),
        ("18b_refund_updated_failed.json", BOTH),
        ("19_charge_dispute_created_sumo.json", BOTH),
        ("19a_charge_dispute_closed_lost.json", BOTH),
        ("19b_charge_dispute_closed_won.json", BOTH),
        ("19c_charge_dispute_funds_reinstated.json", BOTH),
        ("20_invoice_payment_failed.json", BOTH),
        ("20a_invoice_paid_renewal.json", BOTH),
        ("20b_customer_subscription_updated_active.json", BOTH),
        ("21_invoice_payment_paid.json", BOTH),
        ("21a_charge_refunded_subscription.json", BOTH),
        ("22_customer_subscription_updated_unpaid.json", BOTH),
        ("22a_customer_subscription_paused.json", BOTH),
        ("22b_customer_subscription_resumed.json", BOTH),
        ("22c_customer_subscription_updated_tier.json", BOTH),
        ("22d_customer_subscription_updated_stays.json", BOTH),
        ("23_checkout_expired_direct.json", "direct"),
        ("23a_checkout_completed_direct_unpaid.json", UNROUTED),
        ("23b_checkout_async_payment_failed_direct.json", "direct"),
        ("23c_checkout_async_payment_succeeded_direct.json", "direct"),
        ("24_charge_refunded_full_direct.json", BOTH),
        ("24a_charge_dispute_closed_lost_direct.json", BOTH),
        ("25_checkout_completed_sumo_upgrade.json", "sumo"),
        ("25a_charge_refunded_upgrade.json", BOTH),
        ("26_checkout_expired_sumo.json", "sumo"),
    ];
    let rules = shipped().snapshot.rules;
    let mut decided = Vec::new();
    for entry in std::fs::read_dir(root().join("tests/fixtures")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name == "INDEX.json" {
            continue;
        }
        let verdict = rules
            .decide(&SourceName::new("stripe"), Some(true), UnixMillis(0), &std::fs::read(&path).unwrap())
            .verdict;
        decided.push((name, in_a_word(verdict)));
    }
    decided.sort();
    let decided: Vec<(&str, &str)> = decided.iter().map(|(name, word)| (&**name, &**word)).collect();
    assert_eq!(decided, expected);
}

fn in_a_word(verdict: Verdict) -> String {
    match verdict {
        Verdict::Deliver(assignments) => {
            assignments.iter().map(|assignment| assignment.handler.as_str()).collect::<Vec<_>>().join(" ")
        }
        Verdict::Unrouted { reason } | Verdict::Dropped { reason, .. } => reason,
    }
}
