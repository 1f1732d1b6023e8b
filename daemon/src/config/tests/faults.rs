//! Every fault that a configuration can have, each with its line, its column, what is wrong and what to do.
//!
//! What stands in a row comes after the sound configuration, and so begins at line 16.

use super::{Config, MAIN, SOUND, sound_and};

/// `line:column message | help` of every fault, in the order in which the operator sees them.
pub(super) fn shown(config: &Config) -> Vec<String> {
    let Err(error) = config.load(false) else { return Vec::new() };
    let directory = config.directory.path().display().to_string();
    let line = |fault: &crate::config::Diagnostic| {
        let name = fault.file().file_name().unwrap().to_str().unwrap();
        let file = if name == MAIN { String::new() } else { format!("{name}:") };
        let place = match (fault.line(), fault.column()) {
            (Some(line), Some(column)) => format!("{line}:{column} "),
            _ => String::new(),
        };
        let help = fault.help().expect("every fault says what to do");
        format!("{file}{place}{} | {help}", fault.message()).replace(&directory, "DIR")
    };
    error.faults.iter().map(line).collect()
}

#[track_caller]
pub(super) fn check(rows: &[(&str, &[&str])]) {
    for (more, expected) in rows {
        assert_eq!(shown(&Config::new(&sound_and(more))), *expected, "{more}");
    }
}

