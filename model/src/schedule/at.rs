//! `at(…)`: once, at a time. Owns its grammar and which instant a wall time is.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::cron::{CRON_YEAR_MAX, CRON_YEAR_MIN};
use super::token::{Fault, Token};
use super::zone::Zone;

/// A wall time in a zone, UTC where none is written.
///
/// A wall time that does not exist there (the clock was set forward over it) is due at the first instant after the gap.
/// One that exists twice (the clock was set back) is due the first time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct At {
    wall: DateTime,
    zone: Option<Zone>,
}

impl At {
    /// The zone in which it is meant.
    pub fn zone(&self) -> &Zone {
        self.zone.as_ref().unwrap_or(&Zone::Utc)
    }

    pub(super) fn parse(token: &Token<'_>) -> Result<Self, Fault> {
        let words = token.words();
        let (date, time, zone) = match words.as_slice() {
            [date, time] => (date, time, None),
            [date, time, zone] => (date, time, Some(zone)),
            _ => return Err(token.fault("time", "write `at(yyyy-MM-dd HH:mm:ss)`, with a time zone behind it or none")),
        };
        let [year, month, day] = numbers(date, '-', [4, 2, 2])
            .ok_or_else(|| date.fault("date", "write four digits, two and two: `yyyy-MM-dd`"))?;
        let years = CRON_YEAR_MIN..=CRON_YEAR_MAX;
        let civil = || Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok();
        let civil =
            u16::try_from(year).is_ok_and(|year| years.contains(&year)).then(civil).flatten().ok_or_else(|| {
                date.fault("date", format!("write a day that exists, from {CRON_YEAR_MIN} to {CRON_YEAR_MAX}"))
            })?;
        let mend = "write two digits each, from 00:00:00 to 23:59:59: `HH:mm:ss`";
        let clock = numbers(time, ':', [2, 2, 2]).filter(|[hour, minute, second]| {
            (0..=23).contains(hour) && (0..=59).contains(minute) && (0..=59).contains(second)
        });
        let [hour, minute, second] =
            clock.and_then(|parts| three(parts.map(i8::try_from))).ok_or_else(|| time.fault("time of day", mend))?;
        Ok(Self { wall: civil.at(hour, minute, second, 0), zone: zone.map(Zone::parse).transpose()? })
    }

    /// The instant that it is in this zone; nothing where it is outside of what a timestamp holds.
    pub(super) fn instant(&self, zone: &TimeZone) -> Option<Timestamp> {
        let ambiguous = zone.to_ambiguous_timestamp(self.wall);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(self.wall).ok(),
            // The offset before the change is the larger one in a fold, so this is the earlier instant.
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(self.wall).ok(),
            AmbiguousOffset::Gap { after, .. } => {
                // Read with the offset after the change, the wall time is before the change.
                let earlier = after.to_timestamp(self.wall).ok()?;
                zone.following(earlier).next().map(|transition| transition.timestamp())
            }
        }
    }
}

/// The numbers of exactly so many digits between the marks.
fn numbers(token: &Token<'_>, mark: char, digits: [usize; 3]) -> Option<[i16; 3]> {
    let mut parts = token.text.split(mark);
    let numbers = digits.map(|count| {
        let part = parts.next()?;
        (part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse().ok()).flatten()
    });
    let [Some(first), Some(second), Some(third)] = numbers else { return None };
    parts.next().is_none().then_some([first, second, third])
}

fn three<T, E>(parts: [Result<T, E>; 3]) -> Option<[T; 3]> {
    let [Ok(first), Ok(second), Ok(third)] = parts else { return None };
    Some([first, second, third])
}

impl fmt::Display for At {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.wall.date(), self.wall.time());
        write!(out, "at({:04}-{:02}-{:02} ", date.year(), date.month(), date.day())?;
        write!(out, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
        if let Some(zone) = &self.zone {
            write!(out, " {zone}")?;
        }
        out.write_str(")")
    }
}
