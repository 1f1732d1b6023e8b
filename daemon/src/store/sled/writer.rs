//! The one thread that changes the store, and the only place that decides that something is on disk.
//!
//! ```text
//!  callers ─► bounded queue ─► round: run each job ─► one frame of the journal ─► fdatasync ─► answer all ─► ring
//! ```
//! While one round is on its way to disk the next one's jobs queue up: that is the whole batching, there is no timer.
//! A caller is answered after the sync that covers its change; a kill before that loses nothing that was promised.
//!
//! sled is brought up to date behind it, by the journal's applier. A failure of either, of a sync, or a panic is **final**:
//! nothing is retried and everybody waiting is told. After a failed sync the page cache may hold what the disk never got;
//! the next open reads the journal from the disk itself.
//! Running out of file descriptors is none of these: what the writer needs at work was opened when the store was.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

use super::commands::{self, Known, Prepared};
use super::engine::{Engine, panic_words};
use super::fault::Fault;
use super::high_water::HighWater;
use super::journal::{self, AppendError, Journal};
use super::keys;
use super::leftovers;
use super::open::{Opened, SCHEMA_VERSION, blob_files};
use super::round::{Round, Shortage, Standing};
use super::shared::{Shared, Worker};
use super::space::{Every, Space};
use crate::model::clock::{Clock, Stopwatch};
use crate::model::event::Appended;
use crate::model::limits::{
    BLOB_CHECK_EVERY, CHUNK_BYTES_MAX, COMMIT_BYTES_MAX, COMMIT_COMMANDS_MAX, SPACE_CHECK_EVERY,
    WRITER_STALL_MAX,
};
use crate::store::{Health, StoreError};

/// Answers one caller. Run only when the round that it belongs to is on disk.
pub(super) type Reply = Box<dyn FnOnce() + Send>;
/// Runs one command. An error is sled's own, and final.
pub(super) type Work = Box<dyn FnOnce(&mut Round) -> Result<Reply, ::sled::Error> + Send>;
/// What makes everything written so far durable.
pub(super) type SyncFile = Box<dyn FnMut(&File) -> io::Result<()> + Send>;

/// What callers ask of the writer. A dropped job tells its caller to look at the store's health.
pub(super) enum Job {
    /// `bytes`: about what it will write.
    Write {
        bytes: usize,
        work: Work,
    },
    /// An event that takes several rounds.
    AppendLarge {
        event: Box<Prepared>,
        answer: oneshot::Sender<Result<Appended, StoreError>>,
    },
    Close {
        answer: oneshot::Sender<()>,
    },
}

/// How commits are made durable, and how long one may take. Tests have others than the default.
pub(super) struct Durability {
    /// The journal's.
    pub(super) sync: SyncFile,
    /// sled's, behind it.
    pub(super) sync_sled: SyncFile,
    pub(super) stall_max: Duration,
}

impl Default for Durability {
    fn default() -> Self {
        Self {
            sync: Box::new(File::sync_data),
            sync_sled: Box::new(File::sync_data),
            stall_max: WRITER_STALL_MAX,
        }
    }
}

/// Starts the thread, and the applier's. It ends when it is told to close, when every sender is gone, or when the store
/// fails.
pub(super) fn start(
    opened: Opened,
    segment_bytes: u64,
    clock: Arc<dyn Clock>,
    space: Space,
    durability: Durability,
    jobs: mpsc::Receiver<Job>,
) -> io::Result<(Arc<Engine>, Arc<Shared>)> {
    let engine = Arc::new(opened.engine);
    let shared = Arc::new(Shared::new(durability.stall_max));
    let sled = journal::Sled {
        engine: Arc::clone(&engine),
        shared: Arc::clone(&shared),
        file: opened.file.try_clone()?,
        sync: durability.sync_sled,
    };
    let (journal, applier) = journal::begin(opened.behind, opened.applied, segment_bytes, sled)?;
    let now = clock.now();
    let mut writer = Writer {
        engine: Arc::clone(&engine),
        journal,
        applier: Some(applier),
        file: opened.file,
        standing: opened.standing,
        noted: opened.noted,
        high_water: opened.high_water,
        shared: Arc::clone(&shared),
        clock,
        space,
        sync: durability.sync,
        jobs,
        carried: None,
        blob_check: Every::new(BLOB_CHECK_EVERY, now),
    };
    writer.remove_leftovers().map_err(io::Error::other)?;
    std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run())?;
    Ok((engine, shared))
}

struct Writer {
    engine: Arc<Engine>,
    journal: Journal,
    /// The thread behind; none once it was waited for.
    applier: Option<JoinHandle<()>>,
    /// sled's file, for the last sync.
    file: File,
    standing: Standing,
    noted: bool,
    high_water: HighWater,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    space: Space,
    sync: SyncFile,
    jobs: mpsc::Receiver<Job>,
    /// A job that did not fit the last round.
    carried: Option<Job>,
    blob_check: Every,
}

