//! Requests to judge: a genuine one, twisted in every way of which the libraries are known to think differently, and
//! headers of random pieces. Always the same ones: a difference found once is found again.

use hookyard::verify::stripe::sign;
use secrecy::SecretString;

/// One request and the moment it is judged.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) secret: String,
    /// The values of the signature header; characters up to U+00FF, each one byte.
    pub(super) lines: Vec<String>,
    pub(super) body: Vec<u8>,
    pub(super) now_millis: u64,
    pub(super) tolerance_seconds: u64,
}

/// Randomness that never changes (SplitMix64).
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.next() % (last - first + 1)
    }

    pub(super) fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        let last = u64::try_from(choices.len()).unwrap() - 1;
        choices[usize::try_from(self.between(0, last)).unwrap()]
    }
}

/// A usable secret.
pub(super) fn secret(dice: &mut Dice) -> String {
    let long = format!("whsec_{}", "0123456789abcdef".repeat(8));
    let random = format!("whsec_{:016x}", dice.next());
    dice.of(&["whsec_test_secret", &*random, &*random, &*long, "s", "whsec_ü€", "whsec_a b"]).to_owned()
}

/// A body that is text.
pub(super) fn text_body(dice: &mut Dice) -> Vec<u8> {
    let number = dice.next();
    let event = format!("{{\n  \"id\": \"evt_{number:x}\",\n  \"type\": \"charge.refunded\"\n}}");
    let large = format!(r#"{{"id":"evt_1","text":"{}"}}"#, "ä\\u00e4".repeat(3000));
    let crlf = event.replace('\n', "\r\n");
    let line = format!("{event}\n");
    let bom = format!("\u{feff}{event}");
    dice.of(&[
        &*event, &*event, &*event, &*line, &*crlf, &*large, &*bom, "", "[]", "null", "\0", "not json", "€",
    ])
    .as_bytes()
    .to_vec()
}

/// A genuine request, in pieces, before it is twisted.
struct Genuine {
    secret: String,
    body: Vec<u8>,
    timestamp: u64,
    mac: String,
}

impl Genuine {
    fn new(dice: &mut Dice, body: Vec<u8>) -> Self {
        let (secret, timestamp) = (secret(dice), dice.between(1_700_000_000, 1_900_000_000));
        let mac = mac(&secret, timestamp, &body);
        Self { secret, body, timestamp, mac }
    }

    /// Judged in the second it was signed.
    fn with(&self, lines: &[String]) -> Case {
        Case {
            secret: self.secret.clone(),
            lines: lines.to_vec(),
            body: self.body.clone(),
            now_millis: self.timestamp * 1000,
            tolerance_seconds: 300,
        }
    }

    fn line(&self) -> String {
        format!("t={},v1={}", self.timestamp, self.mac)
    }
}

fn mac(secret: &str, timestamp: u64, body: &[u8]) -> String {
    let line = sign(&SecretString::from(secret), timestamp, body);
    line.split_once("v1=").unwrap().1.to_owned()
}

pub(super) fn all() -> Vec<Case> {
    let mut dice = Dice::new(1);
    let mut cases = Vec::new();
    for _ in 0..25 {
        let body = text_body(&mut dice);
        let genuine = Genuine::new(&mut dice, body);
        cases.extend(headers(&genuine));
        cases.extend(times(&genuine, &mut dice));
        cases.extend(secrets(&genuine));
        cases.extend(bodies(&mut dice));
        cases.extend((0..12).map(|_| soup(&genuine, &mut dice)));
    }
    cases
}

/// Every header of the table in which the libraries differ, and of their own suites.
fn headers(genuine: &Genuine) -> Vec<Case> {
    let Genuine { timestamp: t, mac, .. } = genuine;
    let wrong = "0".repeat(64);
    let upper = mac.to_uppercase();
    let old = t - 10;
    let grouped = format!("{}_{}", &t.to_string()[..1], &t.to_string()[1..]);
    let lines = [
        genuine.line(),
        String::new(),
        "bad_header".to_owned(),
        "i'm not even a real signature header".to_owned(),
        format!("v1={mac}"),
        format!("v1={mac},t={t}"),
        format!("t=,v1={mac}"),
        format!("t,v1={mac}"),
        "t,v1=,v0=".to_owned(),
        "t,v1=,v0".to_owned(),
        "t,,".to_owned(),
        ",,".to_owned(),
        "v1,t=1".to_owned(),
        format!("t=soon,v1={mac}"),
        format!("t=+{t},v1={mac}"),
        format!("t=0{t},v1={mac}"),
        format!("t= {t},v1={mac}"),
        format!("t={t} ,v1={mac}"),
        format!("t={t}.5,v1={mac}"),
        format!("t={t}abc,v1={mac}"),
        format!("t={grouped},v1={mac}"),
        format!("t=-{t},v1={mac}"),
        format!("t=9999999999999999999999,v1={mac}"),
        format!("t=-9223372036854775808,v1={mac}"),
        format!("t={t},v1={wrong},v1={mac}"),
        format!("t={t},v1={mac},v1={wrong}"),
        format!("t={t},v1={mac},v1=bad_signature"),
        format!("t={t},v1=potato,v1={mac}"),
        format!("t={t},v1={wrong}"),
        format!("t={t},v0={mac}"),
        format!("t={t},v2={mac}"),
        format!("t={t},v1={mac},v0={wrong},v2=x"),
        format!("t={t}, v1={mac}"),
        format!("t={t},v1={mac}, x=y"),
        format!(" t={t},v1={mac}"),
        format!("t={t},v1={mac} "),
        format!("t={old},t={t},v1={mac}"),
        format!("t={t},t={old},v1={mac}"),
        format!("t={t},t={t},v1={mac}"),
        format!("t={t},v1={upper}"),
        format!("t={t},v1="),
        format!("t={t},v1=,v1={mac}"),
        format!("t={t},v1={mac},"),
        format!("t={t},v1={mac},extra"),
        format!("t={t},v1={mac},v1"),
        format!("t={t},v1={mac},x=a=b"),
        format!("t={t},v1={mac}=xx"),
        format!("t={t},v1={mac},=,=x"),
        format!("t={t},v1={}é", &mac[1..]),
        format!("t={t},v1={mac},x=é"),
        format!("T={t},V1={mac}"),
        format!("t={t},V1={mac}"),
        format!("t={t}{}", format!(",v1={mac}").repeat(32)),
        format!("t={t}{}", format!(",v1={mac}").repeat(33)),
        format!("t={t},v1={mac},x={}", "y".repeat(9000)),
    ];
    let mut cases: Vec<Case> = lines.iter().map(|line| genuine.with(std::slice::from_ref(line))).collect();
    cases.push(genuine.with(&[]));
    cases.push(genuine.with(&[genuine.line(), genuine.line()]));
    cases.push(genuine.with(&[format!("t={t}"), format!("v1={mac}")]));
    cases.extend(signed_at_odd_times(genuine));
    cases
}

/// Timestamps that are genuine to the last digit, but not plain, or far away.
fn signed_at_odd_times(genuine: &Genuine) -> Vec<Case> {
    [0, 1, 12_345, 999_999_999_999, 1_000_000_000_000]
        .map(|timestamp: u64| {
            let mac = mac(&genuine.secret, timestamp, &genuine.body);
            let case = genuine.with(&[format!("t={timestamp},v1={mac}")]);
            Case { now_millis: timestamp * 1000, ..case }
        })
        .to_vec()
}

fn times(genuine: &Genuine, dice: &mut Dice) -> Vec<Case> {
    let plain = genuine.with(&[genuine.line()]);
    let at = plain.now_millis;
    let mut cases = Vec::new();
    for millis in [0, 1, 15_000, 299_999, 300_000, 300_001, 300_500, 301_000, 86_400_000] {
        cases.push(Case { now_millis: at + millis, ..plain.clone() });
        cases.push(Case { now_millis: at - millis, ..plain.clone() });
    }
    for tolerance_seconds in [1, 10, 20, 100_000] {
        cases.push(Case { now_millis: at + 15_000, tolerance_seconds, ..plain.clone() });
        let age = dice.between(0, 200_000_000);
        cases.push(Case { now_millis: at + age, tolerance_seconds, ..plain.clone() });
    }
    cases
}

fn secrets(genuine: &Genuine) -> Vec<Case> {
    let plain = genuine.with(&[genuine.line()]);
    let other = |secret: &str| Case { secret: secret.to_owned(), ..plain.clone() };
    let signed_by = |secret: &str| {
        let line = format!("t={},v1={}", genuine.timestamp, mac(secret, genuine.timestamp, &genuine.body));
        Case { secret: secret.to_owned(), ..genuine.with(&[line]) }
    };
    vec![
        other("whsec_other"),
        other(&format!("{}\n", genuine.secret)),
        other(&genuine.secret[1..]),
        signed_by(""),
        signed_by(" \t"),
        signed_by(&format!("{}\n", genuine.secret)),
    ]
}

/// Bodies that are no text, and bodies that were changed on the way.
fn bodies(dice: &mut Dice) -> Vec<Case> {
    let text = text_body(dice);
    let bom = |body: &[u8]| ["\u{feff}".as_bytes(), body].concat();
    let signed = |dice: &mut Dice, body: Vec<u8>| {
        let genuine = Genuine::new(dice, body);
        genuine.with(&[genuine.line()])
    };
    let changed = |dice: &mut Dice, body: &[u8], arrives: Vec<u8>| {
        let genuine = Genuine::new(dice, body.to_vec());
        Case { body: arrives, ..genuine.with(&[genuine.line()]) }
    };
    let event = br#"{"id":"evt_1"}"#;
    let replaced = "{\"id\":\"\u{fffd}\"}".as_bytes();
    vec![
        signed(dice, text.clone()),
        signed(dice, bom(event)),
        signed(dice, b"{\"id\":\"\xff\"}".to_vec()),
        signed(dice, b"\x80".to_vec()),
        changed(dice, event, bom(event)),
        changed(dice, event, [&event[..], b"\n"].concat()),
        changed(dice, event, b"{\"id\": \"evt_1\"}".to_vec()),
        changed(dice, event, event[1..].to_vec()),
        changed(dice, event, Vec::new()),
        changed(dice, event, b"\xff".to_vec()),
        changed(dice, replaced, b"{\"id\":\"\xff\"}".to_vec()),
    ]
}

/// A header of random pieces, good ones among them.
fn soup(genuine: &Genuine, dice: &mut Dice) -> Case {
    let (t, v1) = (format!("t={}", genuine.timestamp), format!("v1={}", genuine.mac));
    let pieces = [
        &*t, &*t, &*t, &*v1, &*v1, &*v1, "t=", "t=1", "t=x", "v1=", "v1=0", "v1", "t", "v0=x", "x=y", "=",
        "", " ", " v1=0",
    ];
    let count = dice.between(1, 5);
    let line: Vec<&str> = (0..count).map(|_| dice.of(&pieces)).collect();
    genuine.with(&[line.join(",")])
}
