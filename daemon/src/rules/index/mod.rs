//! Which rules can match an event at all, without asking each.
//!
//! Built by [`super::RuleSet`] once a snapshot; asked once an event. Each rule is filed under its rarest necessary keys
//! (`access`), in lists that are sorted by the rules' numbers. An event's values are looked up where they stand, and the
//! lists that they open are merged, so that the rules come in file order and the first match ends the search.
//!
//! The index only proposes: what it names is asked whole by `evaluate`. So two values with one hash, or two numbers that
//! are one double, cost a question and never change a verdict. What must hold is the other direction: a rule that
//! matches is always proposed, which `tests/index.rs` holds against the evaluator alone.

mod access;
mod entry;
mod merge;
mod ranges;

use std::collections::HashMap;

use access::{Census, Need};
use entry::{At, Entry, Facet, Measure, hash, hash_folded, hash_number};
pub(super) use merge::Merged;
use ranges::{Ranges, Span};

use super::evaluate::length_of;
use super::extract::Found;
use super::hash::BuildQuick;
use super::ruleset::Rule;
use super::watch::{Node, Watch};
use crate::model::ids::SourceName;

/// The compiled rules of one set.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// By the number of their place; the last one is the event's source.
    places: Vec<Place>,
    /// Every list, end to end.
    rules: Vec<u32>,
    /// Rules that no key tells anything about.
    always: List,
    /// Places whose emptiness some rule asks for.
    absent: Vec<u32>,
    longest: List,
}

/// What is looked up where a value stands.
#[derive(Debug, Clone, Default)]
struct Place {
    keys: HashMap<u64, List, BuildQuick>,
    /// Keys of pieces of texts: apart, because each letter of a text is looked up here.
    pieces: HashMap<u64, List, BuildQuick>,
    /// What kinds of keys there are, each once.
    facets: Vec<Facet>,
    values: Ranges,
    lengths: Ranges,
}

/// A part of [`Index::rules`], sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct List {
    start: u32,
    end: u32,
}

/// The rules that an event opens, before they are merged.
struct Opened<'index> {
    index: &'index Index,
    lists: Vec<List>,
    /// Which places hold something; empty where no rule asks for emptiness.
    filled: Vec<bool>,
}

impl Index {
    /// Files every rule that is enabled.
    pub(super) fn new(rules: &[Rule], watch: &Watch) -> Self {
        let source_place = u32::try_from(watch.nodes()).expect("a configuration file is smaller than 4 GB");
        let needs: Vec<(u32, Need)> = (0_u32..)
            .zip(rules)
            .filter(|(_, rule)| rule.enabled)
            .map(|(number, rule)| (number, access::need_of_rule(rule, watch.root(), source_place)))
            .collect();
        let census = Census::of(needs.iter().map(|(_, need)| need));
        let mut index = Self {
            places: vec![Place::default(); watch.nodes() + 1],
            rules: Vec::new(),
            always: List::default(),
            absent: Vec::new(),
            longest: List::default(),
        };
        let (mut always, mut filed) = (Vec::new(), Vec::new());
        for (number, need) in &needs {
            match census.rarest(need) {
                Some(entries) => filed.extend(entries.into_iter().map(|entry| (*entry, *number))),
                None => always.push(*number),
            }
        }
        index.always = index.keep(&always);
        index.longest = List::default();
        index.file(filed);
        index
    }

