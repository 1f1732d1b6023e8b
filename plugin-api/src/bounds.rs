//! What a handler's own types must be able to do. Each of these traits stands for a bound of serde's or the standard
//! library's, and is there by itself for every type that meets it; they have names of their own so that the compiler can
//! say what to do where one does not. `tests/help.rs` holds it to those words.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A handler's settings: any type that owns what it deserializes.
///
/// ```
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Settings {
///     greeting: String,
/// }
///
/// let settings = <Settings as hookyard_plugin::HandlerSettings>::read(br#"{ "greeting": "hello" }"#)?;
/// assert_eq!(settings.greeting, "hello");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the settings of a handler",
    label = "hookyard hands settings over as JSON, and this cannot be read from it",
    note = "derive it: `#[derive(serde::Deserialize)]`, best with `#[serde(deny_unknown_fields)]`; borrow nothing in it"
)]
pub trait HandlerSettings: Sized {
    /// Reads the JSON object that hookyard made of the configuration's TOML.
    ///
    /// # Errors
    /// serde's own, which names the field.
    fn read(json: &[u8]) -> Result<Self, serde_json::Error>;
}

/// What a step returns and hookyard keeps: any type that can be written as JSON and read again.
///
/// ```
/// use hookyard_plugin::StepResult;
///
/// #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
/// struct Charged {
///     id: String,
/// }
///
/// let charged = Charged { id: "ch_1".to_owned() };
/// assert_eq!(Charged::recall(&charged.record()?)?, charged);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a step",
    label = "a step's result is kept as JSON for the retries, and this cannot be written and read again",
    note = "return what a retry needs to go on: an id, `()`, or a type with `#[derive(serde::Serialize, serde::Deserialize)]`"
)]
pub trait StepResult: Sized {
    /// The JSON that is kept; hookyard keeps 3 KiB.
    ///
    /// # Errors
    /// Where the type refuses to be written.
    fn record(&self) -> Result<Vec<u8>, serde_json::Error>;

    /// The result again, of what was kept.
    ///
    /// # Errors
    /// Where another type was kept.
    fn recall(memo: &[u8]) -> Result<Self, serde_json::Error>;
}

/// An error that `?` turns into a [`crate::Failure`] (a retry) or a [`crate::CreateError`]: every `std::error::Error`.
///
/// ```
/// use hookyard_plugin::Cause;
///
/// let error = "x".parse::<u32>().unwrap_err();
/// assert_eq!(error.sentence(), "invalid digit found in string");
/// ```
#[diagnostic::on_unimplemented(
    message = "`?` cannot make a failure of `{Self}`",
    label = "this is no `std::error::Error`: say what it means, as in `.map_err(|why| Failure::retry(\"code\", why))?`"
)]
pub trait Cause {
    /// The error and its causes, as one line.
    fn sentence(&self) -> String;
}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> HandlerSettings for T {
    fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> StepResult for T {
    fn record(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    fn recall(memo: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(memo)
    }
}

#[diagnostic::do_not_recommend]
impl<E: std::error::Error> Cause for E {
    fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
