//! Tests of frequencies and of series.

mod changes;
mod grammar;
mod oracle;
mod properties;
mod series;
mod world;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Frequency;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn frequency(text: &str) -> Frequency {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// The zone of a frequency, as a caller looks it up on an instance in UTC.
fn zone_of(frequency: &Frequency) -> TimeZone {
    match frequency.zone() {
        None => TimeZone::UTC,
        Some(written) => written.fixed().unwrap_or_else(|| zone(written.name().unwrap())),
    }
}

/// The next `count` times after a time, in UTC.
fn next(text: &str, after: &str, count: usize) -> Vec<String> {
    let frequency = frequency(text);
    let zone = zone_of(&frequency);
    let after = time(after);
    let mut last = after;
    let step = || {
        last = frequency.next_after(last, &zone, after)?;
        Some(last.to_string())
    };
    std::iter::from_fn(step).take(count).collect()
}

/// Why a text is no frequency.
fn refusal(text: &str) -> String {
    text.parse::<Frequency>().unwrap_err().why().to_owned()
}
