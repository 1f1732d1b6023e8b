//! The checks of what a plugin does: each starts a child of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::{CheckName, Verdict, file};
use crate::host::{Host, HostError, Report, Services};
use crate::model::attempt::Outcome;
use crate::model::clock::Stopwatch;
use crate::model::event::Event;
use crate::model::ids::RuleName;
use crate::observe::with_causes;
use crate::workshop::Memory;
use crate::workshop::rig::{NAME, Rig, attempt, is_answer, numbered};
use crate::workshop::unkind::{Unkind, Unkindness};

/// How long one attempt may take in a check.
const TIMEOUT: Duration = Duration::from_secs(20);
/// A plugin that takes longer to be made holds up every restart.
const READY_MAX: Duration = Duration::from_millis(200);
/// So little that a plugin which waits for something meets the end of it.
const NO_TIME: Duration = Duration::from_millis(20);
/// Calls at once in the check of threads: hookyard's default is 8.
const THREADS: u128 = 8;
/// Deliveries before memory is measured for the first time, and between that and the second.
const WARM_UP: usize = 500;
const MEASURED: usize = 2_000;
/// Deliveries between two looks at the memory: a large leak is found before it hurts this machine.
const LOOK_EVERY: usize = 10;
/// What caches and a collector's heap may take until they are warm.
const WARM_GROWTH_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What a warm heap may still take without a leak (Go's grows by megabytes): four kilobytes a delivery are found.
const GROWTH_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// A body as large as hookyard takes by default.
const LARGE_BYTES: usize = 1024 * 1024;
/// A plugin that has not ended by itself in this time is killed.
const END_MAX: Duration = Duration::from_millis(1_500);
/// Things asked of the host in one delivery that a check tries one by one.
const QUESTIONS_MAX: usize = 64;

/// A plugin under check, and its event.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) rig: Rig,
    pub(super) event: Event,
}

impl Bench {
    /// Makes one check; an error is what it failed by.
    pub(super) async fn verdict(&self, name: CheckName) -> Result<Verdict, String> {
        match name {
            CheckName::File => file::file(&self.rig),
            CheckName::Loads => file::loads(&self.rig).await,
            CheckName::Ready => self.ready().await,
            CheckName::Settings => self.settings().await,
            CheckName::Twice => self.twice().await,
            CheckName::Delivers => self.delivers().await,
            CheckName::Duplicate => self.duplicate().await,
            CheckName::OddEvents => self.odd_events().await,
            CheckName::HostFails => self.host_fails().await,
            CheckName::Crashes => self.crashes().await,
            CheckName::Deadline => self.deadline().await,
            CheckName::Threads => self.threads().await,
            CheckName::Memory => self.memory().await,
            CheckName::Ends => self.ends().await,
        }
    }

    async fn ready(&self) -> Result<Verdict, String> {
        let watch = Stopwatch::start();
        self.host().await?;
        let took = watch.elapsed();
        let words = format!("in {} ms", took.as_millis());
        Ok(if took > READY_MAX {
            Verdict::Warned(format!("{words}; each restart waits so long"))
        } else {
            passed(words)
        })
    }

    async fn settings(&self) -> Result<Verdict, String> {
        let mut wrong = vec![json!({}), json!({ "no such setting": true })];
        if let Some(own) = self.rig.subject.settings.as_object() {
            wrong.extend(own.keys().map(|key| {
                let mut settings = self.rig.subject.settings.clone();
                settings[key] = json!({ "of another": ["kind"] });
                settings
            }));
        }
        let mut refused = 0;
        for settings in &wrong {
            let services: Arc<Memory> = Arc::default();
            match self.rig.host_with(settings, services, 1, TIMEOUT).await {
                Ok(_) => {}
                Err(HostError::Settings { .. } | HostError::Create { .. }) => refused += 1,
                Err(error) => return Err(format!("with the settings {settings}: {}", with_causes(&error))),
            }
        }
        match file::artifact(&self.rig)?.settings {
            None => Ok(Verdict::Warned(
                "it has no schema of its settings, so hookyard cannot check them before it is made"
                    .to_owned(),
            )),
            Some(_) => Ok(passed(format!(
                "{refused} of {} wrong settings refused, each with a sentence",
                wrong.len()
            ))),
        }
    }

