//! Who answers the HTTP requests of a handler's plugin: whoever the URL names, or a test's script, which the SDK's test kit
//! holds. A script is asked in the place of the network alone: a request is checked, counted, and ended as any other.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use hookyard_plugin_host::protocol::{HttpAnswer, HttpFault, HttpRequest};

use crate::host::report;
use crate::model::http_access::HttpAccess;
use crate::model::limits::DETAIL_BYTES_MAX;

/// Who answers.
#[derive(Debug, Clone)]
pub enum FarSide {
    /// Whoever the URL names, where this lists it.
    Network(HttpAccess),
    /// A test's script, whatever the URL names.
    Script(Arc<dyn Script>),
}

/// What answers in a test.
#[async_trait]
pub trait Script: Send + Sync + fmt::Debug + 'static {
    /// The answer to a request, which is as the plugin wrote it. Dropped where the request ends before: by its own timeout,
    /// or with its call.
    async fn answer(&self, asked: HttpRequest) -> Result<HttpAnswer, NoAnswer>;
}

/// Why there is no answer: for the plugin, and in words for people.
#[derive(Debug)]
pub struct NoAnswer {
    pub(super) fault: HttpFault,
    pub(super) words: String,
}

impl NoAnswer {
    /// Of the words so many are kept as of any sentence of a plugin's.
    pub fn new(fault: HttpFault, words: impl AsRef<str>) -> Self {
        Self { fault, words: report::clean(words.as_ref(), DETAIL_BYTES_MAX) }
    }
}

impl From<HttpAccess> for FarSide {
    fn from(access: HttpAccess) -> Self {
        Self::Network(access)
    }
}

/// A script is like no other.
impl PartialEq for FarSide {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Network(access), Self::Network(other)) => access == other,
            (Self::Script(script), Self::Script(other)) => Arc::ptr_eq(script, other),
            _ => false,
        }
    }
}
