//! Real commands, and what they do to a careless parent.

use std::process::Command;

use hookyard_plugin::testkit::{Bench, Said, TestEvent};
use serde_json::{Value, json};

use crate::Exec;
use crate::run::{Ended, Ran, run};

fn sh(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

fn bench(settings: &Value) -> Bench {
    Bench::try_new::<Exec>(settings, &[("token", "s3cr3t-t0ken\n")]).unwrap()
}

fn shell(script: &str) -> Bench {
    bench(&json!({ "command": ["/bin/sh", "-c", script] }))
}

#[test]
fn an_exit_code_is_an_outcome() {
    let more =
        json!({ "command": ["/bin/sh", "-c", "cat >&2; exit $CODE"], "reject": [65, 3], "ignore": [4] });
    for (code, said, word) in [
        (0, Said::Done, ""),
        (1, Said::Retry(None), "exit_1"),
        (3, Said::Reject, "exit_3"),
        (4, Said::Ignore, "ignored"),
        (65, Said::Reject, "exit_65"),
        (75, Said::Retry(None), "exit_75"),
        (127, Said::Retry(None), "exit_127"),
    ] {
        let mut settings = more.clone();
        settings["env"] = json!({ "CODE": code.to_string() });
        let delivered = bench(&settings).deliver(&TestEvent::new("a.b", b"first\nlast\n"));
        assert_eq!((delivered.outcome, &*delivered.code), (said, word), "{code}: {}", delivered.message);
        assert!(delivered.message.ends_with("first | last"), "{code}: {}", delivered.message);
    }
    let killed = shell("kill -SEGV $$").deliver(&TestEvent::default());
    assert_eq!((killed.outcome, &*killed.code), (Said::Retry(None), "signal"));
    assert_eq!(killed.message, "the command was ended by signal 11");
}

#[test]
fn a_command_sees_the_body_and_only_the_environment_that_is_declared() {
    let settings = json!({
        "command": ["/bin/sh", "-c", "cat > body; env | sort | grep -v ^PWD= | grep -v ^_= | grep -v ^SHLVL= > env"],
        "cwd": "DIR", "env": { "LANG": "C" }, "secret_env": { "TOKEN": "token" },
    });
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings;
    settings["cwd"] = dir.path().to_str().unwrap().into();
    let event = TestEvent { attempt: 2, ..TestEvent::new("a.b\0c", b"{ \"x\": 1 }\r\n\0\xff") };
    let delivered = bench(&settings).deliver(&event);
    assert_eq!(delivered.outcome, Said::Done, "{}", delivered.message);
    let read = |file: &str| std::fs::read(dir.path().join(file)).unwrap();
    assert_eq!(read("body"), event.body);
    let key = &delivered.steps[0].key;
    let expected = format!(
        "HOOKYARD_ATTEMPT=2\nHOOKYARD_CONTENT_TYPE=application/json\nHOOKYARD_EVENT_ID={}\nHOOKYARD_EVENT_TYPE=a.bc\n\
         HOOKYARD_IDEMPOTENCY_KEY={key}\nHOOKYARD_RECEIVED_UNIX_MS={}\nHOOKYARD_RULE=test\nHOOKYARD_SOURCE=test\n\
         LANG=C\nPATH=/usr/local/bin:/usr/bin:/bin\nTOKEN=s3cr3t-t0ken\n",
        event.id, event.received_unix_ms,
    );
    assert_eq!(String::from_utf8(read("env")).unwrap(), expected);
}

#[test]
fn json_on_stdout_is_the_result_and_no_secret_is_kept() {
    let done = shell("echo working >&2; echo '{\"order\": 7}'").deliver(&TestEvent::default());
    assert_eq!((done.result, &*done.message), (Some(json!({ "order": 7 })), "working"));
    let plain = shell("echo not json").deliver(&TestEvent::default());
    assert_eq!((plain.result, &*plain.message), (None, "not json"));
    let command = ["/bin/sh", "-c", "echo \"\\\"$TOKEN\\\"\"; echo $TOKEN >&2"];
    let told = bench(&json!({ "command": command, "secret_env": { "TOKEN": "token" } }));
    let told = told.deliver(&TestEvent::default());
    assert_eq!((told.result, &*told.message), (None, "[secret]"));
}

#[test]
fn what_is_done_is_not_run_again() {
    let dir = tempfile::tempdir().unwrap();
    let command = ["/bin/sh", "-c", "echo run >> runs; echo '{\"n\":1}'"];
    let bench = bench(&json!({ "command": command, "cwd": dir.path() }));
    let first = bench.deliver(&TestEvent::default());
    let second = bench.deliver(&TestEvent::default());
    assert_eq!((&first.outcome, first.result), (&second.outcome, second.result));
    assert_eq!(std::fs::read_to_string(dir.path().join("runs")).unwrap(), "run\n");
}

#[test]
fn a_large_body_goes_through_and_an_early_close_of_stdin_is_no_failure() {
    let body = b"x".repeat(20 * 1024 * 1024);
    let counted = run(sh("wc -c"), &body, || false).unwrap();
    assert_eq!(counted.stdout.last_lines(100, &[]), body.len().to_string());
    for script in ["exec 0<&-; echo closed", "head -c 1 > /dev/null; echo closed", "echo closed"] {
        let ran = run(sh(script), &body, || false).unwrap();
        assert_eq!((ran.how, &*ran.stdout.last_lines(100, &[])), (Ended::Exit(0), "closed"), "{script}");
    }
}

#[test]
fn a_gigabyte_of_output_is_read_and_its_end_is_kept() {
    let ran = run(sh("head -c 1000000000 /dev/zero; echo the end; echo words >&2"), b"", || false).unwrap();
    assert_eq!(ran.how, Ended::Exit(0));
    assert!(ran.stdout.last_lines(100, &[]).ends_with("the end"));
    assert_eq!(ran.stderr.last_lines(100, &[]), "words");
}

/// Its standard output stays open in a child that outlives it.
#[test]
fn a_child_that_keeps_the_pipe_is_not_waited_for_and_does_not_outlive_the_run() {
    let ran = run(sh("sleep 1000 & echo $!"), b"", || false).unwrap();
    assert_eq!(ran.how, Ended::Exit(0));
    assert_gone(&ran);
}

#[test]
fn at_the_end_of_the_time_a_command_is_asked_and_then_killed_with_all_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("ready");
    let until_ready = |script: &str| {
        let mut command = sh(script);
        command.current_dir(dir.path());
        let ran = run(command, b"", || ready.exists()).unwrap();
        std::fs::remove_file(&ready).unwrap();
        ran
    };
    let polite = until_ready("trap 'echo bye; exit 0' TERM; touch ready; sleep 1000 & wait");
    assert_eq!((polite.how, &*polite.stdout.last_lines(10, &[])), (Ended::OutOfTime, "bye"));
    let deaf = until_ready("trap '' TERM; sleep 1000 & echo $!; touch ready; sleep 1000");
    assert_eq!(deaf.how, Ended::OutOfTime);
    assert_gone(&deaf);
}

