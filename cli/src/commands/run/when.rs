//! When to run, where it is not once and at once: the options of a schedule or a boot mode.
//!
//! Owns what they come to, and tells before anything is signed what no instance could keep. The grammar is the model's.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use orderly_model::schedule::{Frequency, Zone};
use orderly_signing::order::{Due, Misfire, Overlap};
use orderly_wire::http::series::RunSeries;

use crate::args::seconds;
use crate::error::{Failure, OrFail as _};

/// Times that are told before anything is signed.
const TOLD: usize = 5;

/// When to run.
#[derive(Debug, Args)]
pub(in crate::commands) struct WhenArgs {
    /// Run it again and again after this time, 60s to 7d and more than a run may take: each instance keeps the time by itself
    #[arg(long, value_name = "SPAN", group = "when", value_parser = period)]
    every: Option<String>,
    /// Run it by the calendar, such as '0 0 3 ? * * UTC': second, minute, hour, day, month, weekday (1 is Monday), perhaps year and zone
    #[arg(long, value_name = "EXPRESSION", group = "when")]
    cron: Option<String>,
    /// Run it once at this time, such as '2030-01-01 03:00:00 Europe/Berlin'; UTC where no zone is written
    #[arg(long, value_name = "TIME", group = "when")]
    at: Option<String>,
    /// Run it once, at the next start of each instance
    #[arg(long, group = "when")]
    next_boot: bool,
    /// Run it at every start of each instance
    #[arg(long, group = "when")]
    every_boot: bool,
    /// Let no run begin after this span from now
    #[arg(long, value_name = "SPAN", requires = "when", value_parser = seconds)]
    until: Option<u64>,
    /// What becomes of runs that were missed
    #[arg(long, value_enum, requires = "when", default_value_t = Missed::Skip)]
    misfire: Missed,
    /// What becomes of a run that is due while the last one is not over
    #[arg(long, value_enum, requires = "when", default_value_t = Meets::Skip)]
    overlap: Meets,
}

/// What becomes of runs that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Missed {
    /// They are left out
    Skip,
    /// One run takes the place of all of them
    RunOnce,
}

/// What becomes of a run that is due while the last one is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Meets {
    /// It is left out
    Skip,
    /// It waits; at most one does
    Queue,
    /// The last one is ended for it
    KillOld,
}

/// Reads a period: a span, or `rate(…)` as Cloud Assistant writes it.
fn period(text: &str) -> Result<String, String> {
    if text.starts_with("rate(") {
        return Ok(text.to_owned());
    }
    seconds(text).map(|seconds| format!("rate({seconds}s)"))
}

impl WhenArgs {
    /// The series that is asked for, with a line that tells when it is due; nothing where it runs once and at once.
    ///
    /// # Errors
    /// The frequency is not understood, or no run could keep it.
    pub(in crate::commands) fn read(
        &self,
        timeout_s: u32,
        now_ms: i64,
    ) -> Result<Option<(RunSeries, String)>, Failure> {
        let until_ms = self.until.map(|span| {
            let span = i64::try_from(span).unwrap_or(i64::MAX).saturating_mul(1000);
            now_ms.saturating_add(span)
        });
        let at = self.at.as_ref().map(|at| if at.starts_with("at(") { at.clone() } else { format!("at({at})") });
        let (due, told) = match self.every.clone().or_else(|| self.cron.clone()).or(at) {
            Some(frequency) => {
                let told = told(&frequency, timeout_s, now_ms, until_ms)?;
                (Due::Frequency(frequency), told)
            }
            None if self.next_boot => (Due::NextReboot, "due at the next start of each instance".to_owned()),
            None if self.every_boot => (Due::EveryReboot, "due at every start of each instance".to_owned()),
            None => return Ok(None),
        };
        let misfire = match self.misfire {
            Missed::Skip => Misfire::Skip,
            Missed::RunOnce => Misfire::RunOnce,
        };
        let overlap = match self.overlap {
            Meets::Skip => Overlap::Skip,
            Meets::Queue => Overlap::Queue,
            Meets::KillOld => Overlap::KillOld,
        };
        Ok(Some((RunSeries { due, until_ms, misfire, overlap }, told)))
    }
}

