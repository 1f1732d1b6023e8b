//! `cargo bench`: what each part of the way of an event costs on this machine, from the signature to the plugin. Criterion
//! compares with the run before it; nothing here is asserted. One part: `cargo bench -- append`.
#![allow(clippy::unwrap_used, reason = "a bench that cannot run says so by panicking")]

mod decide;
mod door;
mod events;
mod host;
mod rule_mix;
mod rules;
mod store;

use std::time::Duration;

use criterion::Criterion;

/// The daemon's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    if rules::build_only() {
        return;
    }
    // Short: every part in about two minutes. `--measurement-time` takes longer and sees more.
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(20)
        .configure_from_args();
    decide::verify(&mut criterion);
    decide::envelope(&mut criterion);
    decide::matching(&mut criterion);
    rules::mixed(&mut criterion);
    store::append(&mut criterion);
    store::settle(&mut criterion);
    host::round_trip(&mut criterion);
    door::end_to_end(&mut criterion);
    criterion.final_summary();
    rules::growing();
    rules::building();
}
