//! `hookyard plugin new`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Failure;
use crate::cli::output::say;
use crate::observe::with_causes;
use crate::workshop::project::{self, Language, ProjectError, ProjectSpec};

#[derive(Debug, Args)]
pub(in crate::cli) struct NewArgs {
    /// The plugin's name, such as `greeter`: lower-case letters, digits and hyphens
    name: String,
    /// What it is written in
    #[arg(long, value_enum, default_value = "rust")]
    lang: Language,
    /// The plugin's id, a reverse domain name that never changes (default: com.example.NAME)
    #[arg(long)]
    id: Option<String>,
    /// The folder to make (default: NAME)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The source of the hookyard-plugin crate, for Rust (default: beside this program where that is its source tree, or
    /// else by version from the package registry)
    #[arg(long)]
    sdk: Option<PathBuf>,
}

pub(super) fn run(args: &NewArgs) -> Result<(), Failure> {
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let beside = || std::env::current_exe().ok().and_then(|program| project::sdk_beside(&program));
    let sdk = args.sdk.clone().or_else(beside);
    let spec = ProjectSpec {
        language: args.lang,
        name: &args.name,
        id: args.id.as_deref(),
        folder: &folder,
        sdk: sdk.as_deref(),
    };
    let written = project::write(&spec).map_err(|error| failure(&error))?;
    say!("made {}", folder.display());
    for path in written {
        say!("  {}", path.display());
    }
    let first = match args.lang {
        Language::Rust => "cargo test",
        Language::C | Language::Zig | Language::Go => "make run",
    };
    say!("\nNext:\n\n  cd {} && {first}", folder.display());
    Ok(())
}

fn failure(error: &ProjectError) -> Failure {
    match error {
        ProjectError::NoSdk { .. } => Failure::no_input(with_causes(error)),
        _ => Failure::bad_data(with_causes(error)),
    }
}
