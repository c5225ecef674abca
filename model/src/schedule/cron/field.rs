//! One field of a cron expression: a list of values, ranges and steps. Owns the fields' bounds and names.

use std::fmt;

use crate::schedule::cron::{CRON_YEAR_MAX, CRON_YEAR_MIN};
use crate::schedule::token::{Fault, Token};

/// A field's name, its first and last value, and the values' names from the first on.
pub(super) struct Kind {
    pub(super) name: &'static str,
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

pub(super) const SECOND: Kind = Kind { name: "second", min: 0, max: 59, names: &[] };
pub(super) const MINUTE: Kind = Kind { name: "minute", min: 0, max: 59, names: &[] };
pub(super) const HOUR: Kind = Kind { name: "hour", min: 0, max: 23, names: &[] };
pub(super) const DAY: Kind = Kind { name: "day", min: 1, max: 31, names: &[] };
pub(super) const MONTH: Kind = Kind {
    name: "month",
    min: 1,
    max: 12,
    names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
};
pub(super) const WEEKDAY: Kind =
    Kind { name: "weekday", min: 1, max: 7, names: &["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"] };
pub(super) const YEAR: Kind = Kind { name: "year", min: CRON_YEAR_MIN as u32, max: CRON_YEAR_MAX as u32, names: &[] };

impl Kind {
    /// The value that the token is, by number or by name.
    pub(super) fn value(&self, token: &Token<'_>) -> Result<u32, Fault> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(token.text));
        let named = named.and_then(|place| u32::try_from(place).ok()).map(|place| self.min + place);
        let value = named.or_else(|| token.number().filter(|value| (self.min..=self.max).contains(value)));
        value.ok_or_else(|| token.fault(self.name, self.mend(token)))
    }

    fn mend(&self, token: &Token<'_>) -> String {
        let (first, last) = (self.names.first(), self.names.last());
        let names = first.zip(last).map(|(first, last)| format!(" or {first} to {last}")).unwrap_or_default();
        let range = format!("write a number from {} to {}{names}", self.min, self.max);
        match token.text {
            "0" | "00" if self.name == WEEKDAY.name => format!("{range}; 1 is Monday and 7 is Sunday"),
            "?" => format!("write `*`; `?` is for the day or the weekday (here: {range})"),
            "*" => format!("`*` stands alone or before `/`; leave the rest of the list out, or {range}"),
            text if text.starts_with("00") => format!("{range}, with at most one leading zero"),
            _ => range,
        }
    }

    /// The largest step that is not the same as none.
    fn step_max(&self) -> u32 {
        self.max - self.min
    }
}

/// One entry of a field's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Item {
    span: Span,
    step: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Span {
    All,
    One(u32),
    Range(u32, u32),
}

impl Item {
    /// `*` is one only where a step follows: alone it is a whole field, which the caller has handled.
    pub(super) fn parse(token: &Token<'_>, kind: &Kind) -> Result<Self, Fault> {
        let (span, step) = match token.cut('/') {
            Some((span, step)) => (span, Some(step)),
            None => (*token, None),
        };
        let step = step.map(|step| {
            let max = kind.step_max();
            let mend = || step.fault(&format!("step of the {}", kind.name), format!("write a number from 1 to {max}"));
            step.number().filter(|step| (1..=max).contains(step)).ok_or_else(mend)
        });
        let step = step.transpose()?;
        if span.text == "*" && step.is_some() {
            return Ok(Self { span: Span::All, step });
        }
        let Some((first, last)) = span.cut('-') else {
            return Ok(Self { span: Span::One(kind.value(&span)?), step });
        };
        let (from, to) = (kind.value(&first)?, kind.value(&last)?);
        if from > to {
            let mend = format!("write two ranges: `{from}-{},{}-{to}`", kind.max, kind.min);
            return Err(span.fault(kind.name, format!("the range goes down; {mend}")));
        }
        Ok(Self { span: Span::Range(from, to), step })
    }

