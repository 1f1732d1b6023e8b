//! What every list takes: how many rows, from where on, in which order; and how a list is asked for over HTTP.

use clap::Args;

/// One page of a list, newest first.
#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// At most this many
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Go on after this one (the `next` of the page before)
    #[arg(long)]
    after: Option<String>,
    /// Oldest first
    #[arg(long)]
    oldest: bool,
}

/// A list's filters that have a value, and its page, as a URL's query.
pub(super) fn query_string(filters: &[(&str, Option<String>)], page: PageArgs) -> String {
    let page = [
        ("limit", Some(page.limit.to_string())),
        ("after", page.after),
        ("newest", Some((!page.oldest).to_string())),
    ];
    let pairs = filters.iter().chain(&page);
    let given = pairs.filter_map(|(name, value)| Some(format!("{name}={}", escape(value.as_deref()?))));
    given.collect::<Vec<_>>().join("&")
}

/// Percent-encodes all but the characters that mean nothing in a URL.
pub(super) fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escaped = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_carry_only_what_is_given_and_escape_it() {
        let page = PageArgs { limit: 3, after: Some("01/a b".to_owned()), oldest: false };
        let query = query_string(&[("type", None), ("handler", Some("sumo".to_owned()))], page);
        assert_eq!(query, "handler=sumo&limit=3&after=01%2Fa%20b&newest=true");
    }
}
