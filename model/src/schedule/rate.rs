//! `rate(…)`: again and again after the same time. Owns its grammar, its bounds and its grid.

use std::fmt;

use jiff::Timestamp;

use super::token::{Fault, Token};

/// Shortest period, in seconds.
pub const RATE_MIN_S: u32 = 60;
/// Longest period, in seconds: 7 days.
pub const RATE_MAX_S: u32 = 7 * 24 * 60 * 60;

const NANOSECONDS: i128 = 1_000_000_000;

/// A period from 60 s to 7 days, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u32,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
}

impl Unit {
    const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    fn letter(self) -> char {
        match self {
            Self::Second => 's',
            Self::Minute => 'm',
            Self::Hour => 'h',
            Self::Day => 'd',
        }
    }

    fn seconds(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 60 * 60,
            Self::Day => 24 * 60 * 60,
        }
    }
}

impl Rate {
    /// The period in seconds.
    pub fn period_s(self) -> u32 {
        self.count.saturating_mul(self.unit.seconds())
    }

    pub(super) fn parse(token: &Token<'_>) -> Result<Self, Fault> {
        let mend = "write a number and `s`, `m`, `h` or `d` without blanks, such as `rate(5m)`";
        let parts = Unit::ALL.into_iter().find_map(|unit| Some((token.text.strip_suffix(unit.letter())?, unit)));
        let (digits, unit) = parts.ok_or_else(|| token.fault("period", mend))?;
        // Seven days in seconds have six digits, one more than a field of cron has at most.
        let plain = (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || digits.starts_with("00") {
            return Err(token.fault("period", mend));
        }
        let count = digits.parse().map_err(|_| token.fault("period", mend))?;
        let rate = Self { count, unit };
        if (RATE_MIN_S..=RATE_MAX_S).contains(&rate.period_s()) {
            Ok(rate)
        } else {
            Err(token.fault("period", "write one from `60s` to `7d`"))
        }
    }

    /// The first point of the grid `created + k * period`, k at least 1, that is after `after`.
    pub(super) fn next_after(self, after: Timestamp, created: Timestamp) -> Option<Timestamp> {
        let period = i128::from(self.period_s()) * NANOSECONDS;
        let (after, created) = (after.as_nanosecond(), created.as_nanosecond());
        let point = (after - created).div_euclid(period).max(0) + 1;
        Timestamp::from_nanosecond(created + point * period).ok()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "rate({}{})", self.count, self.unit.letter())
    }
}
