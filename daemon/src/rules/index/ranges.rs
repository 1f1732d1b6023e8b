//! Spans of numbers, and which of them hold a number.
//!
//! The ends of all spans cut the numbers into places: below the first end, at it, between it and the next, and so on.
//! Where few spans overlap, each place lists the spans that hold it, and a number costs one search. Where many do, that
//! would be as many lists as there are pairs; then the places are the leaves of a segment tree, a span stands at the few
//! nodes that it covers whole, and a number opens the nodes from its leaf to the root.

use super::list::List;

/// From the first to the second, both included, and the number of the rule that asks for it.
pub(super) type Span = (f64, f64, u32);

/// Every span at one place of an event.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranges {
    /// The ends of all spans, sorted, each once.
    cuts: Vec<f64>,
    /// Every [`STRIDE`]th of them: a search that stays in few cache lines until its last steps.
    milestones: Vec<f64>,
    /// One for each place; before them, where it is a tree, its inner nodes, the root second.
    lists: Vec<List>,
    is_tree: bool,
}

/// Cuts between two milestones: two cache lines.
const STRIDE: usize = 16;

/// Entries of all places together, for each span, from which on a tree takes less.
const PLACES_PER_SPAN_MAX: usize = 32;

impl Ranges {
    /// From spans with the numbers of their rules, which come in order; `keep` stores a list.
    pub(super) fn new(spans: &[Span], mut keep: impl FnMut(&[u32]) -> List) -> Self {
        let mut cuts: Vec<f64> =
            spans.iter().flat_map(|(low, high, _)| [*low, *high]).filter(|cut| cut.is_finite()).collect();
        cuts.sort_unstable_by(f64::total_cmp);
        cuts.dedup();
        let milestones = cuts.iter().copied().step_by(STRIDE).collect();
        let mut ranges = Self { cuts, milestones, lists: Vec::new(), is_tree: false };
        let places: Vec<(usize, usize, u32)> = spans
            .iter()
            .map(|(low, high, rule)| (ranges.place(*low), ranges.place(*high) + 1, *rule))
            .filter(|(start, end, _)| start < end)
            .collect();
        let covered: usize = places.iter().map(|(start, end, _)| end - start).sum();
        ranges.is_tree = covered > PLACES_PER_SPAN_MAX * spans.len();
        let lists = if ranges.is_tree { ranges.tree(&places) } else { ranges.flat(&places) };
        let mut keep = |mut rules: Vec<u32>| {
            rules.dedup();
            if rules.is_empty() { List::default() } else { keep(&rules) }
        };
        ranges.lists = lists.into_iter().map(&mut keep).collect();
        ranges
    }

    fn flat(&self, places: &[(usize, usize, u32)]) -> Vec<Vec<u32>> {
        let mut lists = vec![Vec::new(); self.places()];
        for (start, end, rule) in places {
            lists[*start..*end].iter_mut().for_each(|list| list.push(*rule));
        }
        lists
    }

    fn tree(&self, places: &[(usize, usize, u32)]) -> Vec<Vec<u32>> {
        let leaves = self.places();
        let mut tree = vec![Vec::new(); 2 * leaves];
        for (start, end, rule) in places {
            let (mut start, mut end) = (start + leaves, end + leaves);
            while start < end {
                if start % 2 == 1 {
                    tree[start].push(*rule);
                    start += 1;
                }
                if end % 2 == 1 {
                    end -= 1;
                    tree[end].push(*rule);
                }
                (start, end) = (start / 2, end / 2);
            }
        }
        tree
    }

    /// The lists of the spans that hold `number`.
    pub(super) fn around(&self, number: f64) -> impl Iterator<Item = List> {
        let place = self.place(number);
        let mut node = if self.is_tree { place + self.places() } else { place };
        let mut next = Some(node);
        std::iter::from_fn(move || {
            let list = self.lists.get(next?).copied();
            node /= 2;
            next = Some(node).filter(|node| self.is_tree && *node > 0);
            list
        })
        .filter(|list| !list.is_empty())
    }

    fn places(&self) -> usize {
        2 * self.cuts.len() + 1
    }

    fn place(&self, number: f64) -> usize {
        let passed = self.milestones.partition_point(|cut| *cut < number);
        let start = passed.saturating_sub(1) * STRIDE;
        let near = &self.cuts[start..self.cuts.len().min(start + STRIDE)];
        let below = start + near.partition_point(|cut| *cut < number);
        2 * below + usize::from(self.cuts.get(below) == Some(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_number_opens_just_the_spans_that_hold_it(
            spans in proptest::collection::vec((-90_i8..90, -90_i8..90), 0..60),
            number in -100_i8..100,
        ) {
            let spans: Vec<Span> = (0..)
                .zip(spans)
                .map(|(rule, (low, high))| {
                    let low = if low < -80 { f64::NEG_INFINITY } else { low.into() };
                    (low, if high > 80 { f64::INFINITY } else { high.into() }, rule)
                })
                .collect();
            let mut kept = Vec::new();
            let ranges = Ranges::new(&spans, |rules| List::keep(rules, &mut kept));
            let number = f64::from(number);
            let mut opened: Vec<u32> = Vec::new();
            for list in ranges.around(number) {
                let mut rest = list;
                while let Some((rule, after)) = rest.split(&kept) {
                    opened.push(rule);
                    rest = after;
                }
            }
            opened.sort_unstable();
            let holding =
                spans.iter().filter(|(low, high, _)| (*low..=*high).contains(&number)).map(|(.., rule)| *rule);
            proptest::prop_assert_eq!(opened, holding.collect::<Vec<u32>>());
        }
    }
}
