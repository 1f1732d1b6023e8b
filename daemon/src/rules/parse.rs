//! From a rule's `when` to its condition: which tables are conditions, which are tests, and what is wrong with them.
//!
//! Called by `config` with TOML that still knows its place. Every fault is collected, none ends the parse; a condition
//! that came with faults is never used. What a test asks is in `operators`.
//!
//! ```text
//! condition  = { path = value | test | steps …, any = [condition …], all = [condition …], not = condition }   all of it holds
//! value      = a string, number or boolean (eq), or a list of them (in)
//! test       = { operator = operand … }                                                                       all of it holds
//! steps      = { path = value | test | steps … }                                                  the path goes on below
//! ```

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::condition::{Check, Condition, Literal, Test};
use super::fault::Fault;
use super::operators::{self, FOREIGN, OPERATORS};
use super::sample::Sample;
use super::scope::{Astray, Paths, Scope};
use super::stripe_fields;
use super::suggest::nearest;
use super::watch::Watch;

pub(super) type Key<'toml> = Spanned<DeString<'toml>>;
pub(super) type Value<'toml> = Spanned<DeValue<'toml>>;
type Entry<'table, 'toml> = (&'table Key<'toml>, &'table Value<'toml>);

const COMBINATORS: [&str; 3] = ["all", "any", "not"];

/// How rules of other systems call ours.
const FOREIGN_COMBINATORS: [(&str, &str); 2] = [("and", "all"), ("or", "any")];

/// Parses the conditions of one rule set into one trie of watched paths.
#[derive(Debug)]
pub struct Parser<'set> {
    watch: &'set mut Watch,
    paths: &'set mut Paths,
    /// What is wrong. Not empty: no condition made so far may be used.
    pub faults: Vec<Fault>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Fault>,
}

impl<'set> Parser<'set> {
    /// A parser of rules that write their paths so, whose conditions will look at what is in `watch`.
    pub fn new(watch: &'set mut Watch, paths: &'set mut Paths) -> Self {
        Self { watch, paths, faults: Vec::new(), warnings: Vec::new() }
    }

    /// The sample of a rule: `percent` of the values at the path `by`. `None` with a fault where that is none.
    pub fn sample(&mut self, percent: f64, by: &str, span: Range<usize>) -> Option<Sample> {
        let scope = self.enter_text(&Scope::root(), by, span.clone())?;
        let (path, at) = self.watch.place(&[], scope.path());
        if !at.is_single() {
            let fault = Fault::new(span, "`by` names every element of an array");
            self.fault(fault.help("name a path that holds one value: \"id\", \"obj.customer\""));
            return None;
        }
        Some(Sample::new(percent, path, at))
    }

    /// The condition that `when` states. To be used only if [`Self::faults`] stayed empty.
    pub fn when(&mut self, when: &Spanned<DeValue<'_>>) -> Condition {
        self.condition(&Scope::root(), when)
    }

