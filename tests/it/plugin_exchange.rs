//! A plugin's library is exchanged while the daemon runs: under traffic nothing is lost and nothing doubled, a bad one never
//! takes over, and one that ran before is back at a word.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::stripe::{Poster, another_purchase, fixture};
use crate::yard::{Yard, found, profile_dir, rows};

/// sumo's library in the yard, pinned, so that each test may replace it.
pub(crate) fn own_library(yard: &Yard) {
    fs::create_dir(yard.path("plugins")).unwrap();
    replace(yard, 0);
    yard.edit_config(|text| {
        let shipped = profile_dir().join("libhookyard_sumo.so");
        text.replace(shipped.to_str().unwrap(), "plugins/libsumo.so")
    });
    assert!(yard.run(&["plugin", "lock"]).status.success());
}

/// Another build of sumo: it does the same, and its bytes are others.
pub(crate) fn replace(yard: &Yard, build: u32) {
    let mut bytes = fs::read(profile_dir().join("libhookyard_sumo.so")).unwrap();
    bytes.extend(build.to_le_bytes());
    write(&yard.path("plugins/libsumo.so"), &bytes);
}

/// As an installer does: beside it, then in its place.
pub(crate) fn write(library: &Path, bytes: &[u8]) {
    let beside = library.with_extension("new");
    fs::write(&beside, bytes).unwrap();
    fs::rename(beside, library).unwrap();
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A command that must be refused: its words. What runs is what ran.
pub(crate) fn refused(yard: &Yard, args: &[&str]) -> String {
    let before = yard.handler("sumo");
    let output = yard.run(args);
    assert!(!output.status.success(), "{}", text(&output.stdout));
    let after = yard.handler("sumo");
    assert_eq!((&after["pid"], &after["sha256"]), (&before["pid"], &before["sha256"]));
    text(&output.stderr)
}

/// Purchases that are posted one after the other until there are enough.
pub(crate) struct Traffic {
    enough: Arc<AtomicBool>,
    posting: JoinHandle<usize>,
}

impl Traffic {
    /// From the purchase of this number on.
    pub(crate) fn begin(poster: Poster, first: usize) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&enough);
        let posting = tokio::spawn(async move {
            let mut posted = first;
            while !until.load(Ordering::Relaxed) {
                assert_eq!(poster.post(&another_purchase("01", posted)).await.status, 200);
                posted += 1;
            }
            posted
        });
        Self { enough, posting }
    }

    /// How many were posted, those before the first too.
    pub(crate) async fn end(self) -> usize {
        self.enough.store(true, Ordering::Relaxed);
        self.posting.await.unwrap()
    }
}

