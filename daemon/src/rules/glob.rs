//! `glob`: a pattern in which `*` stands for any text, also none, and every other character for itself.

/// A compiled pattern. Matching takes no memory, and time linear in the text for each `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    head: Box<str>,
    /// What must follow, in this order, each after a `*`. Empty where the pattern has no `*`.
    middle: Vec<Box<str>>,
    /// What stands after the last `*`; `None` where there is none, and the text must be `head`.
    tail: Option<Box<str>>,
}

impl Glob {
    /// Compiles a pattern; every text is one.
    pub fn new(pattern: &str) -> Self {
        let mut pieces = pattern.split('*').map(Box::<str>::from);
        let head = pieces.next().unwrap_or_default();
        let mut middle: Vec<Box<str>> = pieces.collect();
        let tail = middle.pop();
        middle.retain(|piece| !piece.is_empty());
        Self { head, middle, tail }
    }

    /// What every text that fits begins with; the whole of it where [`Self::tail`] is `None`.
    pub(super) fn head(&self) -> &str {
        &self.head
    }

    /// What stands in every text that fits, in this order. Never empty pieces.
    pub(super) fn middle(&self) -> &[Box<str>] {
        &self.middle
    }

    /// What every text that fits ends with; `None` where the pattern has no `*`.
    pub(super) fn tail(&self) -> Option<&str> {
        self.tail.as_deref()
    }

    /// Whether the whole of `text` fits. Upper and lower case differ.
    pub fn matches(&self, text: &str) -> bool {
        let Some(tail) = &self.tail else { return text == &*self.head };
        let Some(mut rest) = text.strip_prefix(&*self.head) else { return false };
        for piece in &self.middle {
            // The earliest place is always good enough: whatever fits after a later one fits after this one.
            let Some(at) = rest.find(&**piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(&**tail)
    }
}

impl std::fmt::Display for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.head)?;
        let Some(tail) = &self.tail else { return Ok(()) };
        for piece in self.middle.iter().chain([tail]) {
            write!(f, "*{piece}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        for (pattern, text, expected) in [
            ("news*", "newsletter", true),
            ("news*", "news", true),
            ("news*", "new", false),
            ("*letter", "newsletter", true),
            ("n*s*r", "newsletter", true),
            ("*", "", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*b", "ab", false),
            ("plain", "plain", true),
            ("plain", "plainer", false),
            ("a**b", "a-b", true),
            ("*é*", "café!", true),
            ("News*", "newsletter", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} on {text}");
        }
    }

    /// The definition, letter by letter.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skipped| by_definition(rest, &text[skipped..])),
            Some((letter, rest)) => text.first() == Some(letter) && by_definition(rest, &text[1..]),
        }
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*]{0,7}", text in "[ab]{0,9}") {
            let (letters, chars): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            proptest::prop_assert_eq!(Glob::new(&pattern).matches(&text), by_definition(&letters, &chars));
        }
    }
}
