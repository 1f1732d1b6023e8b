//! The welcome mail over SMTP: a real server (aiosmtpd) takes it, once, and a server that is not there yet is a retry.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::kill::free_port;
use crate::stripe::{fixture, tests_dir};
use crate::yard::{Yard, rows};

/// A mail server that keeps what it takes in a maildir.
struct MailServer(Child);

impl MailServer {
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

impl Drop for MailServer {
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

    let _server = MailServer::start(port, &maildir);
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
