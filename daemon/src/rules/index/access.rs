//! Under which keys a rule is filed: a set of which at least one is found in every event that the rule matches.
//!
//! Every test offers such sets, `all` needs only one of its parts' sets, `any` all of them. Of all that are offered the
//! rarest among the whole set of rules is taken, so that a value opens few lists in vain.

use std::collections::HashMap;

use super::entry::{At, Entry, Facet, Measure, hash, hash_folded, hash_number};
use crate::rules::condition::{Bound, Check, Condition, Kind, Literal, Test};
use crate::rules::glob::Glob;
use crate::rules::ruleset::Rule;
use crate::rules::watch::Node;

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
    /// Any one of these sets, whole.
    Offers(Vec<Vec<Entry>>),
    /// It may hold whatever is found.
    Nothing,
}

/// What every event that `rule` matches must have.
pub(super) fn need_of_rule(rule: &Rule, root: &Node, source_place: u32) -> Need {
    let when = Seeker { base: root, in_element: false }.need(&rule.when);
    if rule.sources.is_empty() {
        return when;
    }
    let source = |name: &crate::model::ids::SourceName| {
        let at = At::Key(Facet::Whole, hash(Facet::Whole, name.as_str().as_bytes()));
        Entry { place: source_place, at }
    };
    Need::All(vec![when, Need::Offers(vec![rule.sources.iter().map(source).collect()])])
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
        needs.extend(spans.into_iter().map(|span| Need::Offers(vec![vec![span]])));
        Need::All(needs)
    }

    fn test(self, test: &Test) -> Need {
        let Some(node) = self.base.descend(test.at.steps()) else { return Need::Nothing };
        let offer = |facet, hash| vec![self.entry(node, At::Key(facet, hash))];
        match &test.check {
            Check::In(literals) => {
                Need::Offers(vec![literals.iter().map(|literal| self.entry(node, equal(literal))).collect()])
            }
            Check::Order(..) | Check::Length(_) => {
                self.span(test).map_or(Need::Nothing, |span| Need::Offers(vec![vec![span]]))
            }
            Check::Prefix(text) => Need::Offers(vec![vec![self.entry(node, prefix(text))]]),
            Check::Suffix(text) => Need::Offers(vec![vec![self.entry(node, suffix(text))]]),
            Check::Contains(text) => self.offers(node, pieces(text.as_bytes()).collect()),
            Check::Glob(glob) => self.offers(node, glob_keys(glob)),
            Check::EqualsIgnoringCase(text) => Need::Offers(vec![offer(Facet::Folded, hash_folded(text))]),
            Check::Present => Need::Offers(vec![offer(Facet::Present, hash(Facet::Present, b""))]),
            Check::Is(kinds) => self.kinds(test, kinds),
            Check::Regex(pattern) => match pattern.literals() {
                literals if literals.is_empty() => self.offers(node, Vec::new()),
                literals => Need::Any(
                    literals.iter().map(|literal| self.offers(node, pieces(literal).collect())).collect(),
                ),
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
        let at = |kind: &Kind| match kind {
            Kind::Missing => At::Key(Facet::Absent, hash(Facet::Absent, b"")),
            kind => At::Key(Facet::Kind, hash(Facet::Kind, &[*kind as u8])),
        };
        Need::Offers(vec![kinds.iter().map(|kind| self.entry(node, at(kind))).collect()])
    }

    fn offers(self, node: &Node, keys: Vec<At>) -> Need {
        if keys.is_empty() {
            let string = At::Key(Facet::Kind, hash(Facet::Kind, &[Kind::String as u8]));
            return Need::Offers(vec![vec![self.entry(node, string)]]);
        }
        Need::Offers(keys.into_iter().map(|key| vec![self.entry(node, key)]).collect())
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
        Some(self.entry(node, At::Span(measure, low, high)))
    }

    fn entry(self, node: &Node, at: At) -> Entry {
        let place = u32::try_from(node.number()).expect("a configuration file is smaller than 4 GB");
        Entry { place, at }
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

fn equal(literal: &Literal) -> At {
    match literal {
        Literal::String(text) => At::Key(Facet::Whole, hash(Facet::Whole, text.as_bytes())),
        Literal::Bool(flag) => At::Key(Facet::Bool, hash(Facet::Bool, &[u8::from(*flag)])),
        Literal::Number(number) => At::Key(Facet::Number, hash_number(*number)),
    }
}

fn prefix(text: &str) -> At {
    let bytes = &text.as_bytes()[..text.len().min(AFFIX_BYTES_MAX)];
    let facet = Facet::Prefix(bytes.len() as u8);
    At::Key(facet, hash(facet, bytes))
}

fn suffix(text: &str) -> At {
    let bytes = &text.as_bytes()[text.len().saturating_sub(AFFIX_BYTES_MAX)..];
    let facet = Facet::Suffix(bytes.len() as u8);
    At::Key(facet, hash(facet, bytes))
}

/// Every piece of `text` that has the longest length that fits.
fn pieces(text: &[u8]) -> impl Iterator<Item = At> {
    let length = PIECE_BYTES.into_iter().find(|length| usize::from(*length) <= text.len());
    let windows = length.map(|length| {
        let facet = Facet::Piece(length);
        text.windows(usize::from(length)).map(move |piece| At::Key(facet, hash(facet, piece)))
    });
    windows.into_iter().flatten().take(PIECES_MAX)
}

fn glob_keys(glob: &Glob) -> Vec<At> {
    let Some(tail) = glob.tail() else {
        return vec![equal(&Literal::String(Box::from(glob.head())))];
    };
    let mut keys = Vec::new();
    if !glob.head().is_empty() {
        keys.push(prefix(glob.head()));
    }
    if !tail.is_empty() {
        keys.push(suffix(tail));
    }
    keys.extend(glob.middle().iter().flat_map(|piece| pieces(piece.as_bytes()).collect::<Vec<At>>()));
    keys
}

/// How often each key is offered in a whole set of rules.
#[derive(Debug, Default)]
pub(super) struct Census {
    keys: HashMap<(u32, u64), usize>,
    spans: HashMap<(u32, Measure), Ends>,
}

/// The ends of all spans at a place.
#[derive(Debug, Default)]
struct Ends {
    lows: Vec<f64>,
    highs: Vec<f64>,
}

impl Census {
    pub(super) fn of<'need>(needs: impl Iterator<Item = &'need Need>) -> Self {
        let mut census = Self::default();
        for need in needs {
            census.count(need);
        }
        for ends in census.spans.values_mut() {
            ends.lows.sort_unstable_by(f64::total_cmp);
            ends.highs.sort_unstable_by(f64::total_cmp);
        }
        census
    }

    /// The set that the fewest rules share; `None` where nothing is offered.
    pub(super) fn rarest<'need>(&self, need: &'need Need) -> Option<Vec<&'need Entry>> {
        self.choose(need).map(|(_, entries)| entries)
    }

    fn count(&mut self, need: &Need) {
        match need {
            Need::All(needs) | Need::Any(needs) => needs.iter().for_each(|need| self.count(need)),
            Need::Offers(offers) => offers.iter().flatten().for_each(|entry| self.count_entry(entry)),
            Need::Nothing => {}
        }
    }

    fn count_entry(&mut self, entry: &Entry) {
        match entry.at {
            At::Key(_, hash) => *self.keys.entry((entry.place, hash)).or_default() += 1,
            At::Span(measure, low, high) => {
                let ends = self.spans.entry((entry.place, measure)).or_default();
                ends.lows.push(low);
                ends.highs.push(high);
            }
        }
    }

    fn choose<'need>(&self, need: &'need Need) -> Option<(usize, Vec<&'need Entry>)> {
        match need {
            Need::All(needs) => {
                needs.iter().filter_map(|need| self.choose(need)).min_by_key(|(rules, _)| *rules)
            }
            Need::Any(needs) => needs.iter().try_fold((0, Vec::new()), |(rules, mut entries), need| {
                let (more, chosen) = self.choose(need)?;
                entries.extend(chosen);
                Some((rules + more, entries))
            }),
            Need::Offers(offers) => offers
                .iter()
                .map(|offer| (offer.iter().map(|entry| self.rules_at(entry)).sum(), offer.iter().collect()))
                .min_by_key(|(rules, _)| *rules),
            Need::Nothing => None,
        }
    }

    /// Rules that offer this key; for a span, those whose span meets it.
    fn rules_at(&self, entry: &Entry) -> usize {
        match entry.at {
            At::Key(_, hash) => self.keys.get(&(entry.place, hash)).copied().unwrap_or_default(),
            At::Span(measure, low, high) => {
                let Some(ends) = self.spans.get(&(entry.place, measure)) else { return 0 };
                let below = ends.highs.partition_point(|end| *end < low);
                let above = ends.lows.len() - ends.lows.partition_point(|end| *end <= high);
                ends.lows.len().saturating_sub(below + above)
            }
        }
    }
}
