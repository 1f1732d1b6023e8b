//! What a handler's plugin may ask over HTTP, where hookyard makes the requests (`hookyard.http/1`).
//!
//! Checked by `config`, held to by `host` for each request.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use url::{Host, Url};

/// `[handler.x.http]`. Without one nothing may be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpAccess {
    /// Where requests may go.
    pub allow: Vec<Origin>,
    /// Where names of `allow` may lead although it is no public address.
    pub networks: Vec<IpNet>,
    /// A PEM file with the authorities that are believed; `None` for the public ones.
    pub ca: Option<PathBuf>,
}

/// An entry of `allow`: a scheme, a host or all names below one, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// With TLS.
    https: bool,
    host: HostPattern,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    /// As a URL has it: in lower case, in ASCII.
    Name(String),
    /// `*.` before it: every name that ends in a dot and this.
    Below(String),
    Address(IpAddr),
}

/// Why a text is no entry of `allow`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no host that can be allowed: {why}")]
pub struct NotAnOrigin {
    text: String,
    why: &'static str,
    help: &'static str,
}

impl HttpAccess {
    /// Whether a request to this URL is listed.
    pub fn allows(&self, url: &Url) -> bool {
        self.allow.iter().any(|origin| origin.admits(url))
    }
}

impl Origin {
    fn admits(&self, url: &Url) -> bool {
        let scheme = if self.https { "https" } else { "http" };
        let same_host = match (&self.host, url.host()) {
            (HostPattern::Name(name), Some(Host::Domain(host))) => name == host,
            (HostPattern::Below(parent), Some(Host::Domain(host))) => {
                host.strip_suffix(parent.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (HostPattern::Address(address), Some(Host::Ipv4(host))) => *address == host,
            (HostPattern::Address(address), Some(Host::Ipv6(host))) => *address == host,
            _ => false,
        };
        same_host && url.scheme() == scheme && url.port_or_known_default() == Some(self.port)
    }
}

impl NotAnOrigin {
    /// What to write instead.
    pub fn help(&self) -> &'static str {
        self.help
    }
}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        const WRITE: &str =
            "write a host, such as \"api.example.com\", \"*.example.org\" or \"https://host:8443\"";
        let invalid = |why, help| NotAnOrigin { text: text.to_owned(), why, help };
        let (https, rest) = match text.split_once("://") {
            None => (true, text),
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(invalid("its scheme is neither https nor http", WRITE)),
        };
        if rest.contains(['/', '?', '#', '\\']) {
            return Err(invalid("it is more than a host", "write the host alone: paths are not looked at"));
        }
        if rest.contains('@') {
            return Err(invalid("it holds a user", WRITE));
        }
        let (below, host) = rest.strip_prefix("*.").map_or((false, rest), |host| (true, host));
        if host.contains('*') {
            return Err(invalid("a `*` stands only at its beginning, as `*.`", WRITE));
        }
        let scheme = if https { "https" } else { "http" };
        let url = Url::parse(&format!("{scheme}://{host}")).map_err(|_| invalid("it is no host", WRITE))?;
        let host = match url.host() {
            Some(Host::Domain(name)) if !below => HostPattern::Name(name.to_owned()),
            Some(Host::Domain(name)) if name.contains('.') => HostPattern::Below(name.to_owned()),
            Some(Host::Ipv4(address)) if !below => HostPattern::Address(address.into()),
            Some(Host::Ipv6(address)) if !below => HostPattern::Address(address.into()),
            _ => {
                let help = "write the names below a domain, such as \"*.example.org\"";
                return Err(invalid("that is half of the internet", help));
            }
        };
        let port = url.port_or_known_default().unwrap_or_default();
        Ok(Self { https, host, port })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.https { "https://" } else { "http://" })?;
        match &self.host {
            HostPattern::Name(name) => f.write_str(name)?,
            HostPattern::Below(parent) => write!(f, "*.{parent}")?,
            HostPattern::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            HostPattern::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        write!(f, ":{}", self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(entry: &str, url: &str) -> bool {
        let access = HttpAccess { allow: vec![entry.parse().unwrap()], ..HttpAccess::default() };
        access.allows(&Url::parse(url).unwrap())
    }

    #[test]
    fn an_entry_admits_its_scheme_host_and_port_and_nothing_else() {
        for (entry, url) in [
            ("api.example.com", "https://api.example.com/v1?x=1"),
            ("api.example.com", "https://API.example.com:443/"),
            ("API.Example.com", "https://api.example.com/"),
            ("bücher.example", "https://xn--bcher-kva.example/"),
            ("https://host:8443", "https://host:8443/"),
            ("http://host", "http://host/"),
            ("*.example.org", "https://a.example.org/"),
            ("*.example.org", "https://a.b.example.org/"),
            ("*.example.org:8443", "https://a.example.org:8443/"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("http://127.0.0.1:8080", "http://0x7f.1:8080/"),
            ("https://[::1]:8443", "https://[::1]:8443/"),
        ] {
            assert!(admits(entry, url), "{entry} {url}");
        }
        for (entry, url) in [
            ("api.example.com", "http://api.example.com/"),
            ("api.example.com", "https://api.example.com:8443/"),
            ("api.example.com", "https://api.example.com.evil.test/"),
            ("api.example.com", "https://evil-api.example.com/"),
            ("api.example.com", "https://api.example.com./"),
            ("http://host", "https://host/"),
            ("http://host", "http://host:8080/"),
            ("*.example.org", "https://example.org/"),
            ("*.example.org", "https://.example.org/"),
            ("*.example.org", "https://evilexample.org/"),
            ("*.example.org", "https://a.example.org:8443/"),
            ("http://127.0.0.1", "http://localhost/"),
            ("http://127.0.0.1", "http://127.0.0.2/"),
            ("localhost", "https://127.0.0.1/"),
            ("https://[::1]", "https://127.0.0.1/"),
        ] {
            assert!(!admits(entry, url), "{entry} {url}");
        }
    }

    #[test]
    fn what_is_no_entry_says_why() {
        for (text, why) in [
            ("", "it is no host"),
            ("ftp://host", "its scheme is neither https nor http"),
            ("api.example.com/v1", "it is more than a host"),
            ("https://host/", "it is more than a host"),
            ("user@host", "it holds a user"),
            ("host:99999", "it is no host"),
            ("*", "a `*` stands only at its beginning, as `*.`"),
            ("a.*.example.org", "a `*` stands only at its beginning, as `*.`"),
            ("*.com", "that is half of the internet"),
            ("*.10.0.0.1", "that is half of the internet"),
            ("a host", "it is no host"),
        ] {
            let said = text.parse::<Origin>().unwrap_err().to_string();
            assert_eq!(said, format!("`{text}` is no host that can be allowed: {why}"));
        }
    }

    #[test]
    fn an_entry_is_shown_whole() {
        for (text, shown) in [
            ("api.example.com", "https://api.example.com:443"),
            ("http://*.Example.org", "http://*.example.org:80"),
            ("https://[::1]:8443", "https://[::1]:8443"),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!(origin.to_string(), shown);
            assert_eq!(shown.parse(), Ok(origin));
        }
    }
}
