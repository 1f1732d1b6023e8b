//! The welcome mail over SMTP: a real server (aiosmtpd) takes it, once. A server that is not there yet, and one that says
//! "later" (greylisting), is a retry; one that says "never" is a dead letter; TLS and a login are what a provider asks for.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::kill::free_port;
use crate::mail_server;
use crate::stripe::{fixture, tests_dir};
use crate::yard::{Engine, Yard, rows};

/// A mail server that comes when it is wanted, and keeps what it takes in a maildir.
struct LateServer(Child);

impl LateServer {
    fn start(port: u16, maildir: &Path) -> Self {
        let server = Command::new(tests_dir().join(".venv/bin/python"))
            .args([
                "-m",
                "aiosmtpd",
                "-n",
                "-l",
                &format!("127.0.0.1:{port}"),
                "-c",
                "aiosmtpd.handlers.Mailbox",
            ])
            .arg(maildir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the mail server is not installed here: run tests/run, which installs it");
        // Owned before anything can panic, so that it is always ended.
        let server = Self(server);
        for _ in 0..3_000 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the mail server does not listen");
    }
}

impl Drop for LateServer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_welcome_mail_goes_out_once_though_the_server_comes_late() {
    let mut yard = Yard::shipped();
    let (port, maildir) = (free_port(), yard.path("maildir"));
    let smtp = format!(
        r#"mail = {{ transport = "smtp", host = "127.0.0.1", port = {port}, tls = "none", from = "Inkwell <hello@inkwell.example>" }}"#
    );
    yard.edit_config(|text| {
        text.replacen(r#"mail = { transport = "file", directory = "var/mail" }"#, &smtp, 1)
    });
    let poster = yard.start().await;
    let event = poster.post(&fixture("01")).await.event();
    yard.wait_for_counts("tried without a server", |counts| counts["pending"] == 1 && counts["leased"] == 0)
        .await;
    let database = yard.database().await;
    assert_eq!(rows(&database, "SELECT state FROM mails").await, ["pending"], "the mail is owed");

    let _server = LateServer::start(port, &maildir);
    yard.wait_for_counts("delivered", |counts| counts["delivered"] == 1).await;
    assert_eq!(rows(&database, "SELECT kind, state FROM mails").await, ["welcome|sent"]);
    assert_eq!(rows(&database, "SELECT count(*) FROM purchases").await, ["1"]);

    let taken: Vec<String> = std::fs::read_dir(maildir.join("new"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(taken.len(), 1, "one mail: {taken:#?}");
    let message_id = yard.event(&event)["deliveries"][0]["tries"].as_array().unwrap().last().unwrap()["result"]["mail"]
        ["message_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(taken[0].contains(&message_id), "{message_id} in {}", taken[0]);
    assert!(taken[0].contains("marta.quental@buyer.example") && taken[0].contains("Inkwell"), "{}", taken[0]);
}

/// The purchase of 01 by somebody else.
fn bought_by(address: &str) -> Vec<u8> {
    String::from_utf8(fixture("01")).unwrap().replace("marta.quental@buyer.example", address).into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_later_is_asked_again_and_one_that_says_never_is_not() {
    for engine in Engine::BOTH {
        let mut yard = Yard::shop(engine);
        let poster = yard.start().await;
        let event = poster.post(&bought_by("busy.marta@buyer.example")).await.event();
        yard.wait_until_settled(1).await;
        let shown = yard.event(&event);
        let tries = shown["deliveries"][0]["tries"].as_array().unwrap();
        let told: Vec<_> = tries.iter().map(|attempt| attempt["outcome"].as_str().unwrap()).collect();
        assert_eq!(told, ["retry", "done"], "{shown:#}");
        assert!(tries[0]["message"].as_str().unwrap().contains("greylisted"), "{}", tries[0]);
        assert!(!shown.to_string().contains("busy.marta@"), "no address in an attempt: {shown:#}");
        let taken = mail_server::shared().taken_from(&yard.sender());
        assert_eq!(taken.len(), 1, "{taken:#?}");
        let text = taken[0]["text"].as_str().unwrap();
        let message_id = tries[1]["result"]["mail"]["message_id"].as_str().unwrap();
        assert!(text.contains(&format!("Message-ID: {message_id}")), "{text}");

        let gone = String::from_utf8(fixture("08")).unwrap().replace("marta.quental@", "gone@");
        let event = poster.post(gone.as_bytes()).await.event();
        yard.wait_until_settled(2).await;
        let delivery = yard.event(&event)["deliveries"][0].clone();
        let tries = delivery["tries"].as_array().unwrap();
        assert_eq!((&delivery["state"], tries.len()), (&"dead".into(), 1), "{delivery:#}");
        assert_eq!(tries[0]["code"], "mail_refused");
        assert!(tries[0]["message"].as_str().unwrap().contains("no such mailbox here"), "{delivery:#}");
        let database = yard.database().await;
        let mails = rows(&database, "SELECT kind, state FROM mails ORDER BY state").await;
        assert_eq!(
            mails,
            ["welcome|pending", "welcome|sent"],
            "what was bought stands, and its mail is owed"
        );
        assert_eq!(rows(&database, "SELECT count(*) FROM purchases").await, ["2"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_through_starttls_with_a_login_and_one_connection_serves_several() {
    let mut yard = Yard::shipped();
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (pem, key) = (yard.path("mail.pem"), yard.path("mail.key"));
    std::fs::write(&pem, certificate.cert.pem()).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    std::fs::write(yard.path("password"), "a-password").unwrap();
    let (pem, key) = (pem.to_str().unwrap(), key.to_str().unwrap());
    let server = mail_server::MailServer::start(&["--tls", pem, key, "--login", "inkwell", "a-password"]);
    let sender = yard.sender();
    let smtp = format!(
        "mail = {{ transport = \"smtp\", host = \"localhost\", port = {}, ca_file = \"{pem}\", username = \"inkwell\", \
         password_secret = \"smtp_password\", from = \"Inkwell <{sender}>\" }}",
        server.port
    );
    yard.edit_config(|text| {
        text.replacen(r#"mail = { transport = "file", directory = "var/mail" }"#, &smtp, 1).replace(
            r#"# secrets = { smtp_password = "env:SMTP_PASSWORD" }"#,
            r#"secrets = { smtp_password = "file:password" }"#,
        )
    });
    let poster = yard.start().await;
    for (number, prefix) in ["01", "08", "10b"].into_iter().enumerate() {
        poster.post(&fixture(prefix)).await;
        yard.wait_until_settled(number as u64 + 1).await;
    }
    let taken = server.taken_from(&sender);
    assert_eq!(taken.len(), 3, "{taken:#?}\n{:#}", yard.ask(&["deliveries", "list"]));
    assert!(taken.iter().all(|mail| mail["tls"] == true), "{taken:#?}");
    let connections =
        taken.iter().map(|mail| mail["connection"].to_string()).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(connections.len(), 1, "the connection is kept: {connections:?}");
}
