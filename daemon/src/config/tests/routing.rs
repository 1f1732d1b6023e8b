//! What a rule says beside its condition: aliases of its sources, shadow, sample and active.

use super::faults::shown;
use super::{Config, sound_and};
use crate::model::clock::UnixMillis;
use crate::model::ids::{RuleName, SourceName};
use crate::rules::Ruling;

const SOURCES: &str = r#"
[source.shop]
path = "/shop"
scheme = "stripe"
secrets = ["env:SECRET"]
alias = { tier = "data.object.metadata.tier", obj = "object" }
[source.other]
path = "/other"
scheme = "stripe"
secrets = ["env:SECRET"]
alias = { tier = "data.tier" }
"#;

fn decide(rules: &str, source: &str, received: u64, body: &str) -> Ruling {
    let config = Config::new(&sound_and(&format!("{SOURCES}{rules}")));
    let rules = config.load(false).unwrap_or_else(|error| panic!("{}", error.render(false))).snapshot.rules;
    rules.decide(&SourceName::new(source), None, UnixMillis(received), body.as_bytes())
}

fn rule(more: &str) -> String {
    format!("[[rule]]\nname = \"r\"\ndrop = \"taken\"\n{more}\n")
}

/// Whether the rule takes the event.
fn taken(rule: &str, source: &str, received: u64, body: &str) -> bool {
    format!("{:?}", decide(rule, source, received, body).verdict).contains("taken")
}

#[test]
fn an_alias_is_of_its_source() {
    let shop = rule("source = \"shop\"\nwhen = { tier = \"gold\" }");
    let gold = r#"{"data": {"object": {"metadata": {"tier": "gold"}}}}"#;
    assert!(taken(&shop, "shop", 0, gold));
    assert!(!taken(&shop, "shop", 0, r#"{"tier": "gold"}"#));
    let own_obj = rule("source = \"shop\"\nwhen = { obj.id = 1, \"$.obj.id\" = 2, metadata.x = \"y\" }");
    let body = r#"{"object": {"id": 1}, "obj": {"id": 2}, "data": {"object": {"metadata": {"x": "y"}}}}"#;
    assert!(taken(&own_obj, "shop", 0, body));
    let plain = rule("source = \"stripe\"\nwhen = { tier = \"gold\" }");
    assert!(taken(&plain, "stripe", 0, r#"{"tier": "gold"}"#));
}

#[test]
fn an_alias_that_means_two_things_is_refused() {
    let help = r#"limit the rule with source = "…", or write the whole path: "$.data.object.…""#;
    for when in ["tier = 1", "source = [\"shop\", \"other\"], tier = 1"] {
        let rule = match when.split_once(", ") {
            Some(_) => rule("source = [\"shop\", \"other\"]\nwhen = { tier = 1 }"),
            None => rule("when = { tier = 1 }"),
        };
        let faults = shown(&Config::new(&sound_and(&format!("{SOURCES}{rule}"))));
        assert_eq!(faults.len(), 1, "{faults:?}");
        let fault = &faults[0];
        assert!(
            fault.ends_with(&format!(
                "`tier` begins with an alias that the sources of this rule do not share | {help}"
            )),
            "{fault}"
        );
    }
    let bad = "[source.bad]\npath = \"/bad\"\nscheme = \"stripe\"\nsecrets = [\"env:SECRET\"]\n\
               alias = { any = \"a\", \"x.y\" = \"a\", z = \"a b\", n = 1 }\n";
    let faults = shown(&Config::new(&sound_and(bad)));
    let messages: Vec<&str> = faults.iter().filter_map(|fault| fault.split(" | ").next()).collect();
    assert_eq!(
        messages,
        [
            "20:11 `any` cannot be an alias",
            "20:22 `x.y` cannot be an alias",
            "20:39 `a b` is not a path: a step of other signs than letters, digits, `_` and `-` is written [\"so\"]",
            "20:50 `n` stands for no path",
        ]
    );
}

#[test]
fn a_window_holds_its_beginning_and_not_its_end() {
    let rule =
        rule("when = { x = 1 }\nactive = { from = 1970-01-01T01:00:01+01:00, until = 1970-01-01T00:00:02Z }");
    for (received, expected) in [(0, false), (999, false), (1000, true), (1999, true), (2000, false)] {
        assert_eq!(taken(&rule, "shop", received, r#"{"x": 1}"#), expected, "{received}");
    }
}

#[test]
fn a_sample_goes_by_the_id_unless_it_says_otherwise() {
    let rule = |sample: &str| rule(&format!("when = {{ x = 1 }}\nsample = {sample}"));
    let share = |sample: &str, body: &dyn Fn(usize) -> String| {
        (0..40)
            .filter(|number| {
                taken(&rule(&format!("{sample}\nsource = \"stripe\"")), "stripe", 0, &body(*number))
            })
            .count()
    };
    let by_id = |number: usize| format!(r#"{{"x": 1, "id": "evt_{number}"}}"#);
    let by_customer = |number: usize| {
        format!(
            r#"{{"x": 1, "id": "evt_{number}", "data": {{"object": {{"customer": "cus_{}"}}}}}}"#,
            number % 2
        )
    };
    assert_eq!(share("{ percent = 100 }", &by_id), 40);
    assert!((10..30).contains(&share("{ percent = 50 }", &by_id)));
    let of_customers = share("{ percent = 50, by = \"obj.customer\" }", &by_customer);
    assert!([0, 20, 40].contains(&of_customers), "all events of one customer go one way: {of_customers}");
    assert_eq!(share("{ percent = 100, by = \"obj.customer\" }", &by_id), 0, "no value, not in the sample");
}

#[test]
fn a_shadow_rule_is_told_and_takes_nothing() {
    let rules = r#"
        [[rule]]
        name = "new way"
        shadow = true
        when = { x = { ge = 1 } }
        handlers = ["sumo"]
        [[rule]]
        name = "dropping"
        when = { x = 1 }
        drop = "taken"
        [[rule]]
        name = "behind"
        shadow = true
        when = { x = { ge = 1 } }
        drop = "later"
    "#;
    for (x, shadows, verdict) in [
        (0, vec![], "no rule took it"),
        (1, vec!["new way"], "taken"),
        (2, vec!["new way", "behind"], "no rule took it"),
    ] {
        let ruling = decide(rules, "stripe", 0, &format!(r#"{{"x": {x}}}"#));
        let seen: Vec<&str> = ruling.shadows.iter().map(RuleName::as_str).collect();
        assert_eq!(seen, shadows, "{x}");
        assert!(format!("{:?}", ruling.verdict).contains(verdict), "{ruling:?}");
    }
}
