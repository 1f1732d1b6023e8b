//! What the language refuses, each with the very text that is at fault and what to write instead, and what it warns of.

use super::semantics::parse;

#[track_caller]
fn refused(when: &str, expected: &[(&str, &str, &str)]) {
    let toml = format!("when = {when}");
    let (_, _, faults, _) = parse(&toml);
    let seen: Vec<(&str, &str, &str)> = faults
        .iter()
        .map(|fault| (&toml[fault.span.clone()], fault.message.as_str(), fault.help.as_deref().unwrap_or("")))
        .collect();
    assert_eq!(seen, expected, "{when}");
}

#[test]
fn refused_tables() {
    let empty_help = "say what it asks, or take it away; what takes every event is [default]";
    refused("{}", &[("{}", "an empty condition asks nothing", empty_help)]);
    refused("{ x = {} }", &[("{}", "an empty condition asks nothing", empty_help)]);
    refused(
        "{ any = [] }",
        &[("[]", "`any` lists no condition", "list at least one condition, or take it away")],
    );
    refused(
        "{ all = [] }",
        &[("[]", "`all` lists no condition", "list at least one condition, or take it away")],
    );
    refused("{ not = {} }", &[("{}", "an empty condition asks nothing", empty_help)]);
    refused(
        "{ x = { present = true, y = 1 } }",
        &[(
            "y",
            "`y` stands beside the operator `present`, and is none",
            "a table holds only operators (a test) or only fields (a longer path): \
         a field of this name is written as a whole path in quotes: \"metadata.present\"",
        )],
    );
    refused(
        "{ x = { ge = 1, lessthan = 5, ls = 4 } }",
        &[(
            "lessthan",
            "`lessthan` stands beside the operator `ge`, and is none",
            "a table holds only operators (a test) or only fields (a longer path): \
         a field of this name is written as a whole path in quotes: \"metadata.ge\"",
        )],
    );
    refused(
        "{ prefix = \"a\" }",
        &[(
            "prefix",
            "`prefix` is an operator, and no path stands before it",
            "write the_field = { prefix = … }; a field of this name is written \"$.prefix\"",
        )],
    );
    refused(
        "{ obj = { any = [ { x = 1 } ] } }",
        &[(
            "any",
            "`any` stands below a path",
            "`any` takes whole conditions: put it beside the paths; \
         a field of this name is written as a whole path in quotes: \"metadata.any\"",
        )],
    );
    refused(
        "true",
        &[(
            "true",
            "a condition is a table, and this is a boolean",
            r#"write { type = "checkout.session.completed" }"#,
        )],
    );
}

#[test]
fn unknown_operators_are_refused_by_name() {
    let field = |name: &str| {
        format!("a field of this name is written as a whole path in quotes: \"metadata.{name}\"")
    };
    for (written, meant) in
        [("prefx", "prefix"), ("presnet", "present"), ("exists", "present"), ("startsWith", "prefix")]
    {
        refused(
            &format!("{{ x = {{ {written} = \"a\" }} }}"),
            &[(
                written,
                &format!("there is no operator `{written}`"),
                &format!("did you mean `{meant}`? {}", field(written)),
            )],
        );
    }
    refused(
        "{ x = { eq = 1, prefx = \"a\" } }",
        &[("prefx", "`prefx` stands beside the operator `eq`, and is none", "did you mean `prefix`?")],
    );
    refused(
        "{ or = [ { x = 1 } ] }",
        &[
            (
                "or",
                "there is no combinator `or`",
                "did you mean `any`? a field of this name is written \"$.or\"",
            ),
            (
                "{ x = 1 }",
                "one value is compared, and this is a table",
                "a list is compared with `in` and `not_in`",
            ),
        ],
    );
}

