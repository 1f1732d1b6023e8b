//! The sources by path, as the door looks them up for each request. Swapped whole at a reload.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::model::ids::SourceName;
use crate::privacy::Redaction;
use crate::verify::Scheme;

/// One source: where it is and how its requests are verified.
#[derive(Debug, Clone)]
pub struct DoorSource {
    pub name: SourceName,
    /// Begins with `/`; compared whole, byte for byte, without a query.
    pub path: String,
    pub scheme: Scheme,
    /// Every request counts, verified or not.
    pub rate: Option<RateLimit>,
    /// What is taken out of its bodies before they are stored.
    pub redaction: Redaction,
}

/// How many requests a source may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub per_second: NonZeroU32,
    /// How many may come at once after a pause.
    pub burst: NonZeroU32,
}

/// All sources, by path.
#[derive(Debug, Default)]
pub struct Sources(HashMap<String, Arc<LiveSource>>);

/// The sources contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourcesError {
    #[error("the sources {first} and {second} both have the path {path}: give each its own")]
    SamePath { first: SourceName, second: SourceName, path: String },
    #[error("the path {path:?} of source {source_name} does not begin with `/`")]
    NoSlash { source_name: SourceName, path: String },
}

/// A source and how much of its rate is spent.
#[derive(Debug)]
pub(super) struct LiveSource {
    pub(super) name: SourceName,
    pub(super) scheme: Scheme,
    pub(super) redaction: Redaction,
    limiter: Option<DefaultDirectRateLimiter>,
}

impl Sources {
    /// Rates start unspent.
    pub fn new(sources: Vec<DoorSource>) -> Result<Self, SourcesError> {
        let mut by_path: HashMap<String, Arc<LiveSource>> = HashMap::with_capacity(sources.len());
        for DoorSource { name, path, scheme, rate, redaction } in sources {
            if !path.starts_with('/') {
                return Err(SourcesError::NoSlash { source_name: name, path });
            }
            if let Some(first) = by_path.get(&path) {
                return Err(SourcesError::SamePath { first: first.name.clone(), second: name, path });
            }
            let limiter = rate
                .map(|rate| RateLimiter::direct(Quota::per_second(rate.per_second).allow_burst(rate.burst)));
            by_path.insert(path, Arc::new(LiveSource { name, scheme, redaction, limiter }));
        }
        Ok(Self(by_path))
    }

    pub(super) fn at(&self, path: &str) -> Option<Arc<LiveSource>> {
        self.0.get(path).map(Arc::clone)
    }
}

impl LiveSource {
    /// Counts one request, or says how long until the next one may come.
    pub(super) fn spend(&self) -> Result<(), Duration> {
        match &self.limiter {
            None => Ok(()),
            Some(limiter) => {
                limiter.check().map_err(|early| early.wait_time_from(DefaultClock::default().now()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::verify::stripe::StripeScheme;

    fn source(name: &str, path: &str, rate: Option<RateLimit>) -> DoorSource {
        let tolerance = Duration::from_secs(300);
        let scheme = StripeScheme::new(vec![SecretString::from("whsec_a")], tolerance).unwrap();
        DoorSource {
            name: SourceName::new(name),
            path: path.to_owned(),
            scheme: Scheme::Stripe(scheme),
            rate,
            redaction: Redaction::default(),
        }
    }

    #[test]
    fn sources_that_contradict_each_other_are_refused() {
        let same = Sources::new(vec![source("a", "/x", None), source("b", "/x", None)]).unwrap_err();
        assert_eq!(same.to_string(), "the sources a and b both have the path /x: give each its own");
        let bare = Sources::new(vec![source("a", "x", None)]).unwrap_err();
        assert_eq!(bare.to_string(), "the path \"x\" of source a does not begin with `/`");
    }

    #[test]
    fn a_rate_is_spent_by_its_burst_and_says_how_long_to_wait() {
        let (one, three) = (NonZeroU32::MIN, NonZeroU32::MIN.saturating_add(2));
        let rate = RateLimit { per_second: one, burst: three };
        let sources = Sources::new(vec![source("a", "/a", Some(rate)), source("b", "/b", None)]).unwrap();
        let (limited, free) = (sources.at("/a").unwrap(), sources.at("/b").unwrap());
        let early = (0..10).find_map(|_| limited.spend().err()).unwrap();
        assert!(early <= Duration::from_secs(1), "{early:?}");
        assert!((0..10).all(|_| free.spend().is_ok()));
        assert!(sources.at("/a/").is_none());
    }
}
