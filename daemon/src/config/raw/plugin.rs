//! `[plugin.x]`: a shared library and its pins.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeString, DeTable};

use crate::config::elements::{name, pin};
use crate::config::faults::Spotted;
use crate::config::reader::Reader;
use crate::model::ids::PluginName;
use crate::model::limits::PINS_MAX;
use crate::rules::Fault;

/// `[plugin.x]`, pinned or not.
#[derive(Debug)]
pub(in crate::config) struct RawPlugin {
    pub(in crate::config) name: Spotted<PluginName>,
    pub(in crate::config) path: PathBuf,
    pub(in crate::config) sha256: Vec<String>,
    /// A pin is written, sound or not.
    pub(in crate::config) pin_written: bool,
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
    section.finish();
    RawPlugin {
        name: name.map(|name| PluginName::new(&name)),
        path,
        sha256,
        pin_written: table.contains_key("sha256"),
    }
}

/// One pin, or several while one library takes another's place.
fn read_pins(section: &mut Reader<'_, '_, '_>) -> Vec<String> {
    let Some(pins) = section.list("sha256", true, pin::parse) else { return Vec::new() };
    let (written, count) = (pins.spot.span, pins.value.len());
    if count > PINS_MAX {
        let fault = Fault::new(written, format!("`sha256` has {count} pins; at most {PINS_MAX} are taken"));
        section.fault(fault.help("leave those that may still be needed"));
    } else if section
        .whole()
        .get("sha256")
        .is_some_and(|pins| pins.get_ref().as_array().is_some_and(|pins| pins.is_empty()))
    {
        let fault = Fault::new(written, "`sha256` is a list of nothing: no file would be right");
        section.fault(
            fault.help("write what `sha256sum` prints for the plugin's file, or `hookyard plugin lock`"),
        );
    }
    pins.value.into_iter().map(|pin| pin.value).collect()
}
