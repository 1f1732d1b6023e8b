//! The one binary. Everything is in the library: `cli` reads the words, `app` composes the daemon.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    hookyard::cli::run(std::env::args_os())
}
