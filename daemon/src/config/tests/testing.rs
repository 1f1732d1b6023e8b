//! `[[test]]` tables: what they may say, and what each outcome is told as.

use super::{Config, sound_and};
use crate::config::Diagnostic;

fn failures(tests: &str) -> Vec<(usize, String)> {
    let config = Config::new(&sound_and(tests));
    let loaded = config.load(true).unwrap_or_else(|error| panic!("{}", error.render(false)));
    let failed = loaded.run_tests().tests.into_iter().filter_map(|tested| tested.failure);
    failed.map(|failure| (failure.line().unwrap(), failure.message().to_owned())).collect()
}

fn faults(tests: &str) -> Vec<String> {
    let error = Config::new(&sound_and(tests)).load(true).unwrap_err();
    error.faults.iter().map(told).collect()
}

fn told(fault: &Diagnostic) -> String {
    format!("{}; {}", fault.message(), fault.help().unwrap_or_default())
}

#[test]
fn a_test_passes_where_the_event_goes_to_whom_it_expects() {
    let passing = r#"
        [[test]]
        event = { type = "checkout.session.completed", metadata.sumo_campaign_id = "c" }
        expect = ["sumo"]
        rules = ["sumo purchase"]
        [[test]]
        event = { "$.type" = "other", 'metadata["a.b"]' = 1, obj.lines = [{ id = 1 }] }
        expect = []
        rules = []
    "#;
    assert_eq!(failures(passing), []);
}

#[test]
fn a_failure_says_what_was_expected_and_what_came() {
    let failing = "[[test]]\nname = \"t\"\nevent = { type = \"other\" }\nexpect = [\"sumo\"]\n\
                   [[test]]\nevent = { type = \"checkout.session.completed\", metadata.sumo_campaign_id = \"c\" }\nexpect = []\n\
                   [[test]]\nname = \"file\"\nevent = \"no/such.json\"\nexpect = []\n";
    let told: Vec<String> = failures(failing).into_iter().map(|(_, message)| message).collect();
    assert_eq!(told[0], "the test \"t\" fails: it should go to sumo, and goes to nobody (no rule took it)");
    assert!(
        told[1].ends_with("it should go to nobody, and goes to sumo, by \"sumo purchase\""),
        "{}",
        told[1]
    );
    assert!(told[2].contains("the event's file no/such.json cannot be read"), "{}", told[2]);
}

#[test]
fn a_source_is_named_only_where_a_rule_names_some() {
    let other = "[source.a]\npath = \"/a\"\nscheme = \"stripe\"\nsecrets = [\"env:SECRET\"]\nlivemode = \"live\"\n\
                 [[test]]\nevent = { type = \"a\" }\nexpect = []\n";
    assert_eq!(failures(other), []);
    let rule = "[[rule]]\nname = \"x\"\nsource = \"a\"\nwhen = { x = 1 }\nhandlers = [\"sumo\"]\n";
    let told = faults(&format!("{other}{rule}"));
    let wanted =
        "the test does not say which source its event comes from; write source = \"…\", one of a, stripe";
    assert_eq!(told, [wanted]);
}

#[test]
fn an_event_that_says_nothing_of_livemode_has_what_its_source_takes() {
    let live = |event: &str| {
        let test = format!(
            "[[test]]\nevent = {{ type = \"checkout.session.completed\", metadata.sumo_campaign_id = \"c\"{event} }}\nexpect = [\"sumo\"]\n"
        );
        let text = sound_and(&test).replacen(
            "path = \"/webhooks/stripe\"",
            "path = \"/webhooks/stripe\"\nlivemode = \"live\"",
            1,
        );
        let loaded = Config::new(&text).load(true).unwrap_or_else(|error| panic!("{}", error.render(false)));
        loaded.run_tests().tests[0].failure.is_none()
    };
    assert!(live("") && live(", livemode = true"));
    assert!(!live(", livemode = false"));
}

#[test]
fn a_test_that_tests_nothing_is_a_fault() {
    for (test, expected) in [
        (
            "[[test]]\nevent = { type = \"a\" }\nexpect = [\"smo\"]\n",
            "there is no handler `smo`; did you mean `sumo`?",
        ),
        ("[[test]]\nevent = { type = \"a\" }\nexpect = []\nrules = [\"sumo\"]\n", "there is no rule `sumo`"),
        ("[[test]]\nevent = { type = \"a\" }\n", "a test has no `expect`"),
        ("[[test]]\nexpect = []\n", "a test has no `event`"),
        ("[[test]]\nevent = 3\nexpect = []\n", "`event` takes the event's fields"),
        ("[[test]]\nevent = { \"a[*]\" = 1 }\nexpect = []\n", "stands for every element"),
        ("[[test]]\nevent = { a = 1, \"a.b\" = 2 }\nexpect = []\n", "stands inside what is no object"),
        (
            "[[test]]\nevent = { type = \"a\" }\nexpect = []\nsource = \"strip\"\n",
            "there is no source `strip`",
        ),
        ("[test]\nevent = { type = \"a\" }\nexpect = []\n", "write [[test]], with two brackets"),
        ("[[test]]\nevent = { type = \"a\" }\nexpects = []\n", "did you mean `expect`?"),
    ] {
        let told = faults(test);
        assert!(told.iter().any(|it| it.contains(expected)), "{test}: {told:?}");
    }
}

#[test]
fn an_event_is_written_with_the_aliases_of_its_source() {
    let shop = "[source.shop]\npath = \"/shop\"\nscheme = \"stripe\"\nsecrets = [\"env:SECRET\"]\n\
                alias = { tier = \"data.object.metadata.tier\" }\n\
                [[rule]]\nname = \"gold\"\nsource = \"shop\"\nwhen = { tier = \"gold\" }\nhandlers = [\"sumo\"]\n";
    let test =
        |more: &str| format!("{shop}[[test]]\nevent = {{ tier = \"gold\" }}\nexpect = [\"sumo\"]\n{more}");
    assert_eq!(failures(&test("source = \"shop\"")), []);
    let elsewhere = "`tier` begins with an alias that the sources do not share: say source = \"…\" too";
    assert!(faults(&test("")).iter().any(|fault| fault.starts_with(elsewhere)), "{:?}", faults(&test("")));
}
