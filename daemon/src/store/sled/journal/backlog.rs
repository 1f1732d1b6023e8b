//! What the journal holds and sled does not have yet: handed from the writer to the applier, and held within bounds.
//!
//! The writer pushes each commit once it is on disk, and waits here when too much is behind: then the door is as fast as
//! sled, its queue fills, and it sheds. The applier takes commits in order. The keeper makes the next segment ready and
//! takes back those that are no longer needed.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Sled;
use super::segment::Segment;
use crate::model::clock::Stopwatch;
use crate::model::limits::{
    APPLY_BYTES_MAX, APPLY_PRESSED_BYTES, BACKLOG_BYTES_MAX, BACKLOG_ROWS_MAX, DRAIN_MAX, JOURNAL_RETRY,
    SEGMENT_WAIT_MAX,
};

/// A commit in the journal.
#[derive(Debug, Clone, Copy)]
pub(in crate::store::sled) struct Commit {
    pub(in crate::store::sled) seq: u64,
    pub(super) segment: u32,
    pub(super) offset: u64,
    pub(super) bytes: usize,
    pub(super) rows: usize,
    /// Runs since it was on disk.
    pub(super) age: Stopwatch,
}

/// The last commit on disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    pub(super) seq: u64,
    /// The segment that shows it: that one stays until a later one does.
    pub(super) segment: u32,
    /// How many events there ever were by then; at least.
    pub(super) events: u64,
}

/// What the applier is to do.
pub(in crate::store::sled) enum Task {
    /// sled is open.
    Begin(Box<Sled>),
    /// Bring sled up to the last of these.
    Apply(Vec<Commit>),
    /// Everything asked for is done, or the store failed.
    End { orderly: bool },
}

/// What the keeper is to do.
pub(super) enum Errand {
    /// Make segment `number` ready; the commits in it will come after the last one there is.
    Prepare { number: u32, last: Last },
    /// Take these back: everything in them is in sled.
    Retire(Vec<Segment>),
    /// Nothing more is asked.
    End,
}

/// How far the applier is asked to go.
#[derive(Debug, Clone, Copy)]
enum Until {
    Forever,
    /// Nothing is behind any more, or this runs out.
    Drained(Stopwatch),
    Now,
}

/// Shared by the writer, the applier and the keeper.
#[derive(Debug)]
pub(in crate::store::sled) struct Backlog {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    /// sled, until the applier takes it.
    sled: Option<Box<Sled>>,
    /// The applier has sled.
    begun: bool,
    commits: VecDeque<Commit>,
    bytes: u64,
    rows: usize,
    ready: Option<Segment>,
    /// Why a segment could not be made ready, and the time since.
    postponed: Option<(String, Stopwatch)>,
    /// Runs since sled could not be given more, for want of disk space.
    held: Option<Stopwatch>,
    /// The number that the next segment made ready will have.
    next_segment: u32,
    /// Segments that the writer has filled, oldest first.
    full: VecDeque<Segment>,
    /// Segments to be taken back.
    done: Vec<Segment>,
    last: Last,
    until: Until,
    /// Why nothing more is applied.
    failed: Option<String>,
    apply_after: Duration,
}

impl Backlog {
    /// `commits`: what opening found behind. `full`: the segments that they stand in. `last`: the last commit,
    /// which the header of the segment that was begun names.
    pub(super) fn new(
        commits: VecDeque<Commit>,
        full: VecDeque<Segment>,
        last: Last,
        apply_after: Duration,
    ) -> Self {
        let bytes = commits.iter().map(|commit| commit.bytes as u64).sum();
        let rows = commits.iter().map(|commit| commit.rows).sum();
        let inner = Inner {
            sled: None,
            begun: false,
            commits,
            bytes,
            rows,
            ready: None,
            postponed: None,
            held: None,
            next_segment: last.segment + 1,
            full,
            done: Vec::new(),
            last,
            until: Until::Forever,
            failed: None,
            apply_after,
        };
        Self { inner: Mutex::new(inner), changed: Condvar::new() }
    }

