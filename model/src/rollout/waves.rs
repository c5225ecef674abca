//! Which waves a policy makes of so many tasks, and how long they can take. Owns the arithmetic, for those who are told of a
//! rollout before and while it goes; the rule itself is in `super`.

use super::{Confirm, RolloutPolicy};

/// How long a person may take to look at a rollout that has halted or waits, and to let it go on, in seconds: a day.
pub const PERSON_S: u64 = 24 * 60 * 60;

/// How long one task of a rollout can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Seconds within which an instance must accept it once it is started.
    pub accept_s: u32,
    /// Seconds that it may run.
    pub run_s: u32,
}

impl Pace {
    /// All of it.
    fn task_s(self) -> u64 {
        u64::from(self.accept_s) + u64::from(self.run_s)
    }
}

impl RolloutPolicy {
    /// How many waves it makes of so many tasks.
    pub fn waves(&self, total: u64) -> u64 {
        match total.checked_sub(1) {
            Some(last) => self.wave(total, last).over.saturating_add(1),
            None => 0,
        }
    }

    /// Which wave the last task belongs to that was released, counted from 1; 0 before the first.
    pub fn wave_of(&self, total: u64, released: u64) -> u64 {
        match released.checked_sub(1) {
            Some(last) => self.wave(total, last).over.saturating_add(1),
            None => 0,
        }
    }

    /// How many tasks are in the first wave, and in each that follows it except that the last may have fewer; both 0 where
    /// there is none.
    pub fn wave_sizes(&self, total: u64) -> (u64, u64) {
        let first = self.wave(total, 0).ends.min(total);
        let next = self.wave(total, first);
        (first, next.ends.saturating_sub(next.starts).min(total.saturating_sub(first)))
    }

    /// Seconds that all pauses take together.
    pub fn pauses_s(&self, total: u64) -> u64 {
        self.waves(total).saturating_sub(1).saturating_mul(u64::from(self.pause_s))
    }

    /// The least that it takes until the last wave had its time to be accepted, in seconds, however quick the tasks are.
    pub fn least_s(&self, total: u64, pace: Pace) -> u64 {
        self.pauses_s(total).saturating_add(u64::from(pace.accept_s))
    }

    /// The most that it takes where nobody has to look at it, in seconds: each task takes all its time.
    pub fn most_s(&self, total: u64, pace: Pace) -> u64 {
        let rounds = |tasks: u64| {
            let at_once = self.max_concurrency.map_or(tasks, |amount| amount.of(total)).max(1);
            tasks.div_ceil(at_once)
        };
        let (first, further) = self.wave_sizes(total);
        let rest = total.saturating_sub(first);
        // All further waves are of one size except the last, which has no more rounds than the others.
        let last = rest.checked_rem(further).unwrap_or(0);
        let full = rest.checked_div(further).unwrap_or(0);
        let all = rounds(first).saturating_add(full.saturating_mul(rounds(further))).saturating_add(rounds(last));
        all.saturating_mul(pace.task_s()).saturating_add(self.pauses_s(total))
    }

    /// How long an order for it should live, in seconds: the most that it takes, and a day for each time that a person has to
    /// look at it, or that it may halt.
    pub fn lifetime_s(&self, total: u64, pace: Pace) -> u64 {
        let looks = match self.confirm {
            Confirm::Never => 0,
            Confirm::AfterCanary => 1,
            Confirm::EachWave => self.waves(total).saturating_sub(1),
        };
        let looks = looks.saturating_add(u64::from(self.max_errors.is_some()));
        self.most_s(total, pace).saturating_add(looks.saturating_mul(PERSON_S))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn policy(json: &str) -> RolloutPolicy {
        serde_json::from_str(json).unwrap()
    }

    const PACE: Pace = Pace { accept_s: 60, run_s: 40 };

    #[test]
    fn waves_of_a_fleet_are_counted_and_their_time_is_summed() {
        let waved = policy(r#"{"canary":"1","batch":"50","pause_s":300,"max_concurrency":"10%","max_errors":"2"}"#);
        assert_eq!((waved.waves(500), waved.wave_sizes(500)), (11, (1, 50)));
        assert_eq!([0, 1, 2, 51, 52, 500].map(|released| waved.wave_of(500, released)), [0, 1, 2, 2, 3, 11]);
        assert_eq!(waved.pauses_s(500), 3000);
        assert_eq!(waved.least_s(500, PACE), 3060);
        // The canary, nine waves of 50 and one of 49, each in one round.
        assert_eq!(waved.most_s(500, PACE), 11 * 100 + 3000);
        assert_eq!(waved.lifetime_s(500, PACE), 11 * 100 + 3000 + PERSON_S);
        let narrow = policy(r#"{"max_concurrency":"3"}"#);
        assert_eq!((narrow.waves(10), narrow.wave_sizes(10), narrow.most_s(10, PACE)), (1, (10, 0), 400));
        assert_eq!((narrow.waves(0), narrow.wave_sizes(0), narrow.most_s(0, PACE)), (0, (0, 0), 0));
    }

    #[test]
    fn a_part_of_a_small_fleet_is_at_least_one() {
        let small = policy(r#"{"canary":"1%","batch":"10%","max_concurrency":"1%"}"#);
        assert_eq!((small.waves(1), small.wave_sizes(1)), (1, (1, 0)));
        assert_eq!((small.waves(3), small.wave_sizes(3), small.most_s(3, PACE)), (3, (1, 1), 300));
        assert_eq!(policy(r#"{"canary":"100%"}"#).waves(7), 1);
        assert_eq!(policy(r#"{"canary":"900","batch":"4"}"#).wave_sizes(7), (7, 0));
    }

    proptest! {
        #[test]
        fn waves_agree_with_the_planner_and_nothing_overflows(
            canary in proptest::option::of(1..50u32),
            batch in proptest::option::of(1..50u32),
            total in 1..400u64,
            run_s: u32,
        ) {
            let amount = |count: u32| super::super::Amount::Count(count);
            let policy = RolloutPolicy {
                canary: canary.map(amount), batch: batch.map(amount), confirm: Confirm::EachWave, ..RolloutPolicy::default()
            };
            let (first, further) = policy.wave_sizes(total);
            let mut released = first;
            let mut waves = 1;
            while released < total {
                prop_assert_eq!(policy.wave_of(total, released), waves);
                prop_assert!(further > 0);
                released = (released + further).min(total);
                waves += 1;
            }
            prop_assert_eq!(policy.waves(total), waves);
            let pace = Pace { accept_s: 60, run_s };
            prop_assert!(policy.least_s(total, pace) <= policy.most_s(total, pace));
            prop_assert!(policy.most_s(total, pace) <= policy.lifetime_s(total, pace));
            prop_assert!(policy.lifetime_s(u64::MAX, pace) >= policy.most_s(u64::MAX, pace));
        }
    }
}
