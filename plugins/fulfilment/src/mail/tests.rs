//! Mails through the front: bytes, files, and a mail server in a thread that says what the test wants to hear.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;

use super::*;

fn words(subject: &str) -> Words {
    Words {
        subject: subject.to_owned(), text: "Grüße\n.\nend".to_owned(), html: "<p>Grüße</p>".to_owned()
    }
}

fn mail<'a>(to: &'a Email, name: Option<&'a str>, words: &'a Words) -> Mail<'a> {
    let date = Duration::from_secs(1_794_830_461);
    Mail { message_id: "<welcome.1f@inkwell.example>", to, to_name: name, words, date }
}

fn mailer(settings: serde_json::Value) -> Mailer {
    Mailer::open(serde_json::from_value(settings).unwrap(), |_| Err("none set".to_owned())).unwrap()
}

fn only_file(directory: &Path) -> String {
    let files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    std::fs::read_to_string(&files[0]).unwrap()
}

#[test]
fn a_mail_file_is_whole_and_the_same_every_time() {
    let directory = tempfile::tempdir().unwrap();
    let mailer = mailer(serde_json::json!({"transport": "file", "directory": directory.path()}));
    let to = Email::parse("jürgen.weiß@buyer.example").unwrap();
    let words = words("Welcome");
    mailer.send(&mail(&to, Some("Jürgen Weiß"), &words)).unwrap();
    let first = only_file(directory.path());
    mailer.send(&mail(&to, Some("Jürgen Weiß"), &words)).unwrap();
    assert_eq!(only_file(directory.path()), first);
    for part in [
        "Message-ID: <welcome.1f@inkwell.example>",
        "Subject: Welcome",
        "jürgen.weiß@buyer.example",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "Auto-Submitted: auto-generated",
        "Date: Mon, 16 Nov 2026 12:01:01 +0000",
    ] {
        assert!(first.contains(part), "{part} is missing in:\n{first}");
    }
}

#[test]
fn nothing_in_a_name_or_subject_starts_a_header() {
    let directory = tempfile::tempdir().unwrap();
    let mailer = mailer(serde_json::json!({"transport": "file", "directory": directory.path()}));
    let to = Email::parse("marta@buyer.example").unwrap();
    let words = words("Hi\r\nBcc: evil@buyer.example");
    mailer.send(&mail(&to, Some("Eve\r\nBcc: evil@buyer.example\n\nbody"), &words)).unwrap();
    let eml = only_file(directory.path());
    let headers = eml.split("\r\n\r\n").next().unwrap();
    assert!(!headers.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{headers}");
    assert_eq!(headers.matches("To: ").count(), 1, "{headers}");
}

/// Speaks SMTP for one connection; `answers` are (command prefix, answer) pairs that replace "250 ok".
fn server(answers: Vec<(&'static str, &'static str)>) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (port, std::thread::spawn(move || serve(&listener.accept().unwrap().0, &answers)))
}

fn serve(stream: &TcpStream, answers: &[(&str, &str)]) -> Vec<String> {
    let (mut lines, mut out) = (BufReader::new(stream).lines(), stream);
    let (mut heard, mut in_data) = (Vec::new(), false);
    write!(out, "220 stub ready\r\n").unwrap();
    while let Some(Ok(line)) = lines.next() {
        let answer = if in_data {
            in_data = line != ".";
            (!in_data).then(|| answer_to("<end>", answers))
        } else if line == "DATA" {
            in_data = true;
            Some("354 go on".to_owned())
        } else {
            Some(answer_to(&line, answers))
        };
        let last = line == "QUIT";
        heard.push(line);
        if let Some(answer) = answer {
            write!(out, "{answer}\r\n").unwrap();
        }
        if last {
            break;
        }
    }
    heard
}

fn answer_to(line: &str, answers: &[(&str, &str)]) -> String {
    let known = answers.iter().find(|(prefix, _)| line.starts_with(prefix));
    known.map_or_else(|| "250 ok".to_owned(), |(_, answer)| (*answer).to_owned())
}

fn send_to(port: u16, to: &str) -> Result<(), Fault> {
    let mailer =
        mailer(serde_json::json!({"transport": "smtp", "host": "127.0.0.1", "port": port, "tls": "none",
        "from": "Inkwell <hello@inkwell.example>"}));
    let to = Email::parse(to).unwrap();
    Ok(mailer.send(&mail(&to, None, &words("Welcome")))?)
}

#[test]
fn a_server_hears_the_whole_mail() {
    let (port, server) = server(vec![]);
    send_to(port, "marta@buyer.example").unwrap();
    let heard = server.join().unwrap().join("\n");
    for part in [
        "MAIL FROM:<hello@inkwell.example>",
        "RCPT TO:<marta@buyer.example>",
        "Message-ID: <welcome.1f@inkwell.example>",
        "Subject: Welcome",
    ] {
        assert!(heard.contains(part), "{part} is missing in:\n{heard}");
    }
}

#[test]
fn a_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let cases = [
        ("MAIL", "451 4.3.0 later", "retry mail"),
        ("RCPT", "450 4.2.1 <marta@buyer.example> greylisted", "retry mail"),
        ("<end>", "452 4.3.1 full", "retry mail"),
        ("RCPT", "550 5.1.1 <marta@buyer.example> unknown", "reject mail_refused"),
        ("<end>", "554 5.7.1 marta@buyer.example is spam", "reject mail_refused"),
        ("MAIL", "530 5.7.0 log in first", "retry mail"),
    ];
    for (prefix, answer, expected) in cases {
        let (port, server) = server(vec![(prefix, answer)]);
        let fault = send_to(port, "marta@buyer.example").unwrap_err();
        server.join().unwrap();
        let word = if matches!(fault, Fault::Reject { .. }) { "reject" } else { "retry" };
        assert_eq!(format!("{word} {}", fault.code()), expected, "{fault}");
        assert!(!fault.to_string().contains("marta"), "{fault}");
        assert!(fault.to_string().contains(&answer[..3]), "{fault}");
    }
}

#[test]
fn an_address_that_the_server_cannot_take_is_refused_for_good() {
    let (port, server) = server(vec![]);
    let fault = send_to(port, "jürgen@buyer.example").unwrap_err();
    server.join().unwrap();
    assert_eq!(fault.code(), "mail_refused", "{fault}");
}

#[test]
fn a_server_that_is_not_there_is_asked_again() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(send_to(port, "marta@buyer.example").unwrap_err().code(), "mail");
}

#[test]
fn what_is_missing_is_told_at_the_start() {
    let settings = serde_json::json!({"transport": "smtp", "host": "mail.example", "from": "a@inkwell.example",
        "username": "u", "password_secret": "smtp_password"});
    let settings: MailSettings = serde_json::from_value(settings).unwrap();
    let error = Mailer::open(settings.clone(), |_| Err("no such secret".to_owned())).unwrap_err();
    assert!(error.to_string().contains("smtp_password"), "{error}");
    assert!(Mailer::open(settings, |name| Ok(format!("value of {name}"))).is_ok());
    let no_ca = serde_json::json!({"transport": "smtp", "host": "mail.example", "from": "a@inkwell.example",
        "ca_file": "/nowhere.pem"});
    let error = Mailer::open(serde_json::from_value(no_ca).unwrap(), |_| Ok(String::new())).unwrap_err();
    assert!(matches!(error, MailError::CaFile { .. }), "{error}");
}