    /// The rules that may match, in file order, each once.
    pub(super) fn candidates(&self, watch: &Watch, root: &Found<'_>, source: &SourceName) -> Merged<'_> {
        let filled = if self.absent.is_empty() { Vec::new() } else { vec![false; self.places.len()] };
        let mut opened = Opened { index: self, lists: vec![self.always], filled };
        opened.visit(watch.root(), root);
        if let Some(place) = self.places.last() {
            opened.key(place, hash(Facet::Whole, source.as_str().as_bytes()));
        }
        for place in &self.absent {
            if !opened.filled[*place as usize] {
                opened.key(&self.places[*place as usize], hash(Facet::Absent, b""));
            }
        }
        Merged::new(&self.rules, opened.lists)
    }

    /// The rules that every event opens: nothing in them can be looked up.
    pub(super) fn always(&self) -> &[u32] {
        self.of(self.always)
    }

    /// The longest list that one found value opens.
    pub(super) fn longest(&self) -> &[u32] {
        self.of(self.longest)
    }

    fn of(&self, list: List) -> &[u32] {
        &self.rules[list.start as usize..list.end as usize]
    }

    fn file(&mut self, filed: Vec<(Entry, u32)>) {
        let mut keys: Vec<(u32, bool, u64, u32)> = Vec::new();
        let mut spans: HashMap<(u32, Measure), Vec<Span>> = HashMap::new();
        for (Entry { place, at }, rule) in filed {
            match at {
                At::Key(facet, hash) => {
                    let facets = &mut self.places[place as usize].facets;
                    if !facets.contains(&facet) {
                        facets.push(facet);
                    }
                    keys.push((place, facet.is_piece(), hash, rule));
                }
                At::Span(measure, low, high) => {
                    spans.entry((place, measure)).or_default().push((low, high, rule));
                }
            }
        }
        self.file_keys(keys);
        for ((place, measure), spans) in spans {
            let ranges = Ranges::new(&spans, |list| self.keep(list));
            match measure {
                Measure::Value => self.places[place as usize].values = ranges,
                Measure::Length => self.places[place as usize].lengths = ranges,
            }
        }
        self.absent = (0..)
            .zip(&self.places)
            .filter(|(_, place)| place.facets.contains(&Facet::Absent))
            .map(|(number, _)| number)
            .collect();
    }

    fn file_keys(&mut self, mut keys: Vec<(u32, bool, u64, u32)>) {
        keys.sort_unstable();
        keys.dedup();
        for same in keys.chunk_by(|left, right| (left.0, left.1, left.2) == (right.0, right.1, right.2)) {
            let (place, is_piece, hash, _) = same[0];
            let rules: Vec<u32> = same.iter().map(|(.., rule)| *rule).collect();
            let list = self.keep(&rules);
            let place = &mut self.places[place as usize];
            let table = if is_piece { &mut place.pieces } else { &mut place.keys };
            table.insert(hash, list);
        }
        for place in &mut self.places {
            place.keys.shrink_to_fit();
            place.pieces.shrink_to_fit();
        }
    }

    /// Keeps a sorted list of rules.
    fn keep(&mut self, rules: &[u32]) -> List {
        let number =
            |length: usize| u32::try_from(length).expect("a configuration file is smaller than 4 GB");
        let start = number(self.rules.len());
        self.rules.extend(rules);
        let list = List { start, end: number(self.rules.len()) };
        if list.end - list.start > self.longest.end - self.longest.start {
            self.longest = list;
        }
        list
    }
}

impl Opened<'_> {
    fn visit(&mut self, node: &Node, found: &Found<'_>) {
        if let Some(filled) = self.filled.get_mut(node.number()) {
            *filled = true;
        }
        self.look_up(&self.index.places[node.number()], found);
        match found {
            Found::Object { children, .. } => {
                for (number, child) in children {
                    if let Some(node) = node.child(*number) {
                        self.visit(node, child);
                    }
                }
            }
            Found::Array { elements, .. } => {
                for element in elements {
                    if let Some(node) = node.each() {
                        self.visit(node, element);
                    }
                }
            }
            _ => {}
        }
    }

    fn look_up(&mut self, place: &Place, found: &Found<'_>) {
        for facet in &place.facets {
            match (facet, found) {
                (Facet::Kind, _) => self.key(place, hash(Facet::Kind, &[found.kind() as u8])),
                (Facet::Present, Found::Null) => {}
                (Facet::Present, _) => self.key(place, hash(Facet::Present, b"")),
                (Facet::Bool, Found::Bool(flag)) => self.key(place, hash(Facet::Bool, &[u8::from(*flag)])),
                (Facet::Number, Found::Number(number)) => self.key(place, hash_number(*number)),
                (facet, Found::String(text)) => self.text(place, *facet, text),
                _ => {}
            }
        }
        if let (Found::Number(number), false) = (found, place.values.is_empty()) {
            self.lists.extend(place.values.around(number.rounded()));
        }
        if let (Some(length), false) = (length_of(found), place.lengths.is_empty()) {
            self.lists.extend(place.lengths.around(length as f64));
        }
    }

    fn text(&mut self, place: &Place, facet: Facet, text: &str) {
        let bytes = text.as_bytes();
        match facet {
            Facet::Whole => self.key(place, hash(facet, bytes)),
            Facet::Folded => self.key(place, hash_folded(text)),
            Facet::Prefix(length) => {
                if let Some(prefix) = bytes.get(..usize::from(length)) {
                    self.key(place, hash(facet, prefix));
                }
            }
            Facet::Suffix(length) => {
                if let Some(start) = bytes.len().checked_sub(usize::from(length)) {
                    self.key(place, hash(facet, &bytes[start..]));
                }
            }
            Facet::Piece(length) => {
                for piece in bytes.windows(usize::from(length)) {
                    self.lists.extend(place.pieces.get(&hash(facet, piece)));
                }
            }
            Facet::Number | Facet::Bool | Facet::Kind | Facet::Present | Facet::Absent => {}
        }
    }

    fn key(&mut self, place: &Place, hash: u64) {
        self.lists.extend(place.keys.get(&hash));
    }
}
