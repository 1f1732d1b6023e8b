//! What was found: one line a check, for people and for programs.

use serde::Serialize;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// Could not be looked at, or cannot be known here.
    Skipped,
    /// Works, and may not be meant.
    Warn,
    /// A promise is broken, or soon will be.
    Fault,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub check: &'static str,
    pub verdict: Verdict,
    /// What is so.
    pub words: String,
    /// What to do about it.
    pub next: Option<String>,
}

/// Every line, and how many of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub checks: Vec<Check>,
    pub ok: usize,
    pub warnings: usize,
    pub faults: usize,
    pub skipped: usize,
}

impl Verdict {
    /// The word that a line begins with.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fault => "fault",
            Self::Skipped => "skipped",
        }
    }
}

impl Check {
    pub(super) fn ok(check: &'static str, words: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, words: words.into(), next: None }
    }

    pub(super) fn warn(check: &'static str, words: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, words: words.into(), next: Some(next.into()) }
    }

    pub(super) fn fault(check: &'static str, words: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fault, words: words.into(), next: Some(next.into()) }
    }

    pub(super) fn skipped(check: &'static str, words: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Skipped, words: words.into(), next: Some(next.into()) }
    }

    /// `verdict  check  words; next: …`
    pub fn line(&self) -> String {
        let next = self.next.as_ref().map(|next| format!("; next: {next}")).unwrap_or_default();
        format!("{:<7}  {:<11}  {}{next}", self.verdict.word(), self.check, self.words)
    }
}

impl Report {
    pub(super) fn add(&mut self, check: Check) {
        *match check.verdict {
            Verdict::Ok => &mut self.ok,
            Verdict::Warn => &mut self.warnings,
            Verdict::Fault => &mut self.faults,
            Verdict::Skipped => &mut self.skipped,
        } += 1;
        self.checks.push(check);
    }

    /// The last line.
    pub fn summary(&self) -> String {
        let count = |count: usize, word: &str| {
            format!(
                "{count} {word}{}",
                if count == 1 || word == "ok" || word == "skipped" { "" } else { "s" }
            )
        };
        format!(
            "{}, {}, {}, {}",
            count(self.faults, "fault"),
            count(self.warnings, "warning"),
            count(self.skipped, "skipped"),
            count(self.ok, "ok")
        )
    }
}
