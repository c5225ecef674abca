//! The checks of a series beyond those of its order.
//!
//! Owns check 5's part of series: no order takes the place of one with the same or a higher revision, and none brings back a
//! series that was stopped or has ended. And whether this instance can tell when the series is due. Never decides what is
//! due. Nothing to stop.

use orderly_model::schedule::Plan;
use orderly_model::task::ResultCode;
use orderly_signing::error::{Check, Refusal};
use orderly_signing::order::{Order, Repeat, Series};

use super::Refused;
use crate::clock::zone::Zones;
use crate::exec::chain;
use crate::journal::Journal;

/// Check 5: the order of a series is newer than what is known of it.
///
/// # Errors
/// `replay`.
pub(super) fn newer(journal: &Journal, order: &Order) -> Result<(), Refusal> {
    let Repeat::Series(Series { revision, .. }) = &order.repeat else { return Ok(()) };
    let Some(kept) = journal.series(&order.invocation) else { return Ok(()) };
    let refused = |reason| Err(Refusal::new(Check::Replay, reason));
    if *revision <= kept.revision {
        return refused(format!(
            "the order has revision {revision} of the series, {} was already seen: sign one with a higher revision",
            kept.revision
        ));
    }
    if kept.ended_ms.is_some() {
        return refused("the series was stopped or has ended, and does not come back: make a new one".to_owned());
    }
    Ok(())
}

/// What is wanted of the series, where this instance can tell when that is.
///
/// # Errors
/// `payload`, or that the instance lacks the time zone.
pub(crate) fn plan(series: &Series, issued_ms: i64, zones: &Zones) -> Result<Plan, Refused> {
    if series.revision == u32::MAX {
        let reason = "the order has the highest revision that there is: neither a change nor a stop could follow";
        return Err(Refused::because(Check::Payload, reason));
    }
    let plan = Plan::new(series, issued_ms).map_err(|error| Refused::because(Check::Payload, chain(&error)))?;
    zones.find(plan.zone()).map_err(|error| Refused::lacking(ResultCode::CommandNotApplicable, chain(&error)))?;
    Ok(plan)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_model::schedule;
    use orderly_signing::digest::Digest;
    use orderly_signing::merkle::{TargetProof, Targets};
    use orderly_signing::order::{Action, Due, Misfire, Overlap, ScriptAction};
    use serde_json::json;

    use super::*;
    use crate::journal::Expect;
    use crate::journal::record::{Advanced, Armed, Record};

    fn series(revision: u32, frequency: &str) -> Series {
        let due = Due::Frequency(frequency.to_owned());
        Series { revision, due, until_ms: None, misfire: Misfire::Skip, overlap: Overlap::Skip }
    }

    fn order(revision: u32) -> Order {
        Order {
            version: 1,
            order: format!("o-{revision}"),
            invocation: "t-1".to_owned(),
            principal: "alice".to_owned(),
            action: Action::Script(ScriptAction::new(b"true")),
            targets: Targets { count: 1, root: Digest::ZERO },
            issued_ms: 1,
            not_before_ms: 1,
            expires_ms: 2,
            repeat: Repeat::Series(series(revision, "rate(5m)")),
        }
    }

    fn state(revision: u32) -> schedule::State {
        let reading = json!({"wall_ms": 1, "elapsed_ms": 1, "awake_ms": 1, "boot": "b"});
        let plan = plan(&series(revision, "rate(5m)"), 1, &Zones::of_system()).unwrap();
        schedule::Series::arm(plan, &serde_json::from_value(reading).unwrap()).state().clone()
    }

    fn armed(revision: u32) -> Record {
        Record::Armed(Box::new(Armed {
            invocation: "t-1".to_owned(),
            order: Digest::of(&revision.to_le_bytes()),
            revision,
            envelope: Vec::new(),
            proof: TargetProof { index: 0, hashes: Vec::new() },
            plugin: None,
            built_ins: std::collections::BTreeMap::new(),
            at_ms: 1,
            expires_ms: 2,
            state: state(revision),
        }))
    }

    #[test]
    fn series_revision_rolled_back_is_refused_as_replayed() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(directory.path(), Expect::Fresh, 1).unwrap();
        newer(&journal, &order(2)).unwrap();
        journal.append(&[armed(2)]).unwrap();
        for revision in [1, 2] {
            let refusal = newer(&journal, &order(revision)).unwrap_err();
            assert_eq!(refusal.check, Check::Replay, "{revision}");
        }
        newer(&journal, &order(3)).unwrap();
        let once = Order { repeat: Repeat::Once, ..order(1) };
        newer(&journal, &once).unwrap();
    }

    #[test]
    fn stopped_series_does_not_come_back_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(directory.path(), Expect::Fresh, 1).unwrap();
        let stopped = Advanced {
            invocation: "t-1".to_owned(),
            state: state(2),
            previous: None,
            ended_ms: Some(5),
            end: None,
            expires_ms: None,
            untold: Vec::new(),
        };
        journal.append(&[armed(2), Record::Advanced(Box::new(stopped))]).unwrap();
        drop(journal);
        let (journal, _) = Journal::open(directory.path(), Expect::Existing, 1).unwrap();
        for revision in [1, 2, 3, u32::MAX] {
            assert_eq!(newer(&journal, &order(revision)).unwrap_err().check, Check::Replay, "{revision}");
        }
    }

    #[test]
    fn a_series_of_which_this_instance_cannot_tell_when_it_is_due_is_refused() {
        let refused = |frequency: &str| plan(&series(1, frequency), 1, &Zones::of_system()).unwrap_err();
        assert_eq!(refused("every now and then").check, Some(Check::Payload));
        let unknown = refused("0 0 3 * * ? Europe/Nowhere");
        assert_eq!((unknown.check, unknown.code), (None, ResultCode::CommandNotApplicable));
        assert!(unknown.reason.contains("Europe/Nowhere"), "{}", unknown.reason);
    }
}
