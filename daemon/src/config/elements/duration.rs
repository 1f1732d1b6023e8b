//! Durations: `250ms`, `30s`, `5m`, `6h`, `30d`.

use std::time::Duration;

use super::{Invalid, number_and_unit};

/// Units from the largest, with their milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const HELP: &str = r#"write a whole number and a unit: "250ms", "30s", "5m", "6h", "30d""#;

/// The duration that `text` says.
pub(crate) fn parse(text: &str) -> Result<Duration, Invalid> {
    let invalid = || Invalid::new(format!("`{text}` is not a duration"), HELP);
    let (number, unit) = number_and_unit(text).ok_or_else(invalid)?;
    let (_, factor) = UNITS.iter().find(|(word, _)| *word == unit).ok_or_else(invalid)?;
    let millis = number.checked_mul(*factor);
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| Invalid::new(format!("`{text}` is longer than any clock runs"), HELP))
}

/// The shortest way to write it.
pub(crate) fn shown(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let unit = UNITS.iter().find(|(_, factor)| millis >= *factor && millis.is_multiple_of(*factor));
    unit.map_or("0s".to_owned(), |(word, factor)| format!("{}{word}", millis / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid() {
        for (text, millis) in [
            ("250ms", 250),
            ("0s", 0),
            ("30s", 30_000),
            ("5m", 300_000),
            ("6h", 21_600_000),
            ("30d", 2_592_000_000),
            ("5 m", 300_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn invalid() {
        for text in
            ["", "30", "s", "-1s", "1.5h", "30 sec", "5min", "5M", "1h30m", " 5m", "99999999999999999999s"]
        {
            let invalid = parse(text).unwrap_err();
            assert_eq!(invalid, Invalid::new(format!("`{text}` is not a duration"), HELP));
        }
        let message = "`999999999999999999d` is longer than any clock runs";
        assert_eq!(parse("999999999999999999d"), Err(Invalid::new(message, HELP)));
    }

    #[test]
    fn shown_in_the_largest_unit_that_fits() {
        for text in ["250ms", "30s", "90s", "5m", "6h", "30d", "0s", "1500ms"] {
            assert_eq!(shown(parse(text).unwrap()), text);
        }
        assert_eq!(shown(Duration::from_secs(120)), "2m");
    }
}
