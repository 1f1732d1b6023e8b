//! What is taken out of a body is nowhere on the disk, and all that is left says so.

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
