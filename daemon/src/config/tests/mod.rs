//! Whole configurations: what each says once loaded, and every fault with its line.

mod differing;
mod docs;
mod faults;
mod isolation;
mod loading;
mod rule_cost;
mod redact;
mod routing;
mod rule_faults;
mod rule_findings;
mod schema;
mod shipped;
mod showing;
mod testing;

use std::path::Path;

use super::{ConfigError, LoadOptions, Loaded, load};

/// A directory with a configuration in it.
struct Config {
    directory: tempfile::TempDir,
}

const MAIN: &str = "hookyard.toml";

impl Config {
    fn new(main: &str) -> Self {
        let config = Self { directory: tempfile::tempdir().unwrap() };
        config.with(MAIN, main)
    }

    fn with(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn load(&self, dev: bool) -> Result<Loaded, ConfigError> {
        load_with(&self.path(MAIN), dev, &|name| match name {
            "SECRET" => Some("whsec_one".to_owned()),
            "BLANK" => Some(" \n".to_owned()),
            "CREDENTIALS_DIRECTORY" => Some(self.path("credentials").display().to_string()),
            _ => None,
        })
    }
}

fn load_with(path: &Path, dev: bool, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, ConfigError> {
    load(LoadOptions { path, dev, env })
}

/// A sound configuration, and what else stands in it.
fn sound_and(more: &str) -> String {
    format!("{SOUND}{more}")
}

const SOUND: &str = r#"[source.stripe]
path = "/webhooks/stripe"
scheme = "stripe"
secrets = ["env:SECRET"]
[plugin.sumo]
path = "libsumo.so"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
[handler.sumo]
plugin = "sumo"
[[rule]]
name = "sumo purchase"
when = { type = "checkout.session.completed" }
handlers = ["sumo"]
[default]
unrouted = true
"#;
