//! Amounts as people read them. Stripe counts in the currency's smallest unit, and not every currency has cents.

/// Currencies that Stripe counts in whole units.
const WHOLE: [&str; 15] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];
/// Currencies that Stripe counts in thousandths.
const THOUSANDTHS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// `(11610, "usd")` is `116.10 USD`, `(500, "jpy")` is `500 JPY`.
pub fn format_amount(amount: i64, currency: &str) -> String {
    let currency = currency.to_lowercase();
    let digits: usize = match currency.as_str() {
        whole if WHOLE.contains(&whole) => 0,
        thousandths if THOUSANDTHS.contains(&thousandths) => 3,
        _ => 2,
    };
    let sign = if amount < 0 { "-" } else { "" };
    let padded = format!("{:0>width$}", amount.unsigned_abs(), width = digits + 1);
    let (units, rest) = padded.split_at(padded.len() - digits);
    let point = if digits == 0 { "" } else { "." };
    format!("{sign}{units}{point}{rest} {}", currency.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::format_amount;

    #[test]
    fn each_currency_has_its_own_places() {
        let known = [
            (11610, "usd", "116.10 USD"),
            (0, "usd", "0.00 USD"),
            (5, "eur", "0.05 EUR"),
            (-250, "EUR", "-2.50 EUR"),
            (500, "jpy", "500 JPY"),
            (1234, "kwd", "1.234 KWD"),
        ];
        for (amount, currency, expected) in known {
            assert_eq!(format_amount(amount, currency), expected);
        }
    }
}