#[test]
fn handlers_and_plugins() {
    check(&[
        (
            r#"[handlers.x]
plugin = 1
"#,
            &["16:2 unknown key `handlers` in the main file | did you mean `handler`?"],
        ),
        (
            r#"[handler.two]
plugin = "sumoo"
concurency = 3
timeout = 30
"#,
            &[
                "17:10 there is no plugin `sumoo` | did you mean `sumo`?",
                "18:1 unknown key `concurency` in [handler.two] | did you mean `concurrency`?",
                r#"19:11 `timeout` takes a duration, and this is an integer | write timeout = "30s""#,
            ],
        ),
        (
            r#"[handler.two]
plugin = "sumo"
concurrency = 65
timeout = "0s"
retry = { first = "1d", max = "1h", attempts = 0, jitter = 2 }
"#,
            &[
                "18:15 `concurrency` is 65; it lies between 1 and 64 | the default is 8",
                "19:11 `timeout` is 0s; it lies between 10ms and 1h | the default is 30s",
                "20:1 the first wait of `retry` is longer than its `max` | make `first` shorter or `max` longer",
                "20:48 `attempts` is 0; it lies between 1 and 1000 | the default is 20",
                "20:60 `jitter` is 2; it lies between 0 and 1 | the default is 0.2",
            ],
        ),
        (
            r#"[handler.two]
plugin = "sumo"
concurrency = 2
processes = 3
[handler.three]
plugin = "sumo"
processes = 17
"#,
            &[
                "19:13 `processes` is 3, and only 2 calls run at once | make `concurrency` as large, or `processes` \
                 smaller: the handler's calls are shared out among them",
                "22:13 `processes` is 17; it lies between 1 and 16 | the default is 1",
            ],
        ),
        (
            r#"[handler.two]
plugin = "other"
serialize = "customer"
settings = { x = inf }
secrets = { "a b" = "env:SECRET", c = 7, d = "plain-secret" }
"#,
            &[
                "17:10 there is no plugin `other` | write a section [plugin.other]; there are sumo",
                "18:1 `serialize` is not supported yet | take it away until a later version does",
                "19:18 a plugin gets its settings as JSON, which cannot hold this | JSON has no infinity and no NaN",
                "20:13 `a b` is not a name | a name is 1 to 64 letters, digits, `-` and `_`, all of ASCII",
                r#"20:39 `c` takes a reference to a secret | write where it is: "env:NAME", "file:/path" or "credential:NAME""#,
                r#"20:46 a secret stands in the file itself | write where it is: "env:NAME", "file:/path" or "credential:NAME""#,
            ],
        ),
        (
            r#"[handler.two]
plugin = "sumo"
confine = { reads = ["a"], write = ["b", "", 3], network = "no" }
"#,
            &[
                "18:13 unknown key `reads` in `confine` of [handler.two] | did you mean `read`?",
                "18:42 `write` is blank | write a path",
                "18:46 `write` takes a list of strings, and this is an integer | put the value in quotes",
                "18:60 `network` takes true or false, and this is a string | write true or false without quotes",
            ],
        ),
        (
            r#"[handler.two]
plugin = "sumo"
confine = { user = true, group = "shop" }
[handler.three]
plugin = "sumo"
confine = { group = "shop" }
"#,
            &[
                "18:20 `user` takes a string, and this is a boolean | write user = \"…\"",
                "18:34 `group` stands without a `user` | write user = \"…\" beside it: a group alone bounds nothing",
                "21:21 `group` stands without a `user` | write user = \"…\" beside it: a group alone bounds nothing",
            ],
        ),
        (
            r#"[handler.two]
plugin = "sumo"
confine = { open_files = 3, memory = "512 MB" }
[handler.three]
plugin = "sumo"
concurrency = 4
confine = { open_files = "many", memory = "64MiB" }
[handler.four]
plugin = "sumo"
confine = { open_files = 64, memory = 1024 }
"#,
            &[
                "18:26 `open_files` is 3; it lies between 64 and 1048576 | the default is 1024",
                "18:38 `512 MB` is not a size | did you mean \"512MiB\"?",
                "22:26 `open_files` takes a whole number, and this is a string | write a whole number without quotes; the default is 1024",
                "22:43 `memory` is 64MiB, and a process for 4 calls at once needs 288MiB before its plugin has any | write more, or make `concurrency` smaller; left out, there is no bound",
                "25:39 `memory` takes a size, and this is an integer | write memory = \"1GiB\"",
            ],
        ),
        (
            r#"[handler.two]
plugin = "sumo"
http = { alow = [], networks = ["10.1"], ca = "no/such.pem" }
[handler.three]
plugin = "sumo"
http = { allow = ["api.example.com/v1", "*"] }
"#,
            &[
                "18:1 `http` of [handler.two] has no `allow` | write allow = [\"api.example.com\"]: what is not listed is refused",
                "18:10 unknown key `alow` in `http` of [handler.two] | did you mean `allow`?",
                "18:33 `10.1` is no network | write it as 10.1.0.0/16 or fd00::/8",
                "18:47 cannot read no/such.pem: No such file or directory (os error 2) | the daemon's user must be able to read it",
                "21:19 `api.example.com/v1` is no host that can be allowed: it is more than a host | write the host alone: paths are not looked at",
                "21:41 `*` is no host that can be allowed: a `*` stands only at its beginning, as `*.` | write a host, such as \"api.example.com\", \"*.example.org\" or \"https://host:8443\"",
            ],
        ),
        (
            r#"[plugin.two]
path = "two.so"
signature = "two.so.minisig"
"#,
            &[
                "16:9 [plugin.two] is not pinned: whatever lies at its path would be run \
                 | write sha256 = \"…\", what sha256sum prints for two.so; only with --dev is no pin needed",
                "18:13 [plugin.two] has a `signature` and no key is trusted \
                 | write a section [plugins] with trusted_keys = [\"RW…\"], the second line of minisign.pub",
            ],
        ),
        (
            r#"[plugins]
trusted_keys = ["RWno", 3]
trusted = []
"#,
            &[
                "17:17 this is no public key of minisign | write the second line of minisign.pub, \"RW…\"",
                "17:25 `trusted_keys` takes a list of strings, and this is an integer | put the value in quotes",
                "18:1 unknown key `trusted` in [plugins] | it takes `trusted_keys`",
            ],
        ),
        (
            r#"[plugins]
trusted_keys = []
"#,
            &["17:16 `trusted_keys` is a list of nothing: no file would be right \
               | write the second line of minisign.pub, or take it away"],
        ),
        (
            r#"[handler]
x = 1
"#,
            &["17:1 `x` of [handler] is not a table | write [handler.a_name]"],
        ),
        (
            r#"[handler."a.b"]
"#,
            &[
                "16:10 `a.b` is not a name | a name is 1 to 64 letters, digits, `-` and `_`, all of ASCII",
                r#"16:10 [handler.a.b] has no `plugin` | write plugin = "…", the name of a [plugin.x]"#,
            ],
        ),
        (
            r#"[plugin.raw]
path = ""
"#,
            &["17:8 `path` is blank | write a path"],
        ),
        (
            r#"[plugin.raw]
path = "x.so"
sha256 = "abc"
canary = 0.7
"#,
            &[
                "18:10 this is no SHA-256: it has 3 of 64 hex digits | write what `sha256sum` prints for the plugin's file",
                "19:10 `canary` is 0.7; it lies between 0.0001 and 0.5 | 0.05 is 5% of new events; leave it out, and a new \
                 library gets all of them at once",
            ],
        ),
    ]);
}

