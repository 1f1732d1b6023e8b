//! Reload: the configuration is exchanged whole or not at all, under load, and nothing is lost or doubled by it.

use serde_json::Value;

use crate::plugin_faults::bad_handler;
use crate::stripe::{self, another_purchase, fixture};
use crate::yard::{Yard, profile_dir, rows};

const RULES: &str = "config/rules/10-checkout.toml";

fn edit(yard: &Yard, file: &str, edit: impl FnOnce(String) -> String) {
    let path = yard.path(file);
    std::fs::write(&path, edit(std::fs::read_to_string(&path).unwrap())).unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A reload that must be refused: its words.
fn refused(yard: &Yard) -> String {
    let before = snapshot(yard);
    let output = yard.run(&["reload"]);
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stdout));
    assert_eq!(snapshot(yard), before, "a refused reload changes nothing");
    text(&output.stderr)
}

fn snapshot(yard: &Yard) -> String {
    yard.ask(&["status"])["snapshot"].as_str().unwrap().to_owned()
}

fn changes(reloaded: &Value) -> Vec<&str> {
    reloaded["changes"].as_array().unwrap().iter().map(|change| change["text"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_reloads_under_load_lose_and_double_nothing() {
    const POSTS: usize = 240;
    const RELOADS: usize = 18;
    let mut yard = Yard::shipped();
    let poster = yard.start().await;
    let posting = tokio::spawn(async move {
        for number in 0..POSTS {
            let answer = poster.post(&another_purchase("01", number)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    });
    let settings = std::fs::read_to_string(yard.path("config/hookyard.toml")).unwrap();
    let rules = std::fs::read_to_string(yard.path(RULES)).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..RELOADS {
        // Every second one exchanges the host of `sumo`, the others its rules; every third is refused.
        let (timeout, concurrency) =
            (format!("\"{}s\"", 30 + round), format!("concurrency = {}", 1 + round % 8));
        let main = settings.replace("timeout = \"30s\"", &format!("timeout = {timeout}"));
        let main =
            if round % 2 == 0 { main.replace("concurrency = 8", &concurrency) } else { settings.clone() };
        edit(&yard, "config/hookyard.toml", |_| main);
        edit(&yard, RULES, |_| {
            rules.replace("\"sumo purchase\"", &format!("\"sumo purchase {}\"", round % 4))
        });
        if round % 3 == 2 {
            edit(&yard, RULES, |text| text.replace("present = true", "presnt = true"));
            assert!(refused(&yard).contains("did you mean `present`?"));
        } else {
            let reloaded = yard.ask(&["reload"]);
            assert_eq!(snapshot(&yard), reloaded["snapshot"].as_str().unwrap());
            seen.insert(snapshot(&yard));
        }
    }
    assert!(seen.len() > 6, "{seen:?}");
    posting.await.unwrap();
    let counts = yard.wait_until_settled(POSTS as u64).await;
    assert_eq!(
        (&counts["delivered"], &counts["unrouted"]),
        (&Value::from(POSTS), &Value::from(0)),
        "{counts}"
    );
    let deliveries = yard.ask(&["deliveries", "list", "--limit", "1000"]);
    let attempts = |delivery: &Value| (delivery["handler"] == "sumo", delivery["attempts"] == 1);
    let odd: Vec<&Value> =
        deliveries["rows"].as_array().unwrap().iter().filter(|row| attempts(row) != (true, true)).collect();
    assert!(odd.is_empty(), "each is delivered at its first attempt: {odd:#?}");
    let database = yard.database().await;
    assert_eq!(rows(&database, "SELECT count(*) FROM purchases").await, [POSTS.to_string()]);
    assert_eq!(yard.mails().len(), POSTS);
    let status = yard.ask(&["status"]);
    assert!(status["handlers"].as_array().unwrap().iter().all(|it| it["draining"] == 0), "{status:#}");
    assert_eq!(yard.terminate().code(), Some(0), "{}", yard.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_reload_says_what_check_says_and_leaves_what_runs() {
    let mut yard = Yard::shipped();
    let poster = yard.start().await;
    let (main, rules) = ("config/hookyard.toml", std::fs::read_to_string(yard.path(RULES)).unwrap());
    edit(&yard, RULES, |text| {
        text.replace("[\"sumo\"]", "[\"smo\"]").replace("present = true", "presnt = true")
    });
    let said = refused(&yard);
    let checked = text(&yard.run(&["check", "--dev"]).stderr);
    let report = checked.strip_prefix("hookyard: ").unwrap();
    assert!(said.contains(report), "{said}\n--- check says:\n{report}");
    assert!(yard.log().contains("there is no handler `smo`"), "{}", yard.log());
    let status = yard.ask(&["status"]);
    assert!(status["reload_refused"]["why"].as_str().unwrap().contains("10-checkout.toml"), "{status}");
    edit(&yard, RULES, |_| rules.clone());

    edit(&yard, main, |text| text.replace("libhookyard_sumo.so", "libhookyard_none.so"));
    let said = refused(&yard);
    assert!(said.contains("handler `sumo` cannot start") && said.contains("libhookyard_none.so"), "{said}");
    edit(&yard, main, |text| text.replace("libhookyard_none.so", "libhookyard_sumo.so"));

    edit(&yard, main, |text| text.replacen("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:9\"", 1));
    let said = refused(&yard);
    assert!(said.contains("`server.listen` is 127.0.0.1:0 in the running daemon and 127.0.0.1:9"), "{said}");
    assert!(said.contains("restart the daemon for it"), "{said}");

    assert_eq!(poster.post(&fixture("01")).await.status, 200);
    yard.wait_until_settled(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_of_a_handler_that_is_gone_wait_until_it_is_back() {
    let mut yard = Yard::shipped();
    let library = profile_dir().join("libhookyard_test_done.so");
    let later = format!(
        "\n[plugin.done]\npath = \"{}\"\n[handler.later]\nplugin = \"done\"\nsettings = {{ later = true }}\n\
         retry = {{ first = \"100ms\", max = \"100ms\", attempts = 1000 }}\n",
        library.display()
    );
    let rule = "[[rule]]\nname = \"to later\"\nhandlers = [\"later\"]\nwhen = { type = \"payment_method.attached\" }\n";
    let (main, rules) = ("config/hookyard.toml", "config/rules/20-later.toml");
    let without = std::fs::read_to_string(yard.path(main)).unwrap();
    edit(&yard, main, |text| text + &later);
    std::fs::write(yard.path(rules), rule).unwrap();
    let poster = yard.start().await;
    let event = poster.post(&fixture("16")).await.event();
    yard.wait_for_counts("put off", |counts| counts["pending"] == 1).await;

    edit(&yard, main, |_| without);
    std::fs::remove_file(yard.path(rules)).unwrap();
    let said = text(&yard.run(&["reload"]).stdout);
    for part in [
        "- plugin done removed",
        "- handler later removed",
        "- rule \"to later\" removed",
        "1 delivery waits for the handler later",
    ] {
        assert!(said.contains(part), "`{part}` is missing in:\n{said}");
    }
    let status = yard.ask(&["status"]);
    let gone = status["handlers"].as_array().unwrap().iter().find(|it| it["handler"] == "later").unwrap();
    assert_eq!((&gone["waiting"], &gone["up"]), (&Value::from(1), &Value::from(false)), "{gone}");
    assert_eq!(yard.event(&event)["deliveries"][0]["state"], "pending");

    edit(&yard, main, |text| text + &later.replace("later = true", "later = false"));
    std::fs::write(yard.path(rules), rule).unwrap();
    let reloaded = yard.ask(&["reload"]);
    assert_eq!(changes(&reloaded), ["plugin done added", "handler later added", "rule \"to later\" added"]);
    yard.wait_for_counts("delivered", |counts| counts["delivered"] == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reloads_a_rolled_secret_and_sources_that_come_and_go() {
    let mut yard = Yard::shipped();
    std::fs::write(yard.path("secret"), stripe::SECRET).unwrap();
    edit(&yard, "config/hookyard.toml", |text| {
        text.replace("env:STRIPE_WEBHOOK_SECRET", "file:secret")
            + "[source.shop]\npath = \"/shop\"\nscheme = \"stripe\"\nsecrets = [\"file:secret\"]\n"
    });
    let poster = yard.start().await;
    let shop = poster.at_path("/shop");
    assert_eq!(shop.post(&another_purchase("01", 1)).await.status, 200);

    std::fs::write(yard.path("secret"), "whsec_rolled").unwrap();
    edit(&yard, "config/hookyard.toml", |text| text.split("[source.shop]").next().unwrap().to_owned());
    yard.hang_up();
    let (old, rolled) = (stripe::SECRET, "whsec_rolled");
    let posted = async |body: &[u8], secret: &str| {
        poster.try_post(body, &stripe::sign(body, secret, stripe::now())).await.unwrap().status
    };
    yard.wait_for_log("source stripe secret rolled").await;
    assert!(yard.log().contains("source shop removed"), "{}", yard.log());
    assert_eq!(posted(&fixture("01"), old).await, 400);
    assert_eq!(posted(&fixture("01"), rolled).await, 200);
    assert_eq!(shop.post(&another_purchase("01", 2)).await.status, 404);
    // What came from a source that is gone is still routed and delivered.
    yard.wait_until_settled(2).await;
    assert_eq!(yard.ask(&["reload"])["changes"].as_array().unwrap().len(), 0);
}

/// The door opens before the plugins are made: whoever edits the configuration then asks for a reload of a daemon that starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_comes_while_the_plugins_are_made_reloads_when_they_are() {
    let mut yard = Yard::shipped();
    bad_handler(&yard, "30s", 2);
    edit(&yard, "config/hookyard.toml", |text| {
        let waits = format!("settings = {{ wait_for = {:?} }}", yard.path("go"));
        text.replace("settings = {}", &waits)
            + "[source.shop]\npath = \"/shop\"\nscheme = \"stripe\"\nsecrets = [\"env:SHOP\"]\n"
    });
    yard.spawn(yard.command(&["serve", "--dev"]));
    yard.wait_for_log("the door is open").await;
    edit(&yard, "config/hookyard.toml", |text| text.split("[source.shop]").next().unwrap().to_owned());
    yard.hang_up();
    std::fs::write(yard.path("go"), "").unwrap();
    yard.wait_for_log("source shop removed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_change_is_rolled_back_though_the_files_are_broken() {
    let mut yard = Yard::shipped();
    let poster = yard.start().await;
    let first = snapshot(&yard);
    edit(&yard, RULES, |text| text.replace("[\"sumo\"]", "[\"direct\"]"));
    let said = text(&yard.run(&["reload"]).stdout);
    assert!(said.contains("~ rule \"sumo purchase\" changed"), "{said}");
    let second = snapshot(&yard);
    edit(&yard, RULES, |text| text.replace("[[rule]]", "[[rule"));

    let said = yard.run(&["config", "rollback"]);
    let (out, err) = (text(&said.stdout), text(&said.stderr));
    assert!(out.contains(&format!("configuration {first} runs, in place of {second}")), "{out}{err}");
    assert!(err.contains("attention: the configuration has"), "{err}");
    assert!(text(&yard.run(&["status"]).stdout).contains("rolled back"), "{out}");
    let event = poster.post(&fixture("01")).await.event();
    yard.wait_until_settled(1).await;
    assert_eq!(yard.event(&event)["snapshot"], first.as_str());
    assert_eq!(yard.event(&event)["deliveries"][0]["handler"], "sumo");

    let kept = yard.ask(&["config", "list"]);
    let listed: Vec<&str> =
        kept.as_array().unwrap().iter().map(|it| it["snapshot"].as_str().unwrap()).collect();
    assert_eq!(listed, [first.as_str(), second.as_str()]);
    let shown = text(&yard.run(&["config", "show", &second[..6]]).stdout);
    assert!(shown.contains("handlers = [\"direct\"]") && shown.contains("[source.stripe]"), "{shown}");
    let written = yard.run(&["config", "show", &first, "--to", "restored"]);
    assert!(written.status.success(), "{}", text(&written.stderr));
    let checked = yard.run(&["check", "--dev", "restored/hookyard.toml"]);
    assert!(text(&checked.stdout).contains(&first), "{}", text(&checked.stderr));
    let unknown = yard.run(&["config", "rollback", "ffff"]);
    assert_eq!(unknown.status.code(), Some(65));
    assert!(text(&unknown.stderr).contains("hookyard config list"), "{}", text(&unknown.stderr));
}
