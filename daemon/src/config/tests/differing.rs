//! Two configurations: what they differ in, and what of it only a restart can change.

use super::{Config, load_with, sound_and};
use crate::config::diff::between;
use crate::config::restart::needed;
use crate::config::{Loaded, Snapshot};

fn snapshot(text: &str, secret: &str) -> Snapshot {
    let config = Config::new(text);
    let loaded = load_with(&config.path(super::MAIN), true, &|_| Some(secret.to_owned()));
    loaded.map(|Loaded { snapshot, .. }| snapshot).unwrap_or_else(|error| panic!("{}", error.render(false)))
}

fn told(old: &Snapshot, new: &Snapshot) -> Vec<String> {
    between(old, new).iter().map(ToString::to_string).collect()
}

#[test]
fn each_part_is_told_by_its_name() {
    let rule =
        |name: &str| format!("[[rule]]\nname = \"{name}\"\nwhen = {{ x = 1 }}\nhandlers = [\"sumo\"]\n");
    let old = snapshot(&sound_and(&rule("x")), "s");
    assert_eq!(told(&old, &snapshot(&(sound_and(&rule("x")) + "# a comment\n"), "s")), [""; 0]);
    let key = minisign::KeyPair::generate_unencrypted_keypair().unwrap().pk.to_base64();
    let more = "[plugin.p]\npath = \"p.so\"\n[handler.h]\nplugin = \"p\"\n[server]\ndrain_timeout = \"9s\"\n";
    let keys = format!("[plugins]\ntrusted_keys = [\"{key}\"]\n");
    let new = sound_and(&(rule("y") + more + &keys))
        .replace("/webhooks/stripe", "/stripe")
        .replace("unrouted = true", "handlers = [\"h\"]");
    let expected = [
        "server.drain_timeout added",
        "source stripe changed",
        "plugins.trusted_keys added",
        "plugin p added",
        "handler h added",
        "rule \"y\" added",
        "rule \"x\" removed",
        "default changed",
    ];
    assert_eq!(told(&old, &snapshot(&new, "s")), expected);
}

#[test]
fn a_secret_that_was_rolled_behind_its_reference_is_told() {
    let (old, new) = (snapshot(&sound_and(""), "one"), snapshot(&sound_and(""), "other"));
    assert_eq!(old.hash, new.hash);
    assert_eq!(told(&old, &new), ["source stripe secret rolled"]);
}

#[test]
fn sockets_limits_and_the_store_need_a_restart_and_the_rest_does_not() {
    let old = snapshot(&sound_and(""), "s");
    let changes = "[server]\nlisten = \"127.0.0.1:9\"\nidle_timeout = \"9s\"\ndrain_timeout = \"9s\"\n\
                   admin = { listen = \"127.0.0.1:10\", token = \"env:T\" }\n\
                   [store]\npath = \"elsewhere\"\nretain = { delivered = \"1d\" }\n";
    let new = snapshot(&sound_and(changes), "s");
    let settings: Vec<&str> = needed(&old, &new).iter().map(|needed| needed.setting).collect();
    assert_eq!(settings, ["server.listen", "server.admin.listen", "server.idle_timeout", "store.path"]);
    let first = needed(&old, &new)[0].to_string();
    let said =
        "`server.listen` is 127.0.0.1:8080 in the running daemon and 127.0.0.1:9 in the new configuration";
    assert_eq!(first, said);
}
