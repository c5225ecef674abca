//! Which instant comes next for a cron expression in a time zone.
//!
//! Owns what changes of the wall clock do to it (the rule is written at [`Cron`]). Between two changes of a zone's offset
//! the wall clock runs evenly, so that the question is asked of the calendar once for each such stretch, and stretches
//! without a time are passed over.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::cron::Cron;

/// No two offsets of zones are further apart than this many seconds (52 hours), and a bit.
const OFFSETS_APART_S: i64 = 3 * 24 * 60 * 60;

/// A stretch of time with one offset, in unix seconds.
struct Stretch {
    offset: i64,
    /// Where it begins, and the offset before.
    begins: Option<(i64, i64)>,
    /// Where the next one begins.
    ends: Option<i64>,
}

impl Stretch {
    fn at(second: i64, zone: &TimeZone) -> Option<Self> {
        let instant = Timestamp::from_second(second).ok()?;
        let offset = |at: Timestamp| i64::from(zone.to_offset(at).seconds());
        // `preceding` excludes its bound, and a change at this very second counts.
        let change = zone.preceding(Timestamp::from_second(second.checked_add(1)?).ok()?).next();
        let begins = change.and_then(|change| {
            let begins = change.timestamp().as_second();
            Some((begins, offset(Timestamp::from_second(begins.checked_sub(1)?).ok()?)))
        });
        let ends = zone.following(instant).next().map(|change| change.timestamp().as_second());
        Some(Self { offset: offset(instant), begins, ends })
    }
}

/// The first whole second after `after` at which `cron` is due.
pub(super) fn of_cron(cron: &Cron, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    // `as_second` cuts towards zero: before 1970 that is already later where there is a fraction.
    let cut = after.as_second();
    let mut second = if after.subsec_nanosecond() < 0 { cut } else { cut.checked_add(1)? };
    loop {
        let stretch = Stretch::at(second, zone)?;
        let mut from = second.checked_add(stretch.offset)?;
        if let Some((begins, before)) = stretch.begins {
            let (old_wall, new_wall) = (begins.checked_add(before)?, begins.checked_add(stretch.offset)?);
            if begins == second && old_wall < new_wall && cron.makes_up_for_gaps() {
                let lost = cron.next_wall(old_wall).is_some_and(|wall| wall < new_wall);
                if lost {
                    return Timestamp::from_second(second).ok();
                }
            }
            if old_wall > new_wall && !cron.is_due_in_both_passes() {
                // Wall times before `old_wall` were there already.
                from = from.max(old_wall);
            }
        }
        let wall = cron.next_wall(from);
        let due = wall.and_then(|wall| wall.checked_sub(stretch.offset));
        let Some(ends) = stretch.ends else { return Timestamp::from_second(due?).ok() };
        if let Some(due) = due
            && due < ends
        {
            return Timestamp::from_second(due).ok();
        }
        // Nothing in the rest of this stretch. Where that is long, no later wall time can fall before `from`, so that
        // nothing is due before `wall`, whatever the offset is then.
        let searched_s = ends.checked_sub(from.checked_sub(stretch.offset)?)?;
        second = if searched_s > OFFSETS_APART_S { ends.max(wall?.checked_sub(OFFSETS_APART_S)?) } else { ends };
    }
}
