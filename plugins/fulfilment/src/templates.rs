//! The words of the mails: one text and one HTML template a mail, in minijinja's language.
//!
//! The shipped ones, `config/mail`, are compiled in; a `templates` directory may hold files of the same names, which then stand in their
//! place (copy `config/mail` and edit). All are rendered once with sample data when the handler is created: a typing
//! mistake is a handler that does not start, not a mail that never goes. In `.html` everything is escaped. The text
//! template's first line is `Subject: …`.

use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};

use crate::outbox::Kind;

/// A template is some kilobytes; more is a wrong file.
const TEMPLATE_BYTES_MAX: u64 = 256 * 1024;
/// A subject that mail programs still show.
const SUBJECT_CHARS_MAX: usize = 150;

/// The templates, checked.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    welcome: Pair,
    new_subscription: Pair,
    receipt: Pair,
}

/// A mail's words, ready to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// One line.
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// What the access mails (welcome, new_subscription) can say.
#[derive(Debug, Clone)]
pub struct AccessFacts<'a> {
    /// The buyer's name, where known.
    pub name: Option<&'a str>,
    pub product: &'a str,
    /// The tier as customers know it.
    pub tier: &'a str,
    pub quantity: u32,
    /// Feature and amount.
    pub features: &'a [(String, i64)],
    /// Where to sign in.
    pub sign_in: Option<&'a str>,
}

/// What the receipt can say.
#[derive(Debug, Clone)]
pub struct ReceiptFacts<'a> {
    pub name: Option<&'a str>,
    pub product: &'a str,
    pub order: &'a str,
    /// With its currency, such as `29.00 USD`; `None` where Stripe named no sum.
    pub amount: Option<&'a str>,
}

/// What is wrong with a template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("cannot read the mail template {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the mail template {} is larger than {TEMPLATE_BYTES_MAX} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("the templates directory {} does not exist; remove the setting to use the shipped ones", path.display())]
    NoDirectory { path: PathBuf },
    #[error("the mail template {name} cannot be rendered")]
    Render { name: String, source: minijinja::Error },
    #[error("the mail template {name} must begin with a line `Subject: …` that is not empty")]
    Subject { name: String },
}

#[derive(Debug)]
struct Pair {
    text: String,
    html: String,
}

impl Templates {
    /// The shipped templates, each replaced by its namesake in `directory` where there is one.
    pub fn load(directory: Option<&Path>) -> Result<Self, TemplateError> {
        if let Some(path) = directory.filter(|path| !path.is_dir()) {
            return Err(TemplateError::NoDirectory { path: path.to_path_buf() });
        }
        let pair = |kind: Kind, text: &str, html: &str| {
            Ok(Pair { text: file(directory, kind, "txt", text)?, html: file(directory, kind, "html", html)? })
        };
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("minijinja's own delimiters are valid"));
        let welcome = (
            include_str!("../../../config/mail/welcome.txt"),
            include_str!("../../../config/mail/welcome.html"),
        );
        let again = (
            include_str!("../../../config/mail/new_subscription.txt"),
            include_str!("../../../config/mail/new_subscription.html"),
        );
        let receipt = (
            include_str!("../../../config/mail/receipt.txt"),
            include_str!("../../../config/mail/receipt.html"),
        );
        let templates = Self {
            environment,
            welcome: pair(Kind::Welcome, welcome.0, welcome.1)?,
            new_subscription: pair(Kind::NewSubscription, again.0, again.1)?,
            receipt: pair(Kind::Receipt, receipt.0, receipt.1)?,
        };
        templates.try_out()?;
        Ok(templates)
    }

    /// The words of a welcome or new-subscription mail.
    pub fn access(&self, kind: Kind, facts: &AccessFacts<'_>) -> Result<Words, TemplateError> {
        let features: Vec<Value> = facts
            .features
            .iter()
            .map(|(feature, amount)| context! { name => feature.replace('_', " "), amount => *amount })
            .collect();
        let context = context! {
            name => facts.name,
            product => facts.product,
            tier => facts.tier,
            quantity => facts.quantity,
            features => Value::from(features.as_slice()),
            sign_in => facts.sign_in,
        };
        self.render(kind, &context)
    }

    /// The words of a receipt.
    pub fn receipt(&self, facts: &ReceiptFacts<'_>) -> Result<Words, TemplateError> {
        let context = context! {
            name => facts.name,
            product => facts.product,
            order => facts.order,
            amount => facts.amount,
        };
        self.render(Kind::Receipt, &context)
    }

    fn render(&self, kind: Kind, context: &Value) -> Result<Words, TemplateError> {
        let pair = match kind {
            Kind::Welcome => &self.welcome,
            Kind::NewSubscription => &self.new_subscription,
            Kind::Receipt => &self.receipt,
        };
        let render = |ending: &str, source: &str| {
            let name = format!("{}.{ending}", kind.word());
            self.environment
                .render_named_str(&name, source, context.clone())
                .map_err(|source| TemplateError::Render { name, source })
        };
        let text = render("txt", &pair.text)?;
        let html = render("html", &pair.html)?;
        let (subject, text) = split_subject(&text)
            .ok_or_else(|| TemplateError::Subject { name: format!("{}.txt", kind.word()) })?;
        Ok(Words { subject, text, html })
    }

    /// Every template with everything known, and with nothing known that may be missing.
    fn try_out(&self) -> Result<(), TemplateError> {
        let features = [("projects".to_owned(), 50)];
        for known in [true, false] {
            let name = known.then_some("Marta Quental");
            let facts = AccessFacts {
                name,
                product: "Inkwell",
                tier: "Plus",
                quantity: if known { 3 } else { 1 },
                features: if known { &features } else { &[] },
                sign_in: known.then_some("https://inkwell.example/sign-in"),
            };
            self.access(Kind::Welcome, &facts)?;
            self.access(Kind::NewSubscription, &facts)?;
            let amount = known.then_some("29.00 USD");
            self.receipt(&ReceiptFacts { name, product: "Inkwell", order: "order-1", amount })?;
        }
        Ok(())
    }
}

