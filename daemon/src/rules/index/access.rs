//! Under which keys a rule is filed: a set of which at least one is found in every event that the rule matches.
//!
//! Every test offers such sets, `all` needs only one of its parts' sets, `any` all of them. Of all that are offered
//! `census` takes the one that the fewest rules of the whole set share.

use super::entry::{At, Entry, Facet, Measure, hash, hash_folded, hash_number};
use crate::rules::condition::{Bound, Check, Condition, Kind, Literal, Test};
use crate::rules::glob::Glob;
use crate::rules::ruleset::Rule;
use crate::rules::watch::{Node, Watch};

/// Longer beginnings and ends tell hardly more, and each length is one more look-up.
const AFFIX_BYTES_MAX: usize = 32;
/// The lengths of pieces, the longest that fits first: each is one look-up a byte of a text.
const PIECE_BYTES: [u8; 4] = [8, 4, 2, 1];
/// Of a longer text only its first pieces are offered.
const PIECES_MAX: usize = 32;

/// What a condition offers.
#[derive(Debug)]
pub(super) enum Need {
    /// Any one of these.
    All(Vec<Need>),
    /// All of these.
    Any(Vec<Need>),
    /// This one.
    One(Entry),
    /// It may hold whatever is found.
    Nothing,
}

/// What every event that a rule matches must have, of each rule that is enabled, with its number.
pub(super) fn needs(rules: &[Rule], watch: &Watch) -> Vec<(u32, Need)> {
    let source_place = u32::try_from(watch.nodes()).expect("a configuration file is smaller than 4 GB");
    (0..)
        .zip(rules)
        .filter(|(_, rule)| rule.enabled)
        .map(|(number, rule)| (number, need_of_rule(rule, watch.root(), source_place)))
        .collect()
}

fn need_of_rule(rule: &Rule, root: &Node, source_place: u32) -> Need {
    let when = Seeker { base: root, in_element: false }.need(&rule.when);
    if rule.sources.is_empty() {
        return when;
    }
    let source = |name: &crate::model::ids::SourceName| Entry {
        place: source_place,
        at: whole(source_place, name.as_str()),
    };
    Need::All(vec![when, any(rule.sources.iter().map(source))])
}

/// Where a condition's paths start.
#[derive(Clone, Copy)]
struct Seeker<'watch> {
    base: &'watch Node,
    in_element: bool,
}

impl Seeker<'_> {
    fn need(self, condition: &Condition) -> Need {
        match condition {
            Condition::All(conditions) => self.all(conditions),
            Condition::Any(conditions) => Need::Any(conditions.iter().map(|part| self.need(part)).collect()),
            Condition::Not(condition) => self.need_of_complement(condition),
            Condition::Test(test) => self.test(test),
        }
    }

    fn need_of_complement(self, condition: &Condition) -> Need {
        let complements = |conditions: &[Condition]| {
            conditions.iter().map(|part| self.need_of_complement(part)).collect::<Vec<Need>>()
        };
        match condition {
            Condition::All(conditions) => Need::Any(complements(conditions)),
            Condition::Any(conditions) => Need::All(complements(conditions)),
            Condition::Not(condition) => self.need(condition),
            Condition::Test(test) if test.at.is_single() => match &test.check {
                Check::Present => self.kinds(test, &[Kind::Missing, Kind::Null]),
                Check::Is(kinds) => {
                    let others =
                        Kind::WORDS.map(|(_, kind)| kind).into_iter().filter(|it| !kinds.contains(it));
                    self.kinds(test, &others.collect::<Vec<Kind>>())
                }
                _ => Need::Nothing,
            },
            Condition::Test(_) => Need::Nothing,
        }
    }

    /// Bounds on one number are one span: who asks for 10 to 20 is not filed under everything from 10 on.
    fn all(self, conditions: &[Condition]) -> Need {
        let mut needs = Vec::new();
        let mut spans: Vec<Entry> = Vec::new();
        for condition in conditions {
            match condition {
                Condition::Test(test) if test.at.is_single() => match self.span(test) {
                    Some(span) => narrow(&mut spans, span),
                    None => needs.push(self.test(test)),
                },
                other => needs.push(self.need(other)),
            }
        }
        needs.extend(spans.into_iter().map(Need::One));
        Need::All(needs)
    }

    fn test(self, test: &Test) -> Need {
        let Some(node) = self.base.descend(test.at.steps()) else { return Need::Nothing };
        let place = node.place();
        match &test.check {
            Check::In(literals) => {
                any(literals.iter().map(|literal| Entry { place, at: equal(place, literal) }))
            }
            Check::Order(..) | Check::Length(_) => self.span(test).map_or(Need::Nothing, Need::One),
            Check::Prefix(text) => offers(place, prefix(place, text).into_iter()),
            Check::Suffix(text) => offers(place, suffix(place, text).into_iter()),
            Check::Contains(text) => offers(place, pieces(place, text.as_bytes())),
            Check::Glob(glob) => offers(place, glob_keys(place, glob).into_iter()),
            Check::EqualsIgnoringCase(text) => {
                offers(place, std::iter::once(At::Key(Facet::Folded, hash_folded(place, text))))
            }
            Check::Present => offers(place, std::iter::once(key(place, Facet::Present, b""))),
            Check::Is(kinds) => self.kinds(test, kinds),
            Check::Regex(pattern) => match pattern.literals() {
                literals if literals.is_empty() => offers(place, std::iter::empty()),
                literals => {
                    Need::Any(literals.iter().map(|literal| offers(place, pieces(place, literal))).collect())
                }
            },
            Check::Some(condition) | Check::Every(condition) => {
                Seeker { base: node, in_element: true }.need(condition)
            }
        }
    }

    fn kinds(self, test: &Test, kinds: &[Kind]) -> Need {
        let Some(node) = self.base.descend(test.at.steps()) else { return Need::Nothing };
        // Under `[*]` or in an element, something else may stand at the place while it is missing from this one.
        if kinds.contains(&Kind::Missing) && (self.in_element || !test.at.is_single()) {
            return Need::Nothing;
        }
        let place = node.place();
        let at = |kind: &Kind| match kind {
            Kind::Missing => key(place, Facet::Absent, b""),
            kind => key(place, Facet::Kind, &[*kind as u8]),
        };
        any(kinds.iter().map(|kind| Entry { place, at: at(kind) }))
    }

    fn span(self, test: &Test) -> Option<Entry> {
        let node = self.base.descend(test.at.steps())?;
        let everything = (f64::NEG_INFINITY, f64::INFINITY);
        let (measure, (low, high)) = match &test.check {
            Check::Order(bound, number) => (Measure::Value, bounded(everything, *bound, number.rounded())),
            Check::Length(bounds) => {
                let within = |span, (bound, length): &(Bound, usize)| bounded(span, *bound, *length as f64);
                (Measure::Length, bounds.iter().fold(everything, within))
            }
            _ => return None,
        };
        Some(Entry { place: node.place(), at: At::Span(measure, low, high) })
    }
}

