//! A number, or a part of all. Owns how a part is rounded.

use std::fmt;
use std::str::FromStr;

use crate::error::{ParseError, serde_by_text};

/// How many of all: written `10` or `25%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Amount {
    /// So many.
    Count(u32),
    /// So many in a hundred, 1 to 100.
    Percent(Percent),
}

/// 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Percent(u8);

impl Amount {
    /// So many in a hundred; nothing outside of 1 to 100.
    pub fn percent(percent: u8) -> Option<Self> {
        (1..=100).contains(&percent).then_some(Self::Percent(Percent(percent)))
    }

    /// How many that is of `total`: a percentage is rounded up, and is at least 1.
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Count(count) => u64::from(count),
            Self::Percent(Percent(percent)) => {
                let exact = u128::from(total) * u128::from(percent);
                u64::try_from(exact.div_ceil(100)).unwrap_or(total).max(1)
            }
        }
    }

    /// Whether it is never any.
    pub fn is_zero(self) -> bool {
        self == Self::Count(0)
    }
}

impl FromStr for Amount {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (digits, is_percent) = text.strip_suffix('%').map_or((text, false), |digits| (digits, true));
        let plain = !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        let amount = match (plain, is_percent) {
            (true, false) => digits.parse().ok().map(Self::Count),
            (true, true) => digits.parse().ok().and_then(Self::percent),
            (false, _) => None,
        };
        amount.ok_or_else(|| ParseError::new("amount", text, "write a number, as `10`, or `1%` to `100%`"))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(out, "{count}"),
            Self::Percent(Percent(percent)) => write!(out, "{percent}%"),
        }
    }
}

serde_by_text!(Amount);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    #[test]
    fn a_part_is_rounded_up_and_never_none() {
        assert_eq!(amount("3%").of(500), 15);
        assert_eq!(amount("3%").of(501), 16);
        assert_eq!(amount("1%").of(5), 1);
        assert_eq!(amount("1%").of(0), 1);
        assert_eq!(amount("100%").of(u64::MAX), u64::MAX);
        assert_eq!(amount("0").of(10), 0);
    }

    #[test]
    fn one_text_is_one_amount() {
        for text in ["0", "1", "4294967295", "1%", "100%"] {
            assert_eq!(amount(text).to_string(), text);
        }
        for bad in ["", "%", "-1", "+1", "01", "1.5", "0%", "101%", "300%", "4294967296", "1 %", " 1", "ten"] {
            assert!(bad.parse::<Amount>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_the_least_that_is_not_below(percent in 1..=100u8, total in 0..1_000_000u64) {
            let part = Amount::percent(percent).unwrap().of(total);
            prop_assert!(part * 100 >= total * u64::from(percent));
            prop_assert!(part == 1 || (part - 1) * 100 < total * u64::from(percent));
        }
    }
}
