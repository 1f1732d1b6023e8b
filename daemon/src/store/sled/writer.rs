//! The one thread that changes the store, and the only place that decides that something is on disk.
//!
//! ```text
//!  callers ─► bounded queue ─► round: run each job, grant ─► one frame of the journal ─► fdatasync ─► answer all ─► ring
//! ```
//! While one round is on its way to disk the next one's jobs queue up: that is the whole batching, there is no timer.
//! A caller is answered after the sync that covers its change; a kill before that loses nothing that was promised.
//!
//! sled is brought up to date behind it, by the journal's applier. A failure of either, of a sync, or a panic is **final**:
//! nothing is retried and everybody waiting is told. After a failed sync the page cache may hold what the disk never got;
//! the next open reads the journal from the disk itself.
//! Running out of file descriptors is none of these: what the writer needs at work was opened when the store was.

mod large;
mod life;

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

use super::commands::Prepared;
use super::engine::{Engine, panic_words};
use super::front::Front;
use super::high_water::HighWater;
use super::horizon::Horizon;
use super::journal::{self, AppendError, Backlog, Journal};
use super::load::{Loaded, Loading};
use super::open::{OpenError, Opened, blob_files};
use super::patience::Patience;
use super::round::{Round, Shortage, Standing};
use super::rows::Rows;
use super::shared::{Shared, Worker};
use super::space::{Every, Space};
use crate::model::clock::{Clock, Stopwatch};
use crate::model::event::Appended;
use crate::model::limits::{
    BLOB_CHECK_EVERY, COMMIT_BYTES_MAX, COMMIT_COMMANDS_MAX, LOAD_WAIT_MAX, SPACE_CHECK_EVERY,
    WRITER_STALL_MAX,
};
use crate::store::{Health, StoreError};

/// Answers one caller. Run only when the round that it belongs to is on disk.
pub(super) type Reply = Box<dyn FnOnce() + Send>;
/// Runs one command. There is no reply yet where it waits. An error is sled's own, and final.
pub(super) type Work =
    Box<dyn FnOnce(&mut Round, &mut Patience) -> Result<Option<Reply>, ::sled::Error> + Send>;
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
    /// sled is open, or why it is not. Before it the only jobs are events.
    Loaded(Box<LoadEnd>),
    Close {
        answer: oneshot::Sender<()>,
    },
}

/// How loading ended, and who may wait for it.
pub(super) type LoadEnd = Result<(Loaded, std_mpsc::SyncSender<Result<(), OpenError>>), String>;

/// How commits are made durable, and how long one may take. Tests have others than the default.
pub(super) struct Durability {
    /// The journal's.
    pub(super) sync: SyncFile,
    /// sled's, behind it.
    pub(super) sync_sled: SyncFile,
    /// How long opening waits for sled before it lets the store take events without it.
    pub(super) load_wait: Duration,
    /// Run before sled is opened.
    pub(super) before_load: Box<dyn FnOnce() + Send>,
    pub(super) stall_max: Duration,
}

impl Default for Durability {
    fn default() -> Self {
        Self {
            sync: Box::new(File::sync_data),
            sync_sled: Box::new(File::sync_data),
            load_wait: LOAD_WAIT_MAX,
            before_load: Box::new(|| {}),
            stall_max: WRITER_STALL_MAX,
        }
    }
}

/// What the thread is given.
pub(super) struct Start {
    pub(super) opened: Opened,
    pub(super) dir: PathBuf,
    pub(super) settings: journal::Settings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) space: Space,
    pub(super) durability: Durability,
    pub(super) jobs: mpsc::Receiver<Job>,
}

/// The thread, and what others see of it.
pub(super) struct Started {
    pub(super) shared: Arc<Shared>,
    /// What is left of opening.
    pub(super) loading: Loading,
    pub(super) backlog: Arc<Backlog>,
    pub(super) thread: JoinHandle<()>,
}

