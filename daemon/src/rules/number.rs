//! Numbers that compare as numbers, whatever way they are written: 1 is 1.0 is 1e0, and 2^53 + 1 is not 2^53.
//!
//! Integers are exact from -2^63 to 2^64 - 1. Everything else is a double: JSON decimals of up to 15 digits compare
//! exactly with what stands in the rule; an integer beyond 64 bits is rounded as every double is.

use std::cmp::Ordering;

/// A JSON or TOML number.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    Integer(i128),
    /// Finite.
    Float(f64),
}

impl Number {
    /// Less, equal or greater; `None` only where a float is not a number.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(&right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(&right),
            (Self::Integer(left), Self::Float(right)) => compare_mixed(left, right),
            (Self::Float(left), Self::Integer(right)) => compare_mixed(right, left).map(Ordering::reverse),
        }
    }

    /// The nearest double: a greater number never has a smaller one.
    pub(super) fn rounded(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Float(float) => float,
        }
    }

    /// Whether both are the same number.
    pub fn equals(self, other: Self) -> bool {
        self.compare(other) == Some(Ordering::Equal)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.equals(*other)
    }
}

/// Exact: the float's whole part is compared as an integer, then what is left of it.
fn compare_mixed(integer: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // Every integer here is within 64 bits, or came from a rule; beyond 1e38 `as` saturates, which keeps the order.
    let whole = float.trunc() as i128;
    let rest = float - float.trunc();
    Some(integer.cmp(&whole).then_with(|| 0.0_f64.partial_cmp(&rest).unwrap_or(Ordering::Equal)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Number::{Float, Integer};

    #[test]
    fn compares_exactly_across_the_ways_of_writing() {
        let big = 1_i128 << 53;
        for (left, right, expected) in [
            (Integer(1), Float(1.0), Ordering::Equal),
            (Float(1.0), Integer(1), Ordering::Equal),
            (Integer(0), Float(-0.0), Ordering::Equal),
            (Integer(big + 1), Integer(big), Ordering::Greater),
            (Integer(big + 1), Float(9_007_199_254_740_992.0), Ordering::Greater),
            (Integer(1), Float(1.5), Ordering::Less),
            (Integer(-1), Float(-1.5), Ordering::Greater),
            (Float(-1.5), Integer(-1), Ordering::Less),
            (Integer(i128::from(u64::MAX)), Integer(i128::from(i64::MIN)), Ordering::Greater),
            (Integer(5), Float(1e300), Ordering::Less),
            (Integer(5), Float(-1e300), Ordering::Greater),
        ] {
            assert_eq!(left.compare(right), Some(expected), "{left:?} {right:?}");
            assert_eq!(right.compare(left), Some(expected.reverse()), "{right:?} {left:?}");
        }
    }
}
