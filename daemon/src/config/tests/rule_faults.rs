//! Faults of rules, of broken syntax, and of several files at once. What stands in a row begins at line 16.

use super::faults::{check, shown};
use super::{Config, SOUND};

#[test]
fn rules_and_the_default() {
    check(&[
        (
            r#"[[rule]]
name = "sumo purchase"
when = {}
handlers = ["smo", "sumo", "sumo"]
"#,
            &[
                r#"17:8 two rules are named "sumo purchase" | the other is at DIR/hookyard.toml:11; a name tells which rule took an event"#,
                "18:8 an empty condition asks nothing | say what it asks, or take it away; what takes every event is [default]",
                "19:13 there is no handler `smo` | did you mean `sumo`?",
                "19:28 the handler `sumo` is named twice | a handler gets an event once: take one away",
            ],
        ),
        (
            r#"[[rule]]
name = "x"
"#,
            &[
                r#"16:1 the rule "x" has no `when` | write when = { type = "…" }; what takes every event is [default]"#,
                r#"16:1 the rule "x" says neither `handlers` nor `drop` | write handlers = ["…"], or drop = "why""#,
            ],
        ),
        (
            r#"[[rule]]
when = { type.prefx = "a" }
handlers = []
drop = ""
source = "strip"
shadow = "yes"
sample = { percent = 0, by = "items[*]" }
active = {}
plugin = "sumo"
"#,
            &[
                r#"16:1 a rule has no `name` | write name = "…": it stands beside every delivery that the rule makes"#,
                r#"17:15 there is no operator `prefx` | did you mean `prefix`? a field of this name is written as a whole path in quotes: "metadata.prefx""#,
                r#"18:12 `handlers` names no handler | name at least one; a rule that delivers nothing says drop = "why""#,
                "19:1 a rule both delivers and drops | keep one of `handlers` and `drop`",
                "19:8 `drop` gives no reason | say in one line of at most 256 bytes why: it is shown beside the event",
                "20:10 there is no source `strip` | did you mean `stripe`?",
                "21:10 `shadow` takes true or false, and this is a string | write true or false without quotes",
                "22:22 `percent` is 0; it lies between 0.0001 and 100 | the default is 100",
                r#"22:30 `by` names every element of an array | name a path that holds one value: "id", "obj.customer""#,
                "23:1 `active` says neither `from` nor `until` | write active = { from = 2026-12-01T00:00:00Z }, or take it away",
                "24:1 unknown key `plugin` in a rule | it takes `name`, `enabled`, `source`, `when`, `sample`, `active`, `shadow`, `continue`, `handlers`, `drop`",
            ],
        ),
        (
            r#"[[rule]]
name = "default"
when = { type = "a" }
drop = "why"
continue = true
"#,
            &[
                "17:8 `default` is the name of what stands behind every rule | choose another name",
                r#"19:1 the rule "default" drops, and lets the search go on | take `continue` away: an event that goes on is not dropped"#,
            ],
        ),
        (
            r#"[[rule]]
name = "y"
enabled = "no"
when = { type = "a" }
handlers = "sumo"
"#,
            &[
                "18:11 `enabled` takes true or false, and this is a string | write true or false without quotes",
                r#"20:12 `handlers` takes a list of strings, and this is a string | write handlers = ["…"]"#,
            ],
        ),
        (
            r#"[[rule]]
name = "windows"
when = { type = "a" }
drop = "why"
sample = { by = "a b" }
active = { from = "2026-12-01", until = 2026-12-01 }
[[rule]]
name = "backwards"
when = { type = "a" }
drop = "why"
active = { from = 2026-12-02T00:00:00Z, until = 2026-12-02T01:00:00+01:00, untill = 1 }
"#,
            &[
                "20:1 `sample` of the rule \"windows\" has no `percent` | write percent = 5: so many in a hundred of the events that match are taken",
                r#"20:17 `a b` is not a path: a step of other signs than letters, digits, `_` and `-` is written ["so"] | a key with other signs is written '["so"]', any element of an array '[*]'"#,
                "21:19 `from` is no moment | write a date and time with its zone, without quotes: 2026-12-01T00:00:00Z",
                "21:41 `until` is no moment | write a date and time with its zone, without quotes: 2026-12-01T00:00:00Z",
                "26:1 `active` ends before it begins: the rule would never match | let `until` be later than `from`; it is not part of the time",
                r#"26:76 unknown key `untill` in `active` of the rule "backwards" | did you mean `until`?"#,
            ],
        ),
        (
            r#"[[test]]
event = { type = "a" }
"#,
            &[
                "16:1 a test has no `expect` | write expect = [\"a handler\"], or expect = [] where nobody should get it",
            ],
        ),
        (
            r#"handlers = ["sumo"]
"#,
            &[
                "14:2 [default] says either `handlers` or `unrouted = true` | write one of the two; `unrouted` keeps the event and shows it",
            ],
        ),
    ]);
}

