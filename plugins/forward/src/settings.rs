//! `settings` of a handler: as they are written, and as they are used.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hookyard_egress::address::Guard;
use hookyard_egress::connect::Connector;
use hookyard_plugin::CreateError;
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use serde::Deserialize;
use url::{Host as UrlHost, Url};

use crate::answer::Rejecting;
use crate::headers;
use crate::project::Projection;

/// Two while one is changed; each costs one HMAC of the body.
const SIGNING_KEYS_MAX: usize = 8;
const CONNECT_SECONDS_MAX: u64 = 60;
/// The message that it stands in holds 2 KiB.
const EXCERPT_BYTES_MAX: usize = 1024;

/// `settings` of a handler of this plugin. Paths are relative to the daemon's directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where events are posted to.
    url: String,
    /// The names of the handler's secrets that sign; several while one is changed. Empty: nothing is signed.
    #[serde(default = "signing_keys")]
    signing_keys: Vec<String>,
    /// Headers sent with each request, beside those of the event.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Headers whose values are secrets of the handler, by the secret's name.
    #[serde(default)]
    secret_headers: BTreeMap<String, String>,
    /// The paths that are sent; left out: the whole body, byte for byte.
    body: Option<Vec<String>>,
    /// Networks that requests may go to although they are not on the public internet, such as `10.1.0.0/16`.
    #[serde(default)]
    allow: Vec<String>,
    /// The statuses that make a dead letter at once, such as "410", or "4xx" for all that do not say "later".
    #[serde(default = "reject")]
    reject: Vec<String>,
    /// How long one address has to take a connection.
    #[serde(default = "connect_seconds")]
    connect_seconds: u64,
    /// How much of a response's text is kept with the attempt; 0: nothing.
    #[serde(default = "response_excerpt_bytes")]
    response_excerpt_bytes: usize,
    #[serde(default)]
    tls: Tls,
}

/// `tls` of the settings: PEM files.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The authorities that the receiver's certificate may come from, instead of the public ones.
    pub(crate) ca: Option<PathBuf>,
    /// Our certificate with its chain, and its key: for receivers that ask for one.
    pub(crate) client_certificate: Option<PathBuf>,
    /// Readable for the daemon's user only.
    pub(crate) client_key: Option<PathBuf>,
}

/// The settings, read and checked; secrets still by their names.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) url: Url,
    pub(crate) signing_keys: Vec<String>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) secret_headers: Vec<(HeaderName, String)>,
    pub(crate) projection: Option<Projection>,
    pub(crate) connector: Connector,
    pub(crate) rejecting: Rejecting,
    pub(crate) excerpt_bytes: usize,
}

fn signing_keys() -> Vec<String> {
    vec!["signing_key".to_owned()]
}

fn reject() -> Vec<String> {
    vec!["410".to_owned()]
}

fn connect_seconds() -> u64 {
    5
}

fn response_excerpt_bytes() -> usize {
    256
}

impl Settings {
    /// Reads all that can be read without secrets; the first fault, as a sentence.
    pub(crate) fn checked(&self) -> Result<Checked, CreateError> {
        let guard = Guard::new(self.allow.iter().map(|net| network(net)).collect::<Result<_, _>>()?);
        if !(1..=CONNECT_SECONDS_MAX).contains(&self.connect_seconds) {
            return Err(fault(format!("`connect_seconds` is 1 to {CONNECT_SECONDS_MAX}")));
        }
        if self.response_excerpt_bytes > EXCERPT_BYTES_MAX {
            return Err(fault(format!("`response_excerpt_bytes` is at most {EXCERPT_BYTES_MAX}")));
        }
        if self.signing_keys.len() > SIGNING_KEYS_MAX {
            return Err(fault(format!("`signing_keys` names more than {SIGNING_KEYS_MAX} keys")));
        }
        let connector = Connector::new(guard, "`allow`", Duration::from_secs(self.connect_seconds));
        Ok(Checked {
            url: url(&self.url, &connector)?,
            signing_keys: self.signing_keys.clone(),
            headers: self.plain_headers()?,
            secret_headers: self.named_headers()?,
            projection: self.body.as_deref().map(Projection::parse).transpose()?,
            connector,
            rejecting: rejecting(&self.reject)?,
            excerpt_bytes: self.response_excerpt_bytes,
        })
    }

    /// The `tls` table.
    pub(crate) fn tls(&self) -> &Tls {
        &self.tls
    }

    fn plain_headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, CreateError> {
        let read = |(name, value): (&String, &String)| {
            let value = HeaderValue::from_str(value);
            let value = value.map_err(|_| fault(format!("the value of the header `{name}` is not valid")))?;
            Ok((header(name)?, value))
        };
        self.headers.iter().map(read).collect()
    }

    fn named_headers(&self) -> Result<Vec<(HeaderName, String)>, CreateError> {
        self.secret_headers.iter().map(|(name, secret)| Ok((header(name)?, secret.clone()))).collect()
    }
}

fn fault(sentence: String) -> CreateError {
    CreateError::new(sentence)
}

fn url(text: &str, connector: &Connector) -> Result<Url, CreateError> {
    let url = Url::parse(text).map_err(|error| fault(format!("`url` is not a URL: {error}")))?;
    let plain = match url.scheme() {
        "https" => false,
        "http" => true,
        other => return Err(fault(format!("`url` begins with `{other}:`; write https"))),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault("`url` holds credentials: send them as one of `secret_headers`".to_owned()));
    }
    let literal = match url.host() {
        Some(UrlHost::Ipv4(address)) => Some(address.into()),
        Some(UrlHost::Ipv6(address)) => Some(address.into()),
        Some(UrlHost::Domain(_)) | None => None,
    };
    if let (Some(address), Some(host)) = (literal, url.host_str()) {
        connector.judge(host, address, plain)?;
    }
    Ok(url)
}

/// `10.1.0.0/16`, or one address.
fn network(text: &str) -> Result<IpNet, CreateError> {
    let one = || text.parse::<std::net::IpAddr>().map(IpNet::from).ok();
    let net = text.parse::<IpNet>().ok().or_else(one);
    net.ok_or_else(|| {
        fault(format!("`{text}` of `allow` is no network: write it as 10.1.0.0/16 or fd00::/8"))
    })
}

fn header(name: &str) -> Result<HeaderName, CreateError> {
    let parsed = HeaderName::from_bytes(name.as_bytes());
    let parsed = parsed.map_err(|_| fault(format!("`{name}` is not the name of a header")))?;
    if headers::is_ours(&parsed) {
        return Err(fault(format!("the header `{name}` is written by hookyard itself")));
    }
    Ok(parsed)
}

fn rejecting(words: &[String]) -> Result<Rejecting, CreateError> {
    let mut rejecting = Rejecting::default();
    for word in words {
        if !rejecting.add(word) {
            return Err(fault(format!(
                "`reject` cannot hold \"{word}\": write statuses from 400 to 599 but 429 and 503, or \"4xx\""
            )));
        }
    }
    Ok(rejecting)
}
