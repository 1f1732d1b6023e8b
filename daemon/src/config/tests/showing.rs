//! How faults and warnings are shown: the line itself, the help, and never a secret.

use super::{Config, sound_and};

#[test]
fn a_secret_in_a_file_is_never_shown() {
    let config = Config::new(&sound_and(
        r#"[source.two]
path = "/two"
scheme = "stripe"
secrets = ["hunter2hunter2", "whsec_hunter2"] x = 1
[server]
admin = { listen = "127.0.0.1:1", token = "hunter2" }
password = "hunter2"
[handler.two]
plugin = "sumo"
secrets = { a = "hunter2", b = ["hunter2"] }
"#,
    ));
    let error = config.load(false).unwrap_err();
    let shown = format!("{}{}{error:?}", error.render(true), error.to_json());
    assert!(shown.contains("secrets = [****************, ***************] x = 1"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let unclosed = Config::new(&sound_and("x = \"whsec_hunter2\n")).load(false).unwrap_err();
    let shown = format!("{}{unclosed:?}", unclosed.render(true));
    assert!(shown.contains("x = \"whsec_*******"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_fault_is_shown_with_its_line_and_its_help() {
    let config = Config::new(&sound_and("[handler.two]\nplugin = \"sumo\"\nconcurency = 3 # ü\n"));
    let shown = config.load(false).unwrap_err().render(false);
    let expected = "  × unknown key `concurency` in [handler.two]
    ╭─[DIR/hookyard.toml:18:1]
 18 │ concurency = 3 # ü
    · ──────────
    ╰────
  help: did you mean `concurrency`?

the configuration has 1 fault
";
    assert_eq!(shown.replace(&config.directory.path().display().to_string(), "DIR"), expected);
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let config = Config::new(
        r#"[server]
listen = "127.0.0.1:1"
admin = { listen = "0.0.0.0:2", token = "env:SECRET" }
[source.stripe]
path = "/webhooks/stripe"
scheme = "stripe"
secrets = ["env:SECRET"]
[plugin.idle]
path = "idle.so"
[plugin.p]
path = "p.so"
[handler.idle]
plugin = "p"
[[rule]]
name = "x"
when = { metadata.n = 3 }
drop = "test"
[default]
unrouted = true
"#,
    );
    let warnings = config.load(true).unwrap().warnings;
    let shown: Vec<String> =
        warnings.iter().map(|warning| format!("{} {}", warning.line().unwrap(), warning.message())).collect();
    let expected = [
        "3 the operators' token travels in clear text to this address",
        "8 no handler uses the plugin `idle`",
        "12 no rule names the handler `idle`",
        "16 Stripe's metadata holds only strings: this test never holds",
    ];
    assert_eq!(shown, expected);
}
