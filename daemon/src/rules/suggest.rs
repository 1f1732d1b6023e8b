//! "Did you mean": the known word that a mistyped one is nearest to.

/// The word of `known` that `word` most likely stands for, if one is near enough: at most a third of its letters
/// may be wrong, left out, added or swapped.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= faults_allowed(candidate, word))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Three wrong letters are another word, however long it is.
const LETTERS_WRONG_MAX: usize = 3;

fn faults_allowed(candidate: &str, word: &str) -> usize {
    (candidate.chars().count().max(word.chars().count()) / 3).min(LETTERS_WRONG_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_near_word_and_only_that() {
        let known = ["concurrency", "timeout", "retry", "plugin", "in"];
        for (word, expected) in [
            ("concurency", Some("concurrency")),
            ("Timeout", Some("timeout")),
            ("retyr", Some("retry")),
            ("plugins", Some("plugin")),
            ("id", None),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
