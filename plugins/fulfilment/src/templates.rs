//! The words of the mails: one text and one HTML template a mail, in minijinja's language.
//!
//! The shipped ones, `config/mail`, are compiled in; a `templates` directory may hold files of the same names, which then
//! stand in their place (copy `config/mail` and edit). Beside them it may hold variants for a tier, a language or both:
//! `welcome.tier_2.txt`, `welcome.de.txt`, `welcome.tier_2.de.txt`, each with its `.html`. The closest one is taken; the
//! language is the one in which the buyer saw Checkout. All are rendered once with sample data when the handler is created:
//! a typing mistake is a handler that does not start, not a mail that never goes. In `.html` everything is escaped. The
//! text template's first line is `Subject: …`.

use std::collections::BTreeMap;
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
    /// By the file's name without its ending: `welcome`, `welcome.de`, `welcome.tier_2.de`.
    pairs: BTreeMap<String, Pair>,
}

/// Who a mail is for, as far as it chooses the words.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choice<'a> {
    /// The tier's id.
    pub tier: Option<&'a str>,
    /// As Stripe has it, such as `de` or `pt-BR`.
    pub locale: Option<&'a str>,
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
    #[error("the mail template {} belongs to no mail; names begin with {}", path.display(), Kind::WORDS.join(", "))]
    Stray { path: PathBuf },
    #[error("the mail template {name}.{has} needs {name}.{lacks} beside it: one mail has both parts")]
    Half { name: String, has: &'static str, lacks: &'static str },
    #[error("the mail template {name} must begin with a line `Subject: …` that is not empty")]
    Subject { name: String },
}

/// What is compiled in.
const SHIPPED: [(Kind, &str, &str); 3] = [
    (
        Kind::Welcome,
        include_str!("../../../config/mail/welcome.txt"),
        include_str!("../../../config/mail/welcome.html"),
    ),
    (
        Kind::NewSubscription,
        include_str!("../../../config/mail/new_subscription.txt"),
        include_str!("../../../config/mail/new_subscription.html"),
    ),
    (
        Kind::Receipt,
        include_str!("../../../config/mail/receipt.txt"),
        include_str!("../../../config/mail/receipt.html"),
    ),
];

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
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.expect("minijinja's own delimiters are valid"));
        let mut pairs = BTreeMap::new();
        for (kind, text, html) in SHIPPED {
            let pair = Pair { text: text.to_owned(), html: html.to_owned() };
            pairs.insert(kind.word().to_owned(), pair);
        }
        if let Some(directory) = directory {
            replace(&mut pairs, directory)?;
        }
        let templates = Self { environment, pairs };
        templates.try_out()?;
        Ok(templates)
    }

    /// The words of a welcome or new-subscription mail.
    pub fn access(
        &self,
        kind: Kind,
        choice: Choice<'_>,
        facts: &AccessFacts<'_>,
    ) -> Result<Words, TemplateError> {
        self.render(self.closest(kind, choice), &access_context(facts))
    }

    /// The words of a receipt.
    pub fn receipt(&self, choice: Choice<'_>, facts: &ReceiptFacts<'_>) -> Result<Words, TemplateError> {
        self.render(self.closest(Kind::Receipt, choice), &receipt_context(facts))
    }

    /// Tier and language, else the tier, else the language, else neither; a language's region only where it is there.
    fn closest(&self, kind: Kind, choice: Choice<'_>) -> &str {
        let locale = choice.locale.map(str::to_ascii_lowercase);
        let language = locale.as_deref().and_then(|locale| locale.split('-').next());
        let names = [
            choice
                .tier
                .zip(locale.as_deref())
                .map(|(tier, locale)| format!("{}.{tier}.{locale}", kind.word())),
            choice.tier.zip(language).map(|(tier, language)| format!("{}.{tier}.{language}", kind.word())),
            choice.tier.map(|tier| format!("{}.{tier}", kind.word())),
            locale.as_deref().map(|locale| format!("{}.{locale}", kind.word())),
            language.map(|language| format!("{}.{language}", kind.word())),
        ];
        let found = names.into_iter().flatten().find_map(|name| self.pairs.get_key_value(&name));
        found.map_or(kind.word(), |(name, _)| name)
    }

    fn render(&self, name: &str, context: &Value) -> Result<Words, TemplateError> {
        let pair = &self.pairs[name];
        let render = |ending: &str, source: &str| {
            let name = format!("{name}.{ending}");
            self.environment
                .render_named_str(&name, source, context.clone())
                .map_err(|source| TemplateError::Render { name, source })
        };
        let text = render("txt", &pair.text)?;
        let html = render("html", &pair.html)?;
        let (subject, text) =
            split_subject(&text).ok_or_else(|| TemplateError::Subject { name: format!("{name}.txt") })?;
        Ok(Words { subject, text, html })
    }

    /// Every template with everything known, and with nothing known that may be missing.
    fn try_out(&self) -> Result<(), TemplateError> {
        let features = [("projects".to_owned(), 50)];
        for known in [true, false] {
            let name = known.then_some("Marta Quental");
            let access = access_context(&AccessFacts {
                name,
                product: "Inkwell",
                tier: "Plus",
                quantity: if known { 3 } else { 1 },
                features: if known { &features } else { &[] },
                sign_in: known.then_some("https://inkwell.example/sign-in"),
            });
            let amount = known.then_some("29.00 USD");
            let receipt =
                receipt_context(&ReceiptFacts { name, product: "Inkwell", order: "order-1", amount });
            for template in self.pairs.keys() {
                let is_receipt = template.starts_with(Kind::Receipt.word());
                self.render(template, if is_receipt { &receipt } else { &access })?;
            }
        }
        Ok(())
    }
}

