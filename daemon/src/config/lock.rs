//! `hookyard plugin lock`: pins written into a configuration's text, and nothing else of it touched: its comments, its
//! order and its spaces stay.

use std::path::{Path, PathBuf};

use minisign_verify::PublicKey;
use toml_edit::{Array, DocumentMut, Item, TableLike, Value};

use super::elements::key;
use crate::model::limits::PINS_MAX;
use crate::model::signed_by::SignedBy;

/// Why nothing was pinned.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{0}")]
    NotToml(String),
    #[error("there is no [plugin.{0}]")]
    NoPlugin(String),
    #[error("[plugin.{0}] has no `path`")]
    NoPath(String),
    #[error("[plugins]: what stands in `trusted_keys` are not public keys of minisign")]
    NotKeys,
    #[error("[plugin.{name}]: {why}")]
    Library { name: String, why: String },
}

/// A plugin's pins, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    pub plugin: String,
    pub path: PathBuf,
    pub before: Vec<String>,
    pub after: Vec<String>,
}

/// Pins the plugins of these names (without names, all) to what `hash` says of their files, where they bear the signature
/// that it is told of. With `keep`, what was pinned stays pinned beside it. Returns the new text.
pub fn lock(
    text: &str,
    names: &[String],
    keep: bool,
    hash: impl Fn(&Path, Option<&SignedBy>) -> Result<String, String>,
) -> Result<(String, Vec<Locked>), LockError> {
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| LockError::NotToml(error.to_string()))?;
    let mut locked = Vec::new();
    let keys = trusted_keys(&document)?;
    let plugins = document.get_mut("plugin").and_then(Item::as_table_like_mut);
    let mut known = Vec::new();
    for (name, section) in plugins.into_iter().flat_map(TableLike::iter_mut) {
        let name = name.get().to_owned();
        let wanted = names.is_empty() || names.contains(&name);
        if let (true, Some(section)) = (wanted, section.as_table_like_mut()) {
            locked.push(pin(&name, section, keep, keys.as_deref(), &hash)?);
        }
        known.push(name);
    }
    match names.iter().find(|name| !known.contains(name)) {
        Some(unknown) => Err(LockError::NoPlugin(unknown.clone())),
        None => Ok((document.to_string(), locked)),
    }
}

fn pin(
    name: &str,
    section: &mut dyn TableLike,
    keep: bool,
    keys: Option<&[PublicKey]>,
    hash: impl Fn(&Path, Option<&SignedBy>) -> Result<String, String>,
) -> Result<Locked, LockError> {
    let path = section.get("path").and_then(Item::as_str).map(PathBuf::from);
    let path = path.ok_or_else(|| LockError::NoPath(name.to_owned()))?;
    let signature = section.get("signature").and_then(Item::as_str).map(Path::new);
    let signed_by = keys.map(|keys| SignedBy::beside(&path, signature, keys.to_vec()));
    let found =
        hash(&path, signed_by.as_ref()).map_err(|why| LockError::Library { name: name.to_owned(), why })?;
    let before = pins(section.get("sha256"));
    let mut after = vec![found];
    if keep {
        after.extend(before.iter().filter(|pin| **pin != after[0]).cloned().collect::<Vec<_>>());
        after.truncate(PINS_MAX);
    }
    if before != after {
        write(section, &after);
    }
    Ok(Locked { plugin: name.to_owned(), path, before, after })
}

/// `[plugins] trusted_keys`. `None` where it is not written.
fn trusted_keys(document: &DocumentMut) -> Result<Option<Vec<PublicKey>>, LockError> {
    let keys = document.get("plugins").and_then(Item::as_table_like).and_then(|it| it.get("trusted_keys"));
    let Some(keys) = keys.and_then(Item::as_array) else { return Ok(None) };
    let parsed = |key: &Value| key::parse(key.as_str().unwrap_or_default()).map_err(|_| LockError::NotKeys);
    keys.iter().map(parsed).collect::<Result<_, _>>().map(Some)
}

fn pins(written: Option<&Item>) -> Vec<String> {
    let lower = |pin: &str| pin.strip_prefix("sha256:").unwrap_or(pin).to_ascii_lowercase();
    match written.and_then(Item::as_value) {
        Some(Value::String(pin)) => vec![lower(pin.value())],
        Some(Value::Array(pins)) => pins.iter().filter_map(Value::as_str).map(lower).collect(),
        _ => Vec::new(),
    }
}

