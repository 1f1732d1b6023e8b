//! How this daemon reads its configuration, at its start and at each reload.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{self, ConfigError, ConfigFile, LoadOptions, Loaded};

/// Reads the configuration as this daemon was told to at its start.
#[derive(Clone)]
pub struct Loader {
    pub path: PathBuf,
    pub dev: bool,
    pub env: Env,
}

/// The value of an environment variable.
pub type Env = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

impl Loader {
    /// From the files as they are now; their tests pass.
    ///
    /// # Errors
    /// Every fault.
    pub fn files(&self) -> Result<Loaded, ConfigError> {
        config::load_tested(self.options())
    }

    /// From files that ran before, whose tests say nothing new.
    ///
    /// # Errors
    /// Every fault.
    pub fn load(&self, files: Vec<ConfigFile>) -> Result<Loaded, ConfigError> {
        config::load_files(files, self.options())
    }

    fn options(&self) -> LoadOptions<'_> {
        LoadOptions { path: &self.path, dev: self.dev, env: &*self.env }
    }
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("path", &self.path).field("dev", &self.dev).finish_non_exhaustive()
    }
}
