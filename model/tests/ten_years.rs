//! Ten years of schedules, compared with two other implementations: one that tries every day with Python's own calendar
//! and zones, and `croniter`.
//!
//! Python runs in a virtual environment that the test makes under the target directory. Where it or the network is
//! missing, the test says so and passes on a developer's machine, and fails where `CI` is set.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orderly_model::schedule::Frequency;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ten_years");

/// Runs a program to its end; its output, or what went wrong.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("{command:?}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)))
    }
}

/// The Python of a virtual environment with what `requirements.txt` names; made once, again when that changes.
fn python() -> Result<PathBuf, String> {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let venv = temporary.parent().unwrap_or(temporary).join("ten-years-venv");
    let wanted = fs::read_to_string(format!("{HERE}/requirements.txt")).unwrap();
    let (stamp, python) = (venv.join("requirements.txt"), venv.join("bin/python"));
    // Two runs at once share the directory; the lock goes with the file handle.
    let lock = File::create(venv.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "2", "-r"];
    run(Command::new(&python).args(pip).arg(format!("{HERE}/requirements.txt")))?;
    fs::write(&stamp, wanted).unwrap();
    Ok(python)
}

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
    let python = match python() {
        Ok(python) => python,
        Err(why) if env::var_os("CI").is_some() => panic!("needed in CI: {why}"),
        Err(why) => return eprintln!("skipped: {why}"),
    };
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
