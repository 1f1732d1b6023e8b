//! Every check of a descriptor, one wrong field at a time.

use std::fs;
use std::os::fd::AsFd;

use super::*;

unsafe extern "C" fn create(
    _: *const abi::Host,
    _: *mut abi::Ctx,
    _: Bytes,
    _: *mut *mut c_void,
    _: *mut c_char,
    _: usize,
) -> abi::Status {
    abi::OK
}
unsafe extern "C" fn handle(_: *mut c_void, _: *mut abi::Call, _: *const abi::Event) -> i32 {
    abi::DONE
}
unsafe extern "C" fn destroy(_: *mut c_void) {}

fn good() -> abi::Plugin {
    abi::Plugin {
        size: abi::size_of_u32::<abi::Plugin>(),
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        min_host_minor: 0,
        reserved0: 0,
        flags: abi::F_SERIAL,
        id: Bytes::of_static("com.example.good"),
        version: Bytes::of_static("1.2.3"),
        build_info: Bytes::EMPTY,
        config_schema: Bytes::EMPTY,
        create: Some(create),
        handle: Some(handle),
        destroy: Some(destroy),
        check_config: None,
        extension: None,
    }
}

fn words(change: impl FnOnce(&mut abi::Plugin)) -> String {
    let mut plugin = good();
    change(&mut plugin);
    Library::check(plugin).unwrap_err().to_string()
}

#[test]
fn a_good_descriptor_tells_its_facts() {
    let library = Library::check(good()).unwrap();
    let facts = Facts {
        id: "com.example.good".into(),
        version: "1.2.3".into(),
        build_info: String::new(),
        abi_minor: 0,
        serial: true,
        panic_aborts: false,
        needs_isolation: false,
    };
    assert_eq!(library.facts(), &facts);
    let alone = abi::Plugin { flags: abi::F_PANIC_ABORTS | abi::F_NEEDS_ISOLATION, ..good() };
    let facts = Library::check(alone).unwrap().facts;
    assert_eq!((facts.serial, facts.panic_aborts, facts.needs_isolation), (false, true, true));
}

#[test]
fn a_newer_minor_and_a_longer_descriptor_are_taken() {
    let mut newer = good();
    newer.size += 64;
    newer.abi_minor = 9;
    assert_eq!(Library::check(newer).unwrap().facts().abi_minor, 9);
}

#[test]
fn each_wrong_field_gets_its_own_sentence() {
    static BAD: [u8; 2] = [0xff, 0xfe];
    static LONG: [u8; WORD_BYTES_MAX + 1] = [b'a'; WORD_BYTES_MAX + 1];
    assert!(words(|p| p.abi_major = 2).contains("built for ABI 2.0 and this hookyard speaks 1.0"));
    assert!(words(|p| p.size -= 1).contains("is 119 bytes and ABI 1.0 needs 120"));
    assert!(
        words(|p| p.min_host_minor = 3).contains("needs a hookyard of ABI 1.3 or newer and this one has 1.0")
    );
    assert!(words(|p| p.reserved0 = 1).contains("reserved0 = 0x1"));
    assert!(words(|p| p.flags = 0x8001).contains("flags = 0x8001"));
    assert!(words(|p| p.create = None).contains("no function `create`"));
    assert!(words(|p| p.handle = None).contains("no function `handle`"));
    assert!(words(|p| p.destroy = None).contains("no function `destroy`"));
    assert!(words(|p| p.id = Bytes::EMPTY).contains("id is empty"));
    assert!(words(|p| p.id = Bytes::of(&BAD)).contains("id is not text"));
    assert!(words(|p| p.version = Bytes::of(&LONG)).contains("version is not text"));
    assert!(words(|p| p.id = Bytes { ptr: std::ptr::null(), len: 4 }).contains("id is not text"));
}

/// What is said of a file that cannot be loaded by the path `cached`, or out of memory, and is known as plugin.so.
fn refusal(cached: &Path, in_memory: Option<&fs::File>) -> String {
    let source = Source { in_memory: in_memory.map(AsFd::as_fd), path: cached, named: "/lib/plugin.so" };
    Library::open(&source).unwrap_err().to_string()
}

#[test]
fn a_file_that_is_no_library_says_so_once_and_by_the_name_that_people_know() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cached.so");
    fs::write(&path, "not a library").unwrap();
    let said = refusal(&path, None);
    assert_eq!(said, refusal(&path, Some(&fs::File::open(&path).unwrap())));
    assert!(said.starts_with("the library /lib/plugin.so cannot be loaded: "), "{said}");
    assert!(!said.contains("cached.so"), "{said}");
    assert!(said.contains("cannot be loaded: "), "{said}");
    assert!(!said.contains("dlopen failed"), "{said}");
}

#[test]
fn a_library_without_the_symbol_is_told_how_to_get_it() {
    let said = refusal(Path::new("libm.so.6"), None);
    assert!(said.contains("does not export the function `hookyard_plugin_v1`"), "{said}");
}

#[test]
fn what_cannot_be_loaded_out_of_memory_is_loaded_by_its_path() {
    let null = fs::File::open("/dev/null").unwrap();
    let said = refusal(Path::new("libm.so.6"), Some(&null));
    assert!(said.contains("/lib/plugin.so is no hookyard plugin"), "it was loaded: {said}");
    let said = refusal(Path::new("/no/such/file.so"), Some(&null));
    assert!(said.contains("No such file") && said.contains("(and as a file in memory: "), "{said}");
}
