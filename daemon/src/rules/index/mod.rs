//! Which rules can match an event at all, without asking each.
//!
//! Built by [`super::RuleSet`] once a snapshot; asked once an event. Each rule is filed under its rarest necessary keys
//! (`access`, `census`), in lists that are sorted by the rules' numbers. An event's values are looked up where they stand
//! (`opened`), and the lists that they open are merged, so that the rules come in file order and the first match ends the
//! search.
//!
//! The index only proposes: what it names is asked whole. So two values with one hash, or two numbers that are one
//! double, cost a question and never change a verdict. What must hold is the other direction: a rule that matches is
//! always proposed, which `tests/index.rs` holds against the evaluator alone.
//!
//! What an event touches is kept small and flat, because at many rules the time goes into the memory's latency; and a
//! rule's brief is fetched as soon as a list opens it, while the event's other values are looked up.

mod access;
mod census;
mod entry;
mod list;
mod merge;
mod opened;
mod place;
mod ranges;
mod table;

use std::collections::HashMap;

use census::Census;
use entry::{At, Entry, Facet, Measure};
use list::List;
pub(super) use merge::Merged;
pub(super) use opened::{Opened, Values};
use place::Place;
use ranges::{Ranges, Span};
use table::Table;

use super::brief::Briefs;
use super::extract::Found;
use super::hash::BuildQuick;
use super::ruleset::Rule;
use super::watch::Watch;
use crate::model::ids::SourceName;

/// The compiled rules of one set.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// By the number of their place; the last one is the event's source.
    places: Vec<Place>,
    keys: Table,
    /// The first one is empty.
    ranges: Vec<Ranges>,
    /// Every list of more than one rule, end to end.
    shared: Vec<u32>,
    /// Rules that no key tells anything about.
    always: List,
    /// Places whose emptiness some rule asks for.
    absent: Vec<u32>,
    longest: List,
}

impl Index {
    /// Files every rule that is enabled.
    pub(super) fn new(rules: &[Rule], watch: &Watch) -> Self {
        let needs = access::needs(rules, watch);
        let census = Census::of(&needs);
        let mut index = Self {
            places: vec![Place::default(); watch.nodes() + 1],
            keys: Table::with_room_for(0),
            ranges: vec![Ranges::default()],
            shared: Vec::new(),
            always: List::default(),
            absent: Vec::new(),
            longest: List::default(),
        };
        let (mut always, mut keys, mut spans) = (Vec::new(), Vec::new(), HashMap::default());
        for (number, need) in &needs {
            if !census.rarest(need, &mut |entry| index.sort_out(entry, *number, &mut keys, &mut spans)) {
                always.push(*number);
            }
        }
        index.always = List::share(&always, &mut index.shared);
        index.file_keys(keys);
        index.file_spans(spans);
        index.absent = (0..)
            .zip(&index.places)
            .filter(|(_, place)| place.has(Facet::Absent))
            .map(|(it, _)| it)
            .collect();
        index
    }

    /// What an event opens, of which the rules that may match are a part.
    pub(super) fn open<'index, 'found>(
        &'index self,
        briefs: &'index Briefs,
        watch: &Watch,
        root: &'found Found<'found>,
        source: &SourceName,
    ) -> Opened<'index, 'found> {
        Opened::new(self, briefs, watch, root, source)
    }

    /// The rules that every event opens: nothing in them can be looked up.
    pub(super) fn always(&self) -> &[u32] {
        self.always.part(&self.shared)
    }

    /// The longest list that one found value opens; nothing where each opens one rule at most.
    pub(super) fn longest(&self) -> &[u32] {
        self.longest.part(&self.shared)
    }

    fn sort_out(&mut self, entry: &Entry, rule: u32, keys: &mut Vec<(u64, u32)>, spans: &mut Spans) {
        match entry.at {
            At::Key(facet, hash) => {
                self.places[entry.place as usize].add(facet);
                keys.push((hash, rule));
            }
            At::Span(measure, low, high) => {
                spans.entry((entry.place, measure)).or_default().push((low, high, rule));
            }
        }
    }

    fn file_keys(&mut self, mut keys: Vec<(u64, u32)>) {
        keys.sort_unstable();
        keys.dedup();
        let different = keys.chunk_by(|left, right| left.0 == right.0).count();
        self.keys = Table::with_room_for(different);
        let mut rules = Vec::new();
        for same in keys.chunk_by(|left, right| left.0 == right.0) {
            rules.clear();
            rules.extend(same.iter().map(|(_, rule)| *rule));
            let list = self.keep(&rules);
            self.keys.insert(same[0].0, list);
        }
    }

    fn file_spans(&mut self, spans: Spans) {
        for ((place, measure), spans) in spans {
            let ranges = Ranges::new(&spans, |list| self.keep(list));
            let number = u32::try_from(self.ranges.len()).expect("a configuration file is smaller than 4 GB");
            self.ranges.push(ranges);
            let place = &mut self.places[place as usize];
            match measure {
                Measure::Value => place.values = number,
                Measure::Length => place.lengths = number,
            }
        }
    }

    /// Keeps a sorted list of rules.
    fn keep(&mut self, rules: &[u32]) -> List {
        let list = List::keep(rules, &mut self.shared);
        if rules.len() > self.longest().len() && rules.len() > 1 {
            self.longest = list;
        }
        list
    }
}

/// The spans of each place, with their rules.
type Spans = HashMap<(u32, Measure), Vec<Span>, BuildQuick>;
