//! Real files, real processes, and a real PostgreSQL.

use std::path::Path;

use super::*;

#[path = "../../testing/postgres.rs"]
mod postgres;

fn open(url: &str) -> Result<Database, DatabaseError> {
    Database::open(&url.into(), |_| Err("none".to_owned()))
}

fn url(directory: &Path) -> String {
    format!("sqlite:{}/deep/er/fulfilment.db", directory.display())
}

#[test]
fn a_new_file_is_made_with_its_directory_and_tables_and_opens_again() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let database = open(&url(directory.path())).unwrap();
        let (tables,): (i64,) = database
            .run(
                sqlx::query_as(
                    "SELECT count(*) FROM sqlite_master WHERE name IN \
                    ('users','purchases','subscriptions','access','orders','mails')",
                )
                .fetch_one(database.pool()),
            )
            .unwrap();
        assert_eq!(tables, 6);
    }
}

#[test]
fn commits_are_synced_and_foreign_keys_hold() {
    let directory = tempfile::tempdir().unwrap();
    let database = open(&url(directory.path())).unwrap();
    for (sql, expected) in
        [("PRAGMA synchronous", "2"), ("PRAGMA foreign_keys", "1"), ("PRAGMA journal_mode", "wal")]
    {
        let row: sqlx::any::AnyRow = database.run(sqlx::query(sql).fetch_one(database.pool())).unwrap();
        let shown = sqlx::Row::try_get::<String, _>(&row, 0)
            .or_else(|_| sqlx::Row::try_get::<i64, _>(&row, 0).map(|number| number.to_string()))
            .unwrap();
        assert_eq!(shown, expected, "{sql}");
    }
}

#[test]
fn many_openers_at_once_all_succeed() {
    let directory = tempfile::tempdir().unwrap();
    let url = url(directory.path());
    let gate = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                gate.wait();
                open(&url).unwrap();
            });
        }
    });
}

/// Not a test of its own: what each process of the next test runs.
#[test]
#[ignore = "run by many_processes_at_once_all_succeed"]
fn opener_process() {
    let Ok(url) = std::env::var("OPENER_DATABASE") else { return };
    open(&url).unwrap();
}

#[test]
fn many_processes_at_once_all_succeed() {
    let directory = tempfile::tempdir().unwrap();
    let opener = || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "database::tests::opener_process", "--ignored"])
            .env("OPENER_DATABASE", url(directory.path()))
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let openers: Vec<_> = std::iter::repeat_with(opener).take(6).collect();
    for opener in openers {
        let output = opener.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
}

#[test]
fn a_schema_of_the_future_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let database = open(&url(directory.path())).unwrap();
    database.run(sqlx::query("INSERT INTO fulfilment_schema VALUES (99)").execute(database.pool())).unwrap();
    let error = open(&url(directory.path())).unwrap_err();
    assert!(matches!(error, DatabaseError::Newer { found: 99, known: 2 }), "{error}");
}

#[test]
fn other_urls_are_refused_without_their_password() {
    for url in ["mysql://u:geheim@h/db", "sqlite::memory:", "sqlite:", "var/x.db", "sqlite:x.db?mode=ro"] {
        let error = open(url).unwrap_err();
        assert!(matches!(error, DatabaseError::Url { .. }), "{error}");
        assert!(!error.to_string().contains("geheim"));
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let error = open("sqlite:/dev/null/x/fulfilment.db").unwrap_err();
    assert!(error.to_string().contains("/dev/null/x"), "{error}");
}

#[test]
fn postgres_is_migrated_once_by_many_at_once() {
    let url = postgres::shared().database();
    let gate = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                gate.wait();
                open(&url).unwrap();
            });
        }
    });
    let database = open(&url).unwrap();
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_name IN \
        ('users','purchases','subscriptions','access','orders','mails','grants','stripe_facts')";
    let (tables,): (i64,) = database.run(sqlx::query_as(tables).fetch_one(database.pool())).unwrap();
    assert_eq!(tables, 8);
}

