//! The JSON Schema of a plugin's settings, and what a handler's settings break of it: each fault with the path of the
//! key, as the words of `hookyard check` are, and never with the value, which may be a secret in the wrong place.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError};
use serde::Serialize;
use serde_json::Value;

use super::ArtifactError;
use crate::rules::nearest;

/// The settings' schema as the library holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Schema(Value);

/// A key of the settings that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingsFault {
    /// Where it is, such as `mail.transport` or `tiers[2]`; empty for the settings as a whole.
    pub path: String,
    pub message: String,
    pub help: Option<String>,
}

impl Schema {
    pub(super) fn read(json: &[u8]) -> Result<Self, ArtifactError> {
        let note = |why: String| ArtifactError::Note { what: "settings", why };
        let schema: Value = serde_json::from_slice(json).map_err(|error| note(error.to_string()))?;
        validator(&schema).map_err(|error| note(format!("it is no JSON Schema: {error}")))?;
        Ok(Self(schema))
    }

    /// What these settings break, in the order of the schema; empty where they are right.
    pub fn faults(&self, settings: &Value) -> Vec<SettingsFault> {
        // It was one when it was read.
        let Ok(validator) = validator(&self.0) else { return Vec::new() };
        validator.iter_errors(settings).flat_map(|error| self.words(&error)).collect()
    }

    /// The schema's own properties: name, kind, whether it must be there, and what it says of itself.
    pub fn properties(&self) -> Vec<Property> {
        let empty = serde_json::Map::new();
        let properties = self.0.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required = self.0.get("required").and_then(Value::as_array);
        let property = |(name, schema): (&String, &Value)| Property {
            name: name.clone(),
            kind: kind(schema),
            required: required.is_some_and(|names| names.iter().any(|it| it == name)),
            description: schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
        };
        properties.iter().map(property).collect()
    }

    fn words(&self, error: &ValidationError<'_>) -> Vec<SettingsFault> {
        let at = path(error.instance_path().as_str());
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = self.keys_beside(error.schema_path().as_str());
                unexpected.iter().map(|key| unknown(&at, key, &known)).collect()
            }
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                vec![SettingsFault { path: join(&at, key), message: "is missing".to_owned(), help: None }]
            }
            _ => vec![SettingsFault { path: at, message: error.masked().to_string(), help: None }],
        }
    }

    /// The keys that the object knows which this keyword of the schema belongs to.
    fn keys_beside(&self, keyword: &str) -> Vec<String> {
        let object = keyword.rsplit_once('/').map_or("", |(object, _)| object);
        let properties = self.0.pointer(&format!("{object}/properties")).and_then(Value::as_object);
        properties.map(|known| known.keys().cloned().collect()).unwrap_or_default()
    }
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    pub name: String,
    pub kind: String,
    pub required: bool,
    pub description: String,
}

impl std::fmt::Display for SettingsFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message)?,
            path => write!(f, "`{path}` {}", self.message)?,
        }
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

fn validator(schema: &Value) -> Result<jsonschema::Validator, ValidationError<'static>> {
    jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true).build(schema)
}

fn unknown(at: &str, key: &str, known: &[String]) -> SettingsFault {
    let help = nearest(key, known.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
    let help = help.or_else(|| {
        let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        (!names.is_empty()).then(|| format!("the plugin knows {}", names.join(", ")))
    });
    SettingsFault { path: join(at, key), message: "is no setting of this plugin".to_owned(), help }
}

/// `/mail/hosts/0` as `mail.hosts[0]`.
fn path(pointer: &str) -> String {
    pointer.split('/').skip(1).fold(String::new(), |path, segment| {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        if segment.bytes().all(|byte| byte.is_ascii_digit()) && !path.is_empty() {
            format!("{path}[{segment}]")
        } else {
            join(&path, &segment)
        }
    })
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

fn kind(schema: &Value) -> String {
    match schema.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ if schema.get("enum").is_some() => "one of several words".to_owned(),
        _ => "a table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["database"],
            "properties": {
                "database": { "type": "string" },
                "mail": {
                    "type": "object", "additionalProperties": false,
                    "properties": { "transport": { "enum": ["smtp", "file"] }, "hosts": { "type": "array", "items": { "type": "string" } } },
                },
            },
        });
        Schema::read(schema.to_string().as_bytes()).unwrap()
    }

    fn said(settings: &Value) -> Vec<String> {
        schema().faults(settings).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_wrong_key_is_told_with_its_path_and_without_its_value() {
        assert!(said(&json!({ "database": "x" })).is_empty());
        let settings = json!({ "databse": "s3cret", "mail": { "transport": "s3cret", "hosts": ["a", 7] } });
        let mut said = said(&settings);
        said.sort();
        assert_eq!(
            said,
            [
                "`database` is missing",
                "`databse` is no setting of this plugin; did you mean `database`?",
                "`mail.hosts[1]` value is not of type \"string\"",
                "`mail.transport` value is not one of \"smtp\" or \"file\"",
            ]
        );
    }

    #[test]
    fn what_is_no_schema_is_refused_when_it_is_read() {
        let said = |json: &str| Schema::read(json.as_bytes()).unwrap_err().to_string();
        assert!(said("{").contains("its note of settings cannot be read"));
        assert!(said(r#"{"type":"nonsense"}"#).contains("it is no JSON Schema"));
        assert!(said(r#"{"$ref":"https://elsewhere.example/schema.json"}"#).contains("it is no JSON Schema"));
    }
}
