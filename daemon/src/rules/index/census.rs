//! How often each key is offered in a whole set of rules, so that each rule is filed under its rarest: a value then opens
//! few lists in vain.

use std::collections::HashMap;

use super::access::Need;
use super::entry::{At, Entry, Measure};
use crate::rules::hash::BuildQuick;

/// Counts of what all rules offer.
#[derive(Debug)]
pub(super) struct Census {
    /// A power of two of counters. Two keys may share one: that makes both look less rare, and nothing wrong.
    keys: Vec<u32>,
    spans: HashMap<(u32, Measure), Ends, BuildQuick>,
}

/// The ends of all spans at a place.
#[derive(Debug, Default)]
struct Ends {
    lows: Vec<f64>,
    highs: Vec<f64>,
}

/// Counters for each rule: rules of a few tests rarely share one by chance.
const COUNTERS_PER_RULE: usize = 8;

impl Census {
    pub(super) fn of(needs: &[(u32, Need)]) -> Self {
        let counters = (needs.len() * COUNTERS_PER_RULE).next_power_of_two();
        let mut census = Self { keys: vec![0; counters], spans: HashMap::default() };
        for (_, need) in needs {
            census.count(need);
        }
        for ends in census.spans.values_mut() {
            ends.lows.sort_unstable_by(f64::total_cmp);
            ends.highs.sort_unstable_by(f64::total_cmp);
        }
        census
    }

    /// Calls `file` with each of the entries that the fewest rules share; `false` where nothing is offered.
    pub(super) fn rarest(&self, need: &Need, file: &mut impl FnMut(&Entry)) -> bool {
        match need {
            Need::All(needs) => {
                let offered = needs.iter().filter_map(|need| Some((self.rules_of(need)?, need)));
                let rarest = offered.min_by_key(|(rules, _)| *rules);
                rarest.is_some_and(|(_, need)| self.rarest(need, file))
            }
            // All of it or nothing: half of it would miss what the other half takes.
            Need::Any(_) if self.rules_of(need).is_none() => false,
            Need::Any(needs) => needs.iter().all(|need| self.rarest(need, file)),
            Need::One(entry) => {
                file(entry);
                true
            }
            Need::Nothing => false,
        }
    }

    fn count(&mut self, need: &Need) {
        match need {
            Need::All(needs) | Need::Any(needs) => needs.iter().for_each(|need| self.count(need)),
            Need::One(entry) => self.count_entry(entry),
            Need::Nothing => {}
        }
    }

    fn count_entry(&mut self, entry: &Entry) {
        match entry.at {
            At::Key(_, hash) => {
                let counter = self.counter(hash);
                self.keys[counter] = self.keys[counter].saturating_add(1);
            }
            At::Span(measure, low, high) => {
                let ends = self.spans.entry((entry.place, measure)).or_default();
                ends.lows.push(low);
                ends.highs.push(high);
            }
        }
    }

    fn counter(&self, hash: u64) -> usize {
        hash as usize & (self.keys.len() - 1)
    }

    /// How many rules the rarest entries of `need` name; `None` where nothing is offered.
    fn rules_of(&self, need: &Need) -> Option<usize> {
        match need {
            Need::All(needs) => needs.iter().filter_map(|need| self.rules_of(need)).min(),
            Need::Any(needs) => needs.iter().map(|need| self.rules_of(need)).sum(),
            Need::One(entry) => Some(self.rules_at(entry)),
            Need::Nothing => None,
        }
    }

    /// Rules that offer this key; for a span, those whose span meets it.
    fn rules_at(&self, entry: &Entry) -> usize {
        match entry.at {
            At::Key(_, hash) => self.keys[self.counter(hash)] as usize,
            At::Span(measure, low, high) => {
                let Some(ends) = self.spans.get(&(entry.place, measure)) else { return 0 };
                let below = ends.highs.partition_point(|end| *end < low);
                let above = ends.lows.len() - ends.lows.partition_point(|end| *end <= high);
                ends.lows.len().saturating_sub(below + above)
            }
        }
    }
}
