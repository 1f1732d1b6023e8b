//! Sizes: `512B`, `64KiB`, `1MiB`, `2GiB`.

use super::{Invalid, number_and_unit};

/// Units from the largest, with their bytes.
const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

const HELP: &str = r#"write a whole number and a unit: "512B", "64KiB", "1MiB", "2GiB""#;

/// The bytes that `text` says.
pub(crate) fn parse(text: &str) -> Result<u64, Invalid> {
    let invalid = || Invalid::new(format!("`{text}` is not a size"), help(text));
    let (number, unit) = number_and_unit(text).ok_or_else(invalid)?;
    let (_, factor) = UNITS.iter().find(|(word, _)| *word == unit).ok_or_else(invalid)?;
    let too_large = || Invalid::new(format!("`{text}` is larger than any disk"), HELP);
    number.checked_mul(*factor).ok_or_else(too_large)
}

/// The shortest way to write it.
pub(crate) fn shown(bytes: u64) -> String {
    let unit = UNITS.iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    unit.map_or("0B".to_owned(), |(word, factor)| format!("{}{word}", bytes / factor))
}

/// `MB` means a million to some and 2^20 to others: neither is taken silently.
fn help(text: &str) -> String {
    let Some((number, unit)) = number_and_unit(text) else { return HELP.to_owned() };
    let meant = match unit.to_ascii_lowercase().as_str() {
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        "t" | "tb" | "tib" => "TiB",
        _ => return HELP.to_owned(),
    };
    format!("did you mean \"{number}{meant}\"?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid() {
        for (text, bytes) in [
            ("0B", 0),
            ("512B", 512),
            ("64KiB", 65_536),
            ("1MiB", 1_048_576),
            ("2GiB", 1 << 31),
            ("1 TiB", 1 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn invalid() {
        for (text, help) in [
            ("", HELP),
            ("1", HELP),
            ("MiB", HELP),
            ("-1MiB", HELP),
            ("1.5MiB", HELP),
            ("1MB", "did you mean \"1MiB\"?"),
            ("64k", "did you mean \"64KiB\"?"),
            ("2gib", "did you mean \"2GiB\"?"),
        ] {
            assert_eq!(parse(text), Err(Invalid::new(format!("`{text}` is not a size"), help)), "{text}");
        }
        let message = "`99999999999TiB` is larger than any disk";
        assert_eq!(parse("99999999999TiB"), Err(Invalid::new(message, HELP)));
    }

    #[test]
    fn shown_in_the_largest_unit_that_fits() {
        for text in ["0B", "1500B", "64KiB", "1MiB", "3GiB"] {
            assert_eq!(shown(parse(text).unwrap()), text);
        }
    }
}
