//! What one event opens: its values are looked up where they stand, each once.

use std::cmp::Reverse;

use super::Index;
use super::entry::{Facet, hash, hash_folded, hash_number};
use super::list::List;
use super::merge::{Begun, Merged};
use super::place::Place;
use crate::model::ids::SourceName;
use crate::rules::brief::Briefs;
use crate::rules::evaluate::length_of;
use crate::rules::extract::Found;
use crate::rules::watch::{Node, Watch};

/// The lists of rules that an event opens, before they are merged, and its values.
#[derive(Debug)]
pub(in crate::rules) struct Opened<'index, 'found> {
    index: &'index Index,
    briefs: &'index Briefs,
    lists: Vec<Reverse<Begun>>,
    values: Values<'found>,
}

/// What stands at each place that holds at most one value, in the order of the places' numbers.
#[derive(Debug)]
pub(in crate::rules) struct Values<'found>(Vec<(u32, &'found Found<'found>)>);

/// Usual events have no more at the places of usual rules; what has more grows.
const VALUES_FORESEEN: usize = 16;

impl<'index, 'found> Opened<'index, 'found> {
    pub(super) fn new(
        index: &'index Index,
        briefs: &'index Briefs,
        watch: &Watch,
        root: &'found Found<'found>,
        source: &SourceName,
    ) -> Self {
        let values = Values(Vec::with_capacity(VALUES_FORESEEN));
        let lists = Vec::with_capacity(VALUES_FORESEEN);
        let mut opened = Self { index, briefs, lists, values };
        opened.list(index.always);
        opened.visit(watch.root(), root, true);
        let source_place = index.places.len() - 1;
        if index.places[source_place].has(Facet::Whole) {
            opened.key(hash(source_place as u32, Facet::Whole, source.as_str().as_bytes()));
        }
        for place in &index.absent {
            if opened.values.at(*place).is_none() {
                opened.key(hash(*place, Facet::Absent, b""));
            }
        }
        opened
    }

    /// The rules that may match, in file order, each once; and the values to ask them about.
    pub(in crate::rules) fn candidates(self) -> (Merged<'index>, Values<'found>) {
        (Merged::new(&self.index.shared, self.lists), self.values)
    }

    fn visit(&mut self, node: &Node, found: &'found Found<'found>, is_single: bool) {
        let place = node.number() as u32;
        if is_single {
            self.values.0.push((place, found));
        }
        self.look_up(place, self.index.places[node.number()], found);
        match found {
            Found::Object { children, .. } => {
                for (number, child) in children {
                    if let Some(node) = node.child(*number) {
                        self.visit(node, child, is_single);
                    }
                }
            }
            Found::Array { elements, .. } => {
                for element in elements {
                    if let Some(node) = node.each() {
                        self.visit(node, element, false);
                    }
                }
            }
            _ => {}
        }
    }

    fn look_up(&mut self, number: u32, place: Place, found: &Found<'_>) {
        if place.has(Facet::Kind) {
            self.key(hash(number, Facet::Kind, &[found.kind() as u8]));
        }
        if place.has(Facet::Present) && *found != Found::Null {
            self.key(hash(number, Facet::Present, b""));
        }
        match found {
            Found::String(text) => self.text(number, place, text),
            Found::Bool(flag) if place.has(Facet::Bool) => {
                self.key(hash(number, Facet::Bool, &[u8::from(*flag)]));
            }
            Found::Number(value) => {
                if place.has(Facet::Number) {
                    self.key(hash_number(number, *value));
                }
                if place.values > 0 {
                    self.span(place.values, value.rounded());
                }
            }
            _ => {}
        }
        if place.lengths > 0
            && let Some(length) = length_of(found)
        {
            self.span(place.lengths, length as f64);
        }
    }

    fn text(&mut self, number: u32, place: Place, text: &str) {
        let bytes = text.as_bytes();
        if place.has(Facet::Whole) {
            self.key(hash(number, Facet::Whole, bytes));
        }
        if place.has(Facet::Folded) {
            self.key(hash_folded(number, text));
        }
        for length in place.prefixes() {
            if let Some(prefix) = bytes.get(..usize::from(length)) {
                self.key(hash(number, Facet::Prefix(length), prefix));
            }
        }
        for length in place.suffixes() {
            if let Some(start) = bytes.len().checked_sub(usize::from(length)) {
                self.key(hash(number, Facet::Suffix(length), &bytes[start..]));
            }
        }
        for length in place.pieces() {
            for piece in bytes.windows(usize::from(length)) {
                self.key(hash(number, Facet::Piece(length), piece));
            }
        }
    }

    fn key(&mut self, hash: u64) {
        if let Some(list) = self.index.keys.get(hash) {
            self.list(list);
        }
    }

    fn span(&mut self, ranges: u32, number: f64) {
        for list in self.index.ranges[ranges as usize].around(number) {
            self.list(list);
        }
    }

    fn list(&mut self, list: List) {
        if let Some(begun) = list.split(&self.index.shared) {
            self.briefs.fetch(begun.0);
            self.lists.push(Reverse(begun));
        }
    }
}

impl<'found> Values<'found> {
    /// What stands at the place with this number.
    pub(in crate::rules) fn at(&self, place: u32) -> Option<&'found Found<'found>> {
        let at = self.0.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        Some(self.0[at].1)
    }
}
