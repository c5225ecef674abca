//! When a command is due, and what becomes of it where it cannot run then.
//!
//! Owns the grammar of frequencies (Cloud Assistant's), the times that they stand for, and the state of a series: which
//! occurrence runs, waits, or is left out, and why. It never reads a clock, a time zone database or a file: the caller
//! gives the time, the time zone and the persisted state, and carries out the actions. It holds nothing that has to stop.
//!
//! - [`Frequency`]: `rate(…)`, `at(…)` or a cron expression; [`Frequency::next_after`] says when it is due next.
//! - [`Zone`]: a time zone as it is written. Names are checked by shape here and looked up by the caller.
//! - [`RepeatMode`]: the modes of an invocation, as Cloud Assistant names them.
//! - [`Series`]: the machine of one series on one instance.

mod at;
mod check;
mod clock;
mod cron;
mod mode;
mod next;
mod rate;
mod series;
#[cfg(test)]
mod tests;
mod token;
mod zone;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::error::{ParseError, serde_by_text};

pub use at::At;
pub use check::{CRON_INTERVAL_MIN_S, Unusable};
pub use clock::{BootId, Reading};
pub use cron::{CRON_YEAR_MAX, Cron};
pub use mode::{RepeatMode, RepeatModeError};
pub use orderly_signing::order::{MAX_FREQUENCY_BYTES, Misfire, Overlap};
pub use rate::{RATE_MAX_S, RATE_MIN_S, Rate};
pub use series::{
    Action, Cause, Event, Fate, GRACE_MS, MISSED_COUNT_MAX, Missed, Plan, PlanError, Reason, Series, SeriesEnd,
    SeriesError, State, Trigger,
};
pub use zone::Zone;

use token::Token;

/// How often a command is due: Cloud Assistant's `Frequency`.
///
/// | form | rule |
/// |---|---|
/// | `rate(<n><s\|m\|h\|d>)` | 60 s to 7 days; on the grid of the time at which the series was made, never at once |
/// | `at(yyyy-MM-dd HH:mm:ss <zone>)` | once; the zone is UTC where none is written |
/// | `<second> <minute> <hour> <day> <month> <weekday> [year] [zone]` | Quartz's fields with 1 = Monday; see [`Cron`] |
///
/// At most 256 bytes. Displays in a normal form that parses as the same value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Frequency {
    /// Again and again after the same time.
    Rate(Rate),
    /// Once, at a time.
    At(At),
    /// By the calendar.
    Cron(Cron),
}

impl Frequency {
    /// The zone in which it is meant; nothing where it is the instance's own.
    ///
    /// What this returns, looked up, or else the instance's zone, is what [`Self::next_after`] takes.
    pub fn zone(&self) -> Option<&Zone> {
        match self {
            Self::Rate(_) => Some(&Zone::Utc),
            Self::At(at) => Some(at.zone()),
            Self::Cron(cron) => cron.zone(),
        }
    }

    /// The first time after `after`, exclusive, at which it is due; nothing where none is left.
    ///
    /// `zone` is what [`Self::zone`] says; `created` is when the series was made, the origin of a rate's grid.
    /// What a change of the clock does (a wall time that does not exist, or exists twice) is said at [`Cron`] and [`At`].
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone, created: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Rate(rate) => rate.next_after(after, created),
            Self::At(at) => at.instant(zone).filter(|due| *due > after),
            Self::Cron(cron) => next::of_cron(cron, after, zone),
        }
    }
}

impl FromStr for Frequency {
    type Err = ParseError;

    /// # Errors
    /// Says which field is wrong, its value, where it stands (characters, from 1) and how to mend it.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > MAX_FREQUENCY_BYTES {
            return Err(ParseError::new("frequency", text, format!("write at most {MAX_FREQUENCY_BYTES} bytes")));
        }
        let whole = Token::whole(text);
        let parsed = if let Some(inner) = whole.inside("rate(") {
            inner.and_then(|inner| Rate::parse(&inner)).map(Self::Rate)
        } else if let Some(inner) = whole.inside("at(") {
            inner.and_then(|inner| At::parse(&inner)).map(Self::At)
        } else {
            Cron::parse(&whole).map(Self::Cron)
        };
        parsed.map_err(|fault| ParseError::new("frequency", text, fault.to_string()))
    }
}

impl fmt::Display for Frequency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => rate.fmt(out),
            Self::At(at) => at.fmt(out),
            Self::Cron(cron) => cron.fmt(out),
        }
    }
}

serde_by_text!(Frequency);
