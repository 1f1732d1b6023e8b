//! Files that a failing disk or a clumsy hand changed: pages flipped, zeroed or exchanged, files cut short. A store either
//! refuses to open, in words, or opens, and then each event that was acknowledged is there, or its loss is told. It is
//! never silently empty, and no panic gets out.
//!
//! Each number is one damage, the same in every run; `HOOKYARD_RUINS=N` tries more of them.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Place, copy};
use crate::model::ids::EventId;
use crate::store::contract::bench::{body, clock, deliver, options, with_body};
use crate::store::sled::SledStore;
use crate::store::{EventQuery, Store};

const RUINS: u64 = 60;
/// Ruins at once: most of what each takes is waiting.
const AT_ONCE: usize = 8;
const EVENTS: usize = 60;
const PAGE: u64 = 4096;
/// Files that hold nothing, or what no event is in.
const EMPTY: [&str; 4] = ["lock", "ballast", "high-water.new", "blobs"];

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }
}

/// What became of a ruined store.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Refused(String),
    Whole,
    /// It opened, and what is lost is told.
    Told(String),
    /// It opened, and something is gone without a word.
    Silent(String),
}

/// What the store was doing when its files were left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    /// Killed when sled had all events.
    Idle,
    /// Killed when sled had about two thirds of them.
    Busy,
    /// Killed after a start, before anything came.
    Begun,
}

