//! Ten years of schedules, compared with two other implementations: one that tries every day with Python's own calendar
//! and zones, and `croniter`.
//!
//! Python runs in a virtual environment that the test makes under the target directory. Where it or the network is
//! missing, the test says so and passes on a developer's machine, and fails where `CI` is set.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../signing/tests/fixture/python.rs"]
mod python;

use std::fs;
use std::process::Command;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orderly_model::schedule::Frequency;
use python::{or_skip, run};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ten_years");

/// All times from 2024 to 2033, in unix seconds.
fn ten_years(frequency: &Frequency, zone: &TimeZone) -> Vec<i64> {
    let (start, end): (Timestamp, Timestamp) =
        ("2024-01-01T00:00:00Z".parse().unwrap(), "2034-01-01T00:00:00Z".parse().unwrap());
    let mut last = start.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap();
    let next = || {
        last = frequency.next_after(last, zone, start).filter(|due| *due < end)?;
        Some(last.as_second())
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn ten_years_of_cron_are_due_as_by_two_other_implementations() {
    let python = python::with("ten-years-venv", &format!("{HERE}/requirements.txt"));
    let Some(python) = or_skip(python) else { return };
    let (oracle, expressions) = (format!("{HERE}/oracle.py"), format!("{HERE}/expressions.txt"));
    let said = run(Command::new(python).arg(oracle).arg(&expressions)).unwrap();
    let mut checked = Vec::new();
    for line in said.lines() {
        let mut parts = line.split('\t');
        let (way, text) = (parts.next().unwrap(), parts.next().unwrap());
        let frequency: Frequency = text.parse().unwrap();
        let zone = match frequency.zone() {
            Some(written) if way == "days" => {
                written.fixed().unwrap_or_else(|| TimeZone::get(written.name().unwrap()).unwrap())
            }
            _ => TimeZone::UTC,
        };
        let expected: Vec<i64> = parts.map(|second| second.parse().unwrap()).collect();
        let ours = ten_years(&frequency, &zone);
        let differs = ours.iter().zip(&expected).position(|(ours, theirs)| ours != theirs);
        let place = differs.unwrap_or(ours.len().min(expected.len()));
        let at = |times: &[i64]| times.get(place).map(|second| Timestamp::from_second(*second).unwrap().to_string());
        assert!(ours == expected, "`{text}` by {way}: we say {:?} and they {:?}", at(&ours), at(&expected));
        assert!(!ours.is_empty(), "`{text}` shows nothing");
        checked.push((way, text));
    }
    let wanted = fs::read_to_string(expressions).unwrap();
    let by = |wanted: &str| checked.iter().filter(|(way, _)| *way == wanted).map(|(_, text)| *text).collect::<Vec<_>>();
    assert_eq!(by("days"), wanted.lines().collect::<Vec<_>>());
    assert!(by("croniter").len() >= 30, "{}", by("croniter").len());
}