/// Starts the thread, and the applier's. It ends when it is told to close, when every sender is gone, or when the store
/// fails. Until it is told that sled is open it takes events only.
pub(super) fn start(start: Start) -> io::Result<Started> {
    let Start { opened, dir, settings, clock, space, durability, jobs } = start;
    let shared = Arc::new(Shared::new(durability.stall_max));
    let front = Arc::clone(&opened.front);
    let horizon = Arc::clone(&opened.loading.horizon);
    let reach = (opened.front, Arc::clone(&horizon));
    let (journal, behind) = journal::begin(opened.behind, settings, reach, Arc::clone(&shared))?;
    let (backlog, now) = (journal.backlog(), clock.now());
    let writer = Writer {
        dir,
        front,
        horizon,
        engine: None,
        journal,
        behind: behind.into(),
        standing: Standing::default(),
        noted: opened.noted,
        high_water: opened.high_water,
        shared: Arc::clone(&shared),
        clock,
        space,
        sync: durability.sync,
        sync_sled: Some(durability.sync_sled),
        jobs,
        carried: None,
        patience: Patience::default(),
        blob_check: Every::new(BLOB_CHECK_EVERY, now),
    };
    let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run())?;
    Ok(Started { shared, loading: opened.loading, backlog, thread })
}

struct Writer {
    dir: PathBuf,
    front: Arc<Front>,
    horizon: Arc<Horizon>,
    /// sled, and our own handle of its file for the last sync; none until it is open.
    engine: Option<(Arc<Engine>, File)>,
    journal: Journal,
    /// The journal's threads; none once they were waited for.
    behind: Vec<JoinHandle<()>>,
    standing: Standing,
    noted: bool,
    high_water: HighWater,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    space: Space,
    sync: SyncFile,
    /// For the applier, once sled is open.
    sync_sled: Option<SyncFile>,
    jobs: mpsc::Receiver<Job>,
    /// A job that did not fit the last round.
    carried: Option<Job>,
    patience: Patience,
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
                std::mem::forget(self.engine.take());
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
            Next::Job(Job::Loaded(end)) => self.loaded(*end),
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
        if self.engine.is_some() {
            self.journal.wait_for_room()?;
        }
        let mut round = self.new_round();
        let mut replies: Vec<Reply> = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next.take() {
            match job {
                Job::Write { bytes, work }
                    if round.is_empty() || round.bytes() + bytes <= COMMIT_BYTES_MAX =>
                {
                    let reply = work(&mut round, &mut self.patience);
                    replies.extend(reply.map_err(|error| sled_failed(&error))?);
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
        replies.extend(self.patience.grant(&mut round).map_err(|error| sled_failed(&error))?);
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
        let stored = |key: &[u8]| self.horizon.may_hold(key);
        self.journal.append(&round.into_rows(), bytes, standing.totals.appended, &mut self.sync, stored)?;
        if !self.noted && (standing.totals.appended > 0 || self.engine.is_none()) {
            self.note(1)?;
            self.noted = true;
        }
        self.standing = standing;
        Ok(standing)
    }

    fn new_round(&mut self) -> Round {
        let now = self.clock.now();
        let rows = match &self.engine {
            Some((engine, _)) => engine.rows.clone(),
            None => Rows {
                front: Arc::clone(&self.front),
                tree: None,
                horizon: Arc::clone(&self.horizon),
                // Nobody leases before sled is open.
                heads: Arc::default(),
            },
        };
        let mut round = Round::new(rows, self.standing, now);
        round.shortage = self.space.shortage(now);
        round.backlog_full = self.engine.is_none() && !self.journal.has_room();
        round
    }

    fn ring(&self, rings: Standing) {
        if rings.rings_events && (self.engine.is_none() || rings.totals.counts.to_route > 0) {
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
            None if self.engine.is_none() => self.shared.set(Health::Loading),
            None => self.shared.set(Health::Ready),
        }
        if !self.blob_check.is_due(now) {
            return Ok(());
        }
        self.space.restore_ballast();
        match blob_files(&self.dir) {
            Ok(0) => Ok(()),
            Ok(count) => Err(End::Failed(format!(
                "sled made {count} files in `blobs/`, which it never syncs: copy the store's directory and report this"
            ))),
            // Says nothing of sled: the process may be out of file descriptors. The next look is in `BLOB_CHECK_EVERY`.
            Err(error) => {
                tracing::warn!(dir = %self.dir.display(), %error, "cannot list `blobs/` of the store; looking again later");
                Ok(())
            }
        }
    }
}

impl From<AppendError> for End {
    fn from(error: AppendError) -> Self {
        Self::Failed(error.to_string())
    }
}

fn sled_failed(error: &::sled::Error) -> End {
    End::Failed(format!("sled failed: {error}"))
}

/// How long closing waits for readers that are under way.
pub(super) const READERS_WAIT: Duration = Duration::from_secs(5);
