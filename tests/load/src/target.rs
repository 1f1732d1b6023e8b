//! Where the events go and which secret signs them: named on the command line, or found as `hookyard send` finds them.
//!
//! A load generator that can be pointed anywhere is a weapon: only addresses of this machine are accepted.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use hookyard::app::runtime_file::RuntimeFile;
use hookyard::config::{self, LoadOptions, Scheme, Snapshot};
use http::Uri;
use secrecy::ExposeSecret;

use crate::failure::Failure;

/// Stands for a variable that is not set in this shell: the daemon's may be.
const NOT_SET: &str = "\u{1}not set in this shell";

/// What was asked for on the command line.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub config: &'a Path,
    pub source: Option<&'a str>,
    pub url: Option<&'a str>,
    pub secret_env: Option<&'a str>,
}

/// Where to post, and with which secret.
#[derive(Clone)]
pub struct Target {
    pub url: Uri,
    pub address: SocketAddr,
    pub secret: String,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Target {
    /// Reads the configuration only where the command line does not say everything.
    pub fn find(wanted: Wanted<'_>) -> Result<Self, Failure> {
        let given = wanted.secret_env.map(secret_of_variable).transpose()?;
        let (url, secret) = match (wanted.url, given) {
            (Some(url), Some(secret)) => (url.to_owned(), secret),
            (url, given) => {
                let (source_url, found) = of_daemon(wanted.config, wanted.source)?;
                let secret = match given {
                    Some(secret) => secret,
                    None => found?,
                };
                (url.map_or(source_url, str::to_owned), secret)
            }
        };
        let uri: Uri = url.parse().map_err(|error| Failure::Usage(format!("`{url}` is no URL: {error}")))?;
        let address = address(&uri)?;
        Ok(Self { url: uri, address, secret })
    }
}

fn secret_of_variable(name: &str) -> Result<String, Failure> {
    match std::env::var(name) {
        Ok(secret) if !secret.is_empty() => Ok(secret),
        _ => Err(Failure::Denied(format!(
            "the variable {name}, which --secret-env names, is not set: put the source's `whsec_…` into it"
        ))),
    }
}

/// The URL of a source of the daemon that this configuration starts; and its secret, where it can be known here.
fn of_daemon(path: &Path, source: Option<&str>) -> Result<(String, Result<String, Failure>), Failure> {
    let env = |name: &str| Some(std::env::var(name).unwrap_or_else(|_| NOT_SET.to_owned()));
    let loaded = config::load(LoadOptions { path, dev: true, env: &env }).map_err(|faults| {
        Failure::Config(format!(
            "{}\nRun this where the daemon was started, name its configuration with --config, or give --url and \
             --secret-env.",
            faults.render(false)
        ))
    })?;
    let snapshot = loaded.snapshot;
    let runtime = RuntimeFile::read(&snapshot.store.path);
    let source = find_source(&snapshot, source)?;
    let listen = runtime.as_ref().map_or(snapshot.server.listen, |runtime| runtime.door);
    let scheme = if snapshot.server.tls.is_some() { "https" } else { "http" };
    let Scheme::Stripe { secrets, .. } = &source.scheme;
    let of_dev = runtime.and_then(|runtime| runtime.dev?.sources.remove(source.name.as_str()));
    let configured = || secrets.first().map(|secret| secret.expose_secret().to_owned());
    let secret = of_dev.or_else(configured).filter(|secret| secret != NOT_SET).ok_or_else(|| {
        Failure::Denied(format!(
            "the secret of source `{}` is not known here: start the daemon with --dev, or give --secret-env",
            source.name
        ))
    });
    Ok((format!("{scheme}://{listen}{}", source.path), secret))
}

fn find_source<'a>(snapshot: &'a Snapshot, name: Option<&str>) -> Result<&'a config::Source, Failure> {
    let sources = &snapshot.sources;
    let found = match name {
        Some(name) => sources.iter().find(|source| source.name.as_str() == name),
        None => sources.first(),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        Failure::Config(format!("no such source; the configuration has: {}", names.join(", ")))
    })
}

fn address(url: &Uri) -> Result<SocketAddr, Failure> {
    if url.scheme_str() != Some("http") {
        return Err(Failure::Usage(format!("{url} is not http://…: the generator speaks no TLS")));
    }
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let found = (host, url.port_u16().unwrap_or(80)).to_socket_addrs();
    let address = found
        .map_err(|error| Failure::Usage(format!("the host of {url} cannot be found: {error}")))?
        .next()
        .ok_or_else(|| Failure::Usage(format!("the host of {url} has no address")))?;
    if !address.ip().is_loopback() {
        return Err(Failure::Usage(format!(
            "{url} is not on this machine: load is made only for a server on 127.0.0.1, [::1] or localhost"
        )));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loaded() {
        let at = |url: &str| address(&url.parse().unwrap());
        assert_eq!(at("http://127.0.0.1:8080/x").unwrap().port(), 8080);
        assert_eq!(at("http://[::1]:9/").unwrap().port(), 9);
        for refused in ["http://192.0.2.7:8080/", "http://10.1.2.3/", "https://127.0.0.1:8080/"] {
            assert!(matches!(at(refused), Err(Failure::Usage(_))), "{refused}");
        }
    }
}
