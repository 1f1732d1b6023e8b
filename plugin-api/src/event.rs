//! The event, as a handler sees it. Made by `ffi` from what the host lends for one call; read only.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::Failure;

/// One event, borrowed for one call of [`crate::Handler::handle`].
#[derive(Debug, Clone)]
pub struct Event<'a> {
    pub(crate) id: &'a str,
    pub(crate) source: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) rule: &'a str,
    pub(crate) attempt: u32,
    pub(crate) received_unix_ms: u64,
    pub(crate) content_type: &'a str,
    pub(crate) body: &'a [u8],
    pub(crate) headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Event<'a> {
    /// hookyard's id of the event: the same over all attempts.
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// The `x` of `[source.x]` in the configuration.
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// The provider's word for what happened, such as `checkout.session.completed`.
    pub fn event_type(&self) -> &'a str {
        self.event_type
    }

    /// The name of the rule that took the event.
    pub fn rule(&self) -> &'a str {
        self.rule
    }

    /// 1 for the first attempt.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When hookyard received the event, Unix milliseconds.
    pub fn received_unix_ms(&self) -> u64 {
        self.received_unix_ms
    }

    /// The request's content type, as received.
    pub fn content_type(&self) -> &'a str {
        self.content_type
    }

    /// The very bytes received.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The first header of that name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The headers kept with the event, names in lower case, in the order received.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.headers.iter().copied()
    }

    /// The body as JSON. Failing is a rejection with code `invalid_json`: the bytes will never change. Its message
    /// tells the place, and nothing of what the body holds.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(self.body).map_err(|error| Failure::reject("invalid_json", describe(&error)))
    }
}

/// Says what is wrong without a word of the payload, which serde's own messages quote.
fn describe(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Data => {
            missing_field(error).unwrap_or_else(|| "a value is not of the kind expected".to_owned())
        }
        Category::Eof => "it ends too early".to_owned(),
        Category::Syntax | Category::Io => "it is not JSON".to_owned(),
    };
    format!("the body cannot be read: {what} (line {}, column {})", error.line(), error.column())
}

/// A missing field's name comes from the handler's own types, not from the payload.
fn missing_field(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let name = text.strip_prefix("missing field `")?.split('`').next()?;
    Some(format!("the field `{name}` is missing"))
}
