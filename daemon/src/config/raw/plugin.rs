//! `[plugin.x]`: a shared library, its pins and its signature; `[plugins]`: whose signatures count.

use std::path::PathBuf;

use minisign_verify::PublicKey;
use toml::Spanned;
use toml::de::{DeString, DeTable};

use crate::config::elements::{key, name, pin};
use crate::config::faults::Spotted;
use crate::config::reader::{Reader, Value};
use crate::model::canary::Share;
use crate::model::ids::PluginName;
use crate::model::limits::{PINS_MAX, TRUSTED_KEYS_MAX};
use crate::rules::Fault;

const CANARY_HELP: &str =
    "0.05 is 5% of new events; leave it out, and a new library gets all of them at once";

/// `[plugin.x]`, pinned or not.
#[derive(Debug)]
pub(in crate::config) struct RawPlugin {
    pub(in crate::config) name: Spotted<PluginName>,
    pub(in crate::config) path: PathBuf,
    pub(in crate::config) sha256: Vec<String>,
    /// A pin is written, sound or not.
    pub(in crate::config) pin_written: bool,
    pub(in crate::config) canary: Option<Share>,
    pub(in crate::config) signature: Option<Spotted<PathBuf>>,
}

/// A list that must have something in it, and not too much.
struct Choice {
    key: &'static str,
    /// What stands in it.
    of: &'static str,
    max: usize,
    /// What to write where there is nothing.
    help: &'static str,
}

const PINS: Choice = Choice {
    key: "sha256",
    of: "pins",
    max: PINS_MAX,
    help: "write what `sha256sum` prints for the plugin's file, or `hookyard plugin lock`",
};
const KEYS: Choice = Choice {
    key: "trusted_keys",
    of: "keys",
    max: TRUSTED_KEYS_MAX,
    help: "write the second line of minisign.pub, or take it away",
};

/// `[plugins] trusted_keys`. `None` where it is not written.
pub(super) fn read_trusted_keys(main: &mut Reader<'_, '_, '_>) -> Option<Vec<PublicKey>> {
    let mut section = main.section("plugins")?;
    let keys = section.list(KEYS.key, false, key::parse);
    let keys = keys.map(|keys| within(keys, &KEYS, &mut section));
    section.finish();
    keys
}

pub(super) fn read_all(main: &mut Reader<'_, '_, '_>) -> Vec<RawPlugin> {
    let tables = main.named_tables("plugin");
    tables.into_iter().map(|(name, table)| read(main, name, table)).collect()
}

fn read(main: &mut Reader<'_, '_, '_>, name: &Spanned<DeString<'_>>, table: &DeTable<'_>) -> RawPlugin {
    let (name, mut section) = main.named("plugin", name, table, name::parse);
    section.require("path", "write path = \"/usr/lib/hookyard/libmy_plugin.so\"");
    let path = section.path("path").map(|path| path.value).unwrap_or_default();
    let sha256 = read_pins(&mut section);
    let signature = section.path("signature");
    let canary = section.number_if_any("canary", CANARY_HELP, Share::RANGE);
    section.finish();
    RawPlugin {
        name: name.map(|name| PluginName::new(&name)),
        path,
        sha256,
        pin_written: table.contains_key("sha256"),
        signature,
        canary: canary.and_then(|share| Share::of(share).ok()),
    }
}

/// One pin, or several while one library takes another's place.
fn read_pins(section: &mut Reader<'_, '_, '_>) -> Vec<String> {
    let pins = section.list(PINS.key, true, pin::parse);
    pins.map_or_else(Vec::new, |pins| within(pins, &PINS, section))
}

/// What was read of a choice. An empty one and too large a one are faults.
fn within<T>(list: Spotted<Vec<Spotted<T>>>, choice: &Choice, section: &mut Reader<'_, '_, '_>) -> Vec<T> {
    let Choice { key, of, max, help } = choice;
    let (written, count) = (list.spot.span, list.value.len());
    let is_empty = |value: &Value<'_>| value.get_ref().as_array().is_some_and(|entries| entries.is_empty());
    if count > *max {
        let fault = Fault::new(written, format!("`{key}` has {count} {of}; at most {max} are taken"));
        section.fault(fault.help("leave those that may still be needed"));
    } else if section.whole().get(*key).is_some_and(is_empty) {
        let fault = Fault::new(written, format!("`{key}` is a list of nothing: no file would be right"));
        section.fault(fault.help(*help));
    }
    list.value.into_iter().map(|entry| entry.value).collect()
}
