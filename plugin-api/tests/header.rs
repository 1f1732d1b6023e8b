//! Holds the C header against its Rust mirror: it compiles as strict C99 and as C++17, every size and offset is the same
//! on both sides, and every constant has the same value. The numbers of 1.0 are written down too: they never change.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is the test's failure")]

use std::fmt::Write as _;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;

use hookyard_plugin::abi::{self, http};

/// One line for each size and offset, as both sides print them.
macro_rules! layout {
    ($rust:path, $c:literal, $($field:ident),+) => {
        Layout {
            c: $c,
            size: size_of::<$rust>(),
            align: align_of::<$rust>(),
            fields: vec![$((stringify!($field), offset_of!($rust, $field))),+],
        }
    };
}

struct Layout {
    c: &'static str,
    size: usize,
    align: usize,
    fields: Vec<(&'static str, usize)>,
}

fn layouts() -> Vec<Layout> {
    vec![
        layout!(abi::Bytes, "hookyard_bytes", ptr, len),
        layout!(abi::Pair, "hookyard_pair", key, val),
        layout!(
            abi::Event,
            "hookyard_event",
            size,
            attempt,
            received_unix_ms,
            event_id,
            source,
            topic,
            rule,
            content_type,
            body,
            headers,
            header_count
        ),
        layout!(abi::Detail, "hookyard_detail", size, reserved0, retry_after_ms, code, message, result),
        layout!(
            abi::Host,
            "hookyard_host",
            size,
            abi_major,
            abi_minor,
            log_enabled,
            log,
            metric,
            remaining_ms,
            explain,
            step_begin,
            step_end,
            step_key,
            kv_get,
            kv_put,
            secret,
            extension
        ),
        layout!(
            abi::Plugin,
            "hookyard_plugin",
            size,
            abi_major,
            abi_minor,
            min_host_minor,
            reserved0,
            flags,
            id,
            version,
            build_info,
            config_schema,
            create,
            handle,
            destroy,
            check_config,
            extension
        ),
        layout!(
            http::Request,
            "hookyard_http_request",
            size,
            reserved0,
            timeout_ms,
            method,
            url,
            headers,
            header_count,
            body
        ),
        layout!(http::Response, "hookyard_http_response", size, status, headers, header_count, body, error),
        layout!(http::Http, "hookyard_http", size, reserved0, request),
    ]
}

fn constants() -> Vec<(&'static str, i64)> {
    vec![
        ("HOOKYARD_ABI_MAJOR", abi::ABI_MAJOR.into()),
        ("HOOKYARD_ABI_MINOR", abi::ABI_MINOR.into()),
        ("HOOKYARD_OK", abi::OK.into()),
        ("HOOKYARD_E_INVALID", abi::E_INVALID.into()),
        ("HOOKYARD_E_NOT_FOUND", abi::E_NOT_FOUND.into()),
        ("HOOKYARD_E_TOO_LARGE", abi::E_TOO_LARGE.into()),
        ("HOOKYARD_E_CANCELLED", abi::E_CANCELLED.into()),
        ("HOOKYARD_E_IO", abi::E_IO.into()),
        ("HOOKYARD_E_UNSUPPORTED", abi::E_UNSUPPORTED.into()),
        ("HOOKYARD_E_CONFLICT", abi::E_CONFLICT.into()),
        ("HOOKYARD_E_PANIC", abi::E_PANIC.into()),
        ("HOOKYARD_E_CONFIG", abi::E_CONFIG.into()),
        ("HOOKYARD_DONE", abi::DONE.into()),
        ("HOOKYARD_RETRY", abi::RETRY.into()),
        ("HOOKYARD_REJECT", abi::REJECT.into()),
        ("HOOKYARD_IGNORE", abi::IGNORE.into()),
        ("HOOKYARD_STEP_RUN", abi::STEP_RUN.into()),
        ("HOOKYARD_STEP_DONE", abi::STEP_DONE.into()),
        ("HOOKYARD_STEP_UNSURE", abi::STEP_UNSURE.into()),
        ("HOOKYARD_F_SERIAL", abi::F_SERIAL.into()),
        ("HOOKYARD_F_PANIC_ABORTS", abi::F_PANIC_ABORTS.into()),
        ("HOOKYARD_F_NEEDS_ISOLATION", abi::F_NEEDS_ISOLATION.into()),
        ("HOOKYARD_HTTP_E_REFUSED", http::E_REFUSED.into()),
        ("HOOKYARD_HTTP_E_RESOLVE", http::E_RESOLVE.into()),
        ("HOOKYARD_HTTP_E_CONNECT", http::E_CONNECT.into()),
        ("HOOKYARD_HTTP_E_TLS", http::E_TLS.into()),
        ("HOOKYARD_HTTP_E_BUSY", http::E_BUSY.into()),
        ("HOOKYARD_HTTP_E_TIMEOUT", http::E_TIMEOUT.into()),
        ("HOOKYARD_HTTP_E_BROKEN", http::E_BROKEN.into()),
        ("HOOKYARD_HTTP_E_ANSWER_TOO_LARGE", http::E_ANSWER_TOO_LARGE.into()),
    ]
}

/// A program that prints what [`expected`] says, as the C compiler sees it.
fn program() -> String {
    let mut lines = String::new();
    for layout in layouts() {
        let c = layout.c;
        let align = format!("offsetof(struct {{ char pad; {c} it; }}, it)");
        writeln!(
            lines,
            "    printf(\"{c} %lu %lu\\n\", (unsigned long)sizeof({c}), (unsigned long){align});"
        )
        .unwrap();
        for (field, _) in layout.fields {
            let offset = format!("offsetof({c}, {field})");
            writeln!(lines, "    printf(\"{c}.{field} %lu\\n\", (unsigned long){offset});").unwrap();
        }
    }
    for (name, _) in constants() {
        writeln!(lines, "    printf(\"{name} %ld\\n\", (long){name});").unwrap();
    }
    format!(
        "#include <stdio.h>\n#include \"hookyard_plugin.h\"\nint main(void) {{\n{lines}    return 0;\n}}\n"
    )
}

fn expected() -> String {
    let mut lines = String::new();
    for Layout { c, size, align, fields } in layouts() {
        writeln!(lines, "{c} {size} {align}").unwrap();
        for (field, offset) in fields {
            writeln!(lines, "{c}.{field} {offset}").unwrap();
        }
    }
    for (name, value) in constants() {
        writeln!(lines, "{name} {value}").unwrap();
    }
    lines
}

fn compile(compiler: &str, args: &[&str], source: &Path, out: &Path) {
    let output = Command::new(compiler)
        .args(args)
        .arg("-I")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
        .arg("-o")
        .arg(out)
        .arg(source)
        .output()
        .unwrap_or_else(|error| panic!("the tests need a compiler as `{compiler}`: {error}"));
    assert!(output.status.success(), "{compiler}: {}", String::from_utf8_lossy(&output.stderr));
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

const STRICT: [&str; 5] = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"];

#[test]
fn the_header_and_its_mirror_agree_on_every_size_offset_and_constant() {
    let dir = tempfile::tempdir().unwrap();
    let source = write(dir.path(), "layout.c", &program());
    let out = dir.path().join("layout");
    compile("cc", &[&["-std=c99"], &STRICT[..]].concat(), &source, &out);
    let printed = Command::new(&out).output().unwrap();
    assert!(printed.status.success());
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), expected());
}