#[test]
fn refused_operands() {
    for (when, at) in [
        ("{ x = [] }", "[]"),
        ("{ x = [1, [2]] }", "[2]"),
        ("{ x = { eq = [1] } }", "[1]"),
        ("{ x = { in = 1 } }", "1"),
        ("{ x = { not_in = [] } }", "[]"),
        ("{ x = { lt = \"5\" } }", "\"5\""),
        ("{ x = { lt = inf } }", "inf"),
        ("{ x = nan }", "nan"),
        ("{ x = 99999999999999999999 }", "99999999999999999999"),
        ("{ x = 2026-12-01T00:00:00Z }", "2026-12-01T00:00:00Z"),
        ("{ x = { prefix = 1 } }", "1"),
        ("{ x = { glob = \"\" } }", "\"\""),
        ("{ x = { present = \"yes\" } }", "\"yes\""),
        ("{ x = { is = \"nul\" } }", "\"nul\""),
        ("{ x = { is = [] } }", "[]"),
        ("{ x = { is = [\"null\", 1] } }", "1"),
        ("{ x = { len = -1 } }", "-1"),
        ("{ x = { len = { ge = \"1\" } } }", "\"1\""),
        ("{ x = { len = { ne = 1 } } }", "ne"),
        ("{ x = { some = { y = 1 } } }", "some"),
        ("{ x = { every = { y = 1 } } }", "every"),
        ("{ \"x[*]\" = { every = {} } }", "{}"),
        ("{ x = { regex = \"a(\" } }", "\"a(\""),
        ("{ x = { regex = '((a{100}){100}){100}' } }", "'((a{100}){100}){100}'"),
        ("{ x = { regex = 1 } }", "1"),
        ("{ \"x[*]\" = { some = 1 } }", "1"),
        ("{ \"x[0]\" = 1 }", "\"x[0]\""),
        ("{ \"x y\" = 1 }", "\"x y\""),
        ("{ x = { \"$.y\" = 1 } }", "\"$.y\""),
        ("{ any = { x = 1 } }", "{ x = 1 }"),
        ("{ any = [ 1 ] }", "1"),
    ] {
        let toml = format!("when = {when}");
        let (_, _, faults, _) = parse(&toml);
        let places: Vec<&str> = faults.iter().map(|fault| &toml[fault.span.clone()]).collect();
        assert_eq!(places, [at], "{when}: {faults:?}");
        assert!(faults.iter().all(|fault| fault.help.is_some()), "{when}: {faults:?}");
    }
}

#[test]
fn several_faults_come_at_once() {
    let toml = "when = { a = [], b = { lt = \"x\" }, any = [ { c = { is = \"nul\" } }, {} ] }";
    let (_, _, faults, _) = parse(toml);
    assert_eq!(faults.len(), 4, "{faults:?}");
}

#[test]
fn warns_of_what_is_probably_not_meant() {
    for (when, expected) in [
        (r#"metadata.x = "present""#, "this asks for the very text \"present\""),
        (r#"x = { eq = "absent" }"#, "this asks for the very text \"absent\""),
        ("x = { ne = 3 }", "`ne` also holds where nothing stands at this path"),
        ("x.not_in = [3]", "`not_in` also holds where nothing stands at this path"),
        (
            r#"type = "checkout.session.complete""#,
            "Stripe sends no events of type `checkout.session.complete`",
        ),
        (r#"type = ["a", "invoice.payed"]"#, "Stripe sends no events of type `invoice.payed`"),
        ("metadata.quantity = 3", "Stripe's metadata holds only strings: this test never holds"),
        ("metadata.quantity = { ge = 3 }", "Stripe's metadata holds only strings: this test never holds"),
        ("metadata.paid = true", "Stripe's metadata holds only strings: this test never holds"),
        ("metdata.x.present = true", "Stripe's events have no `metdata` at their root"),
        (r#"not = { livemod = true, type = "a" }"#, "Stripe's events have no `livemod` at their root"),
        ("data.metadata.x = \"3\"", "the `data` of Stripe's events holds no `metadata`"),
        (r#""data.objct.id" = "3""#, "the `data` of Stripe's events holds no `objct`"),
    ] {
        let (_, _, faults, warnings) = parse(&format!("when = {{ {when} }}"));
        assert_eq!(faults, []);
        let messages: Vec<&str> = warnings.iter().map(|warning| warning.message.as_str()).collect();
        assert_eq!(messages, [expected], "{when}");
    }
    let (_, _, _, warnings) = parse(
        r#"when = { metadata.x = "3", obj.amount = 3, x = "it is present", y = { present = true, ne = 1 }, not = { z = 1 }, type = "a", "$.data.type" = "invoice.payed", "$.metdata.x" = 1, data.object.objct = 1, obj.metdata = "3", field_of_tomorrow = 1 }"#,
    );
    assert_eq!(warnings, []);
}
