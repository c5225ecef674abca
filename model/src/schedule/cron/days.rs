//! The two day fields of a cron expression, of which one is given or none. Owns `L`, `W`, `LW`, `nL` and `n#k`.

use std::fmt;

use jiff::civil::Date;

use super::field::{Bits, DAY, Item, WEEKDAY, list};
use crate::schedule::token::{Fault, Token};

/// On which days.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Days {
    /// Every day; both fields are `*`, or one is `?`.
    Every(Every),
    /// Days of the month; the weekday is `?`.
    OfMonth(Vec<MonthDay>),
    /// Days of the week; the day is `?`.
    OfWeek(Vec<WeekDay>),
}

/// How every day is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Every {
    /// `*` in both fields.
    Both,
    /// `*` and `?`
    Day,
    /// `?` and `*`
    Weekday,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum MonthDay {
    Plain(Item),
    /// `L`
    Last,
    /// `LW`
    LastWeekday,
    /// `nW`
    Nearest(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum WeekDay {
    Plain(Item),
    /// `nL`
    Last(u32),
    /// `n#k`
    Nth(u32, u32),
}

impl Days {
    pub(super) fn parse(day: &Token<'_>, weekday: &Token<'_>) -> Result<Self, Fault> {
        match (day.text, weekday.text) {
            ("*", "*") => Ok(Self::Every(Every::Both)),
            ("*", "?") => Ok(Self::Every(Every::Day)),
            ("?", "*") => Ok(Self::Every(Every::Weekday)),
            ("?", "?") => {
                Err(weekday.fault("weekday", "write `*` for every day; only one of day and weekday can be `?`"))
            }
            ("?", _) => weekday.list().map(|item| WeekDay::parse(&item)).collect::<Result<_, _>>().map(Self::OfWeek),
            (_, "?") => day.list().map(|item| MonthDay::parse(&item)).collect::<Result<_, _>>().map(Self::OfMonth),
            ("*", _) => Err(day.fault("day", "write `?`, as the weekday is given")),
            (_, "*") => Err(weekday.fault("weekday", "write `?`, as the day is given")),
            _ => Err(weekday.fault("weekday", "give the day or the weekday, and write `?` for the other one")),
        }
    }

    /// The days of one month; nothing where there is no such month.
    pub(super) fn of_month(&self, year: i16, month: i8) -> Option<Bits> {
        let first = Date::new(year, month, 1).ok()?;
        let length = length(year, month)?;
        let shape = Month { length, first: u32::try_from(first.weekday().to_monday_one_offset()).ok()? };
        let all = Bits::of(1..=length);
        Some(match self {
            Self::Every(_) => all,
            Self::OfMonth(items) => Bits::of((1..=length).filter(|day| items.iter().any(|item| item.has(*day, shape)))),
            Self::OfWeek(items) => Bits::of((1..=length).filter(|day| items.iter().any(|item| item.has(*day, shape)))),
        })
    }

    /// The two fields as they are written: day and weekday.
    pub(super) fn written(&self) -> (String, String) {
        match self {
            Self::Every(Every::Both) => ("*".into(), "*".into()),
            Self::Every(Every::Day) => ("*".into(), "?".into()),
            Self::Every(Every::Weekday) => ("?".into(), "*".into()),
            Self::OfMonth(items) => (Listed(items).to_string(), "?".into()),
            Self::OfWeek(items) => ("?".into(), Listed(items).to_string()),
        }
    }
}

/// Days in a month; nothing where there is no such month.
pub(super) fn length(year: i16, month: i8) -> Option<u32> {
    u32::try_from(Date::new(year, month, 1).ok()?.days_in_month()).ok()
}

/// A month's length and the weekday of its first day, 1 = Monday.
#[derive(Clone, Copy)]
struct Month {
    length: u32,
    first: u32,
}

impl Month {
    /// 1 = Monday to 7 = Sunday.
    fn weekday(self, day: u32) -> u32 {
        (self.first + day + 5) % 7 + 1
    }

    /// The weekday in the month that is nearest to `day`; nothing where the month has no such day.
    fn nearest_weekday(self, day: u32) -> Option<u32> {
        if day > self.length {
            return None;
        }
        Some(match self.weekday(day) {
            6 if day == 1 => 3,
            6 => day - 1,
            7 if day == self.length => day - 2,
            7 => day + 1,
            _ => day,
        })
    }
}

impl MonthDay {
    fn parse(token: &Token<'_>) -> Result<Self, Fault> {
        match token.text {
            "L" | "l" => return Ok(Self::Last),
            "LW" | "lw" => return Ok(Self::LastWeekday),
            "W" | "w" => {
                let mend = "write a day before it: `15W` is the weekday nearest to the 15th, `LW` the month's last";
                return Err(token.fault(DAY.name, mend));
            }
            _ => {}
        }
        match token.without_suffix('W') {
            Some(day) => DAY.value(&day).map(Self::Nearest),
            None => Item::parse(token, &DAY).map(Self::Plain),
        }
    }

    fn has(self, day: u32, month: Month) -> bool {
        match self {
            Self::Plain(item) => item.has(day, &DAY),
            Self::Last => day == month.length,
            Self::LastWeekday => month.nearest_weekday(month.length) == Some(day),
            Self::Nearest(wanted) => month.nearest_weekday(wanted) == Some(day),
        }
    }
}

impl fmt::Display for MonthDay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(item) => item.fmt(out),
            Self::Last => out.write_str("L"),
            Self::LastWeekday => out.write_str("LW"),
            Self::Nearest(day) => write!(out, "{day}W"),
        }
    }
}

impl WeekDay {
    fn parse(token: &Token<'_>) -> Result<Self, Fault> {
        if matches!(token.text, "L" | "l") {
            return Err(token.fault(WEEKDAY.name, "write the weekday before it: `6L` is the last Saturday"));
        }
        if let Some((weekday, place)) = token.cut('#') {
            let weekday = WEEKDAY.value(&weekday)?;
            let nth = place.number().filter(|nth| (1..=5).contains(nth));
            let nth = nth.ok_or_else(|| place.fault("place after `#`", "write a number from 1 to 5"))?;
            return Ok(Self::Nth(weekday, nth));
        }
        match token.without_suffix('L') {
            Some(weekday) => WEEKDAY.value(&weekday).map(Self::Last),
            None => Item::parse(token, &WEEKDAY).map(Self::Plain),
        }
    }

    fn has(self, day: u32, month: Month) -> bool {
        match self {
            Self::Plain(item) => item.has(month.weekday(day), &WEEKDAY),
            Self::Last(weekday) => month.weekday(day) == weekday && day + 7 > month.length,
            Self::Nth(weekday, nth) => month.weekday(day) == weekday && (day - 1) / 7 + 1 == nth,
        }
    }
}

impl fmt::Display for WeekDay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(item) => item.fmt(out),
            Self::Last(weekday) => write!(out, "{weekday}L"),
            Self::Nth(weekday, nth) => write!(out, "{weekday}#{nth}"),
        }
    }
}

struct Listed<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(self.0, out)
    }
}