#[test]
fn tables_have_other_names_where_the_settings_say_so() {
    let directory = tempfile::tempdir().unwrap();
    for url in [url(directory.path()), postgres::shared().database()] {
        let tables = serde_json::json!({"users": "shop_users", "access": "shop_access"});
        let settings = serde_json::from_value(serde_json::json!({"url": url, "tables": tables})).unwrap();
        let database = Database::open(&settings, |_| Err("none".to_owned())).unwrap();
        let count = "SELECT (SELECT count(*) FROM shop_users) + (SELECT count(*) FROM shop_access)";
        let (count,): (i64,) = database.run(sqlx::query_as(count).fetch_one(database.pool())).unwrap();
        assert_eq!(count, 0);
    }
}

/// What reads and then writes would lose counts if two of them overlapped.
#[test]
fn transactions_do_not_overlap_on_either_database() {
    let directory = tempfile::tempdir().unwrap();
    for url in [url(directory.path()), postgres::shared().database()] {
        let hosts = [open(&url).unwrap(), open(&url).unwrap()];
        let order = "INSERT INTO orders (id, refunded) VALUES ('o', 0)";
        hosts[0].run(hosts[0].execute(order, &[])).unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let host = &hosts[number % 2];
                scope.spawn(move || (0..10).for_each(|_| host.run(count_up(host)).unwrap()));
            }
        });
        let sum = "SELECT refunded FROM orders";
        let (sum,): (i64,) = hosts[0].run(sqlx::query_as(sum).fetch_one(hosts[0].pool())).unwrap();
        assert_eq!(sum, 80, "{url}");
    }
}

async fn count_up(host: &Database) -> Result<(), DatabaseError> {
    let mut tx = host.begin().await?;
    let row: Option<(i64,)> = tx.row("SELECT refunded FROM {orders}", &[]).await?;
    tx.execute("UPDATE {orders} SET refunded = $1", &[(row.unwrap().0 + 1).into()]).await?;
    Ok(tx.commit().await?)
}

#[test]
fn a_postgres_that_goes_away_is_told_in_its_own_words_and_works_again_when_it_is_back() {
    let server = postgres::Postgres::start();
    let database = open(&server.database()).unwrap();
    database.run(database.execute("INSERT INTO orders (id, refunded) VALUES ('o', 0)", &[])).unwrap();
    let cut = database.run(database.begin()).unwrap();
    server.tell("stop");
    assert!(database.run(cut.commit()).is_err());
    let fault = Fault::from(database.run(count_up(&database)).unwrap_err());
    assert!(matches!(fault, Fault::Retry { .. }), "{fault}");
    assert!(
        fault.to_string().contains("No such file") || fault.to_string().contains("shutting down"),
        "{fault}"
    );
    server.tell("start");
    database.run(count_up(&database)).unwrap();
}

#[test]
fn a_password_comes_from_its_secret_and_never_stands_in_the_url() {
    let error = open("postgres://shop:geheim@db.example/shop").unwrap_err().to_string();
    assert!(error.contains("postgres://…@db.example/shop") && !error.contains("geheim"), "{error}");
    let settings = |url: &str| DatabaseSettings { password_secret: Some("p".to_owned()), ..url.into() };
    let missing =
        Database::open(&settings("postgres://shop@db.example/shop"), |_| Err("there is none".to_owned()));
    assert!(missing.unwrap_err().to_string().contains("the secret `p`"));
    let sqlite = Database::open(&settings("sqlite:x.db"), |_| Ok("geheim".to_owned())).unwrap_err();
    assert!(sqlite.to_string().contains("takes no password"), "{sqlite}");
    // The server trusts whoever comes: what counts here is that a password is no hindrance.
    let open = Database::open(&settings(&postgres::shared().database()), |_| Ok("ge%@:heim".to_owned()));
    open.unwrap();
}