/// The files of a store in its second life, and the events that it acknowledged. The journal holds nothing any more of
/// the first third of them.
async fn furnished(end: End) -> (Place, Vec<EventId>) {
    let place = Place::new();
    let mut store = place.open();
    let mut ids = Vec::new();
    for nth in 0..EVENTS {
        if nth == EVENTS / 3 {
            store.close().await.unwrap();
            store = place.open();
        }
        if nth == EVENTS / 3 * 2 {
            drop(super::tree(&store));
        }
        let id = store.append(with_body(&nth.to_string(), body(nth * 149))).await.unwrap().event();
        if nth % 2 == 0 {
            store.route(vec![(id, deliver(&["sumo"]))]).await.unwrap();
        }
        ids.push(id);
    }
    if end == End::Idle {
        drop(super::tree(&store));
    }
    if end == End::Begun {
        store.close().await.unwrap();
        store = place.open();
        // The file of the life before is let go.
        while super::journal::segments(&place).len() > 2 {
            tokio::task::yield_now().await;
        }
    }
    let killed = place.image();
    store.close().await.unwrap();
    (if end == End::Closed { place } else { killed }, ids)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if EMPTY.iter().any(|name| path.ends_with(name)) => {}
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// How far the file is written to; a file of the journal has zeros behind that.
fn written(file: &fs::File) -> u64 {
    let mut length = file.metadata().unwrap().len();
    let mut page = [0; PAGE as usize];
    while length > PAGE && length.is_multiple_of(PAGE) {
        file.read_exact_at(&mut page, length - PAGE).unwrap();
        if page.iter().any(|byte| *byte != 0) {
            break;
        }
        length -= PAGE;
    }
    length
}

/// Changes one file; says how.
fn ruin(dir: &Path, dice: &mut Dice) -> String {
    let all = files(dir);
    // Mostly the file that holds the rows.
    let path = if dice.below(4) > 0 {
        &dir.join("db")
    } else {
        &all[usize::try_from(dice.below(all.len() as u64)).unwrap()]
    };
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let length = written(&file);
    let name = path.strip_prefix(dir).unwrap().display();
    if dice.below(4) == 0 {
        let keep = dice.below(length);
        file.set_len(keep).unwrap();
        return format!("{name} cut from {length} to {keep}");
    }
    let mut said = format!("{name}:");
    for _ in 0..=dice.below(3) {
        let at = dice.below(length.div_ceil(PAGE)) * PAGE;
        let mut page = vec![0; usize::try_from(PAGE.min(length - at)).unwrap()];
        file.read_exact_at(&mut page, at).unwrap();
        match dice.below(3) {
            0 => {
                let byte = usize::try_from(dice.below(page.len() as u64)).unwrap();
                page[byte] ^= 1 << dice.below(8);
                said += &format!(" bit in byte {}", at + byte as u64);
            }
            1 => {
                page.fill(0);
                said += &format!(" zeroes at {at}");
            }
            _ => {
                page.reverse();
                said += &format!(" page at {at} reversed");
            }
        }
        file.write_all_at(&page, at).unwrap();
    }
    said
}

async fn fate(dir: &tempfile::TempDir, ids: &[EventId]) -> Fate {
    let options = options(dir);
    let opening = tokio::task::spawn_blocking(move || SledStore::open(&options, clock()));
    let store = match opening.await {
        Ok(Ok(store)) => store,
        Ok(Err(refused)) => return Fate::Refused(refused.to_string()),
        Err(panic) => return Fate::Silent(format!("opening panicked: {panic}")),
    };
    let mut told = Vec::new();
    let mut silent = Vec::new();
    for (nth, id) in ids.iter().enumerate() {
        match store.event(*id).await {
            Ok(Some(event)) if event.envelope.body == body(nth * 149) => {}
            Ok(Some(_)) => silent.push(format!("event {nth} is another")),
            Ok(None) => silent.push(format!("event {nth} is gone")),
            Err(why) => told.push(why.to_string()),
        }
    }
    let findings = store.verify().await.unwrap_or_else(|why| vec![why.to_string()]);
    let listed = store.events(EventQuery::default()).await.map(|page| page.rows.len());
    if listed.as_ref().is_ok_and(|listed| *listed == 0) {
        silent.push("the store is empty".to_owned());
    }
    let _may_have_failed = store.close().await;
    told.extend(findings);
    match (silent.first(), told.first()) {
        (None, None) => Fate::Whole,
        (Some(silent), None) => Fate::Silent(format!("{silent} and {} more", listed.unwrap_or_default())),
        (_, Some(first)) => Fate::Told(first.clone()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ruined_file_is_told_or_harmless() {
    ruin_many(End::Closed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ruined_file_of_a_store_that_was_killed_is_told_or_harmless() {
    ruin_many(End::Busy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ruined_file_of_an_idle_store_that_was_killed_is_told_or_harmless() {
    ruin_many(End::Idle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ruined_file_of_a_store_that_was_killed_at_once_is_told_or_harmless() {
    ruin_many(End::Begun).await;
}

/// One ruin of a copy, and what becomes of it.
async fn ruined(place: Arc<Place>, ids: Arc<Vec<EventId>>, number: u64) -> (u64, String, Fate) {
    let dir = tempfile::tempdir().unwrap();
    copy(place.dir.path(), dir.path()).unwrap();
    let how = ruin(dir.path(), &mut Dice(number));
    let fate = fate(&dir, &ids).await;
    (number, how, fate)
}

async fn ruin_many(end: End) {
    let (place, ids) = furnished(end).await;
    let ruins = std::env::var("HOOKYARD_RUINS").ok().map_or(RUINS, |ruins| ruins.parse().unwrap());
    let (place, ids) = (Arc::new(place), Arc::new(ids));
    let (mut refused, mut whole, mut told, mut silent) = (0, 0, 0, Vec::new());
    let mut numbers = 0..ruins;
    let mut ruining = JoinSet::new();
    for number in numbers.by_ref().take(AT_ONCE) {
        ruining.spawn(ruined(Arc::clone(&place), Arc::clone(&ids), number));
    }
    while let Some(ended) = ruining.join_next().await {
        let (number, how, fate) = ended.unwrap();
        if let Some(next) = numbers.next() {
            ruining.spawn(ruined(Arc::clone(&place), Arc::clone(&ids), next));
        }
        eprintln!("{number}: {how}: {fate:?}");
        match fate {
            Fate::Refused(why) => {
                assert!(why.len() > 40, "ruin {number} ({how}): {why}");
                refused += 1;
            }
            Fate::Whole => whole += 1,
            Fate::Told(_) => told += 1,
            Fate::Silent(what) => silent.push(format!("ruin {number} ({how}): {what}")),
        }
    }
    eprintln!(
        "{end:?}, {ruins} ruins: {refused} refused, {whole} whole, {told} told, {} silent",
        silent.len()
    );
    assert!(silent.is_empty(), "{silent:#?}");
    assert!(refused > 0 && whole > 0);
}
