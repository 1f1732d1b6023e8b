//! E-mail addresses in text that is read by whoever reads logs.

use std::borrow::Cow;

/// What stands for the part before the `@`. The domain stays: it tells which mail server was meant.
const MASK: &str = "***";

/// The text with every e-mail address masked: `ada@example.com` becomes `***@example.com`. Also one whose `@` is written
/// `%40`. What only looks like an address is masked too.
pub fn mask_emails(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut done = 0;
    while let Some((at, width)) = next_sign(text, done) {
        let local = local_part(&text[done..at]);
        let before = at - local.len();
        let followed = text[at + width..].chars().next().is_some_and(is_domain);
        if !local.is_empty() && followed {
            masked.push_str(&text[done..before]);
            masked.push_str(MASK);
            masked.push_str(&text[at..at + width]);
        } else {
            masked.push_str(&text[done..at + width]);
        }
        done = at + width;
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    masked.push_str(&text[done..]);
    Cow::Owned(masked)
}

/// The next `@` or `%40` from `from` on, and how long it is.
fn next_sign(text: &str, from: usize) -> Option<(usize, usize)> {
    let rest = &text[from..];
    let (plain, encoded) = (rest.find('@'), rest.find("%40"));
    match (plain, encoded) {
        (Some(plain), Some(encoded)) if encoded < plain => Some((from + encoded, 3)),
        (Some(plain), _) => Some((from + plain, 1)),
        (None, Some(encoded)) => Some((from + encoded, 3)),
        (None, None) => None,
    }
}

/// The end of the text that may be the part before an `@`: a quoted one, or what has no space and no sign that parts
/// fields of a line.
fn local_part(text: &str) -> &str {
    if let Some(inner) = text.strip_suffix('"')
        && let Some(open) = inner.rfind('"')
        && open + 1 < inner.len()
        && !inner[open..].contains('\n')
    {
        return &text[open..];
    }
    let start = text.rfind(|letter| !is_local(letter)).map_or(0, |at| at + char_len(&text[at..]));
    &text[start..]
}

fn char_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

fn is_local(letter: char) -> bool {
    letter.is_alphanumeric() || "._%+-~!#$&*^'{}|`".contains(letter)
}

fn is_domain(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '['
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_masked_wherever_they_stand() {
        for (text, masked) in [
            ("mail to ada@example.com was refused", "mail to ***@example.com was refused"),
            ("to=ada.b+c_d-e@mail.example.com", "to=***@mail.example.com"),
            ("{\"email\":\"ada@example.com\"}", "{\"email\":\"***@example.com\"}"),
            ("<ada@example.com>, <b@c.d>;e@f.g", "<***@example.com>, <***@c.d>;***@f.g"),
            ("ren\u{e9}@caf\u{e9}.fr", "***@caf\u{e9}.fr"),
            ("o'hara@example.com", "***@example.com"),
            ("\"ada b\"@example.com", "***@example.com"),
            ("https://x.y/?email=ada%40example.com&z=1", "https://x.y/?email=***%40example.com&z=1"),
            ("postgres://user:pass@host/db", "postgres://user:***@host/db"),
            ("a@b@c.d", "***@***@c.d"),
        ] {
            assert_eq!(mask_emails(text), masked, "{text}");
        }
        for plain in ["", "no address", "@", "a@", "@example.com", "a @ b", "100%40", "evt_1/sumo"] {
            assert_eq!(mask_emails(plain), plain);
        }
    }

    proptest! {
        #[test]
        fn no_local_part_survives(before in "[ =:<\"(]", local in "[a-z0-9.+_-]{4,20}", domain in "[a-z]{1,9}\\.[a-z]{2,3}") {
            prop_assume!(!domain.contains(&local));
            let text = format!("x{before}{local}@{domain} rest");
            let masked = mask_emails(&text).into_owned();
            prop_assert_eq!(&masked, &format!("x{before}***@{domain} rest"));
            prop_assert_eq!(mask_emails(&masked), masked.clone(), "masking again changes nothing");
        }

        #[test]
        fn no_text_makes_it_fail(text in "[a@%40\"\u{e4} \n.]{0,40}|\\PC{0,40}") {
            mask_emails(&text);
        }
    }
}
