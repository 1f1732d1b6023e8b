//! What is taken out of a body is nowhere on the disk, and what a person wants erased is gone; all that is left says so.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::stripe::{self, SECRET};
use crate::yard::Yard;

const PHONE: &str = "+49 221 0815 4711";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_redacts_never_reaches_the_disk_and_the_hash_of_what_came_does() {
    let mut yard = Yard::shipped();
    yard.edit_config(|text| {
        text.replace(
            "tolerance = \"5m\"",
            "tolerance = \"5m\"\nredact = [\"data.object.customer_details.phone\"]",
        )
    });
    let poster = yard.start().await;
    let details = format!(r#"{{"phone":  "{PHONE}","name":"Ada"}}"#);
    let body = format!(
        "{{\"id\": \"evt_private\", \"object\": \"event\", \"type\": \"for.nobody\", \
         \"data\": {{\"object\": {{\"customer_details\": {details}}}}}}}\n"
    );
    let answer = poster
        .try_post(body.as_bytes(), &stripe::sign(body.as_bytes(), SECRET, stripe::now()))
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");

    let shown = yard.ask(&["events", "show", "evt_private", "--body"]);
    assert_eq!(shown["body"], body.replace(PHONE, "[redacted]"));
    assert_eq!(shown["redacted"], "data.object.customer_details.phone");
    assert_eq!(shown["body_sha256"], hex::encode(Sha256::digest(&body)));
    let text = String::from_utf8(yard.run(&["events", "show", "evt_private"]).stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("redacted")).unwrap();
    assert!(line.contains("data.object.customer_details.phone; the body received had the SHA-256"), "{line}");

    // The same bytes again are the same event.
    let again = poster
        .try_post(body.as_bytes(), &stripe::sign(body.as_bytes(), SECRET, stripe::now()))
        .await
        .unwrap();
    assert_eq!(again.body["status"], "duplicate", "{again:?}");
    assert_eq!(yard.terminate().code(), Some(0));
    assert!(files_with(&yard.path("var/hookyard"), "evt_private") > 0, "the store is looked into");
    assert_eq!(files_with(&yard.path("var"), PHONE), 0);
    assert!(!yard.log().contains(PHONE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_data_are_erased_from_what_is_finished_for_good() {
    let mut yard = Yard::shipped();
    let poster = yard.start().await;
    let event = |id: &str, email: &str| {
        let details = format!(r#"{{"email":  "{email}","name":"Ada"}}"#);
        format!(
            "{{\"id\": \"{id}\", \"object\": \"event\", \"type\": \"for.nobody\", \
             \"data\": {{\"object\": {{\"amount\": 5, \"customer_details\": {details}}}}}}}\n"
        )
    };
    let (hers, his) = (event("evt_hers", "Ada@Example.com"), event("evt_his", "bob@example.com"));
    for body in [&hers, &his] {
        let signature = stripe::sign(body.as_bytes(), SECRET, stripe::now());
        assert_eq!(poster.try_post(body.as_bytes(), &signature).await.unwrap().status, 200);
    }
    yard.wait_for_counts("both are unrouted", |counts| counts["unrouted"] == 2).await;
    let erase = |yard: &Yard, more: &[&str]| {
        let words: Vec<&str> = ["events", "erase", "--email", "ada@example.com"]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        yard.ask(&words)
    };
    let looked = erase(&yard, &[]);
    assert_eq!((&looked["looked"], &looked["found"][0]["outcome"]), (&2.into(), &"found".into()), "{looked}");
    assert_eq!(looked["found"].as_array().unwrap().len(), 1);
    assert_eq!(yard.ask(&["events", "show", "evt_hers", "--body"])["body"], hers, "nothing was changed");

    assert_eq!(erase(&yard, &["--yes"])["found"][0]["outcome"], "erased");
    yard.kill();
    let poster = yard.start().await;
    let shown = yard.ask(&["events", "show", "evt_hers", "--body"]);
    assert_eq!(
        shown["body"],
        hers.replace("Ada@Example.com", "[redacted]").replace("\"Ada\"", "\"[redacted]\"")
    );
    assert_eq!(shown["erased"], true);
    assert_eq!(yard.ask(&["events", "show", "evt_his", "--body"])["body"], his);
    assert_eq!(erase(&yard, &[])["found"], serde_json::json!([]), "nothing of hers is left");
    let signature = stripe::sign(hers.as_bytes(), SECRET, stripe::now());
    let again = poster.try_post(hers.as_bytes(), &signature).await.unwrap();
    assert_eq!(again.body["status"], "duplicate", "{again:?}");
    let text =
        String::from_utf8(yard.run(&["events", "erase", "--email", "BOB@example.com"]).stdout).unwrap();
    assert!(text.contains("evt_his") && text.contains("nothing was changed: --yes erases"), "{text}");
    let none = yard.run(&["events", "erase", "--email", "bob"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("no e-mail address"), "{none:?}");
    assert!(!yard.log().to_lowercase().contains("ada@example.com"));
}

/// How many files below a folder hold these bytes.
fn files_with(folder: &Path, words: &str) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += files_with(&path, words);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            count += usize::from(bytes.windows(words.len()).any(|window| window == words.as_bytes()));
        }
    }
    count
}
