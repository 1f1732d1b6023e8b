//! What the files say, section by section: values of the right kind and within their bounds, each with its place.
//!
//! Nothing here looks at the environment, the disk or another section: that is `check`'s.

mod confine;
mod handler;
mod plugin;
mod rule;
mod server;
mod source;
mod store;
mod test;

use minisign_verify::PublicKey;

use super::faults::{Faults, Spotted};
use super::files::Document;
use super::reader::Reader;
use super::snapshot::StoreSettings;
use crate::model::ids::HandlerName;
use crate::rules::{Fallback, Fault};

pub(super) use handler::RawHandler;
pub(super) use plugin::RawPlugin;
pub(super) use rule::{RawRule, Terms};
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
    /// `None` where none are written.
    pub(super) trusted_keys: Option<Vec<PublicKey>>,
    pub(super) handlers: Vec<RawHandler>,
    /// The main file's, then those of the other files in the order of their names.
    pub(super) rules: Vec<RawRule>,
    pub(super) fallback: RawFallback,
    /// In the order of the files.
    pub(super) tests: Vec<RawTest>,
    pub(super) terms: Terms,
}

/// `[default]`
#[derive(Debug)]
pub(super) struct RawFallback {
    pub(super) fallback: Fallback,
    pub(super) handlers: Vec<Spotted<HandlerName>>,
}

impl RawConfig {
    /// Reads every section of the main file.
    pub(super) fn read(main: &Document<'_>, faults: &mut Faults<'_>) -> Self {
        let mut reader = Reader::new(main.file, "the main file", 0..0, &main.table, faults);
        let sources = source::read_all(&mut reader);
        let mut terms = Terms::new(&sources);
        let raw = Self {
            server: server::read(&mut reader),
            store: store::read(&mut reader),
            plugins: plugin::read_all(&mut reader),
            trusted_keys: plugin::read_trusted_keys(&mut reader),
            handlers: handler::read_all(&mut reader),
            fallback: rule::read_default(&mut reader),
            rules: rule::read_all(&mut reader, &mut terms),
            tests: test::read_all(&mut reader, &sources),
            sources,
            terms,
        };
        reader.finish();
        raw
    }

    /// Adds what a rules file says.
    pub(super) fn add_rules(&mut self, document: &Document<'_>, faults: &mut Faults<'_>) {
        let mut reader = Reader::new(document.file, "a rules file", 0..0, &document.table, faults);
        self.rules.extend(rule::read_all(&mut reader, &mut self.terms));
        self.tests.extend(test::read_all(&mut reader, &self.sources));
        for section in ["server", "store", "source", "plugin", "plugins", "handler", "default"] {
            let message = format!("[{section}] stands in a rules file");
            reader.refuse(
                section,
                message,
                "it belongs in the main file: here stand only [[rule]] and [[test]] tables",
            );
        }
        reader.finish();
    }
}

/// A fault that stands for a whole file or section that is missing.
fn missing(message: &str, help: &str) -> Fault {
    Fault::new(0..0, message).help(help).about_the_whole()
}