#[test]
fn sources() {
    check(&[
        (
            r#"[source.two]
path = "/webhooks/stripe"
scheme = "Stripe"
secrets = ["whsec_plain", "env:UNSET", "env:BLANK", "file:/nowhere", "credential:none"]
tolerance = "0s"
livemode = "prod"
"#,
            &[
                "17:8 two sources are at /webhooks/stripe | the other is at DIR/hookyard.toml:2; give each its own path",
                r#"18:10 there is no scheme `Stripe` | did you mean "stripe"?"#,
                r#"19:12 a secret stands in the file itself | write where it is: "env:NAME", "file:/path" or "credential:NAME""#,
                "19:27 the environment variable UNSET is not set | set it for the daemon, or start with --dev for a throw-away secret",
                "19:40 the environment variable BLANK is blank | set it: a blank secret would let anyone sign",
                "19:53 cannot read the secret's file /nowhere: No such file or directory (os error 2) | the daemon's user must be able to read it",
                "19:70 cannot read the secret's file DIR/credentials/none: No such file or directory (os error 2) | the daemon's user must be able to read it",
                "20:13 `tolerance` is 0s; it lies between 1s and 1d | the default is 5m",
                r#"21:12 `prod` is no livemode | write "any", "live" or "test""#,
            ],
        ),
        (
            r#"[source.two]
path = "two"
scheme = "github"
secrets = "env:SECRET"
rate_limit = { burst = 0 }
alias = { x = "y" }
"#,
            &[
                r#"17:8 `two` is not a path: it does not begin with `/` | did you mean "/two"?"#,
                r#"18:10 there is no scheme `github` | this version knows "stripe""#,
                "19:11 `secrets` takes a list, and this is a single reference | put it in brackets; a second one stands beside it while a secret is rolled",
                "20:1 `rate_limit` of [source.two] has no `per_second` | write rate_limit = { per_second = 100, burst = 200 }",
                "20:24 `burst` is 0; it lies between 1 and 1000000 | the default is 100",
            ],
        ),
        (
            r#"[source.two]
"#,
            &[
                r#"16:9 [source.two] has no `path` | write path = "/webhooks/stripe""#,
                r#"16:9 [source.two] has no `scheme` | write scheme = "stripe""#,
                r#"16:9 [source.two] has no `secrets` | write secrets = ["env:STRIPE_WEBHOOK_SECRET"]"#,
            ],
        ),
        (
            r#"[source.two]
path = "/two"
scheme = "stripe"
secrets = []
"#,
            &[
                r#"19:11 `secrets` lists 0 secrets; it takes 1 to 8 | write secrets = ["env:STRIPE_WEBHOOK_SECRET"]"#,
            ],
        ),
    ]);
}

