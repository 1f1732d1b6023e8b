//! What the plugin promises, on the test kit: the plugin's own code, with steps and pairs in memory. With HOOKYARD_TEST=process
//! in the environment it is the compiled library, in a process of its own.

use hookyard_plugin::testkit::{Bench, Before, Said, TestEvent};
use {{crate}}::{Settings, {{type}}};
use serde_json::json;
use tempfile::TempDir;

const EVENT: &[u8] = include_bytes!("../event.json");

fn event() -> TestEvent {
    TestEvent::new("checkout.session.completed", EVENT)
}

fn bench(letters: &TempDir) -> Bench {
    Bench::new::<{{type}}>(&json!({ "greeting": "Dear", "letters": letters.path() }))
}

fn letters_in(folder: &TempDir) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn a_paid_checkout_gets_one_letter_however_often_it_is_delivered() {
    let letters = tempfile::tempdir().unwrap();
    let bench = bench(&letters);
    for before in [Before::Run, Before::Done] {
        let delivered = bench.deliver(&event());
        assert_eq!(delivered.outcome, Said::Done, "{}", delivered.message);
        assert_eq!(delivered.steps[0].before, before);
    }
    assert_eq!(letters_in(&letters), ["Dear Marta Buyer,\n"]);
}

#[test]
fn a_crash_anywhere_leaves_one_letter() {
    let letters = tempfile::tempdir().unwrap();
    let bench = bench(&letters);
    let crashes = bench.crash_at_every_call(&event(), |delivered| {
        assert_eq!(delivered.outcome, Said::Done, "{}", delivered.message);
        assert_eq!(letters_in(&letters), ["Dear Marta Buyer,\n"]);
        std::fs::remove_dir_all(letters.path()).unwrap();
        std::fs::create_dir(letters.path()).unwrap();
    });
    assert!(crashes > 0);
}

#[test]
fn a_session_without_a_name_is_for_a_person() {
    let letters = tempfile::tempdir().unwrap();
    let body = br#"{"type": "checkout.session.completed",
        "data": {"object": {"object": "checkout.session", "id": "cs_test_1", "customer_details": null}}}"#;
    let delivered = bench(&letters).deliver(&TestEvent::new("checkout.session.completed", body));
    assert_eq!((delivered.outcome, &*delivered.code), (Said::Reject, "name_missing"));
}

#[test]
fn settings_schema_json_says_what_the_settings_are() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/settings.schema.json");
    hookyard_plugin::testkit::assert_schema::<Settings>(path);
}
