//! What the files say, section by section: values of the right kind and within their bounds, each with its place.
//!
//! Nothing here looks at the environment, the disk or another section: that is `check`'s.

mod handler;
mod plugin;
mod rule;
mod server;
mod source;
mod store;
mod test;

use toml::de::DeTable;

use super::faults::{Faults, Spotted};
use super::files::Document;
use super::reader::Reader;
use super::snapshot::StoreSettings;
use crate::model::ids::HandlerName;
use crate::rules::{Fallback, Fault, Watch};

pub(super) use handler::RawHandler;
pub(super) use plugin::RawPlugin;
pub(super) use rule::RawRule;
pub(super) use server::RawServer;
pub(super) use source::RawSource;
pub(super) use test::{RawTest, TestEvent};

/// Everything that the files say.
#[derive(Debug)]
pub(super) struct RawConfig {
    pub(super) server: RawServer,
    pub(super) store: StoreSettings,
    pub(super) sources: Vec<RawSource>,
    pub(super) plugins: Vec<RawPlugin>,
    pub(super) handlers: Vec<RawHandler>,
    /// The main file's, then those of the other files in the order of their names.
    pub(super) rules: Vec<RawRule>,
    pub(super) fallback: RawFallback,
    /// In the order of the files.
    pub(super) tests: Vec<RawTest>,
    /// The paths that the rules look at.
    pub(super) watch: Watch,
}

/// `[default]`
#[derive(Debug)]
pub(super) struct RawFallback {
    pub(super) fallback: Fallback,
    pub(super) handlers: Vec<Spotted<HandlerName>>,
}

/// Reads every section of every file.
pub(super) fn read(documents: &[Document<'_>], faults: &mut Faults<'_>) -> RawConfig {
    let nothing = DeTable::new();
    let (main, others) = match documents.split_first() {
        Some((main, others)) => (Some(main), others),
        None => (None, documents),
    };
    let table = main.map_or(&nothing, |main| &main.table);
    let file = main.map_or(super::faults::FileId(0), |main| main.file);
    let mut watch = Watch::default();
    let mut reader = Reader::new(file, "the main file", 0..0, table, faults);
    let mut raw = RawConfig {
        server: server::read(&mut reader),
        store: store::read(&mut reader),
        sources: source::read_all(&mut reader),
        plugins: plugin::read_all(&mut reader),
        handlers: handler::read_all(&mut reader),
        rules: Vec::new(),
        fallback: rule::read_default(&mut reader),
        tests: Vec::new(),
        watch: Watch::default(),
    };
    raw.rules = rule::read_all(&mut reader, &mut watch, &raw.sources);
    raw.tests = test::read_all(&mut reader, &raw.sources);
    reader.finish();
    for document in others {
        let (rules, tests) = read_rules_file(document, &mut watch, &raw.sources, faults);
        raw.rules.extend(rules);
        raw.tests.extend(tests);
    }
    raw.watch = watch;
    raw
}

fn read_rules_file(
    document: &Document<'_>,
    watch: &mut Watch,
    sources: &[RawSource],
    faults: &mut Faults<'_>,
) -> (Vec<RawRule>, Vec<RawTest>) {
    let mut reader = Reader::new(document.file, "a rules file", 0..0, &document.table, faults);
    let rules = rule::read_all(&mut reader, watch, sources);
    let tests = test::read_all(&mut reader, sources);
    for section in ["server", "store", "source", "plugin", "handler", "default"] {
        let message = format!("[{section}] stands in a rules file");
        reader.refuse(
            section,
            message,
            "it belongs in the main file: here stand only [[rule]] and [[test]] tables",
        );
    }
    reader.finish();
    (rules, tests)
}

/// A fault that stands for a whole file or section that is missing.
fn missing(message: &str, help: &str) -> Fault {
    Fault::new(0..0, message).help(help).about_the_whole()
}