fn file(directory: Option<&Path>, kind: Kind, ending: &str, shipped: &str) -> Result<String, TemplateError> {
    let Some(path) = directory.map(|directory| directory.join(format!("{}.{ending}", kind.word()))) else {
        return Ok(shipped.to_owned());
    };
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(shipped.to_owned()),
        Ok(metadata) if metadata.len() > TEMPLATE_BYTES_MAX => return Err(TemplateError::TooLarge { path }),
        _ => {}
    }
    std::fs::read_to_string(&path).map_err(|source| TemplateError::Read { path, source })
}

/// `Subject: x`, a blank line, the text. A buyer's name in the subject cannot start another header: whatever is no
/// printable character becomes a space, and the rendered line ends where the template's line ends or sooner.
fn split_subject(text: &str) -> Option<(String, String)> {
    let (first, rest) = text.split_once('\n')?;
    let subject = one_line(first.strip_prefix("Subject:")?);
    (!subject.is_empty()).then(|| (subject, rest.trim_start_matches(['\r', '\n']).to_owned()))
}

/// Runs of white space and control characters as single spaces, cut to a length that fits a header.
pub fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(SUBJECT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<'a>(name: &'a str, features: &'a [(String, i64)]) -> AccessFacts<'a> {
        AccessFacts {
            name: Some(name),
            product: "Inkwell",
            tier: "Plus",
            quantity: 3,
            features,
            sign_in: None,
        }
    }

    #[test]
    fn the_shipped_words_say_what_was_bought() {
        let templates = Templates::load(None).unwrap();
        let features = [("storage_gb".to_owned(), 300)];
        let welcome = templates.access(Kind::Welcome, &facts("Marta", &features)).unwrap();
        let again = templates.access(Kind::NewSubscription, &facts("Marta", &features)).unwrap();
        for words in [&welcome, &again] {
            for part in [&words.text, &words.html] {
                assert!(part.contains("Marta") && part.contains("Plus") && part.contains("300"), "{part}");
                assert!(part.contains("storage gb"), "{part}");
            }
            assert!(!words.text.starts_with("Subject") && !words.text.starts_with('\n'));
        }
        assert_ne!(welcome.subject, again.subject);
        let receipt =
            ReceiptFacts { name: None, product: "Inkwell", order: "o-1", amount: Some("29.00 USD") };
        let receipt = templates.receipt(&receipt).unwrap();
        assert!(receipt.text.contains("o-1") && receipt.text.contains("29.00 USD"), "{}", receipt.text);
    }

    #[test]
    fn a_hostile_name_stays_a_name() {
        let templates = Templates::load(None).unwrap();
        let name = "Eve\r\nBcc: all@buyer.example\r\n\r\n<script>alert(1)</script> {{ 7*7 }}";
        let words = templates.access(Kind::Welcome, &facts(&one_line(name), &[])).unwrap();
        assert!(!words.subject.contains(['\r', '\n']));
        assert!(!words.html.contains("<script>"), "{}", words.html);
        assert!(words.text.contains("{{ 7*7 }}"), "a value is never a template");
        let raw = templates.access(Kind::Welcome, &facts(name, &[])).unwrap();
        assert!(!raw.subject.contains(['\r', '\n']));
    }

    #[test]
    fn a_directory_replaces_templates_one_by_one() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("welcome.txt"), "Subject: Hi {{ name }}\n\nOurs").unwrap();
        let templates = Templates::load(Some(directory.path())).unwrap();
        let words = templates.access(Kind::Welcome, &facts("Marta", &[])).unwrap();
        assert_eq!((words.subject.as_str(), words.text.as_str()), ("Hi Marta", "Ours"));
        assert!(words.html.contains("Plus"));
    }

    #[test]
    fn a_broken_template_is_found_when_it_is_loaded() {
        let broken = [
            ("welcome.txt", "Subject: x\n\n{{ nmae }}", "welcome.txt cannot be rendered"),
            ("receipt.html", "{% if %}", "receipt.html cannot be rendered"),
            ("new_subscription.txt", "Hello", "must begin with a line"),
            ("receipt.txt", "Subject:\n\nx", "must begin with a line"),
        ];
        for (name, source, expected) in broken {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join(name), source).unwrap();
            let error = Templates::load(Some(directory.path())).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(matches!(
            Templates::load(Some(Path::new("/nowhere"))),
            Err(TemplateError::NoDirectory { .. })
        ));
    }
}