    /// For the writer: sled is open.
    pub(super) fn give(&self, sled: Sled) {
        self.lock().sled = Some(Box::new(sled));
        self.changed.notify_all();
    }

    /// For the writer: whether sled is not too far behind.
    pub(super) fn has_room(&self) -> bool {
        self.lock().has_room()
    }

    /// For the writer: waits while too much is behind. An error says why the applier has ended.
    pub(super) fn wait_for_room(&self) -> Result<(), String> {
        let inner = self.lock();
        let full = |inner: &mut Inner| inner.failed.is_none() && !inner.has_room();
        let inner = self.changed.wait_while(inner, full).unwrap_or_else(PoisonError::into_inner);
        inner.failed.clone().map_or(Ok(()), Err)
    }

    /// For the writer: the segment that was made ready, waiting for it where need be; the one before is full.
    pub(super) fn next_segment(&self, filled: Segment) -> Result<Segment, String> {
        let mut inner = self.lock();
        inner.full.push_back(filled);
        self.changed.notify_all();
        let waits = |inner: &mut Inner| inner.failed.is_none() && inner.ready.is_none();
        let waited = self.changed.wait_timeout_while(inner, SEGMENT_WAIT_MAX, waits);
        let (mut inner, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &inner.failed {
            return Err(why.clone());
        }
        let ready = inner.ready.take();
        self.changed.notify_all();
        ready.ok_or_else(|| match inner.postponed.take() {
            Some((why, _)) => why,
            None => {
                format!("the journal's next segment was not ready within {} s", SEGMENT_WAIT_MAX.as_secs())
            }
        })
    }

    /// For the writer: a commit is on disk.
    pub(super) fn push(&self, commit: Commit, events: u64) {
        let mut inner = self.lock();
        inner.bytes += commit.bytes as u64;
        inner.rows += commit.rows;
        inner.commits.push_back(commit);
        let events = inner.last.events.max(events);
        inner.last = Last { seq: commit.seq, segment: commit.segment, events };
        // The applier looks by itself when a commit is old enough; it is called where that is too late.
        if inner.is_pressed() {
            self.changed.notify_all();
        }
    }

    /// For the applier: waits for something to do.
    pub(super) fn task(&self) -> Task {
        let mut inner = self.lock();
        loop {
            if let Some(task) = inner.task() {
                return task;
            }
            let waited = inner.commits.front().map(|commit| commit.age.elapsed()).unwrap_or_default();
            let wait =
                inner.apply_after.min(JOURNAL_RETRY).saturating_sub(waited).max(Duration::from_millis(1));
            inner = self.changed.wait_timeout(inner, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// For the keeper: waits for something to do.
    pub(super) fn errand(&self) -> Errand {
        let mut inner = self.lock();
        loop {
            if let Some(errand) = inner.errand() {
                return errand;
            }
            inner = self.changed.wait_timeout(inner, JOURNAL_RETRY).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// For the keeper: the segment asked for cannot be made ready just now, and this is why.
    pub(super) fn postpone(&self, why: String) {
        self.lock().postponed = Some((why, Stopwatch::start()));
    }

    /// For the applier: the disk has no room for what sled would write. Everything stays in the journal. Says whether it
    /// had room before.
    pub(super) fn hold(&self) -> bool {
        self.lock().held.replace(Stopwatch::start()).is_none()
    }

    /// For the keeper: the segment asked for is ready.
    pub(super) fn prepared(&self, segment: Segment) {
        let mut inner = self.lock();
        inner.postponed = None;
        inner.next_segment += 1;
        inner.ready = Some(segment);
        self.changed.notify_all();
    }

    /// For the applier: sled has everything up to `seq`, on disk, and is known to have what stands before segment `kept`.
    /// Segments that nobody needs any more go to the keeper.
    pub(super) fn applied(&self, seq: u64, kept: u32) {
        let mut inner = self.lock();
        inner.held = None;
        while inner.commits.front().is_some_and(|commit| commit.seq <= seq)
            && let Some(commit) = inner.commits.pop_front()
        {
            inner.bytes -= commit.bytes as u64;
            inner.rows -= commit.rows;
        }
        let needed = inner.commits.front().map_or(inner.last.segment, |commit| commit.segment).min(kept);
        while inner.full.front().is_some_and(|full| full.number < needed)
            && let Some(full) = inner.full.pop_front()
        {
            inner.done.push(full);
        }
        self.changed.notify_all();
    }

    /// Nothing more is applied, and this is why; the writer hears it at its next commit.
    pub(in crate::store::sled) fn fail(&self, why: String) {
        self.lock().failed.get_or_insert(why);
        self.changed.notify_all();
    }

    /// The applier ends when nothing is behind, or after [`DRAIN_MAX`]: the next open finds the rest in the journal.
    pub(in crate::store::sled) fn drain(&self) {
        self.end(Until::Drained(Stopwatch::start()));
    }

    /// The applier ends after what it is at.
    pub(in crate::store::sled) fn end_now(&self) {
        self.end(Until::Now);
    }

    /// How many bytes of the journal sled does not have yet.
    pub(in crate::store::sled) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    fn end(&self, until: Until) {
        self.lock().until = until;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn has_room(&self) -> bool {
        self.bytes < BACKLOG_BYTES_MAX && self.rows < BACKLOG_ROWS_MAX
    }

    /// What is to be done now; `None` where nothing is.
    fn task(&mut self) -> Option<Task> {
        if let Some(sled) = self.sled.take() {
            self.begun = true;
            return Some(Task::Begin(sled));
        }
        let draining = match self.until {
            Until::Now => return Some(Task::End { orderly: false }),
            Until::Drained(since) if since.elapsed() >= DRAIN_MAX => {
                return Some(Task::End { orderly: true });
            }
            Until::Drained(_) => true,
            Until::Forever => false,
        };
        let held = self.held.is_some_and(|since| since.elapsed() < JOURNAL_RETRY);
        let Some(first) = self.commits.front().filter(|_| self.begun && !held) else {
            return draining.then_some(Task::End { orderly: true });
        };
        if draining || self.is_pressed() {
            return Some(Task::Apply(self.first_commits(Duration::ZERO)));
        }
        // Half of the time lies between two tasks, so that each has something to do.
        (first.age.elapsed() >= self.apply_after)
            .then(|| Task::Apply(self.first_commits(self.apply_after / 2)))
    }

    /// What the keeper is to do now; `None` where nothing is.
    fn errand(&mut self) -> Option<Errand> {
        let ending = match self.until {
            Until::Now => return Some(Errand::End),
            // Where sled never opened nobody takes anything out of the journal.
            Until::Drained(since) => {
                Some(self.commits.is_empty() || !self.begun || since.elapsed() >= DRAIN_MAX)
            }
            Until::Forever => None,
        };
        if self.failed.is_some() {
            return Some(Errand::End);
        }
        let postponed = self.postponed.as_ref().is_some_and(|(_, since)| since.elapsed() < JOURNAL_RETRY);
        if self.ready.is_none() && ending.is_none() && !postponed {
            return Some(Errand::Prepare { number: self.next_segment, last: self.last });
        }
        if !self.done.is_empty() {
            return Some(Errand::Retire(std::mem::take(&mut self.done)));
        }
        (ending == Some(true)).then_some(Errand::End)
    }

    /// So much is behind that nothing is gained by waiting.
    fn is_pressed(&self) -> bool {
        self.bytes >= APPLY_PRESSED_BYTES || self.rows >= BACKLOG_ROWS_MAX / 2
    }

    /// About as many commits as one task takes, of those that old; at least one.
    fn first_commits(&self, age: Duration) -> Vec<Commit> {
        let mut bytes = 0;
        let mut first = Vec::new();
        for commit in &self.commits {
            let enough = bytes + commit.bytes > APPLY_BYTES_MAX || commit.age.elapsed() < age;
            if !first.is_empty() && enough {
                break;
            }
            bytes += commit.bytes;
            first.push(*commit);
        }
        first
    }
}
