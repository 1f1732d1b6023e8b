//! What a sound configuration says once it is loaded: defaults, every setting, secrets, the hash, the order of rules.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::{Config, SOUND, sound_and};
use crate::config::{Diagnostic, Loaded, Scheme, Snapshot};
use crate::model::clock::UnixMillis;
use crate::model::confinement::{Account, Confinement};
use crate::model::ids::{HandlerName, PluginName, SourceName};
use crate::model::retry::RetrySchedule;
use crate::model::signed_by::SignedBy;
use crate::model::verdict::Verdict;
use crate::rules::Livemode;

#[track_caller]
fn loaded(config: &Config) -> Loaded {
    config.load(false).unwrap_or_else(|error| panic!("{}", error.render(false)))
}

fn snapshot(main: &str) -> Snapshot {
    loaded(&Config::new(main)).snapshot
}

#[test]
fn what_is_not_written_has_its_default() {
    let Loaded { snapshot, warnings, .. } = loaded(&Config::new(SOUND));
    assert_eq!(warnings.len(), 0);
    let server = &snapshot.server;
    assert_eq!(server.listen.to_string(), "127.0.0.1:8080");
    assert!(server.admin.is_none() && server.tls.is_none());
    assert_eq!((server.body_bytes_max, server.connections_max, server.in_flight_max), (1 << 20, 800, 256));
    let timeouts = [server.header_timeout, server.body_timeout, server.idle_timeout, server.drain_timeout];
    assert_eq!(timeouts.map(|timeout| timeout.as_secs()), [10, 10, 60, 30]);
    assert_eq!((snapshot.store.cache_bytes, snapshot.store.free_bytes_min), (48 << 20, 1 << 30));
    let handler = &snapshot.handlers[&HandlerName::new("sumo")];
    assert_eq!((handler.concurrency, handler.processes, handler.timeout), (8, 1, Duration::from_secs(30)));
    assert_eq!(handler.retry, RetrySchedule::default());
    assert_eq!((&handler.settings, &handler.confine), (&serde_json::json!({}), &None));
    assert_eq!(handler.http.allow, [], "nothing is allowed that is not listed");
    assert_eq!(snapshot.sources[0].rate_limit, None);
}