#[test]
fn the_header_is_valid_cplusplus_and_may_be_included_twice() {
    let dir = tempfile::tempdir().unwrap();
    let text = "#include \"hookyard_plugin.h\"\n#include \"hookyard_plugin.h\"\n\
                static const hookyard_bytes id = HOOKYARD_LIT(\"x\");\n\
                int main() { return id.len == 1 ? 0 : 1; }\n";
    let source = write(dir.path(), "header.cpp", text);
    compile("c++", &[&["-std=c++17"], &STRICT[..]].concat(), &source, &dir.path().join("header"));
}

/// What 1.0 looks like on a 64-bit machine. A change here breaks every plugin that was ever built.
#[cfg(target_pointer_width = "64")]
#[test]
fn the_layout_of_1_0_never_changes() {
    let sizes: Vec<(&str, usize)> = layouts().iter().map(|layout| (layout.c, layout.size)).collect();
    let released = [
        ("hookyard_bytes", 16),
        ("hookyard_pair", 32),
        ("hookyard_event", 128),
        ("hookyard_detail", 64),
        ("hookyard_host", 104),
        ("hookyard_plugin", 120),
    ];
    assert_eq!(sizes[..released.len()], released);
    assert_eq!(offset_of!(abi::Event, headers), 112);
    assert_eq!(offset_of!(abi::Detail, result), 48);
    assert_eq!(offset_of!(abi::Host, extension), 96);
    assert_eq!(offset_of!(abi::Plugin, create), 80);
    assert_eq!(offset_of!(abi::Plugin, extension), 112);
}

/// What `hookyard.http/1` looks like on a 64-bit machine: appended to, and never otherwise changed.
#[cfg(target_pointer_width = "64")]
#[test]
fn the_layout_of_http_1_never_changes() {
    assert_eq!((size_of::<http::Request>(), offset_of!(http::Request, body)), (80, 64));
    assert_eq!((size_of::<http::Response>(), offset_of!(http::Response, error)), (56, 40));
    assert_eq!((size_of::<http::Http>(), offset_of!(http::Http, request)), (16, 8));
    let header = include_str!("../include/hookyard_plugin.h");
    assert!(header.contains(&format!("#define HOOKYARD_HTTP_1 \"{}\"", http::ID)));
}

#[test]
fn what_is_written_for_a_smaller_struct_stops_where_that_ends() {
    let full =
        http::Response { status: 200, header_count: 3, body: abi::Bytes::of(b"x"), ..http::Response::EMPTY };
    let whole = size_of::<http::Response>();
    for size in 0..=whole {
        let mut place = http::Response { size: u32::try_from(size).unwrap(), ..http::Response::EMPTY };
        // SAFETY: the place is a whole struct, whatever its size says.
        assert!(unsafe { abi::write(&raw mut place, &full) });
        assert_eq!(place.size as usize, size);
        assert_eq!(place.status, if size >= 8 { 200 } else { 0 }, "{size}");
        assert_eq!(place.header_count, if size >= 24 { 3 } else { 0 }, "{size}");
        assert_eq!(place.body.len, if size >= 40 { 1 } else { 0 }, "{size}");
    }
}
