//! Signed plugins in a real daemon: what no trusted key signed neither starts nor takes over, is not pinned, and is told.

use std::fs;
use std::path::{Path, PathBuf};

use minisign::KeyPair;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::yard::Yard;

fn pair() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().unwrap()
}

/// Signs a library as `minisign -Sm` does.
fn sign(library: &Path, by: &KeyPair) {
    let bytes = fs::read(library).unwrap();
    let signature = minisign::sign(Some(&by.pk), &by.sk, &*bytes, None, None).unwrap();
    fs::write(signature_of(library), signature.into_string()).unwrap();
}

fn signature_of(library: &Path) -> PathBuf {
    library.with_extension("so.minisig")
}

/// Pinned libraries, of which each has to be signed by one of these.
fn trusting(keys: &[&KeyPair]) -> Yard {
    let yard = Yard::shipped();
    yard.pin_libraries();
    trust(&yard, keys);
    yard
}

/// Writes these keys, in the place of those before.
fn trust(yard: &Yard, keys: &[&KeyPair]) {
    let keys: Vec<String> = keys.iter().map(|pair| format!("\"{}\"", pair.pk.to_base64())).collect();
    yard.edit_config(|text| {
        let others = text.split("\n[plugins]").next().unwrap();
        format!("{others}\n[plugins]\ntrusted_keys = [{}]\n", keys.join(", "))
    });
}

