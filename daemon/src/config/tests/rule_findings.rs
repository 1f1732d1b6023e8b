//! Rules that are proven to take nothing, and near misses that are not.

use super::{Config, sound_and};

/// The warnings about rules: each as the line of its rule and its words.
fn warnings(rules: &str) -> Vec<String> {
    let loaded = Config::new(&sound_and(rules)).load(false);
    let loaded = loaded.unwrap_or_else(|error| panic!("{}", error.render(false)));
    loaded.warnings.iter().map(|it| it.message().to_owned()).collect()
}

fn rule(name: &str, when: &str, more: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\nwhen = {{ {when} }}\ndrop = \"x\"\n{more}\n")
}

#[test]
fn conditions_that_never_hold() {
    for (when, path) in [
        ("a = { eq = 1, ne = 1 }", "a"),
        ("a = { ge = 5, lt = 5 }", "a"),
        ("a = { gt = 5, le = 5 }", "a"),
        ("a = { ge = 5, prefix = \"x\" }", "a"),
        ("a = { in = [1, 2], gt = 2 }", "a"),
        ("a = { eq = \"abc\", prefix = \"b\" }", "a"),
        ("a = { prefix = \"abc\", not_in = [\"x\"] }, not = { a.prefix = \"ab\" }", "a"),
        ("a = { prefix = \"ab\" }, all = [{ a.prefix = \"b\" }]", "a"),
        ("a = { suffix = \"ab\" }, all = [{ a.suffix = \"b\" }, { a.suffix = \"c\" }]", "a"),
        ("a = { present = true, is = \"null\" }", "a"),
        ("a = { present = false, is = \"string\" }", "a"),
        ("a.b = 1, all = [{ a.is = \"missing\" }]", "a"),
        ("a.b = 1, all = [{ a = 1 }]", "a"),
        ("any = [{ a = { eq = 1, ne = 1 } }, { b = { is = \"null\", eq = 2 } }]", "a"),
        ("\"a[*]\" = 1, not = { \"a[*]\" = 1 }", "a[*]"),
    ] {
        let expected = format!("the rule \"r\" never matches: no value of `{path}` passes all that it asks");
        assert_eq!(warnings(&rule("r", when, "")), [expected], "{when}");
    }
    for when in [
        "a = { ge = 5, le = 5 }",
        "a = { ne = 1, not_in = [2] }",
        "a = { in = [1, 2], gt = 1 }",
        "a = { prefix = \"ab\" }, all = [{ a.prefix = \"abc\" }]",
        "a.b = 1, all = [{ a.is = \"object\" }]",
        "a.b.is = \"missing\", all = [{ a.is = \"missing\" }]",
        "any = [{ a = { eq = 1, ne = 1 } }, { b = 1 }]",
        "all = [{ \"a[*]\" = 1 }, { \"a[*]\" = 2 }]",
        "a = { is = [\"null\", \"string\"], present = true }",
    ] {
        assert_eq!(warnings(&rule("r", when, "")), [] as [&str; 0], "{when}");
    }
}

#[test]
fn rules_that_an_earlier_one_leaves_nothing_to() {
    for (first, second) in [
        ("a = 1", "a = 1"),
        ("a = [1, 2]", "a = 2, b = 3"),
        ("a.present = true", "a = 2"),
        ("a = { ge = 10 }", "a = { gt = 10, lt = 20 }"),
        ("a = { prefix = \"ab\" }", "a = { prefix = \"abc\" }"),
        ("a = { glob = \"x*z\" }", "a = [\"xyz\", \"xz\"]"),
        ("any = [{ a = 1 }, { b = 1 }]", "a = 1, b = 2"),
        ("a.is = \"object\"", "a.b = 1"),
        ("not = { a = 1 }", "a = 2"),
        ("a = { present = false }", "a.is = \"missing\", b = 1"),
    ] {
        let both = |more: &str, second_more: &str| {
            warnings(&format!("{}{}", rule("first", first, more), rule("second", second, second_more)))
        };
        let expected = "the rule \"second\" never takes an event: \"first\" takes each one before it";
        assert_eq!(both("", ""), [expected], "{first} before {second}");
        assert_eq!(both("enabled = false", ""), [] as [&str; 0]);
        assert_eq!(both("shadow = true", ""), [] as [&str; 0]);
        assert_eq!(both("sample = { percent = 99 }", ""), [] as [&str; 0]);
        assert_eq!(both("active = { from = 2026-12-01T00:00:00Z }", ""), [] as [&str; 0]);
        assert_eq!(both("source = \"stripe\"", ""), [] as [&str; 0]);
        assert_eq!(both("source = \"stripe\"", "source = \"stripe\""), [expected]);
    }
    for (first, second) in [
        ("a = 1, b = 2", "a = 1"),
        ("a = 1", "a = [1, 2]"),
        ("a = { gt = 10 }", "a = { ge = 10 }"),
        ("a = { prefix = \"abc\" }", "a = { prefix = \"ab\" }"),
        ("not = { a = 1 }", "a = { present = true }"),
        ("\"a[*]\" = 1", "\"a[*]\" = 2"),
    ] {
        let rules = format!("{}{}", rule("first", first, ""), rule("second", second, ""));
        assert_eq!(warnings(&rules), [] as [&str; 0], "{first} before {second}");
    }
}

#[test]
fn rules_that_several_earlier_ones_leave_nothing_to_together() {
    let all = |rules: &[(&str, &str)], last: &str| {
        let before: String = rules.iter().map(|(name, when)| rule(name, when, "")).collect();
        warnings(&format!("{before}{}", rule("last", last, "")))
    };
    for (first, second, last) in [
        ("a = 1", "a = 2", "a = [1, 2]"),
        ("a = 1", "a = 2", "a = [2, 1], b = 3"),
        ("a = { lt = 100 }", "a = { ge = 50 }", "a = { ge = 0 }"),
        ("a = 1, b.present = true", "a = 1, b.present = false", "a = 1"),
        ("b = 1", "c = 1", "any = [{ b = 1 }, { c = 1 }]"),
        ("b = { prefix = \"ab\" }", "not = { b = { prefix = \"a\" } }", "b = [\"abc\", \"x\"]"),
        ("a = 1", "not = { a = 1 }", "c = 4"),
    ] {
        let expected = "the rule \"last\" never takes an event: \"first\" and \"second\" together take each one before it";
        let (first, second) = (("first", first), ("second", second));
        assert_eq!(all(&[first, second], last), [expected], "{first:?} and {second:?} before {last}");
        let idle = ("idle", "a = 1, z = 9");
        assert_eq!(
            all(&[idle, first, idle_too(), second], last),
            [expected],
            "who takes nothing more is not named"
        );
        assert_eq!(all(&[first], last), [] as [&str; 0]);
        assert_eq!(all(&[second], last), [] as [&str; 0]);
    }
    for (first, second, last) in [
        ("a = 1", "a = 2", "a = [1, 2, 3]"),
        ("a = { lt = 50 }", "a = { gt = 50 }", "a = { ge = 0 }"),
        ("a = 1, b.present = true", "a = 1, b = { is = \"missing\" }", "a = 1"),
        ("a = 1", "b = 1", "c = 1"),
    ] {
        assert_eq!(all(&[("first", first), ("second", second)], last), [] as [&str; 0], "{last}");
    }
}

fn idle_too() -> (&'static str, &'static str) {
    ("idle too", "y = 7, z = 9")
}