fn access_context(facts: &AccessFacts<'_>) -> Value {
    let features: Vec<Value> = facts
        .features
        .iter()
        .map(|(feature, amount)| context! { name => feature.replace('_', " "), amount => *amount })
        .collect();
    context! {
        name => facts.name,
        product => facts.product,
        tier => facts.tier,
        quantity => facts.quantity,
        features => Value::from(features.as_slice()),
        sign_in => facts.sign_in,
    }
}

fn receipt_context(facts: &ReceiptFacts<'_>) -> Value {
    context! {
        name => facts.name,
        product => facts.product,
        order => facts.order,
        amount => facts.amount,
    }
}

/// Reads a directory's files over the shipped ones. A variant has both parts, so that no mail is in two languages.
fn replace(pairs: &mut BTreeMap<String, Pair>, directory: &Path) -> Result<(), TemplateError> {
    let read = |source| TemplateError::Read { path: directory.to_path_buf(), source };
    let mut parts: BTreeMap<String, (Option<String>, Option<String>)> = BTreeMap::new();
    for entry in std::fs::read_dir(directory).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let name = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default().to_owned();
        let Some((name, ending)) = name.rsplit_once('.') else { continue };
        if !["txt", "html"].contains(&ending) {
            continue;
        }
        if !Kind::WORDS.contains(&name.split('.').next().unwrap_or_default()) {
            return Err(TemplateError::Stray { path });
        }
        let source = file(&path)?;
        let part = parts.entry(name.to_owned()).or_default();
        *(if ending == "txt" { &mut part.0 } else { &mut part.1 }) = Some(source);
    }
    for (name, (text, html)) in parts {
        let shipped = pairs.remove(&name).map(|pair| (pair.text, pair.html));
        let (shipped_text, shipped_html) = shipped.unzip();
        let half = |has, lacks| TemplateError::Half { name: name.clone(), has, lacks };
        let text = text.or(shipped_text).ok_or_else(|| half("html", "txt"))?;
        let html = html.or(shipped_html).ok_or_else(|| half("txt", "html"))?;
        pairs.insert(name, Pair { text, html });
    }
    Ok(())
}