#[test]
fn what_is_written_holds() {
    let config = Config::new(
        r#"
        [server]
        listen = "[::1]:9000"
        admin = { listen = "127.0.0.1:0", token = "file:TOKEN" }
        body_bytes_max = "2MiB"
        connections_max = 10
        in_flight_max = 5
        header_timeout = "500ms"
        body_timeout = "1m"
        idle_timeout = "2m"
        drain_timeout = "3m"
        [store]
        engine = "sled"
        path = "elsewhere"
        cache_bytes = "128MiB"
        free_bytes_min = "2GiB"
        [source.shop]
        path = "/shop"
        scheme = "stripe"
        secrets = ["env:SECRET", "credential:second"]
        tolerance = "10m"
        livemode = "live"
        rate_limit = { per_second = 10 }
        [plugin.p]
        path = "p.so"
        canary = 0.05
        sha256 = "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"
        [handler.h]
        plugin = "p"
        concurrency = 64
        processes = 16
        timeout = "1m"
        retry = { first = "1s", factor = 2, max = "1h", attempts = 3, jitter = 0 }
        settings = { n = 3, f = 1.5, list = ["a", true], when = 2026-12-01T00:00:00Z, deep = { x = "y" } }
        secrets = { smtp_password = "env:SECRET" }
        confine = { write = ["var/shop", "/tmp/x"], network = false, user = "shop", group = 33, open_files = 200, memory = "1GiB" }
        http = { allow = ["api.example.com", "http://*.inside.example:8080"], networks = ["10.1.0.0/16", "fd00::1"] }
        [default]
        handlers = ["h"]
        "#,
    )
    .with("credentials/second", "whsec_two\n");
    let token = config.path("token");
    let text = std::fs::read_to_string(config.path(super::MAIN)).unwrap();
    let config =
        config.with("token", "tok\r\n").with(super::MAIN, &text.replace("TOKEN", token.to_str().unwrap()));
    let Loaded { snapshot, warnings, .. } = loaded(&config);
    assert_eq!(warnings.len(), 0, "{warnings:?}");
    let server = &snapshot.server;
    assert_eq!(server.listen.to_string(), "[::1]:9000");
    assert_eq!(server.admin.as_ref().unwrap().token.expose_secret(), "tok");
    assert_eq!((server.body_bytes_max, server.connections_max, server.in_flight_max), (2 << 20, 10, 5));
    let timeouts = [server.header_timeout, server.body_timeout, server.idle_timeout, server.drain_timeout];
    assert_eq!(timeouts.map(|timeout| timeout.as_millis()), [500, 60_000, 120_000, 180_000]);
    assert_eq!((snapshot.store.cache_bytes, snapshot.store.free_bytes_min), (128 << 20, 2 << 30));
    let source = &snapshot.sources[0];
    let Scheme::Stripe { secrets, tolerance } = &source.scheme;
    let secrets: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
    assert_eq!((secrets, tolerance.as_secs()), (vec!["whsec_one", "whsec_two"], 600));
    assert_eq!(source.livemode, Livemode::Live);
    let limit = source.rate_limit.unwrap();
    assert_eq!((limit.per_second.get(), limit.burst.get()), (10, 10));
    let canary = snapshot.plugins[&PluginName::new("p")].canary.unwrap();
    assert_eq!(canary.to_string(), "5%");
    let handler = &snapshot.handlers[&HandlerName::new("h")];
    let second = Duration::from_secs(1);
    let retry = RetrySchedule { first: second, factor: 2.0, max: 3600 * second, attempts: 3, jitter: 0.0 };
    assert_eq!((handler.concurrency, handler.processes), (64, 16));
    assert_eq!((handler.timeout, handler.retry), (60 * second, retry));
    let settings = serde_json::json!({
        "n": 3, "f": 1.5, "list": ["a", true], "when": "2026-12-01T00:00:00Z", "deep": { "x": "y" }
    });
    assert_eq!(handler.settings, settings);
    assert_eq!(handler.secrets["smtp_password"].expose_secret(), "whsec_one");
    let write = vec!["var/shop".into(), "/tmp/x".into()];
    let user = Some(Account { user: "shop".to_owned(), group: Some("33".to_owned()) });
    assert_eq!(
        handler.confine,
        Some(Confinement {
            read: None,
            write,
            user,
            network: false,
            open_files: Some(200),
            memory: Some(1 << 30)
        })
    );
    let allow: Vec<String> = handler.http.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allow, ["https://api.example.com:443", "http://*.inside.example:8080"]);
    let networks: Vec<String> = handler.http.networks.iter().map(ToString::to_string).collect();
    assert_eq!(
        (networks, &handler.http.ca),
        (vec!["10.1.0.0/16".to_owned(), "fd00::1/128".to_owned()], &None)
    );
    let pin = snapshot.plugins.values().next().unwrap().sha256.clone();
    assert_eq!(pin, ["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]);
}

#[test]
fn dev_needs_no_pin_and_no_variable() {
    let main = SOUND.replace("sha256 =", "# sha256 =").replace("env:SECRET", "env:UNSET");
    let config = Config::new(&format!(
        "[server]\nadmin = {{ listen = \"127.0.0.1:0\", token = \"env:UNSET\" }}\n{main}"
    ));
    let error = config.load(false).unwrap_err();
    assert_eq!(error.faults.len(), 3, "{}", error.render(false));
    let Loaded { snapshot, warnings, .. } = config.load(true).unwrap();
    let messages: Vec<&str> = warnings.iter().map(Diagnostic::message).collect();
    assert_eq!(messages, ["the environment variable UNSET is not set"; 2]);
    assert!(snapshot.server.admin.is_none());
    let Scheme::Stripe { secrets, .. } = &snapshot.sources[0].scheme;
    assert_eq!(secrets.len(), 0);
}

#[test]
fn no_secret_is_shown() {
    let config = Config::new(SOUND);
    let shown = format!("{:?}", loaded(&config));
    assert!(!shown.contains("whsec_one"), "{shown}");
}

#[test]
fn the_hash_is_of_the_content() {
    let hash = snapshot(SOUND).hash;
    assert_eq!(hash.as_str().len(), 16);
    let same = SOUND.replace(
        "path = \"/webhooks/stripe\"\nscheme = \"stripe\"",
        "# x\nscheme='stripe'\npath = '/webhooks/stripe'",
    );
    assert_ne!(same, SOUND);
    assert_eq!(snapshot(&same).hash, hash);
    for (from, to) in
        [("/webhooks/stripe", "/x"), ("completed", "expired"), ("sumo purchase", "y"), ("libsumo", "lib")]
    {
        assert_ne!(snapshot(&SOUND.replace(from, to)).hash, hash, "{from}");
    }
    let rule =
        |name: &str| format!("[[rule]]\nname = \"{name}\"\nwhen = {{ x = 1 }}\nhandlers = [\"sumo\"]\n");
    let (one, two) = (rule("one"), rule("two"));
    let hash = |first: &str, second: &str| {
        loaded(&Config::new(SOUND).with("rules/a.toml", first).with("rules/b.toml", second)).snapshot.hash
    };
    assert_ne!(hash(&one, &two), hash(&two, &one));
    assert_eq!(hash(&one, &two), hash("", &format!("{one}{two}")));
}

#[test]
fn rules_are_asked_in_the_order_of_the_files() {
    let rule =
        |name: &str| format!("[[rule]]\nname = \"{name}\"\nwhen = {{ x = 1 }}\nhandlers = [\"sumo\"]\n");
    let config = Config::new(&sound_and(&rule("main 2")))
        .with("rules/20-b.toml", &format!("{}{}", rule("b 1"), rule("b 2")))
        .with("rules/10-a.toml", &rule("a"))
        .with("rules/.hidden.toml", "not TOML")
        .with("rules/README.md", "not TOML");
    let rules = loaded(&config).snapshot.rules;
    let names: Vec<&str> = rules.rules().iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["sumo purchase", "main 2", "a", "b 1", "b 2"]);
}

