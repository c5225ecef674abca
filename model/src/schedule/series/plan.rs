//! What is wanted of a series: the words of its signed order, parsed.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orderly_signing::order::{self, Due, Misfire, Overlap};

use crate::error::ParseError;
use crate::schedule::{Frequency, Zone};

/// What is wanted of a series. Made from the signed order only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    trigger: Trigger,
    revision: u32,
    created: Timestamp,
    until: Option<Timestamp>,
    misfire: Misfire,
    overlap: Overlap,
}

/// What makes a run due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// The clock.
    Clock(Frequency),
    /// The instance's next start.
    NextReboot,
    /// Each start of the instance.
    EveryReboot,
}

/// Why an order's series cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The frequency does not parse.
    #[error("the frequency of the series is not understood")]
    Frequency(#[source] ParseError),
    /// A time is outside of what a calendar holds.
    #[error("{field} of the series is no time: {ms} ms")]
    Time {
        /// The order's field.
        field: &'static str,
        /// What it says.
        ms: i64,
    },
}

impl Plan {
    /// The plan of a series in an order that was issued at `issued_ms`, unix milliseconds: the origin of a rate's grid.
    ///
    /// # Errors
    /// The frequency, or a time.
    pub fn new(series: &order::Series, issued_ms: i64) -> Result<Self, PlanError> {
        let trigger = match &series.due {
            Due::Frequency(text) => Trigger::Clock(text.parse().map_err(PlanError::Frequency)?),
            Due::NextReboot => Trigger::NextReboot,
            Due::EveryReboot => Trigger::EveryReboot,
        };
        let time = |field, ms| Timestamp::from_millisecond(ms).map_err(|_| PlanError::Time { field, ms });
        Ok(Self {
            trigger,
            revision: series.revision,
            created: time("issued_ms", issued_ms)?,
            until: series.until_ms.map(|ms| time("until_ms", ms)).transpose()?,
            misfire: series.misfire,
            overlap: series.overlap,
        })
    }

    /// What makes a run due.
    pub fn trigger(&self) -> &Trigger {
        &self.trigger
    }

    /// The order's revision, from 1.
    pub fn revision(&self) -> u32 {
        self.revision
    }

    /// When the order was issued.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Until when, exclusive, runs may begin.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// What becomes of occurrences that were missed.
    pub fn misfire(&self) -> Misfire {
        self.misfire
    }

    /// What becomes of an occurrence while the last run is not over.
    pub fn overlap(&self) -> Overlap {
        self.overlap
    }

    /// The zone that the caller looks up; nothing where it is the instance's own.
    pub fn zone(&self) -> Option<&Zone> {
        match &self.trigger {
            Trigger::Clock(frequency) => frequency.zone(),
            Trigger::NextReboot | Trigger::EveryReboot => Some(&Zone::Utc),
        }
    }

    /// The first occurrence after `after` that may begin at all.
    pub(super) fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let Trigger::Clock(frequency) = &self.trigger else { return None };
        let due = frequency.next_after(after, zone, self.created)?;
        self.may_begin(due).then_some(due)
    }

    /// Whether a run may begin at this time.
    pub(super) fn may_begin(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}
