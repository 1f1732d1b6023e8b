//! Says in the log why requests were refused, but never as fast as somebody can send bad ones.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::answer::Refusal;
use crate::model::ids::SourceName;
use crate::model::limits::REFUSAL_LINES_PER_SECOND;

/// One a door.
#[derive(Debug)]
pub(super) struct RefusalLog {
    lines: DefaultDirectRateLimiter,
    untold: AtomicU64,
}

impl RefusalLog {
    pub(super) fn new() -> Self {
        let per_second = NonZeroU32::new(REFUSAL_LINES_PER_SECOND).expect("the constant is not 0");
        Self { lines: RateLimiter::direct(Quota::per_second(per_second)), untold: AtomicU64::new(0) }
    }

    /// One line with the reason. The body, the signature and the path of an unknown source are not in it.
    pub(super) fn tell(&self, refusal: &Refusal, source: Option<&SourceName>, peer: SocketAddr) {
        let Some(untold) = self.line() else { return };
        let source = source.map_or("-", SourceName::as_str);
        let (status, reason) = (refusal.status().as_u16(), refusal.reason());
        let cause = std::error::Error::source(refusal).map(ToString::to_string).unwrap_or_default();
        if refusal.is_ours() {
            tracing::error!(source, %peer, status, reason, cause, untold, "a request was refused: {refusal}");
        } else {
            tracing::warn!(source, %peer, status, reason, cause, untold, "a request was refused: {refusal}");
        }
    }

    /// One line that all places for connections are taken.
    pub(super) fn tell_full(&self, connections_max: usize) {
        let Some(untold) = self.line() else { return };
        tracing::warn!(connections_max, untold, "every connection is taken: idle ones close for new ones");
    }

    /// How many lines were left out before this one; `None` where this one is left out too.
    fn line(&self) -> Option<u64> {
        if self.lines.check().is_err() {
            self.untold.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.untold.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::verify::Rejection;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_flood_of_bad_requests_is_counted_but_not_a_flood_of_lines() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let log = RefusalLog::new();
            for _ in 0..10_000 {
                let refusal = Refusal::Signature(Rejection::NoV1Matches);
                log.tell(&refusal, Some(&SourceName::new("stripe")), ([192, 0, 2, 1], 443).into());
            }
            std::thread::sleep(std::time::Duration::from_millis(150));
            log.tell(&Refusal::UnknownPath, None, ([192, 0, 2, 1], 443).into());
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!((11..100).contains(&lines.len()), "{} lines", lines.len());
        let first = &lines[0]["fields"];
        assert_eq!((first["reason"].as_str(), first["status"].as_u64()), (Some("no_v1_matches"), Some(400)));
        let untold: u64 = lines.iter().map(|line| line["fields"]["untold"].as_u64().unwrap()).sum();
        let told = u64::try_from(lines.len()).unwrap();
        assert_eq!(told + untold, 10_001, "every refusal is told or counted");
    }
}
