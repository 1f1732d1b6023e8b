//! Rules that would make every event slow are refused, those that make some slow are warned of.

use super::faults::shown;
use super::{Config, SOUND};

/// So many rules, each with what `when` says of its number.
fn rules(name: &str, count: usize, when: &str) -> String {
    let rule = |number: usize| {
        let when = when.replace("NUMBER", &number.to_string());
        format!("[[rule]]\nname = \"{name}{number}\"\nwhen = {{ {when} }}\ndrop = \"x\"\n")
    };
    (0..count).map(rule).collect()
}

fn warnings(config: &Config) -> Vec<String> {
    let loaded = config.load(false).unwrap();
    loaded.warnings.iter().map(|it| format!("{} {}", it.line().unwrap(), it.message())).collect()
}

#[test]
fn rules_that_nothing_can_be_looked_up_for_are_bounded() {
    let config = Config::new(SOUND).with("rules/a.toml", &rules("r", 1_000, "not = { xNUMBER = 1 }"));
    assert_eq!(warnings(&config), [] as [&str; 0]);
    let config = config.with("rules/a.toml", &rules("r", 1_001, "not = { xNUMBER = 1 }"));
    assert_eq!(
        shown(&config),
        [
            "a.toml:4002:8 1001 rules are asked of every event, about 50 µs each time: this is the first beyond 1000 | \
          let each ask for something that an event's value can be looked up by: an equality, a beginning, a bound; \
          `type` is enough"
        ]
    );
}

#[test]
fn many_rules_that_differ_in_nothing_that_can_be_looked_up_are_warned_of() {
    let alike = r#"type = "a", not = { xNUMBER = 1 }"#;
    let config = Config::new(SOUND).with("rules/a.toml", &rules("r", 1_001, alike));
    assert_eq!(
        warnings(&config),
        [
            "4002 1001 rules share their rarest test, so one event may have to ask them all, about 50 µs: this is the \
          first beyond 1000"
        ]
    );
    let different = r#"type = "a", not = { xNUMBER = 1 }, y = NUMBER"#;
    let config = config.with("rules/a.toml", &rules("r", 1_001, different));
    assert_eq!(warnings(&config), [] as [&str; 0]);
}
