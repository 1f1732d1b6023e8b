//! Fetches the secrets that a configuration refers to: once, when it is checked.
//!
//! What is fetched goes into `SecretString`s of the snapshot and nowhere else; a fault names the reference, never the value.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::LoadOptions;
use super::elements::Invalid;
use super::elements::secret::SecretRef;
use super::faults::{Faults, Spotted};
use crate::rules::Fault;

/// Keys in PEM are below it; more is a wrong file.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Where systemd puts a unit's credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The secret behind `reference`. `None`: a fault or, under `--dev`, a variable that is not set, which is a warning.
pub(super) fn fetch(
    reference: &Spotted<SecretRef>,
    options: LoadOptions<'_>,
    faults: &mut Faults<'_>,
) -> Option<SecretString> {
    let at = |message: String, help: &str| Fault::new(reference.spot.span.clone(), message).help(help);
    let file = reference.spot.file;
    let read = match &reference.value {
        SecretRef::Env(name) => match (options.env)(name) {
            Some(value) => Ok(value),
            None => {
                let message = format!("the environment variable {name} is not set");
                if options.dev {
                    faults.warn(file, at(message, "without it this secret is left out, as --dev allows"));
                } else {
                    let help = "set it for the daemon, or start with --dev for a throw-away secret";
                    faults.fault(file, at(message, help));
                }
                return None;
            }
        },
        SecretRef::File(path) => {
            faults.reads_secret(path.clone());
            from_file(path)
        }
        SecretRef::Credential(name) => credential(name, options).and_then(|path| {
            faults.reads_secret(path.clone());
            from_file(&path)
        }),
    };
    let checked = read.and_then(|value| match value.trim().is_empty() {
        true => Err(Invalid::new(blank(&reference.value), "set it: a blank secret would let anyone sign")),
        false => Ok(value),
    });
    match checked {
        Ok(value) => Some(SecretString::from(value)),
        Err(invalid) => {
            faults.fault(file, at(invalid.message, &invalid.help));
            None
        }
    }
}

fn blank(reference: &SecretRef) -> String {
    match reference {
        SecretRef::Env(name) => format!("the environment variable {name} is blank"),
        SecretRef::File(path) => format!("the file {} holds a blank secret", path.display()),
        SecretRef::Credential(name) => format!("the credential {name} is blank"),
    }
}

fn credential(name: &str, options: LoadOptions<'_>) -> Result<PathBuf, Invalid> {
    let Some(directory) = (options.env)(CREDENTIALS_DIRECTORY).filter(|directory| !directory.is_empty())
    else {
        let message = format!("there is no credential {name}: {CREDENTIALS_DIRECTORY} is not set");
        return Err(Invalid::new(
            message,
            "start the daemon as a systemd unit with LoadCredential=, or use env: or file:",
        ));
    };
    Ok(PathBuf::from(directory).join(name))
}

fn from_file(path: &Path) -> Result<String, Invalid> {
    let unreadable = |error: &io::Error| {
        let message = format!("cannot read the secret's file {}: {error}", path.display());
        Invalid::new(message, "the daemon's user must be able to read it")
    };
    let mut value = String::new();
    let read = File::open(path).and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut value));
    read.map_err(|error| unreadable(&error))?;
    if value.len() as u64 > SECRET_BYTES_MAX {
        return Err(unreadable(&io::Error::other(format!("it is larger than {SECRET_BYTES_MAX} bytes"))));
    }
    let end = value.trim_end_matches(['\n', '\r']).len();
    value.truncate(end);
    Ok(value)
}
