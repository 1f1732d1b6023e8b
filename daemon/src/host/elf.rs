//! A look at a library's first bytes, before anything of it runs: is it one, and one for this machine? `dlopen` would
//! refuse too, but in words that help nobody.

/// Where the ELF header's fields stand, and how much of it is needed.
const CLASS: usize = 4;
const DATA: usize = 5;
const TYPE: usize = 16;
const MACHINE: usize = 18;
const HEADER_BYTES: usize = 20;
const TYPE_SHARED: u16 = 3;

/// Machines by their ELF number and the names that `std::env::consts::ARCH` gives them.
const MACHINES: [(u16, &str); 6] =
    [(3, "x86"), (40, "arm"), (62, "x86_64"), (183, "aarch64"), (243, "riscv64"), (258, "loongarch64")];

/// Says why these bytes are no shared library for this machine; `Ok` where they look like one.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    if cfg!(not(target_os = "linux")) {
        return Ok(());
    }
    if bytes.is_empty() {
        return Err("the file is empty".to_owned());
    }
    if bytes.len() < HEADER_BYTES || !bytes.starts_with(b"\x7fELF") {
        return Err("it is not a shared library (no ELF header)".to_owned());
    }
    let little = bytes[DATA] == 1;
    let half = |at: usize| {
        let pair = [bytes[at], bytes[at + 1]];
        if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
    };
    let bits = if bytes[CLASS] == 2 { 64 } else { 32 };
    let machine = half(MACHINE);
    let name =
        MACHINES.iter().find(|(number, _)| *number == machine).map_or("another machine", |(_, name)| name);
    let here = std::env::consts::ARCH;
    if name != here || bits != usize::BITS || little != cfg!(target_endian = "little") {
        return Err(format!(
            "it was built for {name} ({bits} bit) and this is {here} ({} bit); build it for this machine",
            usize::BITS
        ));
    }
    if half(TYPE) != TYPE_SHARED {
        return Err(
            "it is not a shared library; build it as one (crate-type = [\"cdylib\"], cc -shared)".to_owned()
        );
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux", target_pointer_width = "64", target_endian = "little"))]
mod tests {
    use super::*;

    fn header(machine: u16, kind: u16) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[TYPE..TYPE + 2].copy_from_slice(&kind.to_le_bytes());
        bytes[MACHINE..MACHINE + 2].copy_from_slice(&machine.to_le_bytes());
        bytes
    }

    fn here() -> u16 {
        MACHINES
            .iter()
            .find(|(_, name)| *name == std::env::consts::ARCH)
            .expect("tests run on a machine in the table")
            .0
    }

    #[test]
    fn a_shared_library_for_this_machine_passes() {
        assert_eq!(check(&header(here(), TYPE_SHARED)), Ok(()));
    }

    #[test]
    fn what_is_none_is_told_apart() {
        assert!(check(b"").unwrap_err().contains("empty"));
        assert!(check(b"#!/bin/sh\nexit 0 # and more").unwrap_err().contains("no ELF header"));
        assert!(check(&header(here(), 2)).unwrap_err().contains("not a shared library"));
        let other = if here() == 183 { 62 } else { 183 };
        let said = check(&header(other, TYPE_SHARED)).unwrap_err();
        assert!(said.contains("was built for") && said.contains(std::env::consts::ARCH), "{said}");
        let mut small = header(here(), TYPE_SHARED);
        small[CLASS] = 1;
        assert!(check(&small).unwrap_err().contains("(32 bit)"));
    }
}
