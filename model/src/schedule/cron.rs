//! Cron expressions: six or seven fields and a zone. Owns the expression as a whole and the next wall time that it names.
//!
//! Which instant a wall time is, is `next`'s to say.

mod days;
mod field;

use std::fmt;

use jiff::Timestamp;
use jiff::tz::Offset;

use self::days::Days;
use self::field::{Bits, HOUR, Items, MINUTE, MONTH, SECOND, YEAR};
use super::token::{Fault, Token};
use super::zone::Zone;

/// The first year that a cron expression or a time may name.
pub(super) const CRON_YEAR_MIN: u16 = 1970;
/// The last year that a cron expression or a time may name; nothing is due later.
pub const CRON_YEAR_MAX: u16 = 2099;

/// `<second> <minute> <hour> <day> <month> <weekday> [year] [zone]`, as Cloud Assistant has it.
///
/// | field | values | special |
/// |---|---|---|
/// | second, minute | 0-59 | `* , - /` |
/// | hour | 0-23 | `* , - /` |
/// | day | 1-31 | `* , - / ?`, `L` last day, `15W` weekday (Monday to Friday) of the month that is nearest to the 15th, `LW` last weekday |
/// | month | 1-12, JAN-DEC | `* , - /` |
/// | weekday | 1-7, 1 = Monday, MON-SUN | `* , - / ?`, `6L` last Saturday, `4#2` second Thursday |
/// | year | 1970-2099; any where none is written | `* , - /` (`*/n` counts from 1970) |
///
/// `a/n` runs from a to the field's end. Numbers have at most one leading zero. Where a day or a weekday is given, the
/// other is `?`; `*` in both is every day. A month without a 31st has no `31W` either. What starts with a letter in the
/// seventh field is a zone. Ranges that go down are refused rather than empty.
///
/// **When the wall clock is changed** (daylight saving time), by how the time of day is written:
///
/// | written | a time that does not exist | times that exist twice |
/// |---|---|---|
/// | hour, minute and second without `*` and `/` | one run at the first instant after the gap | the first time only |
/// | hour without, minute or second with `*` or `/` | one run at the first instant after the gap | each time |
/// | hour with `*` or `/`, or all 24 of them | no run of its own | each time |
///
/// So what names times of the day is neither lost nor doubled, and what names an interval keeps it. All times in one gap
/// come to one run, which is also the run of that instant where the expression names it anyway.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cron {
    second: Items,
    minute: Items,
    hour: Items,
    days: Days,
    month: Items,
    year: Option<Items>,
    zone: Option<Zone>,
}

impl Cron {
    /// The zone in which it is meant; nothing where it is the instance's own.
    pub fn zone(&self) -> Option<&Zone> {
        self.zone.as_ref()
    }

    pub(super) fn parse(token: &Token<'_>) -> Result<Self, Fault> {
        let words = token.words();
        let [second, minute, hour, day, month, weekday, rest @ ..] = words.as_slice() else {
            let mend = "write `rate(5m)`, `at(2030-01-31 10:00:00)`, or the six fields `second minute hour day month weekday`, \
                        then a year and a time zone where you need them";
            return Err(token.fault(&format!("number of fields ({})", words.len()), mend));
        };
        let (year, zone) = match rest {
            [] => (None, None),
            [one] if one.text.starts_with(|first: char| first.is_ascii_alphabetic()) => (None, Some(one)),
            [year] => (Some(year), None),
            [year, zone] => (Some(year), Some(zone)),
            [_, _, more, ..] => {
                return Err(more.fault("field", "leave it out: the year and the time zone are the last two"));
            }
        };
        Ok(Self {
            second: Items::parse(second, &SECOND)?,
            minute: Items::parse(minute, &MINUTE)?,
            hour: Items::parse(hour, &HOUR)?,
            days: Days::parse(day, weekday)?,
            month: Items::parse(month, &MONTH)?,
            year: year.map(|year| Items::parse(year, &YEAR)).transpose()?,
            zone: zone.map(Zone::parse).transpose()?,
        })
    }

    /// Whether a time that falls into a gap is made up for at its end.
    pub(super) fn makes_up_for_gaps(&self) -> bool {
        !self.hour.is_interval(&HOUR)
    }

    /// Whether times that exist twice are due twice.
    pub(super) fn is_due_in_both_passes(&self) -> bool {
        self.hour.is_interval(&HOUR) || self.minute.is_interval(&MINUTE) || self.second.is_interval(&SECOND)
    }

    /// The first year that it names, where it names one itself (not by `*`).
    pub(super) fn first_year_written(&self) -> Option<u32> {
        self.year.as_ref()?.first_written()
    }

