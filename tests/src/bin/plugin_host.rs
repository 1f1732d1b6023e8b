//! The plugin host as a program of its own, for the tests of `host` that need no daemon.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    hookyard_plugin_host::run()
}
