//! The files of one configuration: the main one, and `rules/*.toml` beside it in the order of their names.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use toml::de::{DeTable, Error};

use super::faults::{Faults, FileId};
use crate::rules::Fault;

/// A thousand rules take a quarter of it; more is a wrong file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// One a team is plenty; more is a wrong directory.
const FILES_MAX: usize = 256;
/// The tables of a file of rules take some 40 times its bytes.
const PARSED_AHEAD_MAX: usize = 1;

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    pub path: PathBuf,
    /// Empty where it could not be read.
    pub text: String,
}

/// A file's tables, as far as its syntax allows.
#[derive(Debug, Default)]
pub(super) struct Document<'text> {
    pub(super) file: FileId,
    pub(super) table: DeTable<'text>,
}

/// Reads every file; those that cannot be read are faults.
pub(super) fn read(main: &Path) -> (Vec<ConfigFile>, Vec<(FileId, Fault)>) {
    let (mut files, mut faults) = (Vec::new(), Vec::new());
    let mut add = |path: PathBuf, text: Result<String, io::Error>, help: &str| {
        if let Err(error) = &text {
            let message = format!("cannot read {}: {error}", path.display());
            faults.push((FileId(files.len()), Fault::new(0..0, message).help(help)));
        }
        files.push(ConfigFile { path, text: text.unwrap_or_default() });
    };
    add(main.to_owned(), read_text(main), "give the path of the main file with --config");
    let directory = main.parent().unwrap_or(Path::new("")).join("rules");
    match rule_files(&directory) {
        Ok(paths) => {
            for path in paths {
                let text = read_text(&path);
                add(path, text, "make it readable, or take it out of the directory");
            }
        }
        Err(error) => add(directory, Err(error), "make the directory readable, or take it away"),
    }
    (files, faults)
}

/// Calls `take` with the tables of each file in turn; what is not TOML is a fault, and the rest of that file is still
/// taken.
///
/// The next file is parsed while one is taken, and none is kept: the tables of many rules take far more memory than what
/// becomes of them.
pub(super) fn parse<'text>(
    files: &'text [ConfigFile],
    faults: &mut Faults<'_>,
    mut take: impl FnMut(&Document<'text>, &mut Faults<'_>),
) {
    thread::scope(|scope| {
        let (sender, parsed) = mpsc::sync_channel(PARSED_AHEAD_MAX);
        scope.spawn(move || {
            for file in files {
                if sender.send(DeTable::parse_recoverable(&file.text)).is_err() {
                    // Nobody takes them any more: the other thread panicked.
                    return;
                }
            }
        });
        for (number, (table, errors)) in parsed.into_iter().enumerate() {
            let file = FileId(number);
            for error in errors {
                faults.syntax(file, not_toml(&error, files[number].text.len()));
            }
            take(&Document { file, table: table.into_inner() }, faults);
        }
    });
}

fn not_toml(error: &Error, end: usize) -> Fault {
    let span = error.span().unwrap_or(end..end);
    let fault = Fault::new(span, format!("this is not TOML: {}", error.message()));
    fault.help("mend this line; what follows from it is left out of this report")
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn rule_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == "toml") && !hidden {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            return Err(io::Error::other(format!("it holds more than {FILES_MAX} files")));
        }
    }
    paths.sort();
    Ok(paths)
}
