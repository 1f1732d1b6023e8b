//! References to secrets: `env:NAME`, `file:PATH`, `credential:NAME`. A secret itself never stands in a configuration.

use std::path::PathBuf;

use super::Invalid;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file; one line end at its end is not part of the secret.
    File(PathBuf),
    /// A systemd credential (`LoadCredential=`), a file in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

const HELP: &str = r#"write where it is: "env:NAME", "file:/path" or "credential:NAME""#;

impl SecretRef {
    /// The reference that `text` is. The text is not quoted in the answer: it may be the secret itself.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => Ok(Self::Env(name.to_owned())),
            Some(("env", _)) => Err(Invalid::new(
                "after `env:` stands no name of an environment variable",
                "such a name is of letters, digits and `_`, and begins with no digit: \"env:STRIPE_WEBHOOK_SECRET\"",
            )),
            Some(("file", "")) => {
                Err(Invalid::new("after `file:` stands no path", "write \"file:/run/secrets/stripe\""))
            }
            Some(("file", path)) => Ok(Self::File(PathBuf::from(path))),
            Some(("credential", name)) if is_file_name(name) => Ok(Self::Credential(name.to_owned())),
            Some(("credential", _)) => Err(Invalid::new(
                "after `credential:` stands no credential's name",
                "write the name that LoadCredential= of the systemd unit gives it",
            )),
            _ if text.trim().is_empty() => Err(Invalid::new("the secret is blank", HELP)),
            _ => Err(Invalid::new("a secret stands in the file itself", HELP)),
        }
    }
}

fn is_variable(name: &str) -> bool {
    let letters = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    letters && !name.is_empty() && !name.starts_with(|letter: char| letter.is_ascii_digit())
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid() {
        for (text, expected) in [
            ("env:STRIPE_WEBHOOK_SECRET", SecretRef::Env("STRIPE_WEBHOOK_SECRET".into())),
            ("file:/run/secrets/x:y", SecretRef::File("/run/secrets/x:y".into())),
            ("file:relative", SecretRef::File("relative".into())),
            ("credential:stripe.whsec", SecretRef::Credential("stripe.whsec".into())),
        ] {
            assert_eq!(SecretRef::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn invalid() {
        for (text, message) in [
            ("", "the secret is blank"),
            ("  ", "the secret is blank"),
            ("whsec_abc", "a secret stands in the file itself"),
            ("Env:X", "a secret stands in the file itself"),
            ("vault:x", "a secret stands in the file itself"),
            ("env:", "after `env:` stands no name of an environment variable"),
            ("env:1X", "after `env:` stands no name of an environment variable"),
            ("env:A B", "after `env:` stands no name of an environment variable"),
            ("env:$X", "after `env:` stands no name of an environment variable"),
            ("file:", "after `file:` stands no path"),
            ("credential:", "after `credential:` stands no credential's name"),
            ("credential:../x", "after `credential:` stands no credential's name"),
        ] {
            assert_eq!(SecretRef::parse(text).unwrap_err().message, message, "{text}");
        }
    }
}