fn write(section: &mut dyn TableLike, pins: &[String]) {
    let mut value = match pins {
        [pin] => Value::from(pin.as_str()),
        pins => Value::from(pins.iter().map(String::as_str).collect::<Array>()),
    };
    match section.get_mut("sha256").and_then(Item::as_value_mut) {
        Some(written) => {
            // A comment behind it is the value's own.
            *value.decor_mut() = written.decor().clone();
            *written = value;
        }
        None => {
            if let Some(space) = space_at_the_end(section) {
                value.decor_mut().set_suffix(space);
            }
            section.insert("sha256", Item::Value(value));
        }
    }
}

/// Takes the space before an inline table's brace from the value that is the last no longer.
fn space_at_the_end(section: &mut dyn TableLike) -> Option<String> {
    let (_, last) = section.iter_mut().last()?;
    let decor = last.as_value_mut()?.decor_mut();
    let space = decor.suffix()?.as_str()?.to_owned();
    if !space.trim().is_empty() {
        return None;
    }
    decor.set_suffix("");
    Some(space)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# top\n[plugin.sumo] # fulfils\npath = \"sumo.so\"   # built by CI\nsha256 = \"0000\" # old\n\n\
                        [plugin]\ndirect = { path = \"direct.so\" }\n";

    fn hash(path: &Path, signed_by: Option<&SignedBy>) -> Result<String, String> {
        if let Some(signed_by) = signed_by {
            return Ok(format!(
                "hash where {} is of {} keys",
                signed_by.file.display(),
                signed_by.keys.len()
            ));
        }
        match path.to_str() {
            Some("none.so") => Err("it is not there".to_owned()),
            _ => Ok(format!("hash of {}", path.display())),
        }
    }

    #[test]
    fn pins_are_written_and_comments_stay() {
        let (text, locked) = lock(TEXT, &[], false, hash).unwrap();
        let expected = TEXT
            .replace("\"0000\"", "\"hash of sumo.so\"")
            .replace("path = \"direct.so\"", "path = \"direct.so\", sha256 = \"hash of direct.so\"");
        assert_eq!(text, expected);
        assert_eq!(locked[0].before, ["0000"]);
        assert_eq!((locked[1].plugin.as_str(), locked[1].before.len()), ("direct", 0));
        let (again, _) = lock(&text, &[], false, hash).unwrap();
        assert_eq!(again, text);
    }

    #[test]
    fn one_plugin_alone_and_the_pins_before_beside_the_new() {
        let (text, locked) = lock(TEXT, &["sumo".to_owned()], true, hash).unwrap();
        assert_eq!(text, TEXT.replace("\"0000\"", "[\"hash of sumo.so\", \"0000\"]"));
        assert_eq!(locked.len(), 1);
        let (again, locked) = lock(&text, &["sumo".to_owned()], true, hash).unwrap();
        assert_eq!((again, locked[0].before.len()), (text, 2));
    }

    #[test]
    fn what_has_to_be_signed_is_pinned_only_where_it_is() {
        let key = minisign::KeyPair::generate_unencrypted_keypair().unwrap().pk.to_base64();
        let text = format!("{TEXT}[plugins]\ntrusted_keys = [\"{key}\"]\n")
            .replace("# old", "# old\nsignature = \"by-us.minisig\"");
        let (_, locked) = lock(&text, &[], false, hash).unwrap();
        assert_eq!(locked[0].after, ["hash where by-us.minisig is of 1 keys"]);
        assert_eq!(locked[1].after, ["hash where direct.so.minisig is of 1 keys"]);
        let said = lock(&text.replace(&key, "RW"), &[], false, hash).unwrap_err().to_string();
        assert!(said.contains("are not public keys of minisign"), "{said}");
    }

    #[test]
    fn what_cannot_be_pinned_is_told() {
        let said = |text: &str, names: &[String]| lock(text, names, false, hash).unwrap_err().to_string();
        assert_eq!(said(TEXT, &["smo".to_owned()]), "there is no [plugin.smo]");
        assert_eq!(said("[plugin.a]\n", &[]), "[plugin.a] has no `path`");
        assert_eq!(said("[plugin.a]\npath = \"none.so\"", &[]), "[plugin.a]: it is not there");
        assert!(said("[plugin", &[]).contains("TOML parse error"));
    }
}