#[test]
fn broken_syntax() {
    check(&[
        (
            r#"x = 
"#,
            &[
                "16:4 this is not TOML: string values must be quoted, expected literal string | mend this line; what follows from it is left out of this report",
            ],
        ),
        (
            r#"[server
listen = "x"
"#,
            &[
                "16:8 this is not TOML: unclosed table, expected `]` | mend this line; what follows from it is left out of this report",
            ],
        ),
        (
            r#"[server]
listen = "x
typo = 1
[store]
paht = "y"
"#,
            &[
                r#"17:12 this is not TOML: invalid basic string, expected `"` | mend this line; what follows from it is left out of this report"#,
                "18:1 unknown key `typo` in [server] | it takes `listen`, `admin`, `tls`, `body_bytes_max`, `connections_max`, `in_flight_max`, `header_timeout`, `body_timeout`, `idle_timeout`, `drain_timeout`",
                "20:1 unknown key `paht` in [store] | did you mean `path`?",
            ],
        ),
        (
            r#"[server]
listen = 'a' 'b'
admin = }
typo = 1
"#,
            &[
                "17:14 this is not TOML: unexpected key or value, expected newline, `#` | mend this line; what follows from it is left out of this report",
                "18:9 this is not TOML: missing inline table opening, expected `{` | mend this line; what follows from it is left out of this report",
                "19:1 unknown key `typo` in [server] | it takes `listen`, `admin`, `tls`, `body_bytes_max`, `connections_max`, `in_flight_max`, `header_timeout`, `body_timeout`, `idle_timeout`, `drain_timeout`",
            ],
        ),
        (
            r#"[store]
path = "a"
path = "b"
"#,
            &[
                "18:1 this is not TOML: duplicate key | mend this line; what follows from it is left out of this report",
            ],
        ),
    ]);
}

#[test]
fn faults_of_every_file_come_together() {
    let config = Config::new(SOUND).with("rules/a.toml", "x == 1\n").with(
        "rules/b.toml",
        "[default]\nunrouted = true\n[[rule]]\nname = \"sumo purchase\"\nwhen = { x = [] }\ndrop = \"z\"\n",
    );
    std::fs::create_dir(config.path("rules/c.toml")).unwrap();
    let mend = "mend this line; what follows from it is left out of this report";
    let expected = [
        format!("a.toml:1:4 this is not TOML: extra `=`, expected nothing | {mend}"),
        format!("a.toml:1:6 this is not TOML: unexpected key or value, expected newline, `#` | {mend}"),
        "b.toml:1:2 [default] stands in a rules file | \
         it belongs in the main file: here stand only [[rule]] and [[test]] tables"
            .to_owned(),
        "b.toml:4:8 two rules are named \"sumo purchase\" | \
         the other is at DIR/hookyard.toml:11; a name tells which rule took an event"
            .to_owned(),
        "b.toml:5:14 nothing is in an empty list | list at least one value, or take the test away".to_owned(),
        "c.toml:cannot read DIR/rules/c.toml: Is a directory (os error 21) | \
         make it readable, or take it out of the directory"
            .to_owned(),
    ];
    assert_eq!(shown(&config), expected);
}

#[test]
fn what_a_broken_line_may_have_caused_is_left_out() {
    let gone = "[[rule]]\nname = \"r\"\nwhen = { type = \"a\" }\nhandlers = [\"gone\"]\n";
    let unknown = "19:13 there is no handler `gone` | write a section [handler.gone]; there are sumo";
    let broken = "21:7 this is not TOML: string values must be quoted, expected literal string | \
                  mend this line; what follows from it is left out of this report";
    let also_broken = format!("{gone}[store]\npath = \n");
    check(&[(gone, &[unknown]), (also_broken.as_str(), &[broken])]);
}
