//! The shipped plugins' PostgreSQL, under the real daemon: gone in the middle, and behind TLS.

use crate::kill::free_port;
use crate::postgres::Postgres;
use crate::stripe::fixture;
use crate::yard::{Engine, Yard, found, rows};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_is_waited_for() {
    let server = Postgres::start();
    let mut yard = Yard::shop(Engine::Sqlite);
    yard.use_database(&server.database());
    yard.edit_config(|text| text.replace(r#"first = "5s""#, r#"first = "200ms""#));
    let poster = yard.start().await;
    poster.post(&fixture("01")).await;
    yard.wait_until_settled(1).await;

    server.tell("stop");
    let event = poster.post(&fixture("08")).await.event();
    yard.wait_for_counts("tried", |counts| counts["pending"] == 1 && counts["leased"] == 0).await;
    let tries = || yard.event(&event)["deliveries"][0]["tries"].as_array().cloned();
    let tries = found(|| tries().filter(|tries| !tries.is_empty())).await.expect("a try is told");
    assert_eq!(
        (&tries[0]["outcome"], &tries[0]["code"]),
        (&"retry".into(), &"database".into()),
        "{tries:#?}"
    );
    let told = tries[0]["message"].as_str().unwrap();
    assert!(told.contains("the database refused: ") && told.len() > 30, "the database's own words: {told}");

    server.tell("start");
    yard.wait_until_settled(2).await;
    let database = yard.database().await;
    assert_eq!(
        rows(&database, "SELECT kind, state FROM mails ORDER BY kind").await,
        ["new_subscription|sent", "welcome|sent"]
    );
    assert_eq!(rows(&database, "SELECT count(*) FROM purchases").await, ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_behind_tls_is_reached_by_its_url() {
    let mut yard = Yard::shop(Engine::Sqlite);
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (pem, key) = (yard.path("db.pem"), yard.path("db.key"));
    std::fs::write(&pem, certificate.cert.pem()).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    let (pem, key, port) = (pem.to_str().unwrap(), key.to_str().unwrap(), free_port().to_string());
    let server = Postgres::start_with(&[pem, key, &port]);
    yard.use_database(&format!("{}&sslrootcert={pem}", server.database()));
    let poster = yard.start().await;
    poster.post(&fixture("01")).await;
    yard.wait_until_settled(1).await;
    let database = yard.database().await;
    assert_eq!(rows(&database, "SELECT kind, state FROM mails").await, ["welcome|sent"]);
    let plain = rows(
        &database,
        "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
        WHERE usename = 'hookyard' AND client_addr IS NOT NULL AND NOT ssl",
    )
    .await;
    assert_eq!(plain, ["0"]);
}
