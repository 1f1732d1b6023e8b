//! The frames between daemon and plugin host: what one end sends, the other reads or refuses; never a panic.
//!
//! The child runs a plugin that may have scribbled over its memory, so the daemon takes nothing that it sends on trust.
//! Input: a stream of frames as one end would read it. Held: a frame is never longer than the limit that was asked for; a
//! message that was read is written again as a frame that reads as the same message.
#![no_main]

use std::fmt::Debug;

use hookyard_plugin_host::protocol::{
    FROM_CHILD_BYTES_MAX, FrameError, FromChild, HEADER_BYTES, TO_CHILD_BYTES_MAX, ToChild, decode, encode,
    read_frame,
};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A lying header makes room for a whole frame: small, so that the fuzzer spends its time on messages.
const FRAME_BYTES_MAX: u32 = 4096;

fuzz_target!(|input: &[u8]| {
    let mut stream = input;
    loop {
        match read_frame(&mut stream, FRAME_BYTES_MAX) {
            Ok(Some(frame)) => {
                assert!(frame.len() <= FRAME_BYTES_MAX as usize);
                check_message::<FromChild>(&frame, FROM_CHILD_BYTES_MAX);
                check_message::<ToChild>(&frame, TO_CHILD_BYTES_MAX);
            }
            Ok(None) => break assert!(stream.is_empty()),
            Err(FrameError::TooLarge { bytes, max }) => break assert!(bytes > max as usize),
            Err(FrameError::Truncated) => break,
            Err(error) => panic!("reading bytes cannot fail so: {error}"),
        }
    }
    // The same bytes as one bare message: short inputs get far in this way.
    check_message::<FromChild>(input, FROM_CHILD_BYTES_MAX);
    check_message::<ToChild>(input, TO_CHILD_BYTES_MAX);
});

fn check_message<T: Serialize + DeserializeOwned + Debug>(bytes: &[u8], max: u32) {
    let Ok(message) = decode::<T>(bytes) else { return };
    let frame = encode(&message, max).expect("a message that was read is small enough to be written");
    let mut stream = &frame[..];
    let again = read_frame(&mut stream, max).expect("our own frame").expect("our own frame");
    assert_eq!(frame[HEADER_BYTES..], again[..]);
    let same: T = decode(&again).expect("our own message");
    // Numbers may be written longer than they need be: what is compared is the second writing.
    assert_eq!(encode(&same, max).expect("our own message"), frame);
    assert_eq!(format!("{message:?}"), format!("{same:?}"));
}
