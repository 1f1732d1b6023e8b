//! `[plugin.x]`: a shared library and its pin.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeString, DeTable};

use crate::config::elements::{name, pin};
use crate::config::faults::Spotted;
use crate::config::reader::Reader;
use crate::model::ids::PluginName;

/// `[plugin.x]`, pinned or not.
#[derive(Debug)]
pub(in crate::config) struct RawPlugin {
    pub(in crate::config) name: Spotted<PluginName>,
    pub(in crate::config) path: PathBuf,
    pub(in crate::config) sha256: Option<String>,
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
    let sha256 = section.parsed("sha256", "a string", "\"…\", what sha256sum prints", pin::parse);
    section.finish();
    RawPlugin {
        name: name.map(|name| PluginName::new(&name)),
        path,
        sha256: sha256.map(|pin| pin.value),
        pin_written: table.contains_key("sha256"),
    }
}
