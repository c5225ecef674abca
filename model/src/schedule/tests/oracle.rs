//! A slow second opinion: whether an expression is due at a second, from its text, the wall clock then and a second before.
//!
//! Shares nothing with the code under test but the written rule.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// All seconds after `after`, up to `seconds` later, at which the expression is due.
pub(super) fn walk(text: &str, zone: &TimeZone, after: Timestamp, seconds: i64) -> Vec<i64> {
    let fields: Vec<&str> = text.split(' ').collect();
    let interval = |field: usize| {
        let max = if field == 2 { 23 } else { 59 };
        let all = || (0..=max).all(|value| fields[field].split(',').any(|item| in_item(item, value, 0, max)));
        fields[field].contains(['*', '/']) || all()
    };
    let first = after.as_second() + 1;
    (first..first + seconds)
        .filter(|second| {
            let wall = |second: i64| zone.to_datetime(Timestamp::from_second(second).unwrap());
            let (now, before) = (wall(*second), wall(second - 1));
            let passed = now.duration_since(before).as_secs() - 1;
            if passed > 0 && !interval(2) {
                // The wall times that were left out, and this one.
                let lost = (0..=passed).map(|back| now.checked_sub(jiff::SignedDuration::from_secs(back)).unwrap());
                return lost.into_iter().any(|lost| matches(&fields, lost));
            }
            let again = || {
                // Whether the same wall time was there before, up to three hours ago.
                (1..=3 * 3600).step_by(60).any(|back| {
                    let earlier = wall(second - back);
                    earlier.duration_since(now).as_secs() >= 0
                })
            };
            matches(&fields, now) && (interval(0) || interval(1) || interval(2) || !again())
        })
        .collect()
}

fn matches(fields: &[&str], wall: DateTime) -> bool {
    let numbers = [wall.second(), wall.minute(), wall.hour()].map(i64::from);
    let in_list =
        |field: &str, value: i64, max: i64, min: i64| field.split(',').any(|item| in_item(item, value, min, max));
    let (day, month) = (i64::from(wall.day()), i64::from(wall.month()));
    let (length, weekday) = (i64::from(wall.days_in_month()), i64::from(wall.weekday().to_monday_one_offset()));
    let working = |day: i64| {
        let date = wall.date().with().day(i8::try_from(day).unwrap()).build().unwrap();
        date.weekday().to_monday_one_offset() <= 5
    };
    // The nearest by trying all: distance first, and for equal ones there is no Saturday with a Friday and Monday as near.
    let nearest =
        |wanted: i64| (1..=length).filter(|day| working(*day)).min_by_key(|day| (day - wanted).abs()).unwrap();
    let day_item = |item: &str| match item {
        "L" => day == length,
        "LW" => day == (1..=length).filter(|day| working(*day)).max().unwrap(),
        _ => match item.strip_suffix('W') {
            Some(wanted) => wanted.parse::<i64>().unwrap() <= length && day == nearest(wanted.parse().unwrap()),
            None => in_item(item, day, 1, 31),
        },
    };
    let weekday_item = |item: &str| match (item.strip_suffix('L'), item.split_once('#')) {
        (Some(wanted), _) => weekday == wanted.parse::<i64>().unwrap() && day + 7 > length,
        (_, Some((wanted, nth))) => {
            weekday == wanted.parse::<i64>().unwrap() && (day + 6) / 7 == nth.parse::<i64>().unwrap()
        }
        _ => in_item(item, weekday, 1, 7),
    };
    (0..3).all(|place| in_list(fields[place], numbers[place], if place == 2 { 23 } else { 59 }, 0))
        && in_list(fields[4], month, 12, 1)
        && (matches!(fields[3], "?" | "*") || fields[3].split(',').any(day_item))
        && (matches!(fields[5], "?" | "*") || fields[5].split(',').any(weekday_item))
}

fn in_item(item: &str, value: i64, min: i64, max: i64) -> bool {
    let (span, step) = item.split_once('/').map_or((item, None), |(span, step)| (span, step.parse::<i64>().ok()));
    let (from, to) = match (span, span.split_once('-')) {
        ("*", _) => (min, max),
        (_, Some((from, to))) => (from.parse().unwrap(), to.parse().unwrap()),
        _ => (span.parse().unwrap(), if step.is_some() { max } else { span.parse().unwrap() }),
    };
    (from..=to).contains(&value) && (value - from) % step.unwrap_or(1) == 0
}
