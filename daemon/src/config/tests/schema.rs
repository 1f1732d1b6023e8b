//! The JSON Schema: what is checked in is current, the shipped configuration fits it, it knows the keys that the readers
//! know, and it refuses what they refuse.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Config;
use crate::config::schema;

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("config")
}

fn as_json(text: &str) -> Value {
    let table = toml::de::DeTable::parse(text).unwrap();
    crate::config::json::table(table.get_ref()).unwrap_or_else(|error| panic!("{error:?}"))
}

fn errors(schema: &Value, instance: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn what_is_checked_in_is_current() {
    for (name, schema) in [("hookyard.schema.json", schema::main()), ("rules.schema.json", schema::rules())] {
        let checked_in = std::fs::read_to_string(config().join(name)).unwrap_or_default();
        let current = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        let rules = if name.starts_with("rules") { " --rules" } else { "" };
        assert!(checked_in == current, "write it anew: hookyard config schema{rules} > config/{name}");
    }
}

#[test]
fn the_shipped_configuration_fits() {
    let main = as_json(&std::fs::read_to_string(config().join("hookyard.toml")).unwrap());
    assert_eq!(errors(&schema::main(), &main), [""; 0]);
    let rules = as_json(&std::fs::read_to_string(config().join("rules/10-checkout.toml")).unwrap());
    assert_eq!(errors(&schema::rules(), &rules), [""; 0]);
}

/// The keys that a reader takes, as its help for an unknown one lists them; without those of later versions.
fn taken(section: &str) -> Vec<String> {
    let text = format!("{section}\nqqqqqqqqqqqqqq = 1\n");
    let error = Config::new(&text).load(true).unwrap_err();
    let unknown = error.faults.iter().find(|fault| fault.message().contains("`qqqqqqqqqqqqqq`"));
    let help = unknown.unwrap_or_else(|| panic!("{}", error.render(false))).help().unwrap();
    let mut keys: Vec<String> = help.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    keys.retain(|key| {
        let written = Config::new(&format!("{section}\n{key} = 1\n")).load(true).unwrap_err();
        !written.faults.iter().any(|fault| fault.message() == format!("`{key}` is not supported yet"))
    });
    keys.sort();
    keys.dedup();
    keys
}

#[test]
fn its_keys_are_those_that_the_readers_take() {
    let main = schema::main();
    for (section, pointer) in [
        ("[server]", "/properties/server"),
        ("[server.admin]", "/properties/server/properties/admin"),
        ("[server.tls]", "/properties/server/properties/tls"),
        ("[store]", "/properties/store"),
        ("[store.retain]", "/properties/store/properties/retain"),
        ("[source.x]", "/properties/source/additionalProperties"),
        ("[source.x.rate_limit]", "/properties/source/additionalProperties/properties/rate_limit"),
        ("[plugin.x]", "/properties/plugin/additionalProperties"),
        ("[plugins]", "/properties/plugins"),
        ("[handler.x]", "/properties/handler/additionalProperties"),
        ("[handler.x.retry]", "/properties/handler/additionalProperties/properties/retry"),
        ("[handler.x.confine]", "/properties/handler/additionalProperties/properties/confine"),
        ("[handler.x.http]", "/properties/handler/additionalProperties/properties/http"),
        ("[[rule]]", "/properties/rule/items"),
        ("[[test]]", "/properties/test/items"),
        ("[default]", "/properties/default"),
        ("", ""),
    ] {
        let properties = main.pointer(&format!("{pointer}/properties")).unwrap().as_object().unwrap();
        let known: Vec<String> = properties.keys().cloned().collect();
        assert_eq!(known, taken(section), "{section}");
    }
}

#[test]
fn conditions_fit_or_do_not_as_the_parser_says() {
    let fits = |when: Value| {
        let rule = json!({ "rule": [{ "name": "r", "handlers": ["h"], "when": when }] });
        errors(&schema::rules(), &rule).is_empty()
    };
    for when in [
        json!({ "type": "a" }),
        json!({ "type": ["a", 1, true] }),
        json!({ "obj": { "n": { "ge": 5, "ne": 7 }, "mode": "x" } }),
        json!({ "any": [{ "a": 1 }, { "not": { "b": { "is": ["null", "missing"] } } }] }),
        json!({ "a[*]": { "some": { "k": "v", "n": { "len": { "ge": 1 } } } } }),
        json!({ "a": { "some": { "prefix": "x" } } }),
    ] {
        assert!(fits(when.clone()), "{when}");
    }
    for when in [
        json!({}),
        json!({ "type": [] }),
        json!({ "any": [] }),
        json!({ "any": { "a": 1 } }),
        json!({ "a": { "present": "yes" } }),
        json!({ "a": { "ge": "5" } }),
        json!({ "a": { "present": true, "prefx": "x" } }),
        json!({ "a": { "is": "nul" } }),
    ] {
        assert!(!fits(when.clone()), "{when}");
    }
}
