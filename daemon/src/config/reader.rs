//! Reads one table key by key, remembers which keys were asked for, and calls every other one a fault.
//!
//! Used by `raw`. A getter says what kind of value it wants; a value of another kind is a fault, and the getter then
//! answers as if the key were not there, so that a single mistake is told once.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::elements::secret::SecretRef;
use super::elements::{Invalid, duration, size};
use super::faults::{Faults, FileId, Spot, Spotted};
use crate::rules::{Fault, nearest};

pub(super) type Value<'toml> = Spanned<DeValue<'toml>>;

/// One table while it is read.
#[derive(Debug)]
pub(super) struct Reader<'read, 'files, 'toml> {
    pub(super) file: FileId,
    pub(super) faults: &'read mut Faults<'files>,
    table: &'read DeTable<'toml>,
    /// How the operator knows the table: `[handler.sumo]`.
    title: String,
    /// Where the table begins.
    place: Range<usize>,
    asked: Vec<&'static str>,
}

impl<'read, 'files, 'toml> Reader<'read, 'files, 'toml> {
    /// A reader of `table`, which operators know as `title` and find at `place`.
    pub(super) fn new(
        file: FileId,
        title: impl Into<String>,
        place: Range<usize>,
        table: &'read DeTable<'toml>,
        faults: &'read mut Faults<'files>,
    ) -> Self {
        Self { file, faults, table, title: title.into(), place, asked: Vec::new() }
    }

    /// Where a part of the table is.
    pub(super) fn spot(&self, span: Range<usize>) -> Spot {
        Spot { file: self.file, span }
    }

    /// Where the table is.
    pub(super) fn own_spot(&self) -> Spot {
        self.spot(self.place.clone())
    }

    pub(super) fn title(&self) -> &str {
        &self.title
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.fault(self.file, fault);
    }

