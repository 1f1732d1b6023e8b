//! Every fault of one run, each with its file, until all of them are shown together.
//!
//! Filled by the readers of `raw` and by `check`; turned into [`Diagnostic`]s at the end of a load. Where a file has
//! syntax errors, what was read of it is only a guess: faults that the broken lines may themselves have caused are
//! left out then.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Severity};
use super::files::ConfigFile;
use crate::rules::Fault;

/// The number of a file: 0 is the main one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(pub(super) usize);

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) file: FileId,
    pub(super) span: Range<usize>,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Spotted<T> {
    pub(super) value: T,
    pub(super) spot: Spot,
}

impl<T> Spotted<T> {
    /// Another value at the same place.
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Spotted<U> {
        Spotted { value: change(self.value), spot: self.spot }
    }
}

/// What was found wrong so far.
#[derive(Debug)]
pub(super) struct Faults<'files> {
    files: &'files [ConfigFile],
    faults: Vec<(FileId, Fault)>,
    syntax: Vec<(FileId, Fault)>,
    warnings: Vec<(FileId, Fault)>,
    /// Secrets that stand in a file.
    masks: Vec<Spot>,
    /// Files that secrets were read from: kept here because whoever reads one has this at hand.
    secret_files: Vec<PathBuf>,
}

impl<'files> Faults<'files> {
    /// Starts with the files that could not be read.
    pub(super) fn new(files: &'files [ConfigFile], unreadable: Vec<(FileId, Fault)>) -> Self {
        Self {
            files,
            faults: Vec::new(),
            syntax: unreadable,
            warnings: Vec::new(),
            masks: Vec::new(),
            secret_files: Vec::new(),
        }
    }

    /// Whether nothing was found wrong so far.
    pub(super) fn is_sound(&self) -> bool {
        self.faults.is_empty() && self.syntax.is_empty()
    }

    /// A fault in a file.
    pub(super) fn fault(&mut self, file: FileId, fault: Fault) {
        self.faults.push((file, fault));
    }

    /// A fault of the file's syntax.
    pub(super) fn syntax(&mut self, file: FileId, fault: Fault) {
        self.syntax.push((file, fault));
    }

    /// Something allowed and probably not meant.
    pub(super) fn warn(&mut self, file: FileId, warning: Fault) {
        self.warnings.push((file, warning));
    }

    /// Hides a place wherever the file's text is shown.
    pub(super) fn mask(&mut self, spot: Spot) {
        self.masks.push(spot);
    }

    /// A secret was looked for in this file.
    pub(super) fn reads_secret(&mut self, file: PathBuf) {
        self.secret_files.push(file);
    }

    /// The files that secrets were looked for in.
    pub(super) fn take_secret_files(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.secret_files)
    }

    /// `file:line` of a place, for a message about another one.
    pub(super) fn place(&self, spot: &Spot) -> String {
        let file = &self.files[spot.file.0];
        format!("{}:{}", file.path.display(), line_of(&file.text, spot.span.start))
    }

    /// Faults and warnings in the order of the files.
    pub(super) fn into_diagnostics(mut self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        self.leave_out_consequences();
        self.faults.append(&mut self.syntax);
        let texts: Vec<Arc<str>> = (0..self.files.len()).map(|file| self.shown_text(FileId(file))).collect();
        let show = |mut faults: Vec<(FileId, Fault)>, severity| {
            faults.sort_by_key(|(file, fault)| (*file, fault.span.start));
            faults
                .into_iter()
                .map(|(file, fault)| {
                    Diagnostic::new(severity, &self.files[file.0].path, Arc::clone(&texts[file.0]), fault)
                })
                .collect()
        };
        (show(self.faults, Severity::Error), show(self.warnings, Severity::Warning))
    }

    fn leave_out_consequences(&mut self) {
        if self.syntax.is_empty() {
            return;
        }
        let (files, syntax) = (self.files, &self.syntax);
        self.faults.retain(|(file, fault)| {
            let text = &files[file.0].text;
            let line = line_of(text, fault.span.start);
            let caused = syntax.iter().filter(|(broken, _)| broken == file).any(|(_, broken)| {
                let broken_line = line_of(text, broken.span.start);
                broken_line == line || is_header(text, broken_line)
            });
            !caused && !fault.about_the_whole
        });
    }

    /// The text without the secrets in it; every byte keeps its place.
    fn shown_text(&self, file: FileId) -> Arc<str> {
        let mut bytes = self.files[file.0].text.clone().into_bytes();
        for mask in self.masks.iter().filter(|mask| mask.file == file) {
            bytes[mask.span.clone()].fill(b'*');
        }
        mask_known_secrets(&mut bytes);
        String::from_utf8_lossy(&bytes).into()
    }
}

/// 1 for the first.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// A broken header puts the keys after it into the wrong table.
fn is_header(text: &str, line: usize) -> bool {
    text.lines().nth(line - 1).is_some_and(|line| line.trim_start().starts_with('['))
}

/// Stripe's secrets are known by how they begin, also where the syntax is too broken to know what a place means.
fn mask_known_secrets(bytes: &mut [u8]) {
    const PREFIXES: [&[u8]; 5] = [b"whsec_", b"sk_live_", b"sk_test_", b"rk_live_", b"rk_test_"];
    for prefix in PREFIXES {
        let mut from = 0;
        while let Some(at) = bytes[from..].windows(prefix.len()).position(|window| window == prefix) {
            let start = from + at + prefix.len();
            let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            bytes[start..start + length].fill(b'*');
            from = start + length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_secrets_are_masked_and_nothing_else() {
        let mut bytes = b"a = \"whsec_Abc1\" # sk_live_9 and whsec_".to_vec();
        mask_known_secrets(&mut bytes);
        assert_eq!(String::from_utf8(bytes).unwrap(), "a = \"whsec_****\" # sk_live_* and whsec_");
    }
}
