//! Explain says what decide does: over random rule sets and events, and word by word for a few.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::properties::{Draft, compile, draft, event};
use crate::model::clock::UnixMillis;
use crate::model::ids::{HandlerName, RuleName, SourceName};
use crate::model::verdict::Verdict;
use crate::rules::{
    Action, Clause, Explanation, Fallback, Outcome, Parser, Path, Paths, Rule, RuleSet, Sample, Step, Watch,
    Window,
};

/// enabled, of this source, goes on, drops.
type Kind = (bool, bool, bool, bool);

fn rule_set(drafts: &[(Draft, Kind)], fallback: bool) -> RuleSet {
    let mut watch = Watch::default();
    let mut rules = Vec::new();
    for (number, (draft, (enabled, here, continues, drops))) in drafts.iter().enumerate() {
        let drops = *drops && !continues;
        let handlers = vec![HandlerName::new(&format!("h{}", number % 3)), HandlerName::new("all")];
        rules.push(Rule {
            name: RuleName::new(&format!("rule {number}")),
            enabled: *enabled,
            shadow: number % 4 == 3,
            active: (number % 3 == 2).then_some(Window { from: Some(UnixMillis(2)), until: None }),
            sample: (number % 5 == 4).then(|| {
                let (by, at) = watch.place(&[], &Path::new(vec![Step::Key("a".into())]));
                Sample::new(50.0, by, at)
            }),
            sources: vec![SourceName::new(if *here { "here" } else { "there" })],
            when: compile(draft, &[], &mut watch),
            action: if drops {
                Action::Drop { reason: "why".into() }
            } else {
                Action::Deliver(handlers.into())
            },
            continues: *continues,
        });
    }
    let fallback =
        if fallback { Fallback::Deliver(vec![HandlerName::new("all")]) } else { Fallback::Unrouted };
    RuleSet::new(rules, fallback, watch, BTreeMap::new())
}

/// Who gets it, as the outcomes alone say.
fn told(explanation: &Explanation) -> Vec<(String, String)> {
    let mut told: Vec<(String, String)> = Vec::new();
    for explained in &explanation.rules {
        if let (Outcome::Takes | Outcome::Copies, Action::Deliver(handlers)) =
            (explained.outcome, &explained.rule.action)
        {
            for handler in handlers.iter() {
                if told.iter().all(|(known, _)| known != handler.as_str()) {
                    told.push((handler.to_string(), explained.rule.name.to_string()));
                }
            }
        }
    }
    told
}

proptest! {
    #[test]
    fn the_verdict_is_that_of_decide(
        drafts in prop::collection::vec((draft(), any::<Kind>()), 0..6),
        fallback in any::<bool>(),
        event in event(),
        received in (0_u64..4).prop_map(UnixMillis),
    ) {
        let rules = rule_set(&drafts, fallback);
        let (source, body) = (SourceName::new("here"), event.to_string());
        let explanation = rules.explain(&source, Some(true), received, body.as_bytes());
        let ruling = rules.decide(&source, Some(true), received, body.as_bytes());
        prop_assert_eq!(&explanation.verdict, &ruling.verdict);
        prop_assert_eq!(&explanation.shadows, &ruling.shadows);
        let shadowing = explanation.rules.iter().filter(|it| it.outcome == Outcome::Shadows);
        prop_assert_eq!(shadowing.map(|it| it.rule.name.clone()).collect::<Vec<_>>(), ruling.shadows);
        prop_assert_eq!(explanation.rules.len(), drafts.len());
        let assigned: Vec<(String, String)> = match &explanation.verdict {
            Verdict::Deliver(assignments) => assignments
                .iter()
                .filter(|assignment| assignment.rule.as_str() != "default")
                .map(|assignment| (assignment.handler.to_string(), assignment.rule.to_string()))
                .collect(),
            _ => Vec::new(),
        };
        prop_assert_eq!(told(&explanation), assigned);
        let ends = |outcome| matches!(outcome, Outcome::Takes | Outcome::Drops);
        prop_assert!(explanation.rules.iter().filter(|it| ends(it.outcome)).count() <= 1);
        for explained in &explanation.rules {
            prop_assert_eq!(explained.when.first_failing().is_none(), explained.when.holds);
            prop_assert!(follows_from_its_parts(&explained.when), "{:#?}", explained.when);
        }
    }
}

