//! A plugin's project to begin from: it builds, passes its tests and loads as it is written. The files stand in
//! `templates/`, one folder a language; `{{name}}` and the like are filled in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The languages that there is a project for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    Rust,
    C,
    Zig,
    Go,
}

/// What is asked for.
#[derive(Debug)]
pub struct ProjectSpec<'a> {
    pub language: Language,
    /// The last part of the id, and the folder's name unless another is given.
    pub name: &'a str,
    /// `com.example.<name>` unless another is given.
    pub id: Option<&'a str>,
    pub folder: &'a Path,
    /// The source of `hookyard-plugin`; by version from the package registry where it is `None`.
    pub sdk: Option<&'a Path>,
}

/// Why no project was made.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error("`{name}` is no name for a plugin: write lower-case letters, digits and hyphens, a letter first")]
    Name { name: String },
    #[error(
        "`{id}` is no id for a plugin: write a reverse domain name in lower case, such as com.example.sumo"
    )]
    Id { id: String },
    #[error("{} is there already and is not empty; name another folder with --dir", folder.display())]
    Taken { folder: PathBuf },
    #[error("{} is not the source of hookyard-plugin: it has no Cargo.toml", sdk.display())]
    NoSdk { sdk: PathBuf },
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// A file of a project: its path in it, and its text before anything is filled in.
type Template = (&'static str, &'static str);

const HEADER: &str = include_str!("../../../plugin-api/include/hookyard_plugin.h");
const COMMON: &[Template] = &[
    ("event.json", include_str!("templates/event.json")),
    ("hookyard.toml", include_str!("templates/hookyard.toml")),
    ("settings.toml", include_str!("templates/settings.toml")),
    ("letters/.gitignore", "*\n!.gitignore\n"),
];
const RUST: &[Template] = &[
    ("Cargo.toml", include_str!("templates/rust/Cargo.toml.in")),
    ("README.md", include_str!("templates/rust/README.md")),
    (".gitignore", "/target\n/var\n"),
    ("settings.schema.json", include_str!("templates/settings.schema.json")),
    ("src/lib.rs", include_str!("templates/rust/lib.rs")),
    ("tests/plugin.rs", include_str!("templates/rust/plugin.rs")),
];
const C: &[Template] = &[
    ("Makefile", include_str!("templates/c/Makefile")),
    ("README.md", include_str!("templates/c/README.md")),
    (".gitignore", "/build\n/var\n"),
    ("plugin.c", include_str!("templates/c/plugin.c")),
    ("include/hookyard_plugin.h", HEADER),
];
const ZIG: &[Template] = &[
    ("Makefile", include_str!("templates/zig/Makefile")),
    ("README.md", include_str!("templates/zig/README.md")),
    (".gitignore", "/build\n/var\n"),
    ("plugin.zig", include_str!("templates/zig/plugin.zig")),
    ("include/hookyard_plugin.h", HEADER),
];
const GO: &[Template] = &[
    ("Makefile", include_str!("templates/go/Makefile")),
    ("README.md", include_str!("templates/go/README.md")),
    (".gitignore", "/build\n/var\n"),
    ("go.mod", include_str!("templates/go/go.mod.in")),
    ("plugin.go", include_str!("templates/go/plugin.go")),
    ("bridge.c", include_str!("templates/go/bridge.c")),
    ("bridge.h", include_str!("templates/go/bridge.h")),
    ("include/hookyard_plugin.h", HEADER),
];

/// Writes the project; returns the paths written, in order, from its folder.
pub fn write(spec: &ProjectSpec<'_>) -> Result<Vec<PathBuf>, ProjectError> {
    let filled = Filled::new(spec)?;
    let is_empty = match fs::read_dir(spec.folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !is_empty {
        return Err(ProjectError::Taken { folder: spec.folder.to_owned() });
    }
    let own = match spec.language {
        Language::Rust => RUST,
        Language::C => C,
        Language::Zig => ZIG,
        Language::Go => GO,
    };
    let mut written = Vec::new();
    for (path, text) in own.iter().chain(COMMON) {
        let to = spec.folder.join(path);
        let failed = |source| ProjectError::Write { path: to.clone(), source };
        fs::create_dir_all(to.parent().unwrap_or(spec.folder)).map_err(failed)?;
        fs::write(&to, filled.fill(text)).map_err(failed)?;
        written.push(PathBuf::from(path));
    }
    Ok(written)
}

/// Where this build's own SDK stands: beside the source that the running program was built in, if it still is.
pub fn sdk_beside(program: &Path) -> Option<PathBuf> {
    program.ancestors().skip(1).map(|folder| folder.join("plugin-api")).find(|sdk| is_sdk(sdk))
}

fn is_sdk(folder: &Path) -> bool {
    fs::read_to_string(folder.join("Cargo.toml"))
        .is_ok_and(|text| text.contains("name = \"hookyard-plugin\""))
}

/// What the templates' words stand for.
struct Filled(Vec<(&'static str, String)>);

impl Filled {
    fn new(spec: &ProjectSpec<'_>) -> Result<Self, ProjectError> {
        let name = spec.name;
        let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_name {
            return Err(ProjectError::Name { name: name.to_owned() });
        }
        let id = spec.id.map_or_else(|| format!("com.example.{name}"), str::to_owned);
        if !hookyard_plugin::note::is_id(&id) {
            return Err(ProjectError::Id { id });
        }
        let sdk = match spec.sdk {
            None => format!("version = \"{}\"", env!("CARGO_PKG_VERSION")),
            Some(sdk) => {
                let missing = || ProjectError::NoSdk { sdk: sdk.to_owned() };
                let sdk = sdk.canonicalize().ok().filter(|sdk| is_sdk(sdk)).ok_or_else(missing)?;
                format!("path = {:?}", sdk.display().to_string())
            }
        };
        let krate = name.replace('-', "_");
        let library = match spec.language {
            Language::Rust => format!("target/debug/lib{krate}.so"),
            Language::C | Language::Zig | Language::Go => format!("build/lib{krate}.so"),
        };
        Ok(Self(vec![
            ("{{name}}", name.to_owned()),
            ("{{crate}}", krate),
            ("{{type}}", camel(name)),
            ("{{id}}", id),
            ("{{sdk}}", sdk),
            ("{{library}}", library),
        ]))
    }

    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (word, meaning)| text.replace(word, meaning))
    }
}

/// `my-plugin` as `MyPlugin`.
fn camel(name: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('-').filter(|word| !word.is_empty()).map(capital).collect()
}