/// When a frequency is due next, and before its end, in words.
fn told(text: &str, timeout_s: u32, now_ms: i64, until_ms: Option<i64>) -> Result<String, Failure> {
    let frequency: Frequency = text.parse().or_usage(|| "the schedule is not understood".to_owned())?;
    let (zone, own) = match frequency.zone() {
        None => (TimeZone::UTC, true),
        Some(zone) => (zone_of(zone)?, false),
    };
    let now = Timestamp::from_millisecond(now_ms).or_setup(|| "this machine's clock shows no time".to_owned())?;
    frequency.check(now, &zone, timeout_s).or_usage(|| format!("no instance could keep `{text}`"))?;
    // An end that no timestamp can hold is none.
    let until = until_ms.and_then(|until_ms| Timestamp::from_millisecond(until_ms).ok());
    if let Some(until) = until {
        let zone = (!own).then_some(&zone);
        frequency
            .check_until(now, zone, until)
            .or_usage(|| format!("no instance could keep `{text}` with `--until`"))?;
    }
    if own {
        return Ok(format!("due by `{text}` in each instance's own time zone"));
    }
    let next = |after: &Timestamp| frequency.next_after(*after, &zone, now);
    let times = std::iter::successors(next(&now), next).take_while(|time| until.is_none_or(|until| *time < until));
    let times: Vec<String> = times.take(TOLD).map(|time| time.strftime("%F %T").to_string()).collect();
    Ok(format!("due next (UTC): {}", times.join(", ")))
}

fn zone_of(zone: &Zone) -> Result<TimeZone, Failure> {
    if let Some(fixed) = zone.fixed() {
        return Ok(fixed);
    }
    jiff::tz::db().get(zone.name().unwrap_or_default()).or_usage(|| format!("there is no time zone `{zone}` here"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        when: WhenArgs,
    }

    /// 2026-11-24 12:00:00 UTC.
    const NOW_MS: i64 = 1_795_521_600_000;

    fn read(words: &[&str]) -> Option<Result<Option<(RunSeries, String)>, Failure>> {
        let line = Line::try_parse_from(["x"].iter().chain(words)).ok()?;
        Some(line.when.read(60, NOW_MS))
    }

    #[test]
    fn what_is_due_is_told_before_it_is_signed() {
        assert_eq!(read(&[]).unwrap().unwrap(), None);
        let (series, told) = read(&["--every", "5m", "--until", "1h"]).unwrap().unwrap().unwrap();
        assert_eq!(series.due, Due::Frequency("rate(300s)".to_owned()));
        assert_eq!(series.until_ms, Some(NOW_MS + 3_600_000));
        assert!(told.starts_with("due next (UTC): 2026-11-24 12:05:00, 2026-11-24 12:10:00"), "{told}");
        let (_, told) = read(&["--cron", "0 0 3 ? * * UTC"]).unwrap().unwrap().unwrap();
        assert!(told.contains("2026-11-25 03:00:00"), "{told}");
        let (_, told) = read(&["--cron", "0 0 3 ? * *"]).unwrap().unwrap().unwrap();
        assert!(told.contains("own time zone"), "{told}");
        let (series, _) = read(&["--at", "2030-01-01 03:00:00"]).unwrap().unwrap().unwrap();
        assert_eq!(series.due, Due::Frequency("at(2030-01-01 03:00:00)".to_owned()));
        let (series, _) = read(&["--every-boot", "--overlap", "kill-old"]).unwrap().unwrap().unwrap();
        assert_eq!((series.due, series.overlap), (Due::EveryReboot, Overlap::KillOld));
    }

    #[test]
    fn times_from_the_end_on_are_not_told_and_what_has_no_other_is_not_signed() {
        let (_, told) = read(&["--every", "1h", "--until", "3h"]).unwrap().unwrap().unwrap();
        assert_eq!(told, "due next (UTC): 2026-11-24 13:00:00, 2026-11-24 14:00:00");
        for words in [["--every", "1h"], ["--cron", "0 0 3 ? * * UTC"], ["--at", "2030-01-01 03:00:00"]] {
            let words = [words.as_slice(), &["--until", "1h"]].concat();
            assert!(read(&words).unwrap().is_err(), "{words:?}");
        }
    }

    #[test]
    fn what_no_instance_could_keep_is_not_signed() {
        for words in
            [["--every", "60s"], ["--cron", "daily"], ["--at", "2020-01-01 00:00:00"], ["--cron", "* * * * * ?"]]
        {
            assert!(read(&words).unwrap().is_err(), "{words:?}");
        }
        assert!(read(&["--every", "5m", "--next-boot"]).is_none(), "two of them");
        assert!(read(&["--overlap", "queue"]).is_none(), "of nothing");
    }
}
