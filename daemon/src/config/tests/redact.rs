//! `redact` of a source: which paths it takes, and that a rule which looks there is warned of.

use super::faults::shown;
use super::{Config, SOUND};

fn with(redact: &str, rules: &str) -> Config {
    let source = format!("secrets = [\"env:SECRET\"]\nredact = {redact}");
    Config::new(&format!("{}{rules}", SOUND.replace("secrets = [\"env:SECRET\"]", &source)))
}

#[test]
fn paths_are_whole_and_leave_what_events_are_told_apart_by() {
    let help = "write the whole path from the event's root: \"data.object.customer_details.phone\"";
    for (redact, fault) in [
        (
            r#"["id"]"#,
            "`id` cannot be redacted: by it events are told apart and routed | take it away".to_owned(),
        ),
        (
            r#"["type.x"]"#,
            "`type` cannot be redacted: by it events are told apart and routed | take it away".to_owned(),
        ),
        (
            r#"["data..phone"]"#,
            format!(
                "`data..phone` is not a path: a step is empty, or begins with a sign that needs [\"quotes\"] | {help}"
            ),
        ),
    ] {
        let shown = shown(&with(redact, ""));
        assert!(shown.len() == 1 && shown[0].ends_with(&fault), "{redact}: {shown:?}");
    }
    let many = format!("[{}]", (0..33).map(|n| format!("\"data.p{n}\"")).collect::<Vec<_>>().join(","));
    let shown = shown(&with(&many, ""));
    assert!(shown[0].contains("`redact` lists 33 paths; it takes 32"), "{shown:?}");
    let loaded = with(r#"["data.object.phone", "data.object.lines[*].email"]"#, "").load(false).unwrap();
    let paths: Vec<String> = loaded.snapshot.sources[0].redact.iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["data.object.phone", "data.object.lines[*].email"]);
}

#[test]
fn a_rule_that_looks_at_what_is_redacted_is_warned_of() {
    let warnings = |when: &str| {
        let rule = format!("[[rule]]\nname = \"r\"\nwhen = {{ {when} }}\ndrop = \"x\"\n");
        let loaded = with(r#"["data.object.customer_details"]"#, &rule).load(false);
        let loaded = loaded.unwrap_or_else(|error| panic!("{}", error.render(false)));
        loaded.warnings.iter().map(|it| it.message().to_owned()).collect::<Vec<_>>()
    };
    for looked in ["data.object.customer_details.email", "data.object.customer_details"] {
        let expected = format!("a rule looks at `{looked}`, which is redacted");
        assert_eq!(warnings(&format!("{looked}.present = true")), [expected]);
    }
    for other in ["data.object.customer", "data.object.customer_details_too", "data.object"] {
        assert_eq!(warnings(&format!("{other}.present = true")), [""; 0], "{other}");
    }
}