#[test]
fn servers_and_stores() {
    check(&[
        (
            r#"[server]
listen = "localhost:80"
admin = { listen = "127.0.0.1:8080", token = "secret" }
body_bytes_max = "1MB"
connections_max = "many"
"#,
            &[
                r#"17:10 `localhost:80` is not an address to listen on | did you mean "127.0.0.1:80"? names are not resolved"#,
                "18:20 both listeners are at 127.0.0.1:8080 | give the operators another port: what Stripe can reach, anyone can",
                r#"18:46 a secret stands in the file itself | write where it is: "env:NAME", "file:/path" or "credential:NAME""#,
                r#"19:18 `1MB` is not a size | did you mean "1MiB"?"#,
                "20:19 `connections_max` takes a whole number, and this is a string | write a whole number without quotes; the default is 800",
            ],
        ),
        (
            r#"[server]
listen = "127.0.0.1:80"
admin = { listen = "127.0.0.1:80", token = "env:SECRET" }
tls = { certificate = "/nowhere.crt" }
"#,
            &[
                "18:20 both listeners are at 127.0.0.1:80 | give the operators another port: what Stripe can reach, anyone can",
                r#"19:1 `tls` of [server] has no `key` | write key = "/etc/hookyard/tls.key", a PEM file"#,
                "19:23 cannot read /nowhere.crt: No such file or directory (os error 2) | the daemon's user must be able to read it",
            ],
        ),
        (
            r#"[server]
admin = { token = "env:SECRET" }
body_bytes_max = "1GiB"
idle_timeout = "2h"
"#,
            &[
                r#"17:1 `admin` of [server] has no `listen` | write listen = "127.0.0.1:8081""#,
                "18:18 `body_bytes_max` is 1GiB; it lies between 1KiB and 32MiB | the default is 1MiB",
                "19:16 `idle_timeout` is 2h; it lies between 100ms and 1h | the default is 1m",
            ],
        ),
        (
            r#"server = 1
"#,
            &["16:1 unknown key `server` in [default] | it takes `unrouted`, `handlers`"],
        ),
        (
            r#"[store]
engine = "postgres"
retain = { dead = "0s", keys = "30d", delivred = "1d" }
paht = "x"
"#,
            &[
                r#"17:10 the engine `postgres` comes with the fleet, and is not in this version | write engine = "sled": it serves one daemon on one machine"#,
                "18:19 `dead` is 0s; it lies between 1s and 3650d | the default is 180d",
                r#"18:32 `keys` is 30d: Stripe can send an event again for 30 days, and without its key it would be fulfilled twice | write at least "31d"; the default is "35d""#,
                "18:39 unknown key `delivred` in `retain` of [store] | did you mean `delivered`?",
                "19:1 unknown key `paht` in [store] | did you mean `path`?",
            ],
        ),
        (
            r#"[store]
retain = { keys = "4000d" }
"#,
            &[r#"17:19 `keys` is longer than 3650d | write at least "31d"; the default is "35d""#],
        ),
        (
            r#"[store]
engine = "sledd"
free_bytes_min = "1KiB"
"#,
            &[
                r#"17:10 there is no engine `sledd` | did you mean "sled"?"#,
                "18:18 `free_bytes_min` is 1KiB; it lies between 64MiB and 1TiB | the default is 1GiB",
            ],
        ),
        (
            r#"[server]
token = "hunter2"
admin_password = 5
"#,
            &[
                "17:1 unknown key `token` in [server] | it takes `listen`, `admin`, `tls`, `body_bytes_max`, `connections_max`, `in_flight_max`, `header_timeout`, `body_timeout`, `idle_timeout`, `drain_timeout`",
                "18:1 unknown key `admin_password` in [server] | it takes `listen`, `admin`, `tls`, `body_bytes_max`, `connections_max`, `in_flight_max`, `header_timeout`, `body_timeout`, `idle_timeout`, `drain_timeout`",
            ],
        ),
    ]);
}

#[test]
fn what_is_not_there_at_all() {
    let no_source = "there is no [source.x]: nothing could ever arrive | \
                     write [source.stripe] with its path, scheme and secrets";
    let no_default = "there is no [default]: it says what becomes of an event that no rule takes | \
                      write [default] with unrouted = true (kept and shown), or handlers = [\"…\"]";
    assert_eq!(shown(&Config::new("")), [no_source, no_default]);
    let main = SOUND.replace("[default]\nunrouted = true\n", "");
    assert_eq!(shown(&Config::new(&main)), [format!("1:1 {no_default}")]);
    let config = Config::new(SOUND);
    std::fs::remove_file(config.path(MAIN)).unwrap();
    let gone = "cannot read DIR/hookyard.toml: No such file or directory (os error 2) | \
                give the path of the main file with --config";
    assert_eq!(shown(&config), [gone]);
}

#[test]
fn tables_of_the_wrong_shape() {
    let main = SOUND.replace("[[rule]]", "[rule]");
    assert_eq!(
        shown(&Config::new(&main)),
        ["10:1 rules are an array of tables | write [[rule]], with two brackets"]
    );
    let neither = "14:2 [default] says either `handlers` or `unrouted = true` | \
                   write one of the two; `unrouted` keeps the event and shows it";
    assert_eq!(shown(&Config::new(&SOUND.replace("unrouted = true", "unrouted = false"))), [neither]);
    let server = format!("server = 1\n{SOUND}");
    assert_eq!(
        shown(&Config::new(&server)),
        ["1:10 `server` takes a table, and this is an integer | write server = { … }"]
    );
}
