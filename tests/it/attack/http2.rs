//! Floods of HTTP/2 frames, written by hand: rapid reset (CVE-2023-44487), continuation (CVE-2024-27316), settings and ping
//! (CVE-2019-9515, CVE-2019-9512). Each ends with its own connection; everybody else is served.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{PATH, PATIENCE, Victim};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Attackers at once, each on a connection of its own.
const FLOODERS: usize = 4;
/// Frames in one write.
const FRAMES_PER_WRITE: usize = 200;
/// Short, because what is no breach of the protocol ends as a connection that never brought a request.
const SERVER: &str = "header_timeout = \"2s\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_rapid_reset_ends_its_own_connection_only() {
    let request = request();
    survives(move |number| {
        let stream = 2 * number + 1;
        let mut frames = frame(HEADERS, END_HEADERS, stream, &request);
        frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        frames
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_continuation_flood_ends_its_own_connection_only() {
    let request = request();
    survives(move |number| match number {
        // The head never ends.
        0 => frame(HEADERS, 0, 1, &request),
        _ => frame(CONTINUATION, 0, 1, b"\x00\x01x\x01y"),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settings_flood_ends_its_own_connection_only() {
    survives(|_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_flood_ends_its_own_connection_only() {
    survives(|_| frame(PING, 0, 0, b"12345678")).await;
}

/// Floods a daemon with the frames that `make` numbers, while genuine events are posted.
async fn survives(make: impl Fn(u32) -> Vec<u8> + Clone + Send + 'static) {
    let mut victim = Victim::with(SERVER).await;
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..FLOODERS {
        let (door, make) = (victim.door, make.clone());
        flood.spawn(async move { tokio::time::timeout(PATIENCE, attack(door, make)).await });
    }
    let again = victim.serves(20).await;
    for frames in flood.join_all().await {
        let frames = frames.expect("the door ends the connection");
        println!("a connection took {frames} frames before its end; {again} good posts tried again");
    }
    assert_eq!(again, 0, "good posts that had to be tried again");
    victim.is_unharmed().await;
}

/// Writes frames until the door ends the connection, reading whatever it says. Returns how many were written.
async fn attack(door: std::net::SocketAddr, make: impl Fn(u32) -> Vec<u8>) -> u32 {
    let (mut reader, mut writer) = TcpStream::connect(door).await.unwrap().into_split();
    let mut ended = tokio::spawn(async move {
        let mut scrap = [0; 4096];
        while reader.read(&mut scrap).await.is_ok_and(|bytes| bytes > 0) {}
    });
    let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat();
    let mut sent = writer.write_all(&preface).await;
    let mut number = 0;
    while sent.is_ok() && !ended.is_finished() {
        let mut frames = Vec::new();
        for _ in 0..FRAMES_PER_WRITE {
            frames.extend(make(number));
            number += 1;
        }
        sent = tokio::select! {
            sent = writer.write_all(&frames) => sent,
            _ = &mut ended => return number,
        };
    }
    if !ended.is_finished() {
        ended.await.unwrap();
    }
    number
}

/// Length, kind, flags, stream, payload (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The head of a POST in HPACK: two indexed fields, then two literal ones (RFC 7541, appendix A).
fn request() -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (name, value) in [(4_u8, PATH), (1, "door")] {
        block.extend([name, u8::try_from(value.len()).unwrap()]);
        block.extend_from_slice(value.as_bytes());
    }
    block
}