/// All deliveries, which are so many.
pub(crate) fn deliveries(yard: &Yard, count: usize) -> Vec<Value> {
    let mut deliveries = Vec::new();
    let mut after = String::new();
    loop {
        let mut args = vec!["deliveries", "list", "--limit", "1000"];
        args.extend(if after.is_empty() { vec![] } else { vec!["--after", &after] });
        let page = yard.ask(&args);
        deliveries.extend(page["rows"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(deliveries.len(), count);
    deliveries
}

/// One row and one mail for each purchase.
pub(crate) async fn each_fulfilled_once(yard: &Yard, purchases: usize) {
    let database = yard.database().await;
    assert_eq!(rows(&database, "SELECT count(*) FROM purchases").await, [purchases.to_string()]);
    assert_eq!(yard.mails().len(), purchases);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_replacements_under_traffic_lose_and_double_nothing() {
    const REPLACEMENTS: u32 = 50;
    let mut yard = Yard::shipped();
    own_library(&yard);
    let poster = yard.start().await;
    let traffic = Traffic::begin(poster, 0);
    for build in 1..=REPLACEMENTS {
        replace(&yard, build);
        let locked = yard.run(&["plugin", "lock", "sumo"]);
        assert!(locked.status.success(), "{}", text(&locked.stderr));
        let change = yard.ask(&["plugin", "reload", "sumo"]);
        assert_eq!(change["handlers"], serde_json::json!(["sumo"]), "{change}");
        assert_eq!(yard.handler("sumo")["sha256"], change["sha256"]);
        assert_ne!(change["before"], change["sha256"]);
    }
    let posted = traffic.end().await;
    println!("{posted} purchases were made while a plugin was replaced {REPLACEMENTS} times");
    let counts = yard.wait_until_settled(posted as u64).await;
    assert_eq!(counts["delivered"], posted, "{counts}");
    let odd: Vec<Value> =
        deliveries(&yard, posted).into_iter().filter(|delivery| delivery["attempts"] != 1).collect();
    assert!(odd.is_empty(), "each is delivered at its first attempt: {odd:#?}");
    each_fulfilled_once(&yard, posted).await;

    let record = yard.ask(&["plugin", "history", "sumo"]);
    let record = record.as_array().unwrap();
    assert_eq!(record.len(), 1 + REPLACEMENTS as usize);
    assert!(record.windows(2).all(|pair| pair[0]["before"] == pair[1]["sha256"]), "{record:#?}");
    assert_eq!((&record[0]["how"], &record[50]["how"]), (&"plugin reload".into(), &"start".into()));
    // A library that an old host still ends its calls with stays until a later reload.
    let three_of_sumo_and_one_of_direct = || {
        yard.ask(&["reload"]);
        let files = fs::read_dir(yard.path("var/hookyard/plugins")).unwrap();
        let is_library = |path: &Path| path.extension().is_some_and(|extension| extension == "so");
        (files.filter(|file| is_library(&file.as_ref().unwrap().path())).count() == 4).then_some(())
    };
    found(three_of_sumo_and_one_of_direct).await.expect("only the last three are kept");
    assert_eq!(yard.terminate().code(), Some(0), "{}", yard.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_library_never_takes_over_and_one_from_before_is_back_at_a_word() {
    let mut yard = Yard::shipped();
    own_library(&yard);
    let poster = yard.start().await;
    let first = yard.handler("sumo")["sha256"].as_str().unwrap().to_owned();
    let same = text(&yard.run(&["plugin", "reload", "sumo"]).stdout);
    assert!(same.contains("nothing has changed"), "{same}");

    replace(&yard, 1);
    let said = refused(&yard, &["plugin", "reload", "sumo"]);
    assert!(said.contains("it is not the file that was pinned") && said.contains("plugin lock"), "{said}");
    assert_eq!(yard.run(&["plugin", "lock", "--check"]).status.code(), Some(78));
    assert_eq!(yard.ask(&["reload"])["new_hosts"], serde_json::json!([]), "what is not pinned is left alone");

    write(
        &yard.path("plugins/libsumo.so"),
        &fs::read(profile_dir().join("libhookyard_test_misbehave.so")).unwrap(),
    );
    assert!(yard.run(&["plugin", "lock"]).status.success());
    let said = refused(&yard, &["plugin", "reload", "sumo"]);
    assert!(said.contains("does not take the handler's settings"), "{said}");
    yard.edit_config(|text| text.replace("concurrency = 8", "concurrency = 4"));
    let said = refused(&yard, &["plugin", "reload", "sumo"]);
    assert!(said.contains("say more that is new") && said.contains("handler sumo changed"), "{said}");
    yard.edit_config(|text| text.replace("concurrency = 4", "concurrency = 8"));
    assert!(refused(&yard, &["plugin", "reload", "smo"]).contains("it has direct, sumo"));
    assert!(refused(&yard, &["plugin", "rollback", "sumo"]).contains("no library of `sumo`"));

    replace(&yard, 2);
    assert!(yard.run(&["plugin", "lock", "--keep"]).status.success());
    let second = yard.ask(&["plugin", "reload", "sumo"])["sha256"].as_str().unwrap().to_owned();
    assert_ne!(second, first);
    let said = text(&yard.run(&["plugin", "rollback", "sumo"]).stdout);
    assert!(said.contains(&format!("in place of {}", &second[..12])), "{said}");
    assert_eq!(
        (&yard.handler("sumo")["sha256"], &yard.handler("sumo")["rolled_back"]),
        (&Value::from(&*first), &true.into())
    );
    assert!(text(&yard.run(&["status"]).stdout).contains("rolled back"));
    assert_eq!(poster.post(&fixture("01")).await.status, 200);
    yard.wait_until_settled(1).await;

    yard.edit_config(|text| text.replace("concurrency = 8", "concurrency = 4"));
    yard.ask(&["reload"]);
    assert_eq!(yard.handler("sumo")["sha256"], *first, "a reload of something else leaves it rolled back");
    assert_eq!(yard.ask(&["plugin", "reload", "sumo"])["sha256"], *second);
    assert_eq!(yard.ask(&["plugin", "rollback", "sumo", "--to", &first[..6]])["sha256"], *first);
    let record = yard.ask(&["plugin", "history"]);
    let hows: Vec<&str> = record
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["plugin"] == "sumo")
        .map(|entry| entry["how"].as_str().unwrap())
        .collect();
    assert_eq!(hows, ["plugin rollback", "plugin reload", "plugin rollback", "plugin reload", "start"]);
}
