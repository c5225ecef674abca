//! What was due between two looks at the clock: what is in time and what was missed, and why.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Cause, Missed, Plan, Resumed};
use crate::schedule::clock::Reading;

/// How late, in milliseconds, a run may begin and still be in time: as long as an agent takes to restart.
pub const GRACE_MS: i64 = 30_000;
/// Most missed occurrences that are counted one by one; where there are more, that is told instead of their number.
pub const MISSED_COUNT_MAX: u64 = 10_000;

/// What was due in a span of time.
#[derive(Debug, Default)]
pub(super) struct DueNow {
    /// The last one, where it can begin in time.
    pub(super) in_time: Option<Timestamp>,
    /// All others.
    pub(super) missed: Option<Missed>,
}

impl DueNow {
    /// What was due after `accounted` up to `now`. Nothing is in time where the clock was set forward over it.
    pub(super) fn between(plan: &Plan, accounted: Timestamp, now: Timestamp, leapt: bool, zone: &TimeZone) -> Self {
        let in_time = if leapt { None } else { last_in_time(plan, accounted, now, zone) };
        let before = |due: &Timestamp| in_time.map_or(*due <= now, |in_time| *due < in_time);
        let next = |after| plan.next_after(after, zone).filter(before);
        let Some(first) = next(accounted) else { return Self { in_time, missed: None } };
        let mut missed = Missed::one(first);
        while let Some(due) = next(missed.last) {
            if missed.count == MISSED_COUNT_MAX {
                (missed.last, missed.exact) = (in_time.unwrap_or(now), false);
                break;
            }
            (missed.last, missed.count) = (due, missed.count + 1);
        }
        Self { in_time, missed: Some(missed) }
    }
}

fn last_in_time(plan: &Plan, accounted: Timestamp, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let earliest = now.checked_sub(SignedDuration::from_millis(GRACE_MS + 1)).unwrap_or(Timestamp::MIN);
    let next = |after| plan.next_after(after, zone).filter(|due| *due <= now);
    let mut last = next(accounted.max(earliest))?;
    while let Some(due) = next(last) {
        last = due;
    }
    Some(last)
}

/// Why occurrences between two readings were missed.
pub(super) fn cause(resumed: Option<Resumed>, last: &Reading, now: &Reading) -> Cause {
    match resumed {
        Some(Resumed::Armed) => Cause::Undelivered,
        _ if leapt(last, now) => Cause::ClockSetForward,
        Some(Resumed::Restarted) => Cause::AgentDown,
        None if last.boot() != now.boot() => Cause::AgentDown,
        None if i64::try_from(now.suspended_ms(last)).unwrap_or(i64::MAX) > GRACE_MS => Cause::Suspended,
        None => Cause::Late,
    }
}

/// Whether the wall clock was set forward by more than a run may be late.
pub(super) fn leapt(last: &Reading, now: &Reading) -> bool {
    now.stepped_ms(last) > GRACE_MS
}
