//! What a plugin may ask over HTTP: a host, such as `api.example.com` or `http://10.1.2.3:8080`, and networks, such as
//! `10.1.0.0/16`.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Invalid;
use crate::model::http_access::Origin;

/// The entry of `allow` that `text` says.
pub(crate) fn parse(text: &str) -> Result<Origin, Invalid> {
    text.parse::<Origin>().map_err(|error| Invalid::new(error.to_string(), error.help()))
}

/// The network that `text` says; one address is a network too.
pub(crate) fn parse_network(text: &str) -> Result<IpNet, Invalid> {
    let one = || text.parse::<IpAddr>().map(IpNet::from).ok();
    let network = text.parse::<IpNet>().ok().or_else(one);
    network
        .ok_or_else(|| Invalid::new(format!("`{text}` is no network"), "write it as 10.1.0.0/16 or fd00::/8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (text, shown) in
            [("10.1.0.0/16", "10.1.0.0/16"), ("127.0.0.1", "127.0.0.1/32"), ("fd00::/8", "fd00::/8")]
        {
            assert_eq!(parse_network(text).unwrap().to_string(), shown);
        }
        for text in ["", "10.1.0.0/33", "example.org"] {
            assert_eq!(parse_network(text).unwrap_err().message, format!("`{text}` is no network"));
        }
    }

    #[test]
    fn hosts() {
        assert!(parse("api.example.com").is_ok());
        let help = "write the host alone: paths are not looked at";
        let message = "`api.example.com/v1` is no host that can be allowed: it is more than a host";
        assert_eq!(parse("api.example.com/v1"), Err(Invalid::new(message, help)));
    }
}
