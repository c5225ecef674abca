//! Frequencies in general: the parser is total, the normal form is stable, and the next time is the next one.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{oracle, zone};
use crate::schedule::{Frequency, Zone};

fn item(min: u32, max: u32) -> impl Strategy<Value = String> {
    let value = min..=max;
    prop_oneof![
        4 => value.clone().prop_map(|value| value.to_string()),
        1 => (value.clone(), value.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (1..=max - min).prop_map(|step| format!("*/{step}")),
        1 => (value.clone(), 1..=max - min).prop_map(|(from, step)| format!("{from}/{step}")),
        1 => (value.clone(), value, 1..=max - min).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
    ]
}

fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    let list = prop::collection::vec(item(min, max), 1..4).prop_map(|items| items.join(","));
    prop_oneof![1 => Just("*".to_owned()), 3 => list]
}

fn days() -> impl Strategy<Value = (String, String)> {
    let month_day = prop_oneof![
        4 => item(1, 31),
        1 => Just("L".to_owned()),
        1 => Just("LW".to_owned()),
        2 => (1..=31).prop_map(|day| format!("{day}W")),
    ];
    let weekday = prop_oneof![
        2 => item(1, 7),
        1 => (1..=7).prop_map(|day| format!("{day}L")),
        1 => (1..=7, 1..=5).prop_map(|(day, nth)| format!("{day}#{nth}")),
    ];
    let list = |items: Vec<String>| items.join(",");
    prop_oneof![
        4 => Just(("*".to_owned(), "?".to_owned())),
        1 => Just(("*".to_owned(), "*".to_owned())),
        2 => prop::collection::vec(month_day, 1..4).prop_map(move |items| (list(items), "?".to_owned())),
        2 => prop::collection::vec(weekday, 1..4).prop_map(move |items| ("?".to_owned(), list(items))),
    ]
}

fn cron() -> impl Strategy<Value = String> {
    (field(0, 59), field(0, 59), field(0, 23), days(), prop_oneof![2 => Just("*".to_owned()), 1 => field(1, 12)])
        .prop_map(|(second, minute, hour, (day, weekday), month)| {
            format!("{second} {minute} {hour} {day} {month} {weekday}")
        })
}

fn zone_text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("UTC".to_owned()),
        Just("Europe/Berlin".to_owned()),
        (any::<bool>(), 0..=14, 0..=59).prop_map(|(west, hours, minutes)| {
            let sign = if west && hours + minutes > 0 { '-' } else { '+' };
            format!("GMT{sign}{hours}:{minutes:02}")
        }),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let year = prop_oneof![Just("*".to_owned()), item(1970, 2099)];
    prop_oneof![
        cron(),
        (cron(), year).prop_map(|(cron, year)| format!("{cron} {year}")),
        (cron(), zone_text()).prop_map(|(cron, zone)| format!("{cron} {zone}")),
        (1_u32..=7, "[dh]").prop_map(|(count, unit)| format!("rate({count}{unit})")),
        (1970..=2099, 1..=12, 1..=28, 0..=23, 0..=59, zone_text()).prop_map(
            |(year, month, day, hour, minute, zone)| {
                format!("at({year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:07 {zone})")
            }
        ),
    ]
}

/// Around changes of the clock, and anywhere.
fn moment() -> impl Strategy<Value = (TimeZone, Timestamp)> {
    let changes = [
        ("Europe/Berlin", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-10-25T01:00:00Z"),
        ("America/New_York", "2026-03-08T07:00:00Z"),
        ("America/New_York", "2026-11-01T06:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        ("Asia/Kathmandu", "2027-02-28T18:15:00Z"),
        ("UTC", "2028-02-29T00:00:00Z"),
    ];
    (prop::sample::select(changes.to_vec()), -5_400_i64..1_800).prop_map(|((name, change), offset)| {
        let change: Timestamp = change.parse().unwrap();
        (zone(name), change.checked_add(SignedDuration::from_secs(offset)).unwrap())
    })
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused_in_print(text in ".{0,80}") {
        if let Err(error) = text.parse::<Frequency>() {
            prop_assert!(!error.to_string().chars().any(char::is_control));
        }
    }

    #[test]
    fn texts_of_the_right_letters_parse_or_are_refused(text in "[-0-9*?/,LW# A-Z():]{0,60}") {
        let _ = text.parse::<Frequency>();
        let _ = format!("0 0 {text}").parse::<Frequency>();
        let _ = format!("rate({text})").parse::<Frequency>();
        let _ = format!("at({text})").parse::<Frequency>();
    }

    #[test]
    fn the_normal_form_parses_as_the_same(text in text()) {
        let parsed: Frequency = text.parse().unwrap();
        prop_assert_eq!(&parsed.to_string(), &text);
        prop_assert_eq!(&parsed.to_string().parse::<Frequency>().unwrap(), &parsed);
        let json = serde_json::to_string(&parsed).unwrap();
        prop_assert_eq!(serde_json::from_str::<Frequency>(&json).unwrap(), parsed);
    }

    #[test]
    fn a_written_offset_is_what_it_says(west in any::<bool>(), hours in 0_i32..=14, minutes in 0_i32..=59) {
        let sign = if west { '-' } else { '+' };
        let parsed: Frequency = format!("0 0 0 * * ? GMT{sign}{hours}:{minutes:02}").parse().unwrap();
        let offset = parsed.zone().and_then(Zone::fixed).unwrap().to_fixed_offset().unwrap();
        prop_assert_eq!(offset.seconds(), (hours * 60 + minutes) * if west { -60 } else { 60 });
    }

    #[test]
    fn each_next_time_is_later(text in text(), second in 0_i64..4_000_000_000, ms in 0_i64..1000) {
        let frequency: Frequency = text.parse().unwrap();
        let start = Timestamp::from_millisecond(second * 1000 + ms).unwrap();
        let mut last = start;
        for _ in 0..5 {
            let Some(due) = frequency.next_after(last, &zone("Europe/Berlin"), start) else { break };
            prop_assert!(due > last);
            // Nothing lies between: asked from any time between, the answer is the same.
            let between = last.checked_add(due.duration_since(last) / 2).unwrap();
            prop_assert_eq!(frequency.next_after(between, &zone("Europe/Berlin"), start), Some(due));
            last = due;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_next_times_are_those_of_a_walk_over_all_seconds(text in cron(), (zone, after) in moment()) {
        const SECONDS: i64 = 4 * 3600;
        let frequency: Frequency = text.parse().unwrap();
        let end = after.as_second() + SECONDS;
        let mut last = after;
        let mut found = Vec::new();
        while let Some(due) = frequency.next_after(last, &zone, after).filter(|due| due.as_second() <= end) {
            found.push(due.as_second());
            last = due;
        }
        prop_assert_eq!(found, oracle::walk(&text, &zone, after, SECONDS));
    }
}