/// Who gets it, and by which rule.
fn decide(rules: &str, source: &str, livemode: Option<bool>, body: &str) -> String {
    let main = r#"
        [source.shop]
        path = "/shop"
        scheme = "stripe"
        secrets = ["env:SECRET"]
        [source.live]
        path = "/live"
        scheme = "stripe"
        secrets = ["env:SECRET"]
        livemode = "live"
        [source.test]
        path = "/test"
        scheme = "stripe"
        secrets = ["env:SECRET"]
        livemode = "test"
        [plugin.p]
        path = "p.so"
        [handler.a]
        plugin = "p"
        [handler.b]
        plugin = "p"
        [handler.c]
        plugin = "p"
        "#;
    let loaded = Config::new(&format!("{main}{rules}")).load(true);
    let rules = loaded.unwrap_or_else(|error| panic!("{}", error.render(false))).snapshot.rules;
    match rules.decide(&SourceName::new(source), livemode, UnixMillis(0), body.as_bytes()).verdict {
        Verdict::Deliver(assignments) => {
            let shown =
                assignments.iter().map(|assignment| format!("{}:{}", assignment.handler, assignment.rule));
            shown.collect::<Vec<_>>().join(" ")
        }
        Verdict::Unrouted { reason } => format!("unrouted: {reason}"),
        Verdict::Dropped { rule, reason } => format!("dropped by {rule}: {reason}"),
    }
}

#[test]
fn the_first_match_wins_and_copies_go_on() {
    let rules = r#"
        [[rule]]
        name = "off"
        enabled = false
        when = { x.present = true }
        handlers = ["c"]
        [[rule]]
        name = "copy"
        when = { x = { ge = 10 } }
        handlers = ["a"]
        continue = true
        [[rule]]
        name = "first"
        when = { x = [1, 11] }
        handlers = ["b", "a"]
        [[rule]]
        name = "second"
        when = { x = 1 }
        handlers = ["c"]
        [[rule]]
        name = "away"
        when = { x = [2, 12] }
        drop = "nobody wants it"
        [default]
    "#;
    let unrouted = format!("{rules}unrouted = true");
    let defaulted = format!("{rules}handlers = [\"c\"]");
    for (x, with_unrouted, with_default) in [
        (1, "b:first a:first", "b:first a:first"),
        (11, "a:copy b:first", "a:copy b:first"),
        (2, "dropped by away: nobody wants it", "dropped by away: nobody wants it"),
        (12, "a:copy", "a:copy"),
        (13, "a:copy", "a:copy c:default"),
        (5, "unrouted: no rule took it", "c:default"),
    ] {
        let body = format!("{{\"x\": {x}}}");
        assert_eq!(decide(&unrouted, "shop", Some(true), &body), with_unrouted, "{x}");
        assert_eq!(decide(&defaulted, "shop", Some(true), &body), with_default, "{x}");
    }
}

