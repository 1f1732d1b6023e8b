//! Whether a condition holds for an event: the language's meaning, one test after the other, without any index.
//!
//! Called by [`super::RuleSet`] for each rule that its index proposes. It is also the oracle that the index must agree with.

use super::condition::{Check, Condition, Kind, Literal, Test};
use super::extract::Found;
use super::number::Number;
use super::watch::{Watched, WatchedStep};

/// Whether `condition` holds for `root`: an event taken apart, or the element that `some` binds.
pub fn holds(condition: &Condition, root: &Found<'_>) -> bool {
    match condition {
        Condition::All(conditions) => conditions.iter().all(|condition| holds(condition, root)),
        Condition::Any(conditions) => conditions.iter().any(|condition| holds(condition, root)),
        Condition::Not(condition) => !holds(condition, root),
        Condition::Test(test) => test_holds(test, root),
    }
}

fn test_holds(test: &Test, root: &Found<'_>) -> bool {
    let steps = test.at.steps();
    if let Check::Every(condition) = &test.check {
        return any(root, steps, &|_| true) && !any(root, steps, &|element| !holds(condition, element));
    }
    if any(root, steps, &|found| check_holds(&test.check, found)) {
        return true;
    }
    let missing_counts = matches!(&test.check, Check::Is(kinds) if kinds.contains(&Kind::Missing));
    missing_counts && !any(root, steps, &|_| true)
}

/// Whether `test` holds for any value at the end of `steps`. With no `[*]` among them there is at most one.
fn any(found: &Found<'_>, steps: &[WatchedStep], test: &dyn Fn(&Found<'_>) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else { return *found != Found::Missing && test(found) };
    match (step, found) {
        (WatchedStep::Child(number), _) => found.child(*number).is_some_and(|child| any(child, rest, test)),
        (WatchedStep::Each, Found::Array { elements, .. }) => {
            elements.iter().any(|element| any(element, rest, test))
        }
        _ => false,
    }
}

/// What stands at a place that holds at most one value.
pub(super) fn value_at<'found, 'body>(
    at: &Watched,
    root: &'found Found<'body>,
) -> Option<&'found Found<'body>> {
    at.steps().iter().try_fold(root, |found, step| match step {
        WatchedStep::Child(number) => found.child(*number),
        WatchedStep::Each => None,
    })
}

/// `found` is there, if only as null.
pub(super) fn check_holds(check: &Check, found: &Found<'_>) -> bool {
    match check {
        Check::In(literals) => literals.iter().any(|literal| is_literal(found, literal)),
        Check::Order(bound, number) => {
            number_of(found).and_then(|it| it.compare(*number)).is_some_and(|it| bound.admits(it))
        }
        Check::Prefix(prefix) => text_of(found).is_some_and(|text| text.starts_with(&**prefix)),
        Check::Suffix(suffix) => text_of(found).is_some_and(|text| text.ends_with(&**suffix)),
        Check::Contains(piece) => text_of(found).is_some_and(|text| text.contains(&**piece)),
        Check::Glob(glob) => text_of(found).is_some_and(|text| glob.matches(text)),
        Check::EqualsIgnoringCase(other) => text_of(found).is_some_and(|text| lower(text).eq(lower(other))),
        Check::Present => *found != Found::Null,
        Check::Is(kinds) => kinds.contains(&found.kind()),
        Check::Length(bounds) => length_of(found)
            .is_some_and(|length| bounds.iter().all(|(bound, limit)| bound.admits(length.cmp(limit)))),
        Check::Regex(pattern) => text_of(found).is_some_and(|text| pattern.matches(text)),
        Check::Some(condition) | Check::Every(condition) => holds(condition, found),
    }
}

fn is_literal(found: &Found<'_>, literal: &Literal) -> bool {
    match (found, literal) {
        (Found::String(found), Literal::String(literal)) => **found == **literal,
        (Found::Bool(found), Literal::Bool(literal)) => found == literal,
        (Found::Number(found), Literal::Number(literal)) => found.equals(*literal),
        _ => false,
    }
}

fn text_of<'found>(found: &'found Found<'_>) -> Option<&'found str> {
    match found {
        Found::String(text) => Some(text),
        _ => None,
    }
}

fn number_of(found: &Found<'_>) -> Option<Number> {
    match found {
        Found::Number(number) => Some(*number),
        _ => None,
    }
}

/// What `len` asks about: letters of a string, elements of an array, keys of an object.
pub(super) fn length_of(found: &Found<'_>) -> Option<usize> {
    match found {
        Found::String(text) => Some(text.chars().count()),
        Found::Array { length, .. } | Found::Object { length, .. } => Some(*length),
        _ => None,
    }
}

/// `text` as `ieq` compares it.
pub(super) fn lower(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}
