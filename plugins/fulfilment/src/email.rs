//! The buyer's e-mail address: the key that a person is found by, so it is normalised in exactly one place.

use std::fmt;

use lettre::Address;

/// RFC 5321's bound on a path; longer ones no server takes.
const EMAIL_BYTES_MAX: usize = 254;

/// A syntactically valid address. Its `Debug` hides it: logs hold no personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    given: Address,
    normal: String,
}

/// The text is no address. Says nothing of the text: it is personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the buyer's e-mail address is not a valid address")]
pub struct EmailInvalid;

impl Email {
    /// Checks the syntax; surrounding white space is dropped.
    pub fn parse(text: &str) -> Result<Self, EmailInvalid> {
        let text = text.trim();
        if text.len() > EMAIL_BYTES_MAX || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(EmailInvalid);
        }
        let given: Address = text.parse().map_err(|_| EmailInvalid)?;
        Ok(Self { given, normal: normalise(text) })
    }

    /// As the buyer typed it, trimmed: where mail goes.
    pub fn given(&self) -> &str {
        self.given.as_ref()
    }

    /// Trimmed and lowercase: what users are unique by.
    pub fn normal(&self) -> &str {
        &self.normal
    }

    /// The same for the mail crate.
    pub fn address(&self) -> &Address {
        &self.given
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

/// Trims and lowers. Applied twice it changes nothing more, so that stored keys can be normalised again.
pub fn normalise(text: &str) -> String {
    text.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_of_the_real_world_pass() {
        for good in [
            "marta.quental@buyer.example",
            " M@x.io ",
            "jürgen.weiß@buyer.example",
            "a+b@xn--bcher-kva.example",
        ] {
            assert!(Email::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_would_bounce_or_inject_is_refused() {
        let long = format!("{}@buyer.example", "a".repeat(250));
        for bad in [
            "",
            "marta",
            "@buyer.example",
            "marta@",
            "a b@c.example",
            "a@b.example\r\nBcc: x@y.example",
            "a@b@c",
            &long,
        ] {
            assert_eq!(Email::parse(bad), Err(EmailInvalid), "{bad:?}");
        }
    }

    #[test]
    fn two_spellings_are_one_person_and_the_typed_one_is_kept() {
        let (one, two) =
            (Email::parse(" Marta@Buyer.Example").unwrap(), Email::parse("marta@buyer.example").unwrap());
        assert_eq!(one.normal(), two.normal());
        assert_eq!(one.given(), "Marta@Buyer.Example");
        assert!(!format!("{one:?}").to_lowercase().contains("marta"));
    }

    proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(text in "\\PC{0,40}") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }

        #[test]
        fn case_and_white_space_never_make_a_second_person(local in "[a-zA-Z0-9.+_-]{1,20}", pad in "[ \t]{0,3}") {
            let plain = format!("{local}@buyer.example");
            let shouted = format!("{pad}{}{pad}", plain.to_uppercase());
            prop_assert_eq!(normalise(&plain), normalise(&shouted));
        }
    }
}