const BY_SOURCE: &str = r#"
    [[rule]]
    name = "shop only"
    source = "shop"
    when = { x = 1 }
    handlers = ["a"]
    [[rule]]
    name = "both"
    source = ["shop", "test"]
    when = { x = 1 }
    handlers = ["b"]
    [default]
    handlers = ["c"]
"#;

#[test]
fn a_rule_sees_the_sources_that_it_names() {
    for (source, livemode, expected) in
        [("shop", true, "a:shop only"), ("test", false, "b:both"), ("live", true, "c:default")]
    {
        assert_eq!(decide(BY_SOURCE, source, Some(livemode), r#"{"x": 1}"#), expected, "{source}");
    }
}

#[test]
fn a_source_takes_one_livemode_where_it_says_so() {
    for (source, livemode, expected) in [
        ("shop", Some(true), "a:shop only"),
        ("shop", Some(false), "a:shop only"),
        ("shop", None, "a:shop only"),
        ("live", Some(true), "c:default"),
        ("live", Some(false), "unrouted: a test event at a source that takes live ones"),
        ("live", None, "unrouted: an event without a livemode at a source that takes live ones"),
        ("test", Some(false), "b:both"),
        ("test", Some(true), "unrouted: a live event at a source that takes test ones"),
        ("test", None, "unrouted: an event without a livemode at a source that takes test ones"),
    ] {
        assert_eq!(decide(BY_SOURCE, source, livemode, r#"{"x": 1}"#), expected, "{source} {livemode:?}");
    }
}

#[test]
fn what_cannot_be_read_is_unrouted_even_with_a_default() {
    for (body, reason) in [
        (r#"{"x": 1, "x": 2}"#, "the key `x`, which rules look at, stands twice in one object"),
        ("{\"x\":\n 1", "the body is not JSON: the fault is at line 2, column 2"),
        ("", "the body is not JSON: the fault is at line 1, column 0"),
    ] {
        assert_eq!(decide(BY_SOURCE, "shop", Some(true), body), format!("unrouted: {reason}"));
    }
    assert_eq!(decide(BY_SOURCE, "shop", Some(true), r#"{"y": 1, "y": 2}"#), "c:default");
}

#[test]
fn where_keys_are_trusted_each_library_has_to_be_signed_and_a_developers_only_where_it_says_so() {
    let key = || minisign::KeyPair::generate_unencrypted_keypair().unwrap().pk.to_base64();
    let keys = format!("[plugins]\ntrusted_keys = [\"{}\", \"{}\"]\n", key(), key());
    let files = |main: &str, dev: bool| -> Vec<Option<String>> {
        let loaded = Config::new(main).load(dev).unwrap_or_else(|error| panic!("{}", error.render(false)));
        let signed_by = loaded.snapshot.plugins.values().map(|plugin| plugin.signed_by.as_ref());
        let file =
            |signed_by: &SignedBy| (signed_by.keys.len() == 2).then(|| signed_by.file.display().to_string());
        signed_by.map(|signed_by| signed_by.and_then(file)).collect()
    };
    assert_eq!(files(SOUND, false), [None]);
    let main = sound_and(&keys);
    assert_eq!(files(&main, false), [Some("libsumo.so.minisig".to_owned())]);
    assert_eq!(files(&main, true), [None]);
    let written =
        main.replace("path = \"libsumo.so\"", "path = \"lib/libsumo.so\"\nsignature = \"s.minisig\"");
    for dev in [false, true] {
        assert_eq!(files(&written, dev), [Some("lib/s.minisig".to_owned())]);
    }
}
