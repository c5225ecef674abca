//! When an order runs: once, as a trial, or as a series that the agent keeps.
//!
//! Owns the fields and their bounds. When a series is due is the model's to say, from the words that are signed here.

use serde::{Deserialize, Serialize};

use crate::{document, error::Invalid};

/// Longest text of a frequency, in bytes.
pub const MAX_FREQUENCY_BYTES: usize = 256;

/// When an order runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Repeat {
    /// Once, at once.
    #[default]
    Once,
    /// Never: everything is checked, and what would run is told.
    DryRun,
    /// Again and again, or at a later time, by the agent's own clock.
    Series(Series),
}

impl Repeat {
    /// Whether it is the plain way.
    #[must_use]
    pub fn is_once(&self) -> bool {
        *self == Self::Once
    }
}

/// A series of runs. It is the invocation's: an order with the same invocation and a higher revision takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// 1 for the first order, higher for each that changes it.
    pub revision: u32,
    /// What makes it due.
    pub due: Due,
    /// Until when, exclusive, runs may begin, unix milliseconds; as long as it is due where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// What becomes of runs that were due while nothing could run.
    pub misfire: Misfire,
    /// What becomes of a run that is due while the last one is not over.
    pub overlap: Overlap,
}

/// What makes a run due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Due {
    /// The clock: `rate(…)`, `at(…)` or a cron expression, as the model parses them.
    Frequency(String),
    /// The instance's next start.
    NextReboot,
    /// Each start of the instance.
    EveryReboot,
}

/// What becomes of runs that were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Misfire {
    /// They are left out, and that is told.
    Skip,
    /// One run takes the place of all of them.
    RunOnce,
}

/// What becomes of a run that is due while the last one is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It is left out, and that is told.
    Skip,
    /// It waits; at most one does.
    Queue,
    /// The last one is ended for it.
    KillOld,
}

impl Repeat {
    /// Checks all bounds that the types do not check.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn validate(&self) -> Result<(), Invalid> {
        let Self::Series(series) = self else { return Ok(()) };
        document::within("repeat.revision", u64::from(series.revision), 1, u64::from(u32::MAX))?;
        if let Due::Frequency(frequency) = &series.due {
            document::text("repeat.due.frequency", frequency, MAX_FREQUENCY_BYTES, document::line)?;
        }
        if series.until_ms.is_some_and(|until| until < 0) {
            return Err(Invalid::new("repeat.until_ms", "is before 1970"));
        }
        Ok(())
    }
}