fn file(path: &Path) -> Result<String, TemplateError> {
    let read = |source| TemplateError::Read { path: path.to_path_buf(), source };
    if std::fs::metadata(path).map_err(read)?.len() > TEMPLATE_BYTES_MAX {
        return Err(TemplateError::TooLarge { path: path.to_path_buf() });
    }
    std::fs::read_to_string(path).map_err(read)
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
        let welcome = templates.access(Kind::Welcome, Choice::default(), &facts("Marta", &features)).unwrap();
        let again =
            templates.access(Kind::NewSubscription, Choice::default(), &facts("Marta", &features)).unwrap();
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
        let receipt = templates.receipt(Choice::default(), &receipt).unwrap();
        assert!(receipt.text.contains("o-1") && receipt.text.contains("29.00 USD"), "{}", receipt.text);
    }

    #[test]
    fn a_hostile_name_stays_a_name() {
        let templates = Templates::load(None).unwrap();
        let name = "Eve\r\nBcc: all@buyer.example\r\n\r\n<script>alert(1)</script> {{ 7*7 }}";
        let words = templates.access(Kind::Welcome, Choice::default(), &facts(&one_line(name), &[])).unwrap();
        assert!(!words.subject.contains(['\r', '\n']));
        assert!(!words.html.contains("<script>"), "{}", words.html);
        assert!(words.text.contains("{{ 7*7 }}"), "a value is never a template");
        let raw = templates.access(Kind::Welcome, Choice::default(), &facts(name, &[])).unwrap();
        assert!(!raw.subject.contains(['\r', '\n']));
    }

    #[test]
    fn a_directory_replaces_templates_one_by_one() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("welcome.txt"), "Subject: Hi {{ name }}\n\nOurs").unwrap();
        let templates = Templates::load(Some(directory.path())).unwrap();
        let words = templates.access(Kind::Welcome, Choice::default(), &facts("Marta", &[])).unwrap();
        assert_eq!((words.subject.as_str(), words.text.as_str()), ("Hi Marta", "Ours"));
        assert!(words.html.contains("Plus"));
    }

    #[test]
    fn the_closest_variant_for_tier_and_language_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["welcome.de", "welcome.tier_2", "welcome.tier_2.de", "welcome.pt-br", "receipt.de"] {
            std::fs::write(directory.path().join(format!("{name}.txt")), format!("Subject: {name}\n\nx"))
                .unwrap();
            std::fs::write(directory.path().join(format!("{name}.html")), "x").unwrap();
        }
        let templates = Templates::load(Some(directory.path())).unwrap();
        let subject = |tier: &str, locale: Option<&str>| {
            let choice = Choice { tier: Some(tier), locale };
            templates.access(Kind::Welcome, choice, &facts("Marta", &[])).unwrap().subject
        };
        assert_eq!(subject("tier_2", Some("de")), "welcome.tier_2.de");
        assert_eq!(subject("tier_2", Some("de-AT")), "welcome.tier_2.de");
        assert_eq!(subject("tier_2", Some("fr")), "welcome.tier_2");
        assert_eq!(subject("tier_1", Some("de-AT")), "welcome.de");
        assert_eq!(subject("tier_1", Some("pt-BR")), "welcome.pt-br");
        assert_eq!(subject("tier_1", Some("auto")), "Welcome to Inkwell");
        assert_eq!(subject("tier_1", None), "Welcome to Inkwell");
        let facts = ReceiptFacts { name: None, product: "Inkwell", order: "o-1", amount: None };
        let choice = Choice { tier: None, locale: Some("de") };
        assert_eq!(templates.receipt(choice, &facts).unwrap().subject, "receipt.de");
    }

    #[test]
    fn a_broken_template_is_found_when_it_is_loaded() {
        let broken = [
            ("welcome.txt", "Subject: x\n\n{{ nmae }}", "welcome.txt cannot be rendered"),
            ("receipt.html", "{% if %}", "receipt.html cannot be rendered"),
            ("new_subscription.txt", "Hello", "must begin with a line"),
            ("receipt.txt", "Subject:\n\nx", "must begin with a line"),
            ("welcome.de.txt", "Subject: x\n\nx", "welcome.de.txt needs welcome.de.html"),
            ("welcom.txt", "Subject: x\n\nx", "belongs to no mail"),
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
