//! The JSON Schema of a configuration, for editors: what may stand where, with a word on each.
//!
//! Printed by `hookyard config schema`, and checked in beside the shipped configuration; a test holds the two together, and
//! another holds the keys that stand here to those that the readers of `raw` take. It knows kinds and words; what only
//! `hookyard check` can know (names, ranges, secrets) it leaves to that.

mod plugins;

use serde_json::{Map, Value, json};

use super::snapshot::STORE_PATH_DEFAULT;
use crate::rules::{Kind, OPERATORS};

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// Of the main file.
pub fn main() -> Value {
    json!({
        "$schema": DRAFT,
        "title": "hookyard.toml",
        "description": "The configuration of hookyard, a webhook router",
        "type": "object",
        "required": ["source", "default"],
        "additionalProperties": false,
        "properties": {
            "server": server(),
            "store": store(),
            "source": named("Where events come from: [source.stripe]", source()),
            "plugins": plugins::all(),
            "plugin": named("A shared library: [plugin.sumo]", plugins::plugin()),
            "handler": named("A plugin set up for one purpose: [handler.sumo]", plugins::handler()),
            "rule": { "type": "array", "items": rule() },
            "test": { "type": "array", "items": test() },
            "default": default(),
        },
        "definitions": definitions(),
    })
}

/// Of a file in the `rules` directory.
pub fn rules() -> Value {
    json!({
        "$schema": DRAFT,
        "title": "rules/*.toml",
        "description": "Rules of hookyard, and tests of them",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "rule": { "type": "array", "items": rule() },
            "test": { "type": "array", "items": test() },
        },
        "definitions": definitions(),
    })
}

/// A table with these keys and no other.
fn table(description: &str, required: &[&str], properties: Value) -> Value {
    let mut table = json!({
        "type": "object",
        "description": description,
        "required": required,
        "additionalProperties": false,
    });
    table["properties"] = properties;
    table
}

/// Tables with names that the operator gives them.
fn named(description: &str, each: Value) -> Value {
    let mut named = json!({
        "type": "object",
        "description": description,
        "propertyNames": { "pattern": "^[A-Za-z0-9_-]{1,64}$" },
    });
    named["additionalProperties"] = each;
    named
}

fn server() -> Value {
    let admin = table(
        "The operators' listener",
        &["listen", "token"],
        json!({
            "listen": text("An address and a port; leave it on this machine"),
            "token": secret("The only key to it"),
        }),
    );
    let tls = table(
        "PEM files; without them plain HTTP",
        &["certificate", "key"],
        json!({ "certificate": text("The whole chain"), "key": text("The private key") }),
    );
    table(
        "Where the daemon listens, and how much it takes",
        &[],
        json!({
            "listen": text("An address and a port that the provider can reach"),
            "admin": admin,
            "tls": tls,
            "body_bytes_max": size("A larger body is answered with 413"),
            "connections_max": count("Beyond that the longest idle is closed for a new one"),
            "in_flight_max": count("Requests between header and answer; beyond that 503"),
            "header_timeout": duration("From the start of a connection to its first request head"),
            "body_timeout": duration("A slower body is answered with 408"),
            "idle_timeout": duration("How long a connection may go without a request"),
            "drain_timeout": duration("How long a stop waits for running attempts"),
        }),
    )
}

fn store() -> Value {
    let retain = table(
        "How long what is finished is kept",
        &[],
        json!({
            "delivered": duration("Delivered, ignored, cancelled and dropped events"),
            "dead": duration("Dead letters and unrouted events"),
            "keys": duration("How long a duplicate is known as one; at least 31 days"),
        }),
    );
    let path = json!({ "type": "string", "description": "A directory", "default": STORE_PATH_DEFAULT });
    table(
        "Where events are kept",
        &[],
        json!({
            "engine": { "enum": ["sled"] },
            "path": path,
            "cache_bytes": size("The engine's cache"),
            "free_bytes_min": size("With less free space new events are refused"),
            "retain": retain,
        }),
    )
}

fn source() -> Value {
    let rate_limit = table(
        "Requests beyond it are answered with 429",
        &["per_second"],
        json!({ "per_second": count("Requests a second"), "burst": count("At once after a pause") }),
    );
    let path = json!({ "type": "string", "pattern": "^/", "description": "The path of the URL" });
    let secrets = json!({
        "type": "array", "minItems": 1, "items": { "$ref": "#/definitions/secret" },
        "description": "Several while one is rolled",
    });
    table(
        "Where events come from, and how they prove it",
        &["path", "scheme", "secrets"],
        json!({
            "path": path,
            "scheme": { "enum": ["stripe"] },
            "secrets": secrets,
            "tolerance": duration("How old or early a signature may be"),
            "livemode": { "enum": ["any", "live", "test"] },
            "rate_limit": rate_limit,
            "redact": {
                "type": "array", "items": { "type": "string" },
                "description": "Paths of values that are taken out before an event is stored",
            },
            "alias": {
                "type": "object", "additionalProperties": { "type": "string" },
                "description": "Short names for the beginnings of paths in rules",
            },
        }),
    )
}