    pub(super) fn has(&self, value: u32, kind: &Kind) -> bool {
        let (from, to) = match self.span {
            Span::All => (kind.min, kind.max),
            Span::One(value) => (value, if self.step.is_some() { kind.max } else { value }),
            Span::Range(from, to) => (from, to),
        };
        (from..=to).contains(&value) && (value - from).is_multiple_of(self.step.unwrap_or(1))
    }

    pub(super) fn bits(&self, kind: &Kind) -> Bits {
        Bits::of((kind.min..=kind.max).filter(|value| self.has(*value, kind)))
    }

    fn first_written(&self) -> Option<u32> {
        match self.span {
            Span::All => None,
            Span::One(value) | Span::Range(value, _) => Some(value),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.span {
            Span::All => out.write_str("*")?,
            Span::One(value) => write!(out, "{value}")?,
            Span::Range(from, to) => write!(out, "{from}-{to}")?,
        }
        self.step.map_or(Ok(()), |step| write!(out, "/{step}"))
    }
}

/// All of a field that has no words of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Items {
    /// `*`
    All,
    /// A list of at least one.
    Listed(Vec<Item>),
}

impl Items {
    pub(super) fn parse(token: &Token<'_>, kind: &Kind) -> Result<Self, Fault> {
        if token.text == "*" {
            return Ok(Self::All);
        }
        token.list().map(|item| Item::parse(&item, kind)).collect::<Result<_, _>>().map(Self::Listed)
    }

    pub(super) fn has(&self, value: u32, kind: &Kind) -> bool {
        match self {
            Self::All => (kind.min..=kind.max).contains(&value),
            Self::Listed(items) => items.iter().any(|item| item.has(value, kind)),
        }
    }

    /// The values. Only for fields whose values are below 64: all but the year.
    pub(super) fn bits(&self, kind: &Kind) -> Bits {
        match self {
            Self::All => Bits::of(kind.min..=kind.max),
            Self::Listed(items) => items.iter().fold(Bits::default(), |all, item| all.or(item.bits(kind))),
        }
    }

    /// Whether it names an interval: `*`, a step, or all values one by one.
    pub(super) fn is_interval(&self, kind: &Kind) -> bool {
        let stepped = match self {
            Self::All => true,
            Self::Listed(items) => items.iter().any(|item| item.step.is_some()),
        };
        stepped || self.bits(kind) == Bits::of(kind.min..=kind.max)
    }

    pub(super) fn first_written(&self) -> Option<u32> {
        match self {
            Self::All => None,
            Self::Listed(items) => items.iter().filter_map(Item::first_written).min(),
        }
    }
}

impl fmt::Display for Items {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => out.write_str("*"),
            Self::Listed(items) => list(items, out),
        }
    }
}

/// Writes entries with commas between.
pub(super) fn list<T: fmt::Display>(items: &[T], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.write_str(",")?;
        }
        item.fmt(out)?;
    }
    Ok(())
}

/// A set of values below 64.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bits(u64);

impl Bits {
    pub(super) fn of(values: impl Iterator<Item = u32>) -> Self {
        Self(values.fold(0, |bits, value| bits | 1_u64.checked_shl(value).unwrap_or(0)))
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn has(self, value: u32) -> bool {
        self.0.checked_shr(value).unwrap_or(0) & 1 == 1
    }

    /// The first value at or after `from`.
    pub(super) fn next(self, from: u32) -> Option<u32> {
        let rest = self.0.checked_shr(from).unwrap_or(0);
        (rest != 0).then(|| from + rest.trailing_zeros())
    }

    /// The last value.
    pub(super) fn last(self) -> Option<u32> {
        self.0.checked_ilog2()
    }

    /// The least difference of two values.
    pub(super) fn shortest_gap(self) -> Option<u32> {
        let mut gaps = None;
        let mut value = self.next(0)?;
        while let Some(next) = self.next(value + 1) {
            gaps = Some(gaps.map_or(next - value, |gap: u32| gap.min(next - value)));
            value = next;
        }
        gaps
    }
}
