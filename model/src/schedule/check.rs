//! Whether a frequency is fit for a new series. Owns the rules that need the time or the command's timeout; those of the
//! text alone are the parser's, so that a series of years ago still parses.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Frequency;

/// Shortest interval of a cron expression, in seconds.
pub const CRON_INTERVAL_MIN_S: u32 = 10;

/// Why a frequency that parses cannot be used for a new series now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The rate's period is not longer than a run may take.
    #[error(
        "it is due every {period_s} s, and a run may take {timeout_s} s: ask for a period above the timeout, or lower the timeout"
    )]
    RateWithinTimeout {
        /// The period.
        period_s: u32,
        /// The command's timeout.
        timeout_s: u32,
    },
    /// The cron expression is due again too soon.
    #[error("it is due again after {interval_s} s: leave at least {CRON_INTERVAL_MIN_S} s between two times")]
    TooOften {
        /// Its shortest interval by the wall clock.
        interval_s: u32,
    },
    /// The cron expression is due again before a run must have ended.
    #[error(
        "it is due again after {interval_s} s, and a run may take {timeout_s} s: leave at least the timeout between two times, or lower the timeout"
    )]
    IntervalWithinTimeout {
        /// Its shortest interval by the wall clock.
        interval_s: u32,
        /// The command's timeout.
        timeout_s: u32,
    },
    /// The cron expression names a year that is over.
    #[error("year {year} is over: write {current} or later")]
    YearOver {
        /// The first year that it names.
        year: u32,
        /// The present year in its zone.
        current: u32,
    },
    /// No time is left.
    #[error("it is never due after {now}: write a time that is still to come and a day that exists")]
    NeverDue {
        /// The present time.
        now: Timestamp,
    },
    /// No time is left before the end.
    #[error("it is not due before {until}, when it is over: write a later end, or an earlier time")]
    OverBeforeDue {
        /// The end, exclusive.
        until: Timestamp,
    },
}

/// How far wall clocks are from UTC at most; no zone's are further since 1900.
const OFFSET_MAX: SignedDuration = SignedDuration::from_hours(16);

impl Frequency {
    /// Checks that it can be used for a series that is made now, of runs that take at most `timeout_s` seconds.
    ///
    /// Intervals are those of the wall clock; the one day with a changed clock does not count. `zone` is what
    /// [`Self::zone`] says.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self, now: Timestamp, zone: &TimeZone, timeout_s: u32) -> Result<(), Unusable> {
        match self {
            Self::Rate(rate) if rate.period_s() <= timeout_s => {
                return Err(Unusable::RateWithinTimeout { period_s: rate.period_s(), timeout_s });
            }
            Self::Rate(_) | Self::At(_) => {}
            Self::Cron(cron) => {
                let year = zone.to_datetime(now).year();
                let current = u32::try_from(year).unwrap_or_default();
                if let Some(first) = cron.first_year_written().filter(|first| *first < current) {
                    return Err(Unusable::YearOver { year: first, current });
                }
                match cron.shortest_interval_s(year) {
                    Some(interval_s) if interval_s < CRON_INTERVAL_MIN_S => {
                        return Err(Unusable::TooOften { interval_s });
                    }
                    Some(interval_s) if interval_s < timeout_s => {
                        return Err(Unusable::IntervalWithinTimeout { interval_s, timeout_s });
                    }
                    _ => {}
                }
            }
        }
        self.next_after(now, zone, now).map(|_| ()).ok_or(Unusable::NeverDue { now })
    }

    /// Checks that a series that is made now has a run before it is over. Without a `zone` each instance keeps it in its own: then only
    /// what none of them could keep is refused.
    ///
    /// # Errors
    /// It is first due at `until` or later.
    pub fn check_until(&self, now: Timestamp, zone: Option<&TimeZone>, until: Timestamp) -> Result<(), Unusable> {
        let first = match zone {
            Some(zone) => self.next_after(now, zone, now).filter(|first| *first < until),
            None => {
                // What is due somewhere is due by a wall clock, and that is at most so far from UTC.
                let from = now.checked_sub(OFFSET_MAX).unwrap_or(Timestamp::MIN);
                let until = until.checked_add(OFFSET_MAX).unwrap_or(Timestamp::MAX);
                self.next_after(from, &TimeZone::UTC, now).filter(|first| *first < until)
            }
        };
        first.map(|_| ()).ok_or(Unusable::OverBeforeDue { until })
    }
}