    async fn twice(&self) -> Result<Verdict, String> {
        let (one, two) = (self.host().await?, self.host().await?);
        for host in [&one, &two] {
            answered(&self.deliver(host, 1).await)?;
        }
        Ok(passed(String::new()))
    }

    async fn delivers(&self) -> Result<Verdict, String> {
        let report = self.deliver(&self.host().await?, 1).await;
        let outcome = answered(&report)?;
        let message = report.outcome.message();
        let words = if message.is_empty() { outcome.to_owned() } else { format!("{outcome}: {message}") };
        Ok(match outcome {
            "done" | "ignore" => passed(words),
            _ => Verdict::Warned(format!("{words}; with an event that it is done with the checks see more")),
        })
    }

    async fn duplicate(&self) -> Result<Verdict, String> {
        let host = self.host().await?;
        let first = answered(&self.deliver(&host, 1).await)?;
        let second = answered(&self.deliver(&host, 2).await)?;
        same(first, second, "delivered again").map(passed)
    }

    async fn odd_events(&self) -> Result<Verdict, String> {
        let large = format!("{{\"text\":\"{}\"}}", "x".repeat(LARGE_BYTES));
        let odd: [(&str, &str, Bytes); 5] = [
            ("an empty body", "", Bytes::new()),
            ("a body that is no UTF-8", "", Bytes::from_static(b"\xff\xfe\x00")),
            ("a body of another shape", "", Bytes::from_static(b"[[[]]]")),
            ("a body of one megabyte", "", Bytes::from(large)),
            ("an unknown type", "no.such.type", self.event.envelope.body.clone()),
        ];
        let host = self.host().await?;
        for (number, (what, event_type, body)) in odd.into_iter().enumerate() {
            let mut event = numbered(&self.event, 1_000 + number as u128);
            event.envelope.body = body;
            if !event_type.is_empty() {
                event_type.clone_into(&mut event.envelope.event_type);
            }
            let report = attempt(&host, &event, 1).await;
            answered(&report).map_err(|why| format!("{what}: {why}"))?;
        }
        Ok(passed(String::new()))
    }

    async fn host_fails(&self) -> Result<Verdict, String> {
        for question in 0..QUESTIONS_MAX {
            let unkind = Unkind::new(&Arc::default(), Unkindness::Fails, question);
            let services: Arc<Unkind> = Arc::clone(&unkind);
            let host = self.host_of(services).await?;
            let outcome = answered(&self.deliver(&host, 1).await)?;
            if !unkind.was_reached() {
                return Ok(passed(format!("{question} questions, each failed once")));
            }
            if outcome == "done" {
                return Err(format!(
                    "it says done though the host could not store what it asked for (question {})",
                    question + 1
                ));
            }
        }
        Ok(passed(format!("the first {QUESTIONS_MAX} questions, each failed once")))
    }

    async fn crashes(&self) -> Result<Verdict, String> {
        let undisturbed = answered(&self.deliver(&self.host().await?, 1).await)?;
        let mut crashes = 0;
        for question in 0..QUESTIONS_MAX {
            for how in [Unkindness::DiesBefore, Unkindness::DiesAfter] {
                let memory: Arc<Memory> = Arc::default();
                if !self.crash(&memory, how, question).await? {
                    return Ok(passed(format!("{crashes} crashes")));
                }
                crashes += 1;
                let services: Arc<Memory> = Arc::clone(&memory);
                let host = self.host_of(services).await?;
                let again = answered(&self.deliver(&host, 2).await)?;
                let when = format!("after a crash at question {} ({how:?})", question + 1);
                same(undisturbed, again, &when)?;
            }
        }
        Ok(passed(format!("{crashes} crashes")))
    }

    /// One attempt whose process is killed at this question; `false` where it was not reached.
    async fn crash(&self, memory: &Arc<Memory>, how: Unkindness, question: usize) -> Result<bool, String> {
        let unkind = Unkind::new(memory, how, question);
        let rule = RuleName::new(NAME);
        let crashed = self.rig.crash(&unkind, TIMEOUT, &self.event, 1, &rule);
        match crashed.await.map_err(|error| with_causes(&error))? {
            Some(report) => answered(&report).map(|_| false),
            None => Ok(true),
        }
    }