    /// The first wall time at or after `from` that it names, both in seconds since 1970 by the wall clock.
    ///
    /// Jumps by fields: at most the months up to [`CRON_YEAR_MAX`] are looked at.
    pub(super) fn next_wall(&self, from: i64) -> Option<i64> {
        let from = Offset::UTC.to_datetime(Timestamp::from_second(from).ok()?);
        let today = |date: (i16, i8, i8)| date == (from.year(), from.month(), from.day());
        let months = self.month.bits(&MONTH);
        for year in from.year()..=i16::try_from(CRON_YEAR_MAX).ok()? {
            if !self.has_year(year) {
                continue;
            }
            let first_month = if year == from.year() { from.month() } else { 1 };
            let mut month = first_month;
            while let Some(found) = months.next(u32::try_from(month).ok()?) {
                month = i8::try_from(found).ok()?;
                let first_day = if (year, month) == (from.year(), from.month()) { from.day() } else { 1 };
                let days = self.days.of_month(year, month)?;
                let mut next_day = u32::try_from(first_day).ok()?;
                while let Some(day) = days.next(next_day) {
                    let at = if today((year, month, i8::try_from(day).ok()?)) {
                        self.next_time((from.hour(), from.minute(), from.second()))
                    } else {
                        self.next_time((0, 0, 0))
                    };
                    if let Some((hour, minute, second)) = at {
                        let date = jiff::civil::Date::new(year, month, i8::try_from(day).ok()?).ok()?;
                        let wall = date.at(hour, minute, second, 0);
                        return Some(Offset::UTC.to_timestamp(wall).ok()?.as_second());
                    }
                    next_day = day + 1;
                }
                month += 1;
            }
        }
        None
    }

    /// The first time of day at or after this one that it names.
    fn next_time(&self, (hour, minute, second): (i8, i8, i8)) -> Option<(i8, i8, i8)> {
        let [hours, minutes, seconds] = self.times();
        let small = |value: u32| i8::try_from(value).ok();
        let wide = |value: i8| u32::try_from(value).ok();
        let (hour, minute, second) = (wide(hour)?, wide(minute)?, wide(second)?);
        let (first_minute, first_second) = (minutes.next(0)?, seconds.next(0)?);
        if hours.has(hour) {
            if minutes.has(minute)
                && let Some(second) = seconds.next(second)
            {
                return Some((small(hour)?, small(minute)?, small(second)?));
            }
            if let Some(minute) = minutes.next(minute + 1) {
                return Some((small(hour)?, small(minute)?, small(first_second)?));
            }
        }
        let hour = hours.next(hour + 1)?;
        Some((small(hour)?, small(first_minute)?, small(first_second)?))
    }

    fn has_year(&self, year: i16) -> bool {
        let Some(years) = &self.year else { return true };
        u32::try_from(year).is_ok_and(|year| years.has(year, &YEAR))
    }

    /// The shortest time by the wall clock, in seconds, between two times from the year `from` on; nothing where there
    /// are not two.
    pub(super) fn shortest_interval_s(&self, from: i16) -> Option<u32> {
        let [hours, minutes, seconds] = self.times();
        let in_minute = (seconds.next(0)?, seconds.last()?);
        let in_hour = (minutes.next(0)? * 60 + in_minute.0, minutes.last()? * 60 + in_minute.1);
        let in_day = (hours.next(0)? * 3600 + in_hour.0, hours.last()? * 3600 + in_hour.1);
        let across = |gap: Option<u32>, unit: u32, (first, last): (u32, u32)| Some(gap? * unit + first - last);
        let (nearest, any) = self.nearest_days(from);
        let within = [
            seconds.shortest_gap(),
            across(minutes.shortest_gap(), 60, in_minute),
            across(hours.shortest_gap(), 3600, in_hour),
        ];
        let within = if any { within.into_iter().flatten().min() } else { None };
        within.into_iter().chain(across(nearest, 86_400, in_day)).min()
    }

    /// The fewest days between two days that it names from the year `from` on, and whether it names any.
    fn nearest_days(&self, from: i16) -> (Option<u32>, bool) {
        let months = self.month.bits(&MONTH);
        let (mut before, mut last, mut nearest): (u32, Option<u32>, Option<u32>) = (0, None, None);
        for year in from..=i16::try_from(CRON_YEAR_MAX).unwrap_or(i16::MAX) {
            for month in 1..=12_i8 {
                let named = self.has_year(year) && u32::try_from(month).is_ok_and(|month| months.has(month));
                let days = named.then(|| self.days.of_month(year, month)).flatten().unwrap_or_default();
                let mut next = 1;
                while let Some(day) = days.next(next) {
                    let number = before + day;
                    if let Some(last) = last {
                        nearest = Some(nearest.map_or(number - last, |nearest| nearest.min(number - last)));
                    }
                    if nearest == Some(1) {
                        return (nearest, true);
                    }
                    (last, next) = (Some(number), day + 1);
                }
                before += days::length(year, month).unwrap_or(31);
            }
        }
        (nearest, last.is_some())
    }

    fn times(&self) -> [Bits; 3] {
        [self.hour.bits(&HOUR), self.minute.bits(&MINUTE), self.second.bits(&SECOND)]
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (day, weekday) = self.days.written();
        write!(out, "{} {} {} {day} {} {weekday}", self.second, self.minute, self.hour, self.month)?;
        if let Some(year) = &self.year {
            write!(out, " {year}")?;
        }
        if let Some(zone) = &self.zone {
            write!(out, " {zone}")?;
        }
        Ok(())
    }
}
