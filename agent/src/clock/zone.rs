//! The time zones of this instance: its own, and those of its database.
//!
//! Owns looking a zone up, anew each time it is asked for: what the instance's owner changes counts within five minutes, the
//! time for which the library keeps what it has read. A zone that is not there is an error, never UTC by guess: a command
//! would run at an hour that nobody meant. Nothing to stop.

use jiff::tz::{TimeZone, TimeZoneDatabase};
use orderly_model::schedule::Zone;

/// A time zone cannot be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ZoneError {
    /// The instance does not say what its own is.
    #[error(
        "the instance's own time zone is not known: set it with `timedatectl set-timezone`, or name one in the schedule"
    )]
    Own(#[source] jiff::Error),
    /// The database has no such zone.
    #[error(
        "the instance has no time zone `{name}`: correct its name, or install the package `tzdata` on the instance"
    )]
    Unknown {
        /// Its name.
        name: String,
        /// What the database says.
        #[source]
        source: jiff::Error,
    },
    /// The offset is outside of what a zone can have.
    #[error("`{0}` is no time zone")]
    Offset(String),
}

/// The instance's zones.
#[derive(Debug, Clone)]
pub(crate) struct Zones {
    database: TimeZoneDatabase,
}

impl Zones {
    /// Those of the system's database.
    pub(crate) fn of_system() -> Self {
        Self { database: jiff::tz::db().clone() }
    }

    /// The zone that is meant; the instance's own where none is written.
    ///
    /// # Errors
    /// It is not there.
    pub(crate) fn find(&self, zone: Option<&Zone>) -> Result<TimeZone, ZoneError> {
        let Some(zone) = zone else { return TimeZone::try_system().map_err(ZoneError::Own) };
        if let Some(fixed) = zone.fixed() {
            return Ok(fixed);
        }
        let Some(name) = zone.name() else { return Err(ZoneError::Offset(zone.to_string())) };
        self.database.get(name).map_err(|source| ZoneError::Unknown { name: name.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use jiff::Timestamp;
    use orderly_model::schedule::Frequency;

    use super::*;

    /// When the frequency is due first after the beginning of July 2026, in UTC.
    fn due(zones: &Zones, frequency: &str) -> Result<String, ZoneError> {
        let frequency: Frequency = frequency.parse().unwrap();
        let after: Timestamp = "2026-07-01T00:00:00Z".parse().unwrap();
        let zone = zones.find(frequency.zone())?;
        Ok(frequency.next_after(after, &zone, after).unwrap().to_string())
    }

    #[test]
    fn a_schedule_is_due_by_the_zone_that_it_names() {
        let zones = Zones { database: TimeZoneDatabase::bundled() };
        assert_eq!(due(&zones, "0 0 3 * * ? UTC").unwrap(), "2026-07-01T03:00:00Z");
        assert_eq!(due(&zones, "0 0 3 * * ? Europe/Berlin").unwrap(), "2026-07-01T01:00:00Z");
        assert_eq!(due(&zones, "0 0 9 * * ? GMT+8:00").unwrap(), "2026-07-01T01:00:00Z");
    }

    #[test]
    fn a_zone_that_is_not_there_is_never_taken_for_utc() {
        let none = Zones { database: TimeZoneDatabase::none() };
        let error = due(&none, "0 0 3 * * ? Europe/Berlin").unwrap_err();
        assert!(error.to_string().contains("`Europe/Berlin`") && error.to_string().contains("`tzdata`"), "{error}");
        assert_eq!(due(&none, "0 0 3 * * ? UTC").unwrap(), "2026-07-01T03:00:00Z", "UTC takes no database");
        let bundled = Zones { database: TimeZoneDatabase::bundled() };
        assert!(due(&bundled, "0 0 3 * * ? Europe/Nowhere").is_err());
    }

    #[test]
    fn the_instances_own_zone_is_told_or_an_error() {
        match Zones::of_system().find(None) {
            Ok(zone) => assert!(!zone.is_unknown()),
            Err(error) => assert!(error.to_string().contains("timedatectl"), "{error}"),
        }
    }
}
