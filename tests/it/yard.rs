//! A daemon of its own for a test: the shipped config in a temporary folder, on ports that the kernel picks.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Column, Row};
use tempfile::TempDir;

use crate::mail_server;
use crate::postgres;
use crate::stripe::{self, Poster};

const TOKEN: &str = "operator-token-of-the-integration-suite";

/// How often and how long a state is waited for: two minutes, because a loaded machine is slow, not wrong.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS_MAX: usize = 6_000;

/// A folder with a config, and the daemon on it while one runs.
#[derive(Debug)]
pub(crate) struct Yard {
    dir: TempDir,
    daemon: Option<Child>,
    database: String,
    /// Where libraries are installed that only their owner may be able to change: the temporary folder is everybody's.
    installed: OnceLock<TempDir>,
}

/// The databases that the shipped plugins run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// Waits until `look` finds what it looks for; `None` where it never does.
pub(crate) async fn found<T>(look: impl Fn() -> Option<T>) -> Option<T> {
    for _ in 0..LOOKS_MAX {
        if let Some(it) = look() {
            return Some(it);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    None
}

impl Engine {
    pub(crate) const BOTH: [Self; 2] = [Self::Sqlite, Self::Postgres];
}

impl Yard {
    /// The shipped config: only the ports and the libraries' folder are changed.
    pub(crate) fn shipped() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}", dir.path().join("var/fulfilment.db").display());
        let yard = Self { dir, daemon: None, database, installed: OnceLock::new() };
        copy_dir(&stripe::tests_dir().join("../config"), &yard.path("config"));
        let libraries = profile_dir();
        yard.edit_config(|text| {
            text.replace("127.0.0.1:8080", "127.0.0.1:0")
                .replace("127.0.0.1:8081", "127.0.0.1:0")
                .replace("target/release", libraries.to_str().unwrap())
        });
        yard
    }

    /// The shipped config with another database, and mails that go to a real server.
    pub(crate) fn shop(engine: Engine) -> Self {
        let mut yard = Self::shipped();
        if engine == Engine::Postgres {
            yard.use_database(&postgres::shared().database());
        }
        let smtp = mail_server::shared().settings(&yard.sender());
        yard.edit_config(|text| {
            text.replace(r#"mail = { transport = "file", directory = "var/mail" }"#, &smtp)
        });
        yard
    }

    /// Names another database in the config.
    pub(crate) fn use_database(&mut self, url: &str) {
        url.clone_into(&mut self.database);
        self.edit_config(|text| text.replace("sqlite:var/fulfilment.db", url));
    }

    /// Who this yard's mails are from: by that the mail server tells yards apart.
    pub(crate) fn sender(&self) -> String {
        let folder = self.dir.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.');
        format!("{}@inkwell.example", folder.to_lowercase())
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Rewrites the main config file.
    pub(crate) fn edit_config(&self, edit: impl FnOnce(String) -> String) {
        let path = self.path("config/hookyard.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, edit(text)).unwrap();
    }

    /// A folder that nobody but this user can change, nor what leads to it: below the user's home.
    pub(crate) fn installed(&self) -> &Path {
        let make = || {
            let home = std::env::home_dir().expect("who tests has a home");
            let dir = TempDir::with_prefix_in(".hookyard-test-", home).unwrap();
            std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
            dir
        };
        self.installed.get_or_init(make).path()
    }

    /// Installs each library and pins it to its file, as production must.
    pub(crate) fn pin_libraries(&self) {
        self.edit_config(|text| {
            let library =
                |line: &str| Some(line.strip_prefix("path = \"")?.strip_suffix(".so\"")?.to_owned() + ".so");
            let pinned = |line: &str| match library(line) {
                Some(library) => {
                    let library = self.install(Path::new(&library));
                    format!("path = \"{}\"\nsha256 = \"{}\"", library.display(), sha256(&library))
                }
                None => line.to_owned(),
            };
            text.lines().map(pinned).collect::<Vec<_>>().join("\n")
        });
    }

    /// Copies a library to where only its owner may change it.
    fn install(&self, library: &Path) -> PathBuf {
        let installed = self.installed().join(library.file_name().unwrap());
        std::fs::copy(library, &installed).unwrap();
        std::fs::set_permissions(&installed, Permissions::from_mode(0o755)).unwrap();
        installed
    }

    /// Any command of the binary, in the yard's folder, with its secrets in the environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(profile_dir().join("hookyard"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("STRIPE_WEBHOOK_SECRET", stripe::SECRET)
            .env("HOOKYARD_ADMIN_TOKEN", TOKEN)
            .env_remove("HOOKYARD_CONFIG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Starts the daemon and waits until its door is open.
    pub(crate) async fn start(&mut self) -> Poster {
        let command = self.command(&["serve", "--dev"]);
        self.start_as(command).await
    }

    /// Starts the daemon through `command` and waits until its door is open.
    pub(crate) async fn start_as(&mut self, command: Command) -> Poster {
        self.spawn(command);
        for _ in 0..LOOKS_MAX {
            if let Some(runtime) = self.runtime() {
                return Poster::to(address(&runtime["door"]));
            }
            if let Some(ended) = self.daemon.as_mut().unwrap().try_wait().unwrap() {
                panic!("the daemon ended at once ({ended}):\n{}", self.log());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("the daemon does not open its door:\n{}", self.log());
    }

    /// Begins the daemon, and waits for nothing.
    pub(crate) fn spawn(&mut self, mut command: Command) {
        assert!(self.daemon.is_none(), "one runs already");
        let _ = std::fs::remove_file(self.runtime_file());
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.path("daemon.log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.daemon = Some(command.spawn().unwrap());
    }

    fn runtime_file(&self) -> PathBuf {
        self.path("var/hookyard/runtime.json")
    }

    /// What the daemon says of where it listens.
    pub(crate) fn runtime(&self) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.runtime_file()).ok()?).ok()
    }

    /// Everything the daemons of this yard have logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    /// SIGKILL: no goodbye.
    pub(crate) fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    /// Waits until no plugin host of any daemon of this yard is left: each ends by itself soon after its daemon.
    pub(crate) async fn wait_for_no_hosts(&self) {
        let none = found(|| self.hosts().is_empty().then_some(())).await;
        none.unwrap_or_else(|| panic!("plugin hosts outlive their daemon: {:?}", self.hosts()));
    }

    /// The plugin hosts that run in this yard's folder.
    fn hosts(&self) -> Vec<PathBuf> {
        let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let is_host = |process: &PathBuf| {
            let words = std::fs::read(process.join("cmdline")).unwrap_or_default();
            let here = std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == self.dir.path());
            here && words.split(|byte| *byte == 0).any(|word| word == b"plugin-host")
        };
        processes.filter(is_host).collect()
    }

    /// Waits until the daemon has ended by itself.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        self.daemon.take().unwrap().wait().unwrap()
    }

    /// SIGTERM to the daemon's whole process group, as a service manager does it, and the exit status.
    pub(crate) fn terminate_group(&mut self) -> ExitStatus {
        let mut daemon = self.daemon.take().unwrap();
        let group = rustix::process::Pid::from_child(&daemon);
        rustix::process::kill_process_group(group, rustix::process::Signal::TERM).unwrap();
        daemon.wait().unwrap()
    }

    /// SIGHUP: the daemon reads its configuration again.
    pub(crate) fn hang_up(&self) {
        let pid = rustix::process::Pid::from_child(self.daemon.as_ref().unwrap());
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// Waits until the daemon has logged these words.
    pub(crate) async fn wait_for_log(&self, words: &str) {
        let logged = found(|| self.log().contains(words).then_some(())).await;
        logged.unwrap_or_else(|| panic!("never logged `{words}`:\n{}", self.log()));
    }

    /// SIGTERM, and the exit status.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let mut daemon = self.daemon.take().unwrap();
        let pid = rustix::process::Pid::from_child(&daemon);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        daemon.wait().unwrap()
    }

    /// An operator's command that prints JSON.
    pub(crate) fn ask(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let output = self.run(&args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A handler as the daemon shows it; waits for that, since a start serves operators a moment before handlers run.
    pub(crate) fn handler(&self, name: &str) -> Value {
        for _ in 0..LOOKS_MAX {
            let status = self.ask(&["status"]);
            let mut handlers = status["handlers"].as_array().unwrap().iter();
            if let Some(handler) = handlers.find(|handler| handler["handler"] == name) {
                return handler.clone();
            }
            std::thread::sleep(LOOK_EVERY);
        }
        panic!("the handler {name} is never shown:\n{}", self.log());
    }

    /// One event with its deliveries and attempts.
    pub(crate) fn event(&self, id: &str) -> Value {
        self.ask(&["events", "show", id])
    }

    /// Waits until `reached` holds of the daemon's counts.
    pub(crate) async fn wait_for_counts(&self, what: &str, reached: impl Fn(&Value) -> bool) -> Value {
        let counts = || self.ask(&["status"])["counts"].clone();
        let found = found(|| Some(counts()).filter(&reached)).await;
        found.unwrap_or_else(|| panic!("never {what}: {}\n{}", counts(), self.log()))
    }

    /// Waits until every event is routed and no delivery is pending or under way.
    pub(crate) async fn wait_until_settled(&self, events: u64) -> Value {
        let settled = |counts: &Value| {
            counts["events"] == events
                && counts["to_route"] == 0
                && counts["pending"] == 0
                && counts["leased"] == 0
        };
        self.wait_for_counts("settled", settled).await
    }

    /// The database of the shipped plugins.
    pub(crate) async fn database(&self) -> AnyPool {
        sqlx::any::install_default_drivers();
        AnyPoolOptions::new().max_connections(2).connect(&self.database).await.unwrap()
    }

    /// The mails that were written, as text, sorted.
    pub(crate) fn mails(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path("var/mail")) else { return Vec::new() };
        let mut mails: Vec<String> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        mails.sort();
        mails
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            self.kill();
        }
        if std::thread::panicking() {
            eprintln!("--- the daemon's log ---\n{}", self.log());
        }
    }
}

/// The rows of a query as text, one string a row, columns parted by `|`, as sqlite3 prints them.
pub(crate) async fn rows(database: &AnyPool, query: &'static str) -> Vec<String> {
    let rows = sqlx::query(query).fetch_all(database).await.unwrap();
    let cell = |row: &sqlx::any::AnyRow, index: usize| -> String {
        let text = row.try_get::<Option<String>, _>(index).map(Option::unwrap_or_default);
        let number =
            || row.try_get::<Option<i64>, _>(index).map(|n| n.map_or(String::new(), |n| n.to_string()));
        let truth = |_| row.try_get::<bool, _>(index).map(|it| u8::from(it).to_string());
        text.or_else(|_| number())
            .or_else(truth)
            .unwrap_or_else(|error| panic!("column {}: {error}", row.column(index).name()))
    };
    rows.iter()
        .map(|row| (0..row.len()).map(|index| cell(row, index)).collect::<Vec<_>>().join("|"))
        .collect()
}

/// The same command, run by another program: `program options… command…`.
pub(crate) fn through(command: &Command, program: &str, options: &[&str]) -> Command {
    let mut outer = Command::new(program);
    outer.args(options).arg(command.get_program()).args(command.get_args());
    outer.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// Where cargo put the binary and the libraries that this test run was built with.
pub(crate) fn profile_dir() -> PathBuf {
    let test_binary = std::env::current_exe().unwrap();
    test_binary.parent().and_then(Path::parent).unwrap().to_path_buf()
}

fn sha256(path: &Path) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(std::fs::read(path).unwrap()))
}

fn address(value: &Value) -> SocketAddr {
    value.as_str().unwrap().parse().unwrap()
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