/// The words of a command that must be refused as a fault of the configuration.
fn refused(yard: &Yard, args: &[&str]) -> String {
    let output = yard.run(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_trusted_key_signed_does_not_start_and_what_one_did_does() {
    let (ours, strangers) = (pair(), pair());
    let mut yard = trusting(&[&ours]);
    let libraries = ["libhookyard_sumo.so", "libhookyard_direct.so"].map(|it| yard.installed().join(it));
    let is_told = |yard: &Yard, words: &str| {
        let serve = refused(yard, &["serve"]);
        assert!(serve.contains(words), "{serve}");
        let doctor = String::from_utf8(yard.run(&["doctor"]).stdout).unwrap();
        assert!(doctor.contains(words), "{doctor}");
    };
    // Handlers start side by side, and the first fault is told.
    sign(&libraries[1], &ours);
    is_told(&yard, "libhookyard_sumo.so.minisig cannot be read; sign it");
    libraries.iter().for_each(|library| sign(library, &ours));
    let signed = fs::read_to_string(signature_of(&libraries[0])).unwrap();
    for (signature, words) in [
        (&signed[..signed.len() / 2], "is damaged, or no signature of minisign"),
        (&signed.replace("timestamp:", "timestamp:1"), "was changed after it was signed"),
    ] {
        fs::write(signature_of(&libraries[0]), signature).unwrap();
        is_told(&yard, words);
    }
    sign(&libraries[0], &strangers);
    is_told(&yard, "was made by a key that is not among `trusted_keys`");
    sign(&libraries[0], &ours);
    let doctor = yard.run(&["doctor"]);
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert_eq!(doctor.status.code(), Some(0), "{said}");
    assert_eq!(said.matches("(as pinned, signed)").count(), 2, "{said}");
    let serve = yard.command(&["serve"]);
    yard.start_as(serve).await;
    assert_eq!(yard.handler("sumo")["up"], true);
    assert_eq!(yard.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_trusted_key_signed_is_not_pinned_and_does_not_take_over() {
    let (ours, strangers) = (pair(), pair());
    let mut yard = trusting(&[&ours]);
    let library = yard.installed().join("libhookyard_sumo.so");
    for library in [&library, &yard.installed().join("libhookyard_direct.so")] {
        sign(library, &ours);
    }
    let serve = yard.command(&["serve"]);
    yard.start_as(serve).await;
    let first = yard.handler("sumo");

    let mut bytes = fs::read(&library).unwrap();
    bytes.extend(b"another build");
    fs::write(&library, &bytes).unwrap();
    let said = refused(&yard, &["plugin", "lock", "sumo"]);
    assert!(said.contains("[plugin.sumo]") && said.contains("was changed after it was signed"), "{said}");
    sign(&library, &strangers);
    assert!(refused(&yard, &["plugin", "lock", "sumo"]).contains("is not among `trusted_keys`"));
    let pin = hex::encode(Sha256::digest(&bytes));
    yard.edit_config(|text| text.replace(first["sha256"].as_str().unwrap(), &pin));
    for command in [&["plugin", "reload", "sumo"][..], &["reload"][..]] {
        assert!(
            refused(&yard, command).contains("is not among `trusted_keys`"),
            "pinned by hand, {command:?}"
        );
        assert_eq!(yard.handler("sumo")["pid"], first["pid"], "what ran runs on");
    }

    trust(&yard, &[&ours, &strangers]);
    let said = refused(&yard, &["plugin", "reload", "sumo"]);
    assert!(
        said.contains("plugins.trusted_keys changed"),
        "whom to trust is no matter of one plugin: {said}"
    );
    yard.ask(&["reload"]);
    assert_eq!(yard.handler("sumo")["sha256"], pin);

    fs::remove_file(signature_of(&library)).unwrap();
    yard.ask(&["plugin", "rollback", "sumo"]);
    assert_eq!(yard.handler("sumo")["sha256"], first["sha256"], "what ran before was signed then");
    assert_eq!(yard.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_signs_nothing_unless_a_signature_is_written() {
    let ours = pair();
    let mut yard = trusting(&[&ours]);
    yard.start().await;
    assert_eq!(yard.terminate().code(), Some(0));
    yard.edit_config(|text| {
        text.replacen("[plugin.sumo]\n", "[plugin.sumo]\nsignature = \"sumo.minisig\"\n", 1)
    });
    let said = refused(&yard, &["serve", "--dev"]);
    assert!(said.contains("sumo.minisig cannot be read; sign it"), "{said}");
}

/// Whom to trust is a matter of every plugin; what ran before a canary bore its signature when it began to run.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_of_signed_libraries_goes_on_over_reloads_and_other_keys_wait_for_its_end() {
    let (ours, others) = (pair(), pair());
    let mut yard = trusting(&[&ours]);
    let libraries = ["libhookyard_sumo.so", "libhookyard_direct.so"].map(|it| yard.installed().join(it));
    libraries.iter().for_each(|library| sign(library, &ours));
    let _poster = yard.start().await;
    let first = yard.handler("sumo")["sha256"].clone();
    let mut another = fs::read(&libraries[0]).unwrap();
    another.push(0);
    fs::remove_file(&libraries[0]).unwrap();
    fs::write(&libraries[0], another).unwrap();
    sign(&libraries[0], &ours);
    assert!(yard.run(&["plugin", "lock", "sumo"]).status.success());
    assert_eq!(yard.ask(&["plugin", "reload", "sumo", "--canary", "50%"])["how"], "canary");

    let both = |handler: &Value| (handler["pid"].clone(), handler["canary"]["host"]["pid"].clone());
    let before = both(&yard.handler("sumo"));
    yard.edit_config(|text| text.replace("\"30d\"", "\"31d\""));
    yard.ask(&["reload"]);
    assert_eq!(both(&yard.handler("sumo")), before, "a reload of something else leaves both alone");
    trust(&yard, &[&ours, &others]);
    assert!(refused(&yard, &["reload"]).contains("a canary of `sumo` runs"));
    assert_eq!(both(&yard.handler("sumo")), before);

    assert_eq!(yard.ask(&["plugin", "rollback", "sumo"])["how"], "canary rollback");
    yard.ask(&["reload"]);
    let after = yard.handler("sumo");
    assert_eq!((&after["sha256"], &after["rolled_back"]), (&first, &true.into()), "{after}");
    assert_eq!(yard.terminate().code(), Some(0));
}