/// All of these.
fn any(entries: impl ExactSizeIterator<Item = Entry>) -> Need {
    one_or(entries.map(Need::One), Need::Any)
}

/// Each of these keys of a string alone; that it is one, where there are none.
fn offers(place: u32, keys: impl Iterator<Item = At>) -> Need {
    let mut needs = keys.map(|at| Need::One(Entry { place, at })).peekable();
    if needs.peek().is_none() {
        return Need::One(Entry { place, at: key(place, Facet::Kind, &[Kind::String as u8]) });
    }
    one_or(needs, Need::All)
}

/// The only one of `needs`, or several in a list of this kind.
fn one_or(mut needs: impl Iterator<Item = Need>, several: impl FnOnce(Vec<Need>) -> Need) -> Need {
    match (needs.next(), needs.next()) {
        (Some(only), None) => only,
        (first, second) => several(first.into_iter().chain(second).chain(needs).collect()),
    }
}

/// Bounds are taken as included: the doubles that stand for both numbers may be one.
fn bounded((low, high): (f64, f64), bound: Bound, limit: f64) -> (f64, f64) {
    match bound {
        Bound::Lt | Bound::Le => (low, high.min(limit)),
        Bound::Gt | Bound::Ge => (low.max(limit), high),
    }
}

fn narrow(spans: &mut Vec<Entry>, span: Entry) {
    for known in spans.iter_mut().filter(|known| known.place == span.place) {
        if let (At::Span(of, low, high), At::Span(measure, more, less)) = (&mut known.at, span.at)
            && *of == measure
        {
            (*low, *high) = (low.max(more), high.min(less));
            return;
        }
    }
    spans.push(span);
}

fn key(place: u32, facet: Facet, bytes: &[u8]) -> At {
    At::Key(facet, hash(place, facet, bytes))
}

fn whole(place: u32, text: &str) -> At {
    key(place, Facet::Whole, text.as_bytes())
}

fn equal(place: u32, literal: &Literal) -> At {
    match literal {
        Literal::String(text) => whole(place, text),
        Literal::Bool(flag) => key(place, Facet::Bool, &[u8::from(*flag)]),
        Literal::Number(number) => At::Key(Facet::Number, hash_number(place, *number)),
    }
}

fn prefix(place: u32, text: &str) -> Option<At> {
    let bytes = &text.as_bytes()[..text.len().min(AFFIX_BYTES_MAX)];
    (!bytes.is_empty()).then(|| key(place, Facet::Prefix(bytes.len() as u8), bytes))
}

fn suffix(place: u32, text: &str) -> Option<At> {
    let bytes = &text.as_bytes()[text.len().saturating_sub(AFFIX_BYTES_MAX)..];
    (!bytes.is_empty()).then(|| key(place, Facet::Suffix(bytes.len() as u8), bytes))
}

/// Every piece of `text` that has the longest length that fits.
fn pieces(place: u32, text: &[u8]) -> impl Iterator<Item = At> {
    let length = PIECE_BYTES.into_iter().find(|length| usize::from(*length) <= text.len());
    let windows = length.map(|length| {
        text.windows(usize::from(length)).map(move |piece| key(place, Facet::Piece(length), piece))
    });
    windows.into_iter().flatten().take(PIECES_MAX)
}

fn glob_keys(place: u32, glob: &Glob) -> Vec<At> {
    let Some(tail) = glob.tail() else { return vec![whole(place, glob.head())] };
    let mut keys: Vec<At> = prefix(place, glob.head()).into_iter().chain(suffix(place, tail)).collect();
    keys.extend(glob.middle().iter().flat_map(|piece| pieces(place, piece.as_bytes())));
    keys
}