/// What ends the thread.
enum End {
    Asked(Option<oneshot::Sender<()>>),
    Failed(String),
}

enum Next {
    Job(Job),
    Idle,
    Gone,
}

impl Writer {
    fn run(mut self) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.work_to_the_end()));
        let ended =
            ended.unwrap_or_else(|panic| Err(format!("the writer panicked: {}", panic_words(&*panic))));
        match ended {
            Ok(answer) => {
                self.shared.set(Health::Closed);
                if let Some(answer) = answer {
                    let _caller_left = answer.send(());
                }
            }
            Err(why) => {
                tracing::error!(%why, "the store failed and takes no more writes");
                self.shared.set(Health::Failed { why });
                self.journal.end_now();
                // sled's own clean-up would write and sync again, and hang or panic on the way: leave it to the kernel.
                std::mem::forget(Arc::clone(&self.engine));
            }
        }
        // Dropping the queue and everything in it tells all who wait.
    }

    fn work_to_the_end(&mut self) -> Result<Option<oneshot::Sender<()>>, String> {
        let waiting = Builder::new_current_thread().enable_time().build();
        let waiting = waiting.map_err(|error| format!("the writer cannot wait: {error}"))?;
        loop {
            match self.turn(&waiting) {
                Ok(()) => {}
                Err(End::Asked(answer)) => return self.finish().map(|()| answer),
                Err(End::Failed(why)) => return Err(why),
            }
        }
    }

    /// Waits for something to do and does it.
    fn turn(&mut self, waiting: &Runtime) -> Result<(), End> {
        let next = match self.carried.take() {
            Some(job) => Next::Job(job),
            None => waiting.block_on(async {
                match tokio::time::timeout(SPACE_CHECK_EVERY, self.jobs.recv()).await {
                    Ok(Some(job)) => Next::Job(job),
                    Ok(None) => Next::Gone,
                    Err(_) => Next::Idle,
                }
            }),
        };
        self.shared.set_busy(Worker::Writer, Some(Stopwatch::start()));
        self.look_after_disk()?;
        let done = match next {
            Next::Job(Job::Close { answer }) => Err(End::Asked(Some(answer))),
            Next::Job(Job::AppendLarge { event, answer }) => self.append_large(&event, answer),
            Next::Job(job) => self.round(job),
            Next::Idle => Ok(()),
            Next::Gone => Err(End::Asked(None)),
        };
        self.shared.set_busy(Worker::Writer, None);
        match self.shared.health() {
            // Somebody found the writer hanging and said so: it stays said, though the disk came back.
            Health::Failed { why } => Err(End::Failed(why)),
            _ => done,
        }
    }

    /// Runs `first` and what is queued behind it, commits, answers.
    fn round(&mut self, first: Job) -> Result<(), End> {
        self.journal.wait_for_room()?;
        let mut round = self.new_round();
        let mut replies: Vec<Reply> = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next.take() {
            match job {
                Job::Write { bytes, work }
                    if round.is_empty() || round.bytes() + bytes <= COMMIT_BYTES_MAX =>
                {
                    round.begin();
                    replies.push(work(&mut round).map_err(|error| sled_failed(&error))?);
                }
                later => {
                    self.carried = Some(later);
                    break;
                }
            }
            if replies.len() < COMMIT_COMMANDS_MAX {
                next = self.jobs.try_recv().ok();
            }
        }
        let rings = self.commit(round)?;
        replies.into_iter().for_each(|reply| reply());
        self.ring(rings);
        Ok(())
    }

    /// Makes the round durable. When it returns, a power cut takes nothing of it away.
    fn commit(&mut self, round: Round) -> Result<Standing, End> {
        let standing = round.standing;
        if round.is_empty() {
            return Ok(standing);
        }
        let bytes = round.bytes();
        self.space.wrote(bytes);
        let tree = &self.engine.rows.tree;
        self.journal.append(round.into_rows(), bytes, &mut self.sync, |key| tree.contains_key(key))?;
        if !self.noted && standing.totals.appended > 0 {
            self.note(1)?;
            self.noted = true;
        }
        self.standing = standing;
        Ok(standing)
    }

    /// Stores an event that is larger than one commit may be: its chunks in several rounds under a mark, then, in the
    /// last, what makes it visible. Other jobs wait meanwhile, so that ids stay in the order in which events appear.
    fn append_large(
        &mut self,
        event: &Prepared,
        answer: oneshot::Sender<Result<Appended, StoreError>>,
    ) -> Result<(), End> {
        let result = match self.try_append_large(event) {
            Ok(appended) => Ok(appended),
            Err(LargeFault::Refused(error)) => Err(error),
            Err(LargeFault::End(end)) => return Err(end),
        };
        let _caller_left = answer.send(result);
        Ok(())
    }

    fn try_append_large(&mut self, event: &Prepared) -> Result<Appended, LargeFault> {
        let mut round = self.new_round();
        if let Known::Event(id) = commands::lookup(&round, event)? {
            return Ok(Appended::Duplicate(id));
        }
        round.refuse_if_full()?;
        let id = round.next_id()?;
        let mark = keys::of_event(keys::STAGED, id);
        let prefix = keys::of_event(keys::EVENTS, id);
        round.put(mark.clone(), Vec::new())?;
        for number in 1..event.record.chunks() {
            if round.bytes() + CHUNK_BYTES_MAX + prefix.len() + 2 > COMMIT_BYTES_MAX {
                self.commit(round)?;
                round = self.new_round();
            }
            round.put(keys::chunk(&prefix, number), event.record.chunk(number))?;
        }
        self.commit(round)?;
        let mut last = self.new_round();
        let Known::Slot(slot) = commands::lookup(&last, event)? else {
            return Err(
                StoreError::Corrupt { what: format!("event {id} appeared while it was written") }.into()
            );
        };
        last.remove(mark);
        commands::make_visible(&mut last, event, id, slot)?;
        let rings = self.commit(last)?;
        self.ring(rings);
        Ok(Appended::New(id))
    }

    fn new_round(&mut self) -> Round {
        let now = self.clock.now();
        let mut round = Round::new(self.engine.rows.clone(), self.standing, now);
        round.shortage = self.space.shortage(now);
        round
    }

    fn ring(&self, rings: Standing) {
        if rings.rings_events {
            self.shared.wakes.events_changed();
        }
        if rings.rings_deliveries {
            self.shared.wakes.deliveries_changed();
        }
    }

    /// Looks at free space and, now and then, for blob files.
    fn look_after_disk(&mut self) -> Result<(), End> {
        let now = self.clock.now();
        match self.space.shortage(now) {
            Some(Shortage { free_bytes, need_bytes }) => {
                self.shared.set(Health::Full { free_bytes, need_bytes });
            }
            None => self.shared.set(Health::Ready),
        }
        if !self.blob_check.is_due(now) {
            return Ok(());
        }
        self.space.restore_ballast();
        match blob_files(&self.engine.dir) {
            Ok(0) => Ok(()),
            Ok(count) => Err(End::Failed(format!(
                "sled made {count} files in `blobs/`, which it never syncs: copy the store's directory and report this"
            ))),
            // Says nothing of sled: the process may be out of file descriptors. The next look is in `BLOB_CHECK_EVERY`.
            Err(error) => {
                tracing::warn!(dir = %self.engine.dir.display(), %error, "cannot list `blobs/` of the store; looking again later");
                Ok(())
            }
        }
    }

    /// Removes what a crash left half-written.
    fn remove_leftovers(&mut self) -> Result<(), String> {
        loop {
            let mut round = self.new_round();
            let more =
                leftovers::remove_some(&mut round).map_err(|fault| fault.into_store_error().to_string())?;
            match self.commit(round) {
                Ok(_) if more => {}
                Ok(_) | Err(End::Asked(_)) => return Ok(()),
                Err(End::Failed(why)) => return Err(why),
            }
        }
    }

    /// The last of an orderly life: sled is brought up to date and synced, and the count of events noted.
    fn finish(&mut self) -> Result<(), String> {
        self.journal.drain();
        let ended = self.applier.take().map(JoinHandle::join);
        if let Health::Failed { why } = self.shared.health() {
            return Err(why);
        }
        if let Some(Err(panic)) = ended {
            return Err(format!("the applier panicked: {}", panic_words(&*panic)));
        }
        self.engine.db.flush().map_err(|error| format!("the last flush failed: {error}"))?;
        (self.sync)(&self.file).map_err(|error| format!("the last sync failed: {error}"))?;
        let appended = self.standing.totals.appended;
        if appended == 0 {
            return Ok(());
        }
        if let Err(error) = self.high_water.prepare_again() {
            tracing::warn!(dir = %self.engine.dir.display(), %error, "cannot open `high-water.new`; the count noted before stands");
            return Ok(());
        }
        self.high_water
            .write(SCHEMA_VERSION, appended)
            .map_err(|error| format!("cannot write `high-water`: {error}"))
    }

    fn note(&mut self, appended: u64) -> Result<(), End> {
        self.high_water
            .write(SCHEMA_VERSION, appended)
            .map_err(|error| End::Failed(format!("cannot write `high-water`: {error}")))
    }
}

impl From<AppendError> for End {
    fn from(error: AppendError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Why a large event was not stored.
enum LargeFault {
    Refused(StoreError),
    End(End),
}

impl From<Fault> for LargeFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(error) => Self::Refused(error),
            Fault::Engine(error) => Self::End(sled_failed(&error)),
        }
    }
}

impl From<StoreError> for LargeFault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<End> for LargeFault {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

fn sled_failed(error: &::sled::Error) -> End {
    End::Failed(format!("sled failed: {error}"))
}

/// How long closing waits for readers that are under way.
pub(super) const READERS_WAIT: Duration = Duration::from_secs(5);