    async fn deadline(&self) -> Result<Verdict, String> {
        let services: Arc<Memory> = Arc::default();
        let host = self.rig.host(services, 1, NO_TIME).await.map_err(|error| with_causes(&error))?;
        match self.deliver(&host, 1).await.outcome {
            Outcome::TimedOut { .. } | Outcome::Crashed { .. } => {
                Err("it went on though no time was left, and had to be killed: look at remaining_ms"
                    .to_owned())
            }
            outcome => Ok(passed(outcome.word().to_owned())),
        }
    }

    async fn threads(&self) -> Result<Verdict, String> {
        let services: Arc<Memory> = Arc::default();
        let host =
            self.rig.host(services, THREADS as usize, TIMEOUT).await.map_err(|error| with_causes(&error))?;
        let host = Arc::new(host);
        let calls: Vec<_> = (0..THREADS)
            .map(|number| {
                let (host, event) = (Arc::clone(&host), numbered(&self.event, 2_000 + number));
                tokio::spawn(async move { attempt(&host, &event, 1).await })
            })
            .collect();
        for call in calls {
            answered(&call.await.map_err(|error| error.to_string())?)?;
        }
        let serial = if host.status().serial { "one after another: it is serial" } else { "" };
        Ok(passed(serial.to_owned()))
    }

    async fn memory(&self) -> Result<Verdict, String> {
        let host = self.host().await?;
        let (mut first, mut warm, mut now) = (0, 0, 0);
        for delivery in 1..=WARM_UP + MEASURED {
            answered(&self.deliver(&host, 2).await)?;
            if delivery % LOOK_EVERY != 0 {
                continue;
            }
            let Some(bytes) = host.usage().map(|usage| usage.resident_bytes) else {
                return Ok(Verdict::Warned(
                    "this system does not tell how much memory a process has".to_owned(),
                ));
            };
            now = bytes;
            if delivery == LOOK_EVERY {
                first = now;
            } else if delivery <= WARM_UP {
                warm = now;
            }
            let grown = now.saturating_sub(first);
            if grown > WARM_GROWTH_BYTES_MAX {
                return Err(format!(
                    "{} KiB more after {delivery} deliveries of one event: it leaks",
                    grown / 1024
                ));
            }
        }
        let growth = now.saturating_sub(warm);
        if growth > GROWTH_BYTES_MAX {
            return Err(format!(
                "{} KiB more after {MEASURED} deliveries of one event: it leaks",
                growth / 1024
            ));
        }
        Ok(passed(format!("{} KiB, {} KiB more after {MEASURED} deliveries", now / 1024, growth / 1024)))
    }

    async fn ends(&self) -> Result<Verdict, String> {
        let host = self.host().await?;
        answered(&self.deliver(&host, 1).await)?;
        let watch = Stopwatch::start();
        host.stop(Duration::ZERO).await;
        if watch.elapsed() > END_MAX {
            return Err(
                "it did not end and had to be killed: destroy must stop and join its threads".to_owned()
            );
        }
        Ok(passed(format!("in {} ms", watch.elapsed().as_millis())))
    }

    async fn host(&self) -> Result<Host, String> {
        let services: Arc<Memory> = Arc::default();
        self.host_of(services).await
    }

    async fn host_of(&self, services: Arc<dyn Services>) -> Result<Host, String> {
        self.rig.host(services, 1, TIMEOUT).await.map_err(|error| with_causes(&error))
    }

    async fn deliver(&self, host: &Host, number: u32) -> Report {
        attempt(host, &self.event, number).await
    }
}

/// The outcome's word, where the plugin itself said one.
fn answered(report: &Report) -> Result<&'static str, String> {
    match &report.outcome {
        outcome if is_answer(outcome) => Ok(outcome.word()),
        Outcome::Retry { detail, .. } => Err(detail.message.clone()),
        outcome => Err(format!("{}: {}", outcome.word(), outcome.message())),
    }
}

fn same(first: &str, second: &str, when: &str) -> Result<String, String> {
    if first == second { Ok(first.to_owned()) } else { Err(format!("{first} at first, and {second} {when}")) }
}

fn passed(words: String) -> Verdict {
    Verdict::Passed(words)
}
