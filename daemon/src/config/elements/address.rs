//! Addresses to listen on: an IP address and a port, such as `127.0.0.1:8080` or `[::]:8080`.

use std::net::SocketAddr;

use super::Invalid;

/// The address that `text` says. Names are not resolved: a listener is on one address, whatever a resolver says.
pub(crate) fn parse(text: &str) -> Result<SocketAddr, Invalid> {
    text.parse().map_err(|_| Invalid::new(format!("`{text}` is not an address to listen on"), help(text)))
}

fn help(text: &str) -> String {
    let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    match (text.rsplit_once(':').map(|(host, _)| host), port) {
        (Some("localhost"), Some(port)) => {
            format!("did you mean \"127.0.0.1:{port}\"? names are not resolved")
        }
        (Some("" | "*"), Some(port)) => {
            format!("write \"0.0.0.0:{port}\" for every IPv4 address, \"[::]:{port}\" for all")
        }
        (None, Some(port)) => format!("write an address before the port: \"127.0.0.1:{port}\""),
        (Some(_), Some(_)) => {
            "write an IP address and a port; IPv6 stands in brackets: \"[::1]:8080\"".to_owned()
        }
        _ => "write an IP address and a port from 0 to 65535: \"127.0.0.1:8080\"".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid() {
        for text in ["127.0.0.1:8080", "0.0.0.0:0", "[::1]:443"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn invalid() {
        for (text, help) in [
            ("localhost:8080", "did you mean \"127.0.0.1:8080\"? names are not resolved"),
            (":8080", "write \"0.0.0.0:8080\" for every IPv4 address, \"[::]:8080\" for all"),
            ("8080", "write an address before the port: \"127.0.0.1:8080\""),
            ("::1:8080", "write an IP address and a port; IPv6 stands in brackets: \"[::1]:8080\""),
            ("127.0.0.1:99999", "write an IP address and a port from 0 to 65535: \"127.0.0.1:8080\""),
            ("127.0.0.1", "write an IP address and a port from 0 to 65535: \"127.0.0.1:8080\""),
            ("", "write an IP address and a port from 0 to 65535: \"127.0.0.1:8080\""),
        ] {
            let expected = Invalid::new(format!("`{text}` is not an address to listen on"), help);
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }
}
