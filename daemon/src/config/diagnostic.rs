//! A fault as the operator sees it: for a terminal through miette, and as JSON for everything else.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents,
};

use super::faults::line_of;
use crate::rules::Fault;

/// The width that reports are wrapped at: readable in a terminal and in a CI log.
const REPORT_COLUMNS_MAX: usize = 110;

/// A configuration that cannot be used: every fault of one run. Never empty.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} {}", faults.len(), if faults.len() == 1 { "fault" } else { "faults" })]
pub struct ConfigError {
    pub faults: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// One fault or warning, with its place. Holds no secret: the text is masked.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    severity: Severity,
    file: PathBuf,
    source: WholeLines,
    fault: Fault,
}

/// A file's text that is shown by whole lines: a fault's own and no other, so that nothing near it is shown with it.
#[derive(Debug, Clone)]
struct WholeLines {
    name: String,
    text: Arc<str>,
}

impl ConfigError {
    pub(super) fn new(faults: Vec<Diagnostic>, warnings: Vec<Diagnostic>) -> Self {
        Self { faults, warnings }
    }

    /// Every warning and fault for a terminal, each with its line and help, and a last line that counts them.
    pub fn render(&self, color: bool) -> String {
        let diagnostics = self.warnings.iter().chain(&self.faults);
        let reports: String = diagnostics.map(|diagnostic| diagnostic.render(color)).collect();
        format!("{reports}\n{self}\n")
    }

    /// Every fault, then every warning: a list of `{severity, file, line, column, message, help}`.
    pub fn to_json(&self) -> serde_json::Value {
        self.faults.iter().chain(&self.warnings).map(Diagnostic::to_json).collect()
    }
}

impl Diagnostic {
    pub(super) fn new(severity: Severity, file: &Path, text: Arc<str>, fault: Fault) -> Self {
        let mut fault = fault;
        // What is wrong with the end of a file is shown at its last line, not at the empty one behind it.
        fault.span.start = fault.span.start.min(text.trim_end().len());
        let source = WholeLines { name: file.display().to_string(), text };
        Self { severity, file: file.to_owned(), source, fault }
    }

    pub fn severity(&self) -> Severity {
        self.severity
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// 1 for the first; `None` where the file itself is the fault.
    pub fn line(&self) -> Option<usize> {
        (!self.source.text.is_empty()).then(|| line_of(&self.source.text, self.fault.span.start))
    }

    /// In characters, 1 for the first; `None` where the file itself is the fault.
    pub fn column(&self) -> Option<usize> {
        let before =
            self.source.text.get(..self.fault.span.start).filter(|_| !self.source.text.is_empty())?;
        let line = before.rsplit('\n').next().unwrap_or_default();
        Some(line.chars().count() + 1)
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.fault.message
    }

    /// What to do about it.
    pub fn help(&self) -> Option<&str> {
        self.fault.help.as_deref()
    }

    /// For a terminal: what is wrong, where, the line itself, and what to do.
    pub fn render(&self, color: bool) -> String {
        let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let mut report = String::new();
        GraphicalReportHandler::new_themed(theme)
            .with_width(REPORT_COLUMNS_MAX)
            .with_links(false)
            .with_context_lines(1)
            .render_report(&mut report, self)
            .map_or_else(|fmt::Error| format!("{self}\n"), |()| report)
    }

    /// `file:line: message`, for a log.
    pub fn line_of_log(&self) -> String {
        match self.line() {
            Some(line) => format!("{}:{line}: {}", self.file.display(), self.message()),
            None => format!("{}: {}", self.file.display(), self.message()),
        }
    }

    /// `{severity, file, line, column, message, help}`; what is not known is null.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "severity": match self.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "file": self.file.display().to_string(),
            "line": self.line(),
            "column": self.column(),
            "message": self.message(),
            "help": self.help(),
        })
    }

    /// A span over several lines would show them all: its first line names the place.
    fn first_line(&self, span: &Range<usize>) -> SourceSpan {
        let start = span.start.min(self.source.text.len());
        let first_line = self.source.text[start..].lines().next().map_or(0, str::len);
        (start, span.end.saturating_sub(start).min(first_line)).into()
    }
}

impl SourceCode for WholeLines {
    /// With context lines asked for: the span's own lines, whole. Without, miette wants to know only where it starts.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_lines: usize,
        _after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (start, end) = (span.offset(), span.offset() + span.len());
        let (before, after) = (self.text.get(..start), self.text.get(end..));
        let (before, after) = before.zip(after).ok_or(MietteError::OutOfBounds)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = after.find('\n').map_or(self.text.len(), |newline| end + newline + 1);
        let (shown, column) = match context_lines {
            0 => (start..end, before[line_start..].chars().count()),
            _ => (line_start..line_end, 0),
        };
        let lines = &self.text[shown.clone()];
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            lines.as_bytes(),
            (shown.start, shown.len()).into(),
            line_of(&self.text, start) - 1,
            column,
            lines.lines().count(),
        )))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fault.message)
    }
}

impl std::error::Error for Diagnostic {}

impl miette::Diagnostic for Diagnostic {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.source.text.is_empty()).then_some(&self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.source.text.is_empty() {
            return None;
        }
        let also = self.fault.also.as_ref();
        let here = also.is_some().then(|| "here".to_owned());
        let main = LabeledSpan::new_primary_with_span(here, self.first_line(&self.fault.span));
        let also =
            also.map(|(span, label)| LabeledSpan::new_with_span(Some(label.clone()), self.first_line(span)));
        Some(Box::new(std::iter::once(main).chain(also)))
    }
}
