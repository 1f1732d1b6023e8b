//! `hookyard config list`, `show` and `rollback`: the configurations that ran here last; `schema`, for editors.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Subcommand;

use super::client::Operator;
use super::output::say;
use super::page::escape;
use super::{Common, Failure, output, reload};
use crate::admin::control::{FileView, KeptFilesView, KeptView, ReloadView};
use crate::config::schema;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// List the configurations that are kept, newest first
    List,
    /// Print the files of one, or write them below a folder
    Show {
        /// The beginning of its hash, as `list`, `status` and `events show` print it
        hash: String,
        /// Write the files below this folder instead
        #[arg(long)]
        to: Option<PathBuf>,
    },
    /// Print the JSON Schema of a configuration, for editors
    Schema {
        /// Of the files in the `rules` directory instead of the main one
        #[arg(long)]
        rules: bool,
    },
    /// Have the daemon run one of them again; the files on disk stay as they are
    Rollback {
        /// The beginning of its hash; without it the one that ran before
        hash: Option<String>,
    },
}

pub(super) async fn run(common: &Common, command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::List => list(common, &Operator::of(common)?).await,
        ConfigCommand::Show { hash, to } => show(common, &Operator::of(common)?, &hash, to.as_deref()).await,
        ConfigCommand::Schema { rules } => {
            output::json(&if rules { schema::rules() } else { schema::main() })
        }
        ConfigCommand::Rollback { hash } => rollback(common, &Operator::of(common)?, hash).await,
    }
}

async fn list(common: &Common, operator: &Operator) -> Result<(), Failure> {
    let kept: Vec<KeptView> = operator.get("/v1/config").await?;
    if common.json {
        return output::json(&kept);
    }
    let row = |kept: &KeptView| {
        let running = if kept.running { "running" } else { "" };
        vec![kept.snapshot.clone(), kept.began.clone(), running.to_owned(), kept.files.join(" ")]
    };
    let rows: Vec<Vec<String>> = kept.iter().map(row).collect();
    output::table(&["CONFIGURATION", "BEGAN", "", "FILES"], &rows);
    Ok(())
}

async fn show(common: &Common, operator: &Operator, hash: &str, to: Option<&Path>) -> Result<(), Failure> {
    let kept: KeptFilesView = operator.get(&format!("/v1/config/{}", escape(hash))).await?;
    if let Some(folder) = to {
        return write_below(folder, &kept.files);
    }
    if common.json {
        return output::json(&kept);
    }
    for file in &kept.files {
        say!("# ---- {}\n{}", file.path, file.text.trim_end());
    }
    Ok(())
}

/// The main file and its `rules` folder, as they stood beside each other. Nothing that is there is overwritten.
fn write_below(folder: &Path, files: &[FileView]) -> Result<(), Failure> {
    let main = files.first().and_then(|main| Path::new(&main.path).parent()).unwrap_or(Path::new(""));
    for file in files {
        let path = Path::new(&file.path);
        let path =
            folder.join(path.strip_prefix(main).unwrap_or(Path::new(path.file_name().unwrap_or_default())));
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
            let mut new = std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
            std::io::Write::write_all(&mut new, file.text.as_bytes())
        });
        written
            .map_err(|error| Failure::bad_data(format!("{} cannot be written: {error}", path.display())))?;
        say!("{}", path.display());
    }
    Ok(())
}

async fn rollback(common: &Common, operator: &Operator, hash: Option<String>) -> Result<(), Failure> {
    let hash = match hash {
        Some(hash) => hash,
        None => before(operator).await?,
    };
    let path = format!("/v1/config/{}/rollback", escape(&hash));
    let reloaded: ReloadView = operator.post(&path, Bytes::new()).await?;
    if common.json {
        return output::json(&reloaded);
    }
    reload::print(&reloaded);
    say!("The files still say what they said: mend them before the next reload or start, which takes them.");
    Ok(())
}

/// The newest that does not run.
async fn before(operator: &Operator) -> Result<String, Failure> {
    let kept: Vec<KeptView> = operator.get("/v1/config").await?;
    let before = kept.into_iter().find(|kept| !kept.running);
    before.map(|kept| kept.snapshot).ok_or_else(|| {
        Failure::bad_data("no configuration from before is kept: there is nothing to roll back to")
    })
}
