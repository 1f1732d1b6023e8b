//! What must not be there: the absences of ARCHITECTURE.md, read off the sources.

use std::path::{Path, PathBuf};

use crate::stripe::tests_dir;

/// The daemon's modules, lowest first, each with the modules that it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("privacy", &[]),
    ("observe", &["model", "privacy"]),
    ("rules", &["model"]),
    ("verify", &["model"]),
    ("artifact", &["model", "rules"]),
    ("config", &["model", "rules", "verify"]),
    ("store", &["model", "observe"]),
    ("host", &["model", "privacy", "observe", "artifact"]),
    ("ingest", &["model", "privacy", "observe", "verify", "store"]),
    ("route", &["model", "observe", "rules", "store"]),
    ("replay", &["model", "observe", "rules", "store", "route"]),
    ("dispatch", &["model", "observe", "store", "host"]),
    ("retain", &["model", "observe", "store"]),
    ("admin", &["model", "privacy", "observe", "store"]),
    (
        "app",
        &[
            "model", "privacy", "observe", "rules", "verify", "config", "store", "host", "ingest", "route",
            "dispatch", "retain", "admin", "replay",
        ],
    ),
    ("doctor", &["model", "observe", "config", "store", "host", "admin", "app"]),
    ("workshop", &["model", "observe", "artifact", "host"]),
    ("cli", &["model", "observe", "verify", "artifact", "config", "admin", "app", "doctor", "workshop"]),
];

fn root() -> PathBuf {
    tests_dir().parent().unwrap().to_path_buf()
}

/// Every Rust source below a folder of the project, as (path from the root, text).
fn sources(below: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {below}");
    found.sort();
    found
}

/// The code of a file without its comments and without the tests at its end.
fn product_code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test_file(name: &str) -> bool {
    name.ends_with("/tests.rs")
        || name.contains("/tests/")
        || name.ends_with("store/contract.rs")
        || name.contains("store/contract/")
}

/// Lines of the daemon's product code that hold `word`, outside the files in `except`.
fn holders(below: &str, word: &str, except: &[&str]) -> Vec<String> {
    sources(below)
        .iter()
        .filter(|(name, _)| !is_test_file(name) && !except.iter().any(|place| name.starts_with(place)))
        .flat_map(|(name, text)| {
            let code = product_code(text);
            code.lines()
                .filter(|line| line.contains(word))
                .map(|line| format!("{name}: {}", line.trim()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_module_uses_only_what_stands_below_it() {
    let mut breaches = Vec::new();
    for (name, text) in sources("daemon/src") {
        let module = Path::new(&name).strip_prefix("daemon/src").unwrap().components().next().unwrap();
        let module = module.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if module == "lib" || module == "main" || is_test_file(&name) {
            continue;
        }
        let (_, may) = MAY_USE
            .iter()
            .find(|(known, _)| *known == module)
            .unwrap_or_else(|| panic!("{name}: the module `{module}` has no place in the order"));
        for used in product_code(&text).split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if used != module && !may.contains(&used.as_str()) {
                breaches.push(format!("{name} uses crate::{used}"));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn nothing_above_the_store_knows_its_engine() {
    // `app` chooses the engine; `config` reads its name.
    let except = ["daemon/src/store", "daemon/src/app/mod.rs", "daemon/src/config"];
    assert_eq!(holders("daemon/src", "sled", &except), Vec::<String>::new());
}

#[test]
fn nothing_but_the_plugin_host_loads_code() {
    let manifests = [
        "daemon",
        "daemon/egress",
        "plugin-api",
        "plugins/fulfilment",
        "plugins/sumo",
        "plugins/direct",
        "plugins/forward",
        "plugins/exec",
    ];
    for manifest in manifests {
        let text = std::fs::read_to_string(root().join(manifest).join("Cargo.toml")).unwrap();
        assert!(!text.contains("libloading"), "{manifest} depends on libloading");
    }
    let host = std::fs::read_to_string(root().join("daemon/plugin-host/Cargo.toml")).unwrap();
    assert!(host.contains("libloading"), "the plugin host loads by libloading");
}

#[test]
fn nothing_but_the_clock_reads_time() {
    for word in ["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now"] {
        assert_eq!(holders("daemon/src", word, &["daemon/src/model/clock.rs"]), Vec::<String>::new());
    }
}

#[test]
fn no_queue_is_unbounded() {
    for below in ["daemon/src", "daemon/plugin-host/src", "daemon/egress", "plugin-api/src", "plugins"] {
        assert_eq!(holders(below, "unbounded", &[]), Vec::<String>::new());
        assert_eq!(holders(below, "mpsc::channel()", &[]), Vec::<String>::new());
    }
}

#[test]
fn unsafe_stands_only_at_the_abi_and_in_the_loader() {
    for crate_root in ["daemon/src/lib.rs", "daemon/egress/src/lib.rs", "plugins/fulfilment/src/lib.rs"] {
        let text = std::fs::read_to_string(root().join(crate_root)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{crate_root} does not forbid unsafe code");
    }
    for below in ["daemon/src", "daemon/egress", "plugins"] {
        assert_eq!(holders(below, "unsafe ", &[]), Vec::<String>::new());
    }
}

#[test]
fn sled_is_never_flushed_without_our_own_sync() {
    assert_eq!(holders("daemon/src", "flush_async", &[]), Vec::<String>::new());
    let flushes = holders("daemon/src", ".flush()", &[]);
    assert!(flushes.iter().all(|line| line.starts_with("daemon/src/store/sled/")), "{flushes:#?}");
    assert!(!holders("daemon/src/store/sled", "sync_data", &[]).is_empty());
}

#[test]
fn every_source_opens_with_its_story_and_is_one_thing() {
    const LINES_MAX: usize = 400;
    let mut breaches = Vec::new();
    for below in ["daemon", "plugin-api", "plugins", "tests"] {
        for (name, text) in sources(below) {
            if name.contains("/target/") || name.contains("node_modules") || name.contains(".venv") {
                continue;
            }
            if !text.starts_with("//!") {
                breaches.push(format!("{name} does not open with a head (//!)"));
            }
            let lines = text.lines().count();
            if lines > LINES_MAX
                && !text.contains("Above 400 lines:")
                && !is_test_file(&name)
                && !name.starts_with("tests/")
            {
                breaches.push(format!(
                    "{name} has {lines} lines and no reason (`Above 400 lines: …`) in its head"
                ));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}
