//! What is wrong with a piece of TOML, before anyone knows which file it stands in.
//!
//! Made by `rules::parse` and by the readers of `config`, which adds the file and shows it to the operator.

use std::ops::Range;

/// A fault, or a warning, at a place of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Byte offsets into the file's text.
    pub span: Range<usize>,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// A second place that belongs to the fault, and what it is.
    pub also: Option<(Range<usize>, String)>,
    /// About something that is absent or stands elsewhere: not to be trusted while a file has syntax errors.
    pub about_the_whole: bool,
}

impl Fault {
    /// A fault at `span`.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None, also: None, about_the_whole: false }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to do about it, where that is known.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// Points at a second place.
    #[must_use]
    pub fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.also = Some((span, label.into()));
        self
    }

    /// Marks it as a fault about something absent or elsewhere.
    #[must_use]
    pub fn about_the_whole(mut self) -> Self {
        self.about_the_whole = true;
        self
    }
}
