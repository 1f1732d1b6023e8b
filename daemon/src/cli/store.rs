//! `hookyard store compact`: what an operator does to the store itself, while no daemon runs.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::output::say;
use super::target::Target;
use super::{Common, Failure, output};
use crate::app::{self, CompactError, CompactPhase, CompactProgress};
use crate::observe::with_causes;

/// How often the bar moves while nothing is told.
const TICK: Duration = Duration::from_millis(100);

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Give the disk space of removed events back: copies what lives, and takes the copy. Only while no daemon runs
    Compact,
}

/// What `compact` prints with `--json`.
#[derive(Debug, Serialize)]
struct CompactedView {
    rows: u64,
    row_bytes: u64,
    before_bytes: u64,
    after_bytes: u64,
}

pub(super) async fn run(common: &Common, command: StoreCommand) -> Result<(), Failure> {
    match command {
        StoreCommand::Compact => compact(common).await,
    }
}

async fn compact(common: &Common) -> Result<(), Failure> {
    let target = Target::find(common)?;
    let settings = target.store();
    // A bar only where a person watches: it is drawn on standard error, and a script reads neither.
    let watched = !common.json && std::io::stderr().is_terminal();
    let bar = Bar::new(watched);
    let shown = bar.0.clone();
    let compacted = app::compact_store(settings, move |progress| show(&shown, progress)).await;
    bar.0.finish_and_clear();
    let compacted = compacted.map_err(|error| failure(&error))?;
    let view = CompactedView {
        rows: compacted.rows,
        row_bytes: compacted.row_bytes,
        before_bytes: compacted.before_bytes,
        after_bytes: compacted.after_bytes,
    };
    if common.json {
        return output::json(&view);
    }
    say!("compacted {}: {} rows, every one checked", settings.path.display(), view.rows);
    say!("before    {}", size(view.before_bytes));
    say!("after     {}", size(view.after_bytes));
    Ok(())
}

/// A progress bar that is gone when the command ends, however it ends.
struct Bar(ProgressBar);

impl Bar {
    fn new(watched: bool) -> Self {
        let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_style(counting());
        bar.set_message("opening");
        bar.enable_steady_tick(TICK);
        Self(bar)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn show(bar: &ProgressBar, progress: CompactProgress) {
    let word = match progress.phase {
        CompactPhase::Reading => "reading",
        CompactPhase::Copying => "copying",
        CompactPhase::Checking => "checking",
    };
    if let Some(of) = progress.of
        && bar.length().is_none()
    {
        bar.set_style(measured());
        bar.set_length(of);
    }
    bar.set_message(word);
    bar.set_position(progress.rows);
}

fn counting() -> ProgressStyle {
    ProgressStyle::with_template("{msg:<9} {spinner} {human_pos} rows").expect("the template is a constant")
}

fn measured() -> ProgressStyle {
    ProgressStyle::with_template("{msg:<9} {wide_bar} {human_pos} of {human_len} rows, {eta} left")
        .expect("the template is a constant")
}

fn failure(error: &CompactError) -> Failure {
    let text = with_causes(error);
    match error {
        CompactError::Missing { .. } => {
            Failure::no_input(format!("{text}: is the path in the configuration right, and this the folder?"))
        }
        _ => Failure::storage(text),
    }
}

/// For people: three digits are enough.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_shown_in_the_unit_that_fits() {
        for (bytes, shown) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1 << 20, "1.0 MiB"),
            (3 << 29, "1.5 GiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }
}