fn rule() -> Value {
    let source = json!({
        "description": "The sources whose events it sees; without it all",
        "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }],
    });
    let sample = table(
        "Takes only so many in a hundred of the events that match; the others go on",
        &["percent"],
        json!({
            "percent": { "type": "number", "minimum": 0.0001, "maximum": 100 },
            "by": text("Events with one value at this path go one way; `id` if it is left out"),
        }),
    );
    let active = table(
        "Sees only events received in this time",
        &[],
        json!({ "from": moment("The first moment"), "until": moment("The first moment after it") }),
    );
    let mut rule = table(
        "Which handlers get which events. Rules are asked in file order, and the first that matches takes the event",
        &["name", "when"],
        json!({
            "name": text("It stands beside every delivery that the rule makes"),
            "enabled": { "type": "boolean", "default": true },
            "shadow": { "type": "boolean", "default": false, "description": "A match is told, and the event goes on" },
            "source": source,
            "sample": sample,
            "active": active,
            "when": { "$ref": "#/definitions/condition" },
            "continue": { "type": "boolean", "default": false, "description": "Its handlers get a copy, and the search goes on" },
            "handlers": names("Each gets one delivery", 1),
            "drop": text("Why such events are kept and delivered to nobody"),
        }),
    );
    rule["oneOf"] = json!([{ "required": ["handlers"] }, { "required": ["drop"] }]);
    rule
}

fn test() -> Value {
    let event = json!({
        "description": "The event's fields, written as in a rule's `when`, or the name of a file that holds an event",
        "anyOf": [{ "type": "string" }, { "type": "object" }],
    });
    table(
        "An event, and who should get it; run by `hookyard test`, and before a configuration runs",
        &["event", "expect"],
        json!({
            "name": text("What is tested"),
            "event": event,
            "source": text("Where the event comes from; needed where there are several sources"),
            "received": moment("When the event comes, for rules that say `active`"),
            "expect": names("The handlers that should get it; [] where nobody should", 0),
            "rules": names("The rules that should take it, in file order; [] where none should", 0),
        }),
    )
}

fn default() -> Value {
    let mut default = table(
        "What becomes of an event that no rule takes",
        &[],
        json!({
            "unrouted": { "type": "boolean", "description": "It is kept, counted and shown" },
            "handlers": names("Each gets one delivery", 1),
        }),
    );
    default["oneOf"] = json!([{ "required": ["unrouted"] }, { "required": ["handlers"] }]);
    default
}

fn definitions() -> Value {
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    let conditions =
        json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/definitions/condition" } });
    json!({
        "duration": { "type": "string", "pattern": "^[0-9]+ *(ms|s|m|h|d)$" },
        "size": { "type": "string", "pattern": "^[0-9]+ *(B|KiB|MiB|GiB|TiB)$" },
        "secret": { "type": "string", "pattern": "^(env|file|credential):.+$" },
        "scalar": scalar,
        "scalars": { "type": "array", "minItems": 1, "items": { "$ref": "#/definitions/scalar" } },
        "condition": {
            "type": "object", "minProperties": 1,
            "description": "All of it holds",
            "properties": { "all": conditions, "any": conditions, "not": { "$ref": "#/definitions/condition" } },
            "additionalProperties": { "$ref": "#/definitions/at_path" },
        },
        "at_path": {
            "anyOf": [
                { "$ref": "#/definitions/scalar" },
                { "$ref": "#/definitions/scalars" },
                { "$ref": "#/definitions/test" },
                {
                    "type": "object", "minProperties": 1,
                    "propertyNames": { "not": { "enum": OPERATORS } },
                    "additionalProperties": { "$ref": "#/definitions/at_path" },
                },
            ],
        },
        "test": {
            "type": "object", "minProperties": 1, "additionalProperties": false,
            "description": "All of it holds",
            "properties": operators(),
        },
    })
}

/// Every operator with its operand.
fn operators() -> Value {
    let operator = |name: &&str| ((*name).to_owned(), operand(name));
    Value::Object(OPERATORS.iter().map(operator).collect::<Map<_, _>>())
}

fn operand(operator: &str) -> Value {
    let kinds: Vec<&str> = Kind::WORDS.iter().map(|(word, _)| *word).collect();
    let kind = json!({ "enum": kinds });
    let length = json!({ "type": "integer", "minimum": 0 });
    match operator {
        "eq" | "ne" => json!({ "$ref": "#/definitions/scalar" }),
        "in" | "not_in" => json!({ "$ref": "#/definitions/scalars" }),
        "lt" | "le" | "gt" | "ge" => json!({ "type": "number" }),
        "present" => json!({ "type": "boolean", "description": "There, and not null" }),
        "is" => json!({ "anyOf": [kind, { "type": "array", "items": kind, "minItems": 1 }] }),
        "len" => {
            let bounds = json!({ "lt": length, "le": length, "gt": length, "ge": length });
            let bounds = table("Each bound holds", &[], bounds);
            json!({ "anyOf": [length, bounds] })
        }
        "some" | "every" => json!({
            "description": "One element, or each, fits all of it",
            "anyOf": [{ "$ref": "#/definitions/condition" }, { "$ref": "#/definitions/test" }],
        }),
        _ => json!({ "type": "string" }),
    }
}

/// TOML's own date and time, which editors show as a string.
fn moment(description: &str) -> Value {
    json!({ "type": "string", "format": "date-time", "description": description })
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn names(description: &str, least: usize) -> Value {
    json!({
        "type": "array", "items": { "type": "string" }, "minItems": least, "uniqueItems": true,
        "description": description,
    })
}

fn count(description: &str) -> Value {
    json!({ "type": "integer", "minimum": 1, "description": description })
}

fn duration(description: &str) -> Value {
    json!({ "allOf": [{ "$ref": "#/definitions/duration" }], "description": description })
}

fn size(description: &str) -> Value {
    json!({ "allOf": [{ "$ref": "#/definitions/size" }], "description": description })
}

fn secret(description: &str) -> Value {
    json!({ "allOf": [{ "$ref": "#/definitions/secret" }], "description": description })
}
