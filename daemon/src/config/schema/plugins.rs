//! What plugins are and may be: `[plugins]`, `[plugin.x]`, `[handler.x]`.

use serde_json::{Value, json};

use super::{count, duration, names, table, text};
use crate::config::snapshot::{CONCURRENCY_DEFAULT, CONCURRENCY_MAX, PROCESSES_DEFAULT, PROCESSES_MAX};
use crate::model::isolation::Isolation;
use crate::model::limits::{
    CANARY_SHARE_MAX, CANARY_SHARE_MIN, OPEN_FILES_DEFAULT, OPEN_FILES_MAX, OPEN_FILES_MIN, PINS_MAX,
    TRUSTED_KEYS_MAX,
};

/// What holds for all of them.
pub(super) fn all() -> Value {
    let keys = json!({
        "type": "array", "items": { "type": "string", "pattern": "^RW" }, "minItems": 1, "maxItems": TRUSTED_KEYS_MAX,
        "description": "Public keys of minisign: each library has to be signed by one of them, but with --dev",
    });
    table("What holds for every plugin", &[], json!({ "trusted_keys": keys }))
}

pub(super) fn plugin() -> Value {
    let pin = json!({ "type": "string", "pattern": "^[0-9A-Fa-f]{64}$" });
    let pin = json!({
        "description": "What sha256sum prints for the file; several while one takes another's place; required but with --dev",
        "anyOf": [pin, { "type": "array", "items": pin, "minItems": 1, "maxItems": PINS_MAX }],
    });
    let canary = json!({
        "type": "number", "minimum": CANARY_SHARE_MIN, "maximum": CANARY_SHARE_MAX,
        "description": "The share of new events that a new library gets first after a reload",
    });
    table(
        "A shared library, its pin and its signature",
        &["path"],
        json!({
            "path": text("The library's file"),
            "sha256": pin,
            "signature": text("Its minisign signature, from the library's folder; without it <path>.minisig"),
            "canary": canary,
        }),
    )
}

pub(super) fn handler() -> Value {
    let retry = table(
        "When a failed attempt is made again",
        &[],
        json!({
            "first": duration("The first wait"),
            "factor": { "type": "number", "minimum": 1, "description": "Each wait is so many times the one before" },
            "max": duration("The longest wait"),
            "attempts": count("Then it is a dead letter"),
            "jitter": { "type": "number", "minimum": 0, "maximum": 1, "description": "The share by which waits vary" },
        }),
    );
    let concurrency = json!({
        "type": "integer", "minimum": 1, "maximum": CONCURRENCY_MAX, "default": CONCURRENCY_DEFAULT,
        "description": "Attempts at the same time",
    });
    let processes = json!({
        "type": "integer", "minimum": 1, "maximum": PROCESSES_MAX, "default": PROCESSES_DEFAULT,
        "description": "Processes that share the handler's calls; one that dies or hangs takes only its own with it",
    });
    let isolation = json!({
        "enum": Isolation::ALL.map(Isolation::word), "default": Isolation::default().word(),
        "description": "Whether its plugin runs in processes of its own or inside the daemon, which then shares its fate",
    });
    let secrets = json!({
        "type": "object", "additionalProperties": { "$ref": "#/definitions/secret" },
        "description": "What the plugin may ask for by name",
    });
    let open_files = json!({
        "type": "integer", "minimum": OPEN_FILES_MIN, "maximum": OPEN_FILES_MAX, "default": OPEN_FILES_DEFAULT,
        "description": "Descriptors that each of its processes may hold open at once",
    });
    let confine = table(
        "What its plugin may reach, and have at most; without this it may reach all that the daemon may",
        &[],
        json!({
            "read": names("What may be read, beside what the system's libraries need; without it everything", 0),
            "write": names("What may be changed: directories with all below them, and files", 0),
            "user": account("Who its process is, where the daemon is root: a name or a number; without it the daemon's user"),
            "group": account("The user's group, where it is not the user's own"),
            "network": { "type": "boolean", "default": true, "description": "Whether it may speak to other machines" },
            "open_files": open_files,
            "memory": text("Address space of each of its processes (\"1GiB\"); without it there is no bound"),
        }),
    );
    let http = table(
        "What hookyard asks over HTTP for its plugin",
        &["allow"],
        json!({
            "allow": names("The hosts that may be asked: \"api.example.com\", \"*.example.org\", \"http://10.1.2.3:8080\"", 0),
            "networks": names("Where these hosts may lead although it is no public address: \"10.1.0.0/16\"", 0),
            "ca": text("A PEM file with the authorities that are believed, instead of the public ones"),
        }),
    );
    table(
        "A plugin set up for one purpose",
        &["plugin"],
        json!({
            "plugin": text("The x of a [plugin.x]"),
            "concurrency": concurrency,
            "isolation": isolation,
            "processes": processes,
            "timeout": duration("An attempt that takes longer is ended, and counts as failed"),
            "retry": retry,
            "settings": { "type": "object", "description": "The plugin's own" },
            "secrets": secrets,
            "confine": confine,
            "http": http,
        }),
    )
}

fn account(description: &str) -> Value {
    json!({ "type": ["string", "integer"], "description": description })
}