fn follows_from_its_parts(clause: &Clause) -> bool {
    let holds = match clause.text.as_str() {
        "all of" => clause.parts.iter().all(|part| part.holds),
        "any of" => clause.parts.iter().any(|part| part.holds),
        "not" => clause.parts.iter().all(|part| !part.holds),
        _ => clause.holds,
    };
    holds == clause.holds && clause.parts.iter().all(follows_from_its_parts)
}

/// Every line of a clause, indented as it stands.
fn lines(clause: &Clause, depth: usize) -> Vec<String> {
    let sign = if clause.holds { '+' } else { '-' };
    let found: Vec<String> =
        clause.found.iter().map(|shown| format!("{} {}", shown.kind, shown.text).trim().to_owned()).collect();
    let line = format!("{}{sign} {} [{}]", "  ".repeat(depth), clause.text, found.join(", "));
    let parts = clause.parts.iter().flat_map(|part| lines(part, depth + 1));
    std::iter::once(line).chain(parts).collect()
}

#[test]
fn each_clause_is_told_with_what_it_found() {
    let toml = r#"
        when = { type = ["a", "b"], metadata.x = { present = true }, obj.n = { ge = 5, ne = 7 },
                 any = [{ obj.mode.glob = "p*y" }, { not = { obj.mode.is = ["null", "missing"] } }],
                 "obj.lines[*]".some = { id = "x", n = { len = 2 } }, metadata.y = { present = false } }
    "#;
    let table = toml::de::DeTable::parse(toml).unwrap();
    let mut watch = Watch::default();
    let mut paths = Paths::stripe();
    let mut parser = Parser::new(&mut watch, &mut paths);
    let when = parser.when(&table.get_ref()["when"]);
    assert_eq!(parser.faults, []);
    let rule = Rule::plain(RuleName::new("r"), when, Action::Deliver([HandlerName::new("h")].into()));
    let rules = RuleSet::new(vec![rule], Fallback::Unrouted, watch, BTreeMap::new());
    let body =
        br#"{"type": "c", "data": {"object": {"n": 7, "mode": null, "lines": [{"id": "x", "n": "ab"}, 1],
                    "metadata": {"y": "\u001b[31m"}}}}"#;
    let explanation = rules.explain(&SourceName::new("s"), None, UnixMillis(0), body);
    let expected = [
        "- all of []",
        r#"  - type is one of "a", "b" [string "c"]"#,
        "  - any of []",
        r#"    - data.object.mode fits the glob "p*y" [null null]"#,
        "    - data.object.mode not: is null or missing [null null]",
        "  + data.object.lines[*] has an element where [object 2 keys, number 1]",
        "    + element 0 []",
        "      + all of []",
        r#"        + id is "x" [string "x"]"#,
        r#"        + n has a length of 2 [string "ab"]"#,
        "    - element 1 []",
        "      - all of []",
        r#"        - id is "x" [missing]"#,
        "        - n has a length of 2 [missing]",
        "  - data.object.metadata.x is present [missing]",
        r#"  - data.object.metadata.y is missing or null [string "\u001b[31m"]"#,
        "  + data.object.n >= 5 [number 7]",
        "  - data.object.n is not 7 [number 7]",
    ];
    let explained = &explanation.rules[0];
    let mut told = lines(&explained.when, 0);
    let mut wanted: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
    // TOML's tables have no order.
    told.sort();
    wanted.sort();
    assert_eq!(told, wanted);
    assert_eq!(explained.outcome, Outcome::NoMatch);
    assert!(expected.contains(&&*format!("  - {} []", explained.when.first_failing().unwrap().text)));
}