    /// The value of `key`, whatever it is.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'read Value<'toml>> {
        self.asked.push(key);
        self.table.get(key)
    }

    /// A fault if `key` is not there.
    pub(super) fn require(&mut self, key: &'static str, help: &str) {
        if !self.table.contains_key(key) {
            let fault = Fault::new(self.place.clone(), format!("{} has no `{key}`", self.title));
            self.fault(fault.help(help).about_the_whole());
        }
    }

    /// A key that this version knows and cannot do.
    pub(super) fn not_yet(&mut self, key: &'static str) {
        self.refuse(key, format!("`{key}` is not supported yet"), "take it away until a later version does");
    }

    /// A key that is known, and refused with a reason.
    pub(super) fn refuse(&mut self, key: &'static str, message: String, help: &str) {
        self.asked.push(key);
        if let Some((key, _)) = self.table.get_key_value(key) {
            let fault = Fault::new(key.span(), message).help(help);
            self.fault(fault);
        }
    }

    /// A string.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Spotted<String>> {
        self.parsed(key, "a string", "\"…\"", |text| Ok(text.to_owned()))
    }

    /// A string, or a whole number as the string of its digits.
    pub(super) fn text_or_number(&mut self, key: &'static str) -> Option<Spotted<String>> {
        match self.table.get(key).map(|value| (value.span(), value.get_ref())) {
            Some((span, DeValue::Integer(number))) => {
                self.asked.push(key);
                Some(Spotted { value: number.to_string(), spot: self.spot(span) })
            }
            _ => self.text(key),
        }
    }

    /// A path on this machine, as written: relative ones start where the daemon was started.
    pub(super) fn path(&mut self, key: &'static str) -> Option<Spotted<PathBuf>> {
        let path = self.parsed(key, "a path", "\"…\"", |text| as_path(key, text));
        path.map(|path| path.map(PathBuf::from))
    }

    /// A list of paths on this machine.
    pub(super) fn paths(&mut self, key: &'static str) -> Option<Vec<PathBuf>> {
        let paths = self.list(key, false, |text| as_path(key, text))?;
        Some(paths.value.into_iter().map(|path| PathBuf::from(path.value)).collect())
    }

    /// A string that means something: `what` it is and an `example`, for when it is no string.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        what: &str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Option<Spotted<T>> {
        let value = self.get(key)?;
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_kind(key, value, what, &format!("write {key} = {example}"));
            return None;
        };
        self.element(value.span(), parse(text))
    }

    /// A boolean.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        self.wrong_kind(key, value, "true or false", "write true or false without quotes");
        None
    }

    /// An integer within `range`.
    pub(super) fn count(&mut self, key: &'static str, default: usize, range: RangeInclusive<usize>) -> usize {
        let Some(value) = self.get(key) else { return default };
        let help = the_default(&default);
        let DeValue::Integer(integer) = value.get_ref() else {
            self.wrong_kind(
                key,
                value,
                "a whole number",
                &format!("write a whole number without quotes; {help}"),
            );
            return default;
        };
        let count = usize::from_str_radix(integer.as_str(), integer.radix()).ok();
        let place = (key, value.span());
        self.within(place, &integer.to_string(), count, &help, range, |count| count.to_string())
            .unwrap_or(default)
    }

    /// A number within `range`; `1` is `1.0`.
    pub(super) fn number(&mut self, key: &'static str, default: f64, range: RangeInclusive<f64>) -> f64 {
        self.number_if_any(key, &the_default(&default), range).unwrap_or(default)
    }

    /// A number within `range` that may be left out.
    pub(super) fn number_if_any(
        &mut self,
        key: &'static str,
        help: &str,
        range: RangeInclusive<f64>,
    ) -> Option<f64> {
        let value = self.get(key)?;
        let written = match value.get_ref() {
            DeValue::Integer(integer) => integer.to_string(),
            DeValue::Float(float) => float.to_string(),
            _ => {
                self.wrong_kind(key, value, "a number", &format!("write a number without quotes; {help}"));
                return None;
            }
        };
        let number = written.parse().ok();
        self.within((key, value.span()), &written, number, help, range, |number| number.to_string())
    }

    /// A duration within `range`.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let example = format!("\"{}\"", duration::shown(default));
        let Some(read) = self.parsed(key, "a duration", &example, duration::parse) else { return default };
        let (shown, place) = (duration::shown(read.value), (key, read.spot.span));
        let help = the_default(&duration::shown(default));
        self.within(place, &shown, Some(read.value), &help, range, duration::shown).unwrap_or(default)
    }

    /// A size within `range`, in bytes.
    pub(super) fn size(&mut self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let example = format!("\"{}\"", size::shown(default));
        let Some(read) = self.parsed(key, "a size", &example, size::parse) else { return default };
        let (shown, place) = (size::shown(read.value), (key, read.spot.span));
        let help = the_default(&size::shown(default));
        self.within(place, &shown, Some(read.value), &help, range, size::shown).unwrap_or(default)
    }

    /// A list of strings that mean something, or a single one where `single_allowed`.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        single_allowed: bool,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Option<Spotted<Vec<Spotted<T>>>> {
        let value = self.get(key)?;
        let entries = match value.get_ref() {
            DeValue::Array(list) => &**list,
            DeValue::String(_) if single_allowed => std::slice::from_ref(value),
            _ => {
                self.wrong_kind(key, value, "a list of strings", &format!("write {key} = [\"…\"]"));
                return None;
            }
        };
        let mut list = Vec::new();
        for entry in entries {
            match entry.get_ref() {
                DeValue::String(text) => list.extend(self.element(entry.span(), parse(text))),
                _ => self.wrong_kind(key, entry, "a list of strings", "put the value in quotes"),
            }
        }
        Some(Spotted { value: list, spot: self.spot(value.span()) })
    }

    /// A reference to a secret. Whatever else stands there may be the secret itself, and is never shown.
    pub(super) fn secret(&mut self, key: &'static str) -> Option<Spotted<SecretRef>> {
        let value = self.get(key)?;
        self.secret_value(key, value)
    }

    /// As [`Self::secret`], for a value in a list or under a free key.
    pub(super) fn secret_value(&mut self, key: &str, value: &Value<'toml>) -> Option<Spotted<SecretRef>> {
        let parsed = match value.get_ref() {
            DeValue::String(text) => SecretRef::parse(text),
            _ => Err(Invalid::new(
                format!("`{key}` takes a reference to a secret"),
                r#"write where it is: "env:NAME", "file:/path" or "credential:NAME""#,
            )),
        };
        if parsed.is_err() {
            let spot = self.spot(value.span());
            self.faults.mask(spot);
        }
        self.element(value.span(), parsed)
    }

    /// A table below this one.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Reader<'_, 'files, 'toml>> {
        let (written, value) = self.entry(key)?;
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_kind(key, value, "a table", &format!("write {key} = {{ … }}"));
            return None;
        };
        let title = format!("`{key}` of {}", self.title);
        Some(Reader::new(self.file, title, written.span(), table, self.faults))
    }

    /// A section of the file: `[server]`.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Reader<'_, 'files, 'toml>> {
        let mut section = self.table(key)?;
        section.title = format!("[{key}]");
        Some(section)
    }

    /// A section with a name that the operator gave it: `[handler.sumo]`, and that name.
    pub(super) fn named<'named, 'text>(
        &'named mut self,
        kind: &str,
        name: &Spanned<DeString<'_>>,
        table: &'named DeTable<'text>,
        parse: impl Fn(&str) -> Result<String, Invalid>,
    ) -> (Spotted<String>, Reader<'named, 'files, 'text>) {
        let value = name.get_ref().to_string();
        // What is no name is a fault; the section is read under it all the same.
        self.element(name.span(), parse(&value));
        let title = format!("[{kind}.{value}]");
        let spotted = Spotted { value, spot: self.spot(name.span()) };
        (spotted, Reader::new(self.file, title, name.span(), table, self.faults))
    }

    /// The tables below `key` with the names that the operator gave them: `[handler.sumo]`.
    pub(super) fn named_tables(
        &mut self,
        key: &'static str,
    ) -> Vec<(&'read Spanned<DeString<'toml>>, &'read DeTable<'toml>)> {
        let Some((written, value)) = self.entry(key) else { return Vec::new() };
        let help = format!("write [{key}.a_name]");
        let DeValue::Table(named) = value.get_ref() else {
            let fault = Fault::new(written.span(), format!("`{key}` is not a table of named tables"));
            self.fault(fault.help(help));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (name, entry) in named {
            match entry.get_ref() {
                DeValue::Table(table) => tables.push((name, table)),
                _ => {
                    let fault =
                        Fault::new(name.span(), format!("`{}` of [{key}] is not a table", name.get_ref()));
                    self.fault(fault.help(help.clone()));
                }
            }
        }
        tables
    }

    /// The table itself, for one whose keys are free.
    pub(super) fn whole(&self) -> &'read DeTable<'toml> {
        self.table
    }

    /// Ends the reading: every key that was not asked for is a fault.
    pub(super) fn finish(self) {
        for (key, value) in self.table {
            let word = key.get_ref().as_ref();
            if self.asked.contains(&word) {
                continue;
            }
            if ["secret", "token", "password"].iter().any(|name| word.to_lowercase().contains(name)) {
                self.faults.mask(Spot { file: self.file, span: value.span() });
            }
            let help = match nearest(word, self.asked.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("it takes {}", listed(&self.asked)),
            };
            let fault = Fault::new(key.span(), format!("unknown key `{word}` in {}", self.title)).help(help);
            self.faults.fault(self.file, fault);
        }
    }

    fn entry(&mut self, key: &'static str) -> Option<(&'read Spanned<DeString<'toml>>, &'read Value<'toml>)> {
        self.asked.push(key);
        self.table.get_key_value(key)
    }

    fn element<T>(&mut self, span: Range<usize>, parsed: Result<T, Invalid>) -> Option<Spotted<T>> {
        match parsed {
            Ok(value) => Some(Spotted { value, spot: self.spot(span) }),
            Err(invalid) => {
                self.fault(Fault::new(span, invalid.message).help(invalid.help));
                None
            }
        }
    }

    fn wrong_kind(&mut self, key: &str, value: &Value<'_>, wanted: &str, help: &str) {
        let kind = value.get_ref().type_str();
        let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
        let message = format!("`{key}` takes {wanted}, and this is {article} {kind}");
        self.fault(Fault::new(value.span(), message).help(help));
    }

    fn within<T: PartialOrd + Copy>(
        &mut self,
        (key, span): (&str, Range<usize>),
        written: &str,
        value: Option<T>,
        help: &str,
        range: RangeInclusive<T>,
        show: impl Fn(T) -> String,
    ) -> Option<T> {
        if let Some(value) = value.filter(|value| range.contains(value)) {
            return Some(value);
        }
        let (low, high) = (show(*range.start()), show(*range.end()));
        let fault = Fault::new(span, format!("`{key}` is {written}; it lies between {low} and {high}"));
        self.fault(fault.help(help));
        None
    }
}

fn the_default(shown: &impl Display) -> String {
    format!("the default is {shown}")
}

fn listed(words: &[impl Display]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

fn as_path(key: &str, text: &str) -> Result<String, Invalid> {
    match text.trim().is_empty() || text.contains('\0') {
        true => Err(Invalid::new(format!("`{key}` is blank"), "write a path")),
        false => Ok(text.to_owned()),
    }
}
