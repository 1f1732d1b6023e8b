//! What another rule set would do with the events that came: how many would go elsewhere, from where to where, by which
//! rules. Nothing is written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::clock::UnixMillis;
use crate::model::event::Event;
use crate::model::ids::{EventId, RuleName};
use crate::model::limits::{DRY_RUN_EXAMPLES_MAX, DRY_RUN_WAYS_MAX, PAGE_ROWS_MAX};
use crate::model::verdict::Verdict;
use crate::rules::RuleSet;
use crate::store::{EventQuery, Store, StoreError};

/// Which events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// The newest so many.
    Events(u64),
    /// Those received in this time up to now.
    For(Duration),
}

/// What would change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DryRun {
    /// Events that were routed by both rule sets.
    pub looked: u64,
    /// Those that would go elsewhere.
    pub changed: u64,
    /// From where to where, the most frequent first.
    pub ways: Vec<Way>,
    /// Changed events of further ways than are told one by one.
    pub other_ways: u64,
    /// Rules that would take more events, or fewer, by name: how many before and after.
    pub rules: BTreeMap<RuleName, (u64, u64)>,
}

/// Events that would all go from one place to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    pub before: Verdict,
    pub after: Verdict,
    pub events: u64,
    /// The newest of them.
    pub examples: Vec<EventId>,
}

impl Last {
    /// Of `last=30d`, `last=1000`, `30d` or `1000`.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = || {
            format!("`{text}` names no events: write last=1000 (the newest thousand), or last=30d, 12h, 90m")
        };
        let rest = text.strip_prefix("last=").unwrap_or(text);
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, unit) = rest.split_at(end);
        let number: u64 = digits.parse().map_err(|_| refused())?;
        let seconds = match unit {
            "" => return Ok(Self::Events(number)),
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return Err(refused()),
        };
        number.checked_mul(seconds).map(Duration::from_secs).map(Self::For).ok_or_else(refused)
    }
}

/// Routes the newest events by both rule sets and says what differs.
///
/// # Errors
/// What the store says.
pub async fn run(
    store: &dyn Store,
    before: &Arc<RuleSet>,
    after: &Arc<RuleSet>,
    last: Last,
    now: UnixMillis,
) -> Result<DryRun, StoreError> {
    let mut dry_run = DryRun::default();
    let mut left = match last {
        Last::Events(count) => count,
        Last::For(_) => u64::MAX,
    };
    let mut at = None;
    while left > 0 {
        let query = EventQuery {
            limit: usize::try_from(left).unwrap_or(usize::MAX).min(PAGE_ROWS_MAX),
            after: at,
            newest_first: true,
            bodies: true,
            ..EventQuery::default()
        };
        let page = store.events(query).await?;
        let read = page.rows.len();
        let young = |event: &Event| match last {
            Last::For(time) => UnixMillis(event.id.millis()).plus(time) >= now,
            Last::Events(_) => true,
        };
        let events: Vec<Event> = page.rows.into_iter().take_while(young).collect();
        let all_young = events.len() == read;
        left = left.saturating_sub(read as u64);
        let (before, after) = (Arc::clone(before), Arc::clone(after));
        let routing = tokio::task::spawn_blocking(move || route_both(&events, &before, &after));
        for (event, old, new) in routing.await.expect("routing does not panic") {
            dry_run.count(event, old, new);
        }
        at = page.next;
        if at.is_none() || !all_young {
            break;
        }
    }
    dry_run.rules.retain(|_, (before, after)| before != after);
    dry_run.ways.sort_by_key(|way| std::cmp::Reverse(way.events));
    Ok(dry_run)
}

fn route_both(events: &[Event], before: &RuleSet, after: &RuleSet) -> Vec<(EventId, Verdict, Verdict)> {
    let route = |rules: &RuleSet, event: &Event| {
        let envelope = &event.envelope;
        rules.decide(&envelope.source, envelope.livemode, envelope.received, &envelope.body).verdict
    };
    events.iter().map(|event| (event.id, route(before, event), route(after, event))).collect()
}

impl DryRun {
    fn count(&mut self, event: EventId, before: Verdict, after: Verdict) {
        self.looked += 1;
        for rule in before.rules() {
            self.rules.entry(rule.clone()).or_default().0 += 1;
        }
        for rule in after.rules() {
            self.rules.entry(rule.clone()).or_default().1 += 1;
        }
        if before == after {
            return;
        }
        self.changed += 1;
        let full = self.ways.len() == DRY_RUN_WAYS_MAX;
        match self.ways.iter_mut().find(|way| way.before == before && way.after == after) {
            Some(way) => {
                way.events += 1;
                if way.examples.len() < DRY_RUN_EXAMPLES_MAX {
                    way.examples.push(event);
                }
            }
            None if full => self.other_ways += 1,
            None => self.ways.push(Way { before, after, events: 1, examples: vec![event] }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_events_are_meant() {
        for text in ["last=1000", "1000"] {
            assert_eq!(Last::parse(text), Ok(Last::Events(1000)));
        }
        for (text, seconds) in [("last=30d", 30 * 86_400), ("12h", 43_200), ("90m", 5_400), ("last=7s", 7)] {
            assert_eq!(Last::parse(text), Ok(Last::For(Duration::from_secs(seconds))));
        }
        for text in ["", "last=", "first=3", "30w", "-1", "1.5d", "99999999999999999999d"] {
            assert!(Last::parse(text).unwrap_err().contains("last=1000"), "{text}");
        }
    }
}