/// The process whose id was written ends: it is killed already, and only has to be reaped by its new parent.
fn assert_gone(ran: &Ran) {
    let pid = ran.stdout.last_lines(20, &[]);
    assert!(!pid.is_empty());
    while let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        let state = stat.rsplit(')').next().unwrap().split_whitespace().next().unwrap().to_owned();
        if state == "Z" {
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn settings_that_cannot_work_are_refused_with_a_sentence() {
    for (settings, words) in [
        (json!({ "command": [] }), "`command` is empty"),
        (json!({ "command": [""] }), "`command` is empty"),
        (json!({ "command": ["no-such-program"] }), "there is no program `no-such-program`"),
        (json!({ "command": ["/no/such"] }), "there is no program `/no/such`"),
        (json!({ "command": ["sh\0"] }), "NUL"),
        (json!({ "command": ["sh"], "cwd": "/no/such" }), "`cwd` is no directory"),
        (json!({ "command": ["sh"], "env": { "A=B": "" } }), "is not the name of a variable"),
        (json!({ "command": ["sh"], "env": { "HOOKYARD_X": "" } }), "is written by hookyard itself"),
        (json!({ "command": ["sh"], "reject": [0] }), "is no exit code"),
        (json!({ "command": ["sh"], "secret_env": { "A": "none" } }), "no secret `none`"),
        (json!({ "command": "sh" }), "invalid type"),
        (json!({ "command": ["sh"], "shell": true }), "unknown field `shell`"),
    ] {
        let why = match Bench::try_new::<Exec>(&settings, &[]) {
            Ok(_) => panic!("taken: {settings}"),
            Err(why) => why,
        };
        assert!(why.contains(words), "{settings}: {why}");
    }
}
