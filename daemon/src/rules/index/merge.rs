//! Sorted lists of rules as one: in order, each rule once, and no further than anyone asks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::List;

/// The rules of several lists in order.
#[derive(Debug)]
pub(in crate::rules) struct Merged<'index> {
    rules: &'index [u32],
    /// The next rule of each list, and what is left of it.
    next: BinaryHeap<Reverse<(u32, List)>>,
    last: Option<u32>,
}

impl<'index> Merged<'index> {
    pub(super) fn new(rules: &'index [u32], mut lists: Vec<List>) -> Self {
        // The elements of an array may have opened one list many times.
        lists.sort_unstable();
        lists.dedup();
        let first = |list: List| Some(Reverse((*head(rules, list)?, list)));
        let next = lists.into_iter().filter_map(first).collect::<Vec<_>>().into();
        Self { rules, next, last: None }
    }
}

impl Iterator for Merged<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            let mut top = self.next.peek_mut()?;
            let Reverse((rule, list)) = *top;
            let rest = List { start: list.start + 1, ..list };
            match head(self.rules, rest) {
                Some(after) => *top = Reverse((*after, rest)),
                None => {
                    std::collections::binary_heap::PeekMut::pop(top);
                }
            }
            if self.last.replace(rule) != Some(rule) {
                return Some(rule);
            }
        }
    }
}

fn head(rules: &[u32], list: List) -> Option<&u32> {
    rules.get(list.start as usize..list.end as usize)?.first()
}
