//! What a request says of when it is due, checked before anything is signed or stored.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orderly_model::error::ParseError;
use orderly_model::schedule::{Frequency, Zone};
use orderly_signing::order::{Action, Due, Repeat, ScriptAction};
use orderly_wire::http::problem::Fault;
use orderly_wire::http::series::RunSeries;

use super::super::problem::ApiError;

/// When an order of this request runs.
///
/// # Errors
/// All that is wrong with the series.
pub(super) fn repeat(
    series: &Option<RunSeries>,
    dry_run: bool,
    rollout: bool,
    action: &Action,
    now_ms: i64,
) -> Result<Repeat, ApiError> {
    let Some(series) = series else { return Ok(if dry_run { Repeat::DryRun } else { Repeat::Once }) };
    let mut faults = Vec::new();
    let mut wrong = |field: &str, message: String| {
        faults.push(Fault { field: format!("series{field}"), message });
    };
    let timeout_s = match action {
        Action::Script(ScriptAction { timeout_s, .. }) => *timeout_s,
        Action::Plugin { timeout_s, .. } => {
            // Said here, since every agent would refuse it.
            wrong("", "is for scripts: no agent keeps the schedule of a plugin".to_owned());
            *timeout_s
        }
        Action::File(_) | Action::Collect(_) | Action::Stop { .. } => {
            wrong("", "is for scripts: files are moved once".to_owned());
            0
        }
    };
    if dry_run {
        wrong("", "does not go with `dry_run`: try it once, then schedule it".to_owned());
    }
    if rollout {
        wrong("", "does not go with `rollout`: each instance keeps its own time".to_owned());
    }
    if series.until_ms.is_some_and(|until| until <= now_ms) {
        wrong(".until_ms", "is over: write a time that is still to come".to_owned());
    }
    if let Due::Frequency(text) = &series.due
        && let Err((field, message)) = due(text, timeout_s, now_ms, series.until_ms)
    {
        wrong(field, message);
    }
    if faults.is_empty() { Ok(Repeat::Series(series.of_revision(1))) } else { Err(ApiError::faults(faults)) }
}

/// Whether a frequency can be used now. In the instances' own zone, which is not known here, it is looked at as if it were UTC.
/// What is wrong is answered with its field.
fn due(text: &str, timeout_s: u32, now_ms: i64, until_ms: Option<i64>) -> Result<(), (&'static str, String)> {
    let wrong = |message: String| (".due.frequency", message);
    let frequency: Frequency = text.parse().map_err(|error: ParseError| wrong(error.to_string()))?;
    let zone = match frequency.zone() {
        None => None,
        Some(zone) => Some(zone_of(zone).ok_or_else(|| wrong(format!("there is no time zone `{zone}`")))?),
    };
    let now = Timestamp::from_millisecond(now_ms).map_err(|error| wrong(error.to_string()))?;
    let known = zone.clone().unwrap_or(TimeZone::UTC);
    frequency.check(now, &known, timeout_s).map_err(|error| wrong(error.to_string()))?;
    // An end that is over is told already; one that no timestamp can hold is none.
    let until = until_ms.filter(|until_ms| *until_ms > now_ms).map(Timestamp::from_millisecond);
    let Some(Ok(until)) = until else { return Ok(()) };
    frequency.check_until(now, zone.as_ref(), until).map_err(|error| (".until_ms", error.to_string()))
}

fn zone_of(zone: &Zone) -> Option<TimeZone> {
    zone.fixed().or_else(|| jiff::tz::db().get(zone.name()?).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_signing::order::{Misfire, Overlap};

    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    fn series(frequency: &str) -> RunSeries {
        let due = Due::Frequency(frequency.to_owned());
        RunSeries { due, until_ms: None, misfire: Misfire::Skip, overlap: Overlap::Skip }
    }

    #[test]
    fn a_schedule_that_no_run_could_keep_is_refused() {
        let action = Action::Script(ScriptAction { timeout_s: 60, ..ScriptAction::new(b"true") });
        let asked = |series: RunSeries| repeat(&Some(series), false, false, &action, NOW_MS);
        for good in ["rate(5m)", "0 0 3 ? * *", "0 0 3 ? * * Europe/Berlin", "at(2030-01-01 00:00:00)"] {
            assert!(matches!(asked(series(good)), Ok(Repeat::Series(_))), "{good}");
        }
        let bad = ["rate(60s)", "*/5 * * * * ?", "0 0 3 ? * * Europe/Nowhere", "at(2020-01-01 00:00:00)", "daily", ""];
        for bad in bad {
            assert!(asked(series(bad)).is_err(), "{bad}");
        }
        assert!(asked(RunSeries { until_ms: Some(NOW_MS), ..series("rate(5m)") }).is_err());
        let until = |minutes: i64| RunSeries { until_ms: Some(NOW_MS + minutes * 60_000), ..series("rate(5m)") };
        assert!(asked(until(6)).is_ok());
        assert!(asked(until(5)).is_err(), "it is over when it is due first");
        let boot = RunSeries { due: Due::EveryReboot, ..series("") };
        assert!(asked(boot.clone()).is_ok());
        assert!(repeat(&Some(boot.clone()), true, false, &action, NOW_MS).is_err(), "a trial");
        assert!(repeat(&Some(boot), false, true, &action, NOW_MS).is_err(), "a rollout");
        assert!(matches!(repeat(&None, false, false, &action, NOW_MS), Ok(Repeat::Once)));
    }
}
