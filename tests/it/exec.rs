//! The exec plugin in the real daemon: a command's end is the delivery's, and no command outlives a daemon that is killed.

use crate::stripe::{self, SECRET};
use crate::yard::{Yard, found, profile_dir};

const HANDLERS: &str = r#"
[plugin.exec]
path = "LIBRARIES/libhookyard_exec.so"

[handler.ship]
plugin = "exec"
retry = { first = "50ms", factor = 1.0, max = "50ms", attempts = 100 }
settings = { command = ["/bin/sh", "ship.sh"] }

[handler.hang]
plugin = "exec"
timeout = "10m"
settings = { command = ["/bin/sh", "-c", "sleep 1000 & echo $! > child.new; mv child.new child; wait"] }

[[rule]]
name = "ship"
handlers = ["ship"]
when = { type = "for.shipping" }

[[rule]]
name = "hang"
handlers = ["hang"]
when = { type = "for.ever" }
"#;

/// Fails until the third attempt.
const SHIP: &str = r#"
echo "$HOOKYARD_IDEMPOTENCY_KEY" >> keys
[ "$HOOKYARD_ATTEMPT" -ge 3 ] || { echo "no carrier" >&2; exit 75; }
cat > shipped
echo '{"parcel": 7}'
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_run_until_it_is_done_and_dies_with_its_daemon() {
    run_and_die("process").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_from_inside_the_daemon() {
    run_and_die("inline").await;
}

async fn run_and_die(isolation: &str) {
    let mut yard = Yard::shipped();
    let handlers = HANDLERS.replace("LIBRARIES", profile_dir().to_str().unwrap());
    let placed = format!("plugin = \"exec\"\nisolation = \"{isolation}\"");
    yard.edit_config(|text| text + &handlers.replace("plugin = \"exec\"", &placed));
    std::fs::write(yard.path("ship.sh"), SHIP).unwrap();
    let poster = yard.start().await;
    for (id, kind) in [("evt_ship", "for.shipping"), ("evt_hang", "for.ever")] {
        let body = event(id, kind);
        let answer = poster.try_post(&body, &stripe::sign(&body, SECRET, stripe::now())).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    yard.wait_for_counts("the parcel is gone", |counts| counts["delivered"] == 1).await;
    let shown = yard.event("evt_ship");
    let tries = shown["deliveries"][0]["tries"].as_array().unwrap();
    assert_eq!(tries.len(), 3, "{shown:#}");
    assert_eq!(tries[0]["message"], "the command ended with 75: no carrier");
    assert_eq!(tries[2]["result"]["parcel"], 7);
    assert_eq!(std::fs::read(yard.path("shipped")).unwrap(), event("evt_ship", "for.shipping"));
    let keys = std::fs::read_to_string(yard.path("keys")).unwrap();
    let keys: Vec<&str> = keys.lines().collect();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0] && !key.is_empty()), "{keys:?}");

    let child = found(|| std::fs::read_to_string(yard.path("child")).ok()).await;
    let child = child.unwrap_or_else(|| panic!("the command never began:\n{}", yard.log()));
    let child = child.trim();
    assert!(lives(child));
    yard.kill();
    found(|| (!lives(child)).then_some(())).await.expect("the command outlives its daemon");
}

/// A process that was killed and is not reaped yet does not.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

fn event(id: &str, kind: &str) -> Vec<u8> {
    let object =
        format!(r#""object": "event", "type": "{kind}", "livemode": true, "data": {{"object": {{}}}}"#);
    format!("{{\"id\": \"{id}\",  {object}}}\n").into_bytes()
}
