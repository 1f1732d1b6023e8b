//! The rows of the store: what a damaged disk hands back is read or refused with words; never a panic.
//! What is held stands beside the codec, in `daemon/src/store/sled/fuzz.rs`. Input: the kind of row, and its bytes; the
//! kind after the last is a row's whole key.
#![no_main]

use hookyard::store::sled::fuzz;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else { return };
    match kind % (fuzz::KINDS + 1) {
        fuzz::KINDS => fuzz::key(bytes),
        kind => fuzz::value(kind, bytes),
    }
});
