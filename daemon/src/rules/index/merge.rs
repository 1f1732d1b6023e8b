//! Sorted lists of rules as one: in order, each rule once, and no further than anyone asks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::list::List;

/// The first rule of a list, and what is left of it.
pub(super) type Begun = (u32, List);

/// The rules of several lists in order.
#[derive(Debug)]
pub(in crate::rules) struct Merged<'index> {
    shared: &'index [u32],
    next: BinaryHeap<Reverse<Begun>>,
    last: Option<u32>,
}

impl<'index> Merged<'index> {
    pub(super) fn new(shared: &'index [u32], mut opened: Vec<Reverse<Begun>>) -> Self {
        // The elements of an array may have opened one list many times.
        opened.sort_unstable();
        opened.dedup();
        Self { shared, next: opened.into(), last: None }
    }
}

impl Iterator for Merged<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            let mut top = self.next.peek_mut()?;
            let Reverse((rule, rest)) = *top;
            match rest.split(self.shared) {
                Some(after) => *top = Reverse(after),
                None => {
                    PeekMut::pop(top);
                }
            }
            if self.last.replace(rule) != Some(rule) {
                return Some(rule);
            }
        }
    }
}