    /// A condition in its own table: the value of `when`, `not`, `some`, and what `any` and `all` list.
    pub(super) fn condition(&mut self, scope: &Scope, value: &Value<'_>) -> Condition {
        let DeValue::Table(table) = value.get_ref() else {
            self.fault(
                Fault::new(
                    value.span(),
                    format!("a condition is a table, and this is {}", a_kind(value.get_ref())),
                )
                .help(r#"write { type = "checkout.session.completed" }"#),
            );
            return Condition::all(Vec::new());
        };
        self.refuse_empty(table, value.span());
        let (tests, rest): (Vec<Entry<'_, '_>>, Vec<Entry<'_, '_>>) =
            table.iter().partition(|(key, _)| is_operator(key));
        if !tests.is_empty() && scope.in_element() && rest.is_empty() {
            return self.tests(scope, &tests);
        }
        for (key, _) in tests {
            self.operator_without_path(key);
        }
        let parts = rest.into_iter().map(|(key, value)| self.part(scope, key, value)).collect();
        Condition::all(parts)
    }

    /// One entry of a condition: a combinator or a path.
    fn part(&mut self, scope: &Scope, key: &Key<'_>, value: &Value<'_>) -> Condition {
        match key.get_ref().as_ref() {
            "any" => Condition::Any(self.list_of_conditions(scope, key, value)),
            "all" => Condition::All(self.list_of_conditions(scope, key, value)),
            "not" => self.condition(scope, value).negated(),
            word => {
                if let Some((_, ours)) = FOREIGN_COMBINATORS.iter().find(|(theirs, _)| *theirs == word) {
                    self.fault(Fault::new(key.span(), format!("there is no combinator `{word}`")).help(
                        format!("did you mean `{ours}`? a field of this name is written \"$.{word}\""),
                    ));
                }
                self.at_path(scope, key, value)
            }
        }
    }

    fn list_of_conditions(&mut self, scope: &Scope, key: &Key<'_>, value: &Value<'_>) -> Vec<Condition> {
        let DeValue::Array(list) = value.get_ref() else {
            let message = format!(
                "`{}` takes a list of conditions, and this is {}",
                key.get_ref(),
                a_kind(value.get_ref())
            );
            self.fault(Fault::new(value.span(), message).help(format!(
                "write {} = [{{ … }}, {{ … }}]; a field of this name is written \"$.{}\"",
                key.get_ref(),
                key.get_ref()
            )));
            return Vec::new();
        };
        if list.is_empty() {
            let message = format!("`{}` lists no condition", key.get_ref());
            self.fault(
                Fault::new(value.span(), message).help("list at least one condition, or take it away"),
            );
        }
        list.iter().map(|condition| self.condition(scope, condition)).collect()
    }

    /// A path and what is asked of it.
    fn at_path(&mut self, scope: &Scope, key: &Key<'_>, value: &Value<'_>) -> Condition {
        let Some(scope) = self.enter(scope, key) else { return Condition::all(Vec::new()) };
        match value.get_ref() {
            DeValue::Table(table) => self.below_path(&scope, key, value.span(), table),
            DeValue::Array(_) => match operators::literals(self, value) {
                Some(literals) => self.equality(&scope, value, literals),
                None => Condition::all(Vec::new()),
            },
            _ => match operators::literal(self, value) {
                Some(literal) => self.equality(&scope, value, vec![literal]),
                None => Condition::all(Vec::new()),
            },
        }
    }

    fn enter(&mut self, scope: &Scope, key: &Key<'_>) -> Option<Scope> {
        self.enter_text(scope, key.get_ref(), key.span())
    }

    fn enter_text(&mut self, scope: &Scope, text: &str, span: Range<usize>) -> Option<Scope> {
        if let Some(known) = self.paths.recall(scope, text) {
            return Some(known);
        }
        let (entered, written) = match scope.enter(text, self.paths.aliases()) {
            Ok(entered) => entered,
            Err(astray) => {
                self.fault(astray.told(text, span));
                return None;
            }
        };
        let mistyped = written.filter(|_| !scope.in_element()).and_then(|written| {
            stripe_fields::mistyped(scope.path().steps(), &written, self.paths.aliases(), span)
        });
        Some(match mistyped {
            Some(warning) => {
                self.warn(warning);
                entered
            }
            None => self.paths.remember(scope, text, entered),
        })
    }

    /// A table after a path: a test if it holds operators, further steps if it holds none.
    fn below_path(
        &mut self,
        scope: &Scope,
        key: &Key<'_>,
        span: Range<usize>,
        table: &DeTable<'_>,
    ) -> Condition {
        self.refuse_empty(table, if span.is_empty() { key.span() } else { span });
        let (tests, rest): (Vec<Entry<'_, '_>>, Vec<Entry<'_, '_>>) =
            table.iter().partition(|(key, _)| is_operator(key));
        if rest.is_empty() {
            return self.tests(scope, &tests);
        }
        if let (Some((operator, _)), Some((other, _))) = (tests.first(), rest.first()) {
            self.mixed(operator, other);
            return Condition::all(Vec::new());
        }
        let parts = rest.into_iter().map(|(key, value)| self.step_below(scope, key, value)).collect();
        Condition::all(parts)
    }

    fn step_below(&mut self, scope: &Scope, key: &Key<'_>, value: &Value<'_>) -> Condition {
        let word = key.get_ref().as_ref();
        if COMBINATORS.contains(&word) {
            let message = format!("`{word}` stands below a path");
            let help =
                format!("`{word}` takes whole conditions: put it beside the paths; {}", quoted_field(word));
            self.fault(Fault::new(key.span(), message).help(help));
            return Condition::all(Vec::new());
        }
        if !matches!(value.get_ref(), DeValue::Table(_))
            && let Some(ours) = mistaken_operator(word)
        {
            let help = format!("did you mean `{ours}`? {}", quoted_field(word));
            self.fault(Fault::new(key.span(), format!("there is no operator `{word}`")).help(help));
            return Condition::all(Vec::new());
        }
        self.at_path(scope, key, value)
    }

    /// Every operator of one table, all on the same path.
    fn tests(&mut self, scope: &Scope, entries: &[Entry<'_, '_>]) -> Condition {
        self.warn_of_absent(entries);
        let tests =
            entries.iter().map(|(key, value)| operators::condition(self, scope, key, value)).collect();
        Condition::all(tests)
    }

    /// `ne` alone also takes every event that has nothing there.
    fn warn_of_absent(&mut self, entries: &[Entry<'_, '_>]) {
        let [(key, _)] = entries else { return };
        let word = key.get_ref();
        if ["ne", "not_in"].contains(&word.as_ref()) {
            let warning =
                Fault::new(key.span(), format!("`{word}` also holds where nothing stands at this path"));
            let help = format!("write {{ present = true, {word} = … }}; or not = {{ … }}, if that is meant");
            self.warn(warning.help(help));
        }
    }

    fn equality(&mut self, scope: &Scope, value: &Value<'_>, literals: Vec<Literal>) -> Condition {
        operators::warn_of_literals(self, scope, value, &literals);
        self.test(scope, Check::In(literals))
    }

    /// The test that asks `check` of what stands at `scope`.
    pub(super) fn test(&mut self, scope: &Scope, check: Check) -> Condition {
        let (path, at) = self.watch.place(scope.element(), scope.path());
        Condition::Test(Test { path, at, check })
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn warn(&mut self, warning: Fault) {
        self.warnings.push(warning);
    }

    fn refuse_empty(&mut self, table: &DeTable<'_>, span: Range<usize>) {
        if table.is_empty() {
            let fault = Fault::new(span, "an empty condition asks nothing");
            self.fault(fault.help("say what it asks, or take it away; what takes every event is [default]"));
        }
    }

    fn operator_without_path(&mut self, key: &Key<'_>) {
        let word = key.get_ref();
        let message = format!("`{word}` is an operator, and no path stands before it");
        let help =
            format!("write the_field = {{ {word} = … }}; a field of this name is written \"$.{word}\"");
        self.fault(Fault::new(key.span(), message).help(help));
    }

    fn mixed(&mut self, operator: &Key<'_>, other: &Key<'_>) {
        let (operator_word, other_word) = (operator.get_ref(), other.get_ref());
        let message = format!("`{other_word}` stands beside the operator `{operator_word}`, and is none");
        let help = match mistaken_operator(other_word).or_else(|| nearest(other_word, OPERATORS)) {
            Some(ours) => format!("did you mean `{ours}`?"),
            None => format!(
                "a table holds only operators (a test) or only fields (a longer path): {}",
                quoted_field(operator_word)
            ),
        };
        self.fault(Fault::new(other.span(), message).also(operator.span(), "the operator").help(help));
    }
}

impl Astray {
    /// The fault of the path `text`.
    fn told(self, text: &str, span: Range<usize>) -> Fault {
        let (message, help) = match self {
            Self::NoPath(fault) => (
                fault.to_string(),
                r#"a key with other signs is written '["so"]', any element of an array '[*]'"#,
            ),
            Self::RootBelow => (
                format!("`{text}` starts at the event's root, and stands below another path"),
                "put it beside the outermost paths of `when`",
            ),
            Self::Disputed => (
                format!("`{text}` begins with an alias that the sources of this rule do not share"),
                "limit the rule with source = \"…\", or write the whole path: \"$.data.object.…\"",
            ),
        };
        Fault::new(span, message).help(help)
    }
}

/// A TOML kind with its article.
pub(super) fn a_kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Whether a word is an operator or a combinator: a field of this name is written as a whole path in quotes.
pub fn is_word_of_the_language(word: &str) -> bool {
    OPERATORS.contains(&word) || COMBINATORS.contains(&word)
}

fn is_operator(key: &Key<'_>) -> bool {
    OPERATORS.contains(&key.get_ref().as_ref())
}

fn quoted_field(word: &str) -> String {
    format!("a field of this name is written as a whole path in quotes: \"metadata.{word}\"")
}

/// The operator that a word stands for which is none: another system's, or a mistyped one. Short operators are never
/// guessed: `id` is a field, not a mistyped `is`.
fn mistaken_operator(word: &str) -> Option<&'static str> {
    const GUESSED_LETTERS_MIN: usize = 5;
    let foreign = FOREIGN.iter().find(|(theirs, _)| *theirs == word).map(|(_, ours)| *ours);
    let alike = |operator: &&str| operator.len() >= GUESSED_LETTERS_MIN && is_nearly(operator, word);
    let long = OPERATORS.iter().copied().filter(alike);
    foreign.or_else(|| {
        let near = nearest(word, long)?;
        (strsim::damerau_levenshtein(word, near) == 1).then_some(near)
    })
}

/// Whether two words begin and end alike but for a letter or two, as all do that are one letter apart: much cheaper to
/// say than how far they are.
fn is_nearly(word: &str, other: &str) -> bool {
    let (word, other) = (word.as_bytes(), other.as_bytes());
    let same =
        |pairs: &mut dyn Iterator<Item = (&u8, &u8)>| pairs.take_while(|(one, two)| one == two).count();
    let begin = same(&mut word.iter().zip(other));
    let end = same(&mut word.iter().rev().zip(other.iter().rev()));
    begin + end + 2 >= word.len().max(other.len())
}
