//! A series in a world of restarts, crashes and clocks that jump.
//!
//! The world keeps what a disk and a journal keep, and knows what really began. Whatever happens, nothing begins twice,
//! nothing is lost without a word, and at most one run is alive.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use orderly_signing::order::Due;
use proptest::prelude::*;

use super::series::plan;
use super::{time, zone};
use crate::schedule::{Action, Event, Fate, GRACE_MS, Misfire, Overlap, Plan, Reading, Series, State, Trigger};

/// Where the agent dies while it takes in an event.
#[derive(Debug, Clone, Copy)]
enum Crash {
    Never,
    BeforeTheDisk,
    AfterTheDisk,
}

#[derive(Debug, Clone, Copy)]
enum Happening {
    Time {
        ms: i64,
    },
    Suspend {
        ms: i64,
    },
    Step {
        ms: i64,
    },
    RunEnds,
    AgentDown {
        ms: i64,
    },
    Reboot {
        ms: i64,
    },
    /// The same words again, in an order with a higher revision that was issued now.
    Revise,
}

struct World {
    /// The words, and those of the revisions before, each with the time at which it ended.
    plan: Plan,
    past: Vec<(Plan, Timestamp)>,
    zone: TimeZone,
    series: Series,
    /// What is on disk: the state's text, and all that is to be told.
    disk: String,
    told: Vec<Action>,
    wall: Timestamp,
    elapsed_ms: i64,
    awake_ms: i64,
    boot: u32,
    was_set_back: bool,
    /// The journal: the runs that began, and whether they are alive.
    journal: BTreeMap<u32, bool>,
    begun: Vec<Timestamp>,
}

impl World {
    fn new(plan: Plan, zone: TimeZone, wall: Timestamp) -> Self {
        let reading = Reading::new(wall, 0, 0, "boot-0".parse().unwrap());
        let series = Series::arm(plan.clone(), &reading);
        let disk = serde_json::to_string(series.state()).unwrap();
        let (told, journal, begun) = (vec![], BTreeMap::new(), vec![]);
        let (elapsed_ms, awake_ms, boot, was_set_back) = (0, 0, 0, false);
        Self {
            plan,
            past: vec![],
            zone,
            series,
            disk,
            told,
            wall,
            elapsed_ms,
            awake_ms,
            boot,
            was_set_back,
            journal,
            begun,
        }
    }

    fn reading(&self) -> Reading {
        let ms = |ms: i64| u64::try_from(ms).unwrap();
        let boot = format!("boot-{}", self.boot).parse().unwrap();
        Reading::new(self.wall, ms(self.elapsed_ms), ms(self.awake_ms), boot)
    }

    fn pass(&mut self, wall_ms: i64, elapsed_ms: i64, awake_ms: i64) {
        self.wall = self.wall.checked_add(SignedDuration::from_millis(wall_ms)).unwrap();
        self.elapsed_ms += elapsed_ms;
        self.awake_ms += awake_ms;
    }

    fn happens(&mut self, happening: Happening, crash: Crash) {
        let event = match happening {
            Happening::Time { ms } => {
                self.pass(ms, ms, ms);
                Event::Tick
            }
            Happening::Suspend { ms } => {
                self.pass(ms, ms, 0);
                Event::Tick
            }
            Happening::Step { ms } => {
                self.was_set_back |= ms < 0;
                self.pass(ms, 0, 0);
                Event::Tick
            }
            Happening::RunEnds => match self.alive() {
                Some(number) => {
                    self.journal.insert(number, false);
                    Event::Ended { number }
                }
                None => Event::Tick,
            },
            Happening::AgentDown { ms } => {
                self.pass(ms, ms, ms);
                return self.restart(crash);
            }
            Happening::Reboot { ms } => {
                self.pass(ms, 0, 0);
                (self.boot, self.elapsed_ms, self.awake_ms) = (self.boot + 1, 0, 0);
                self.journal.values_mut().for_each(|alive| *alive = false);
                return self.restart(crash);
            }
            Happening::Revise => return self.revise(crash),
        };
        self.takes_in(event, crash);
    }

    fn revise(&mut self, crash: Crash) {
        if self.series.has_ended() {
            return;
        }
        let Trigger::Clock(frequency) = self.plan.trigger() else { panic!("{:?}", self.plan) };
        let due = Due::Frequency(frequency.to_string());
        let (misfire, overlap) = (self.plan.misfire(), self.plan.overlap());
        let next = plan(self.plan.revision() + 1, self.wall, due, misfire, overlap);
        let actions = self.series.revise(next.clone(), &self.reading(), &self.zone).unwrap();
        if matches!(crash, Crash::BeforeTheDisk) {
            return self.restart(Crash::Never);
        }
        let old = std::mem::replace(&mut self.plan, next);
        self.past.push((old, self.wall));
        self.carries_out(actions, crash);
    }

    fn alive(&self) -> Option<u32> {
        self.journal.iter().find_map(|(number, alive)| alive.then_some(*number))
    }

    fn restart(&mut self, crash: Crash) {
        let state: State = serde_json::from_str(&self.disk).unwrap();
        self.series = Series::restore(self.plan.clone(), state).unwrap();
        let fate = match self.series.running().map(|number| self.journal.get(&number)) {
            Some(None) => Fate::NeverStarted,
            Some(Some(true)) => Fate::Alive,
            Some(Some(false)) | None => Fate::Ended,
        };
        self.takes_in(Event::Restarted { fate }, crash);
    }

    fn takes_in(&mut self, event: Event, crash: Crash) {
        let reading = self.reading();
        let actions = self.series.apply(event, &reading, &self.zone);
        if matches!(crash, Crash::BeforeTheDisk) {
            return self.restart(Crash::Never);
        }
        self.carries_out(actions, crash);
    }

    fn carries_out(&mut self, actions: Vec<Action>, crash: Crash) {
        self.disk = serde_json::to_string(self.series.state()).unwrap();
        let begins = |action: &Action| matches!(action, Action::Run { .. } | Action::Kill { .. });
        self.told.extend(actions.iter().filter(|action| !begins(action)).cloned());
        if matches!(crash, Crash::AfterTheDisk) {
            return self.restart(Crash::Never);
        }
        for action in actions {
            if let Action::Run { due, number, late } = action {
                self.begin(due, number, late.is_some());
            }
        }
    }

    fn begin(&mut self, due: Timestamp, number: u32, late: bool) {
        assert_eq!(self.alive(), None, "two runs at once");
        assert_eq!(usize::try_from(number).unwrap(), self.begun.len() + 1, "numbers go up by one");
        let mended = self.was_set_back && !self.past.is_empty();
        assert!(mended || !self.begun.contains(&due), "{due} begins twice");
        assert!(due <= self.wall || self.was_set_back, "{due} is in the future");
        if late {
            assert_eq!(self.plan.misfire(), Misfire::RunOnce, "{due} is made up for");
        } else if self.plan.overlap() == Overlap::Skip && !self.was_set_back {
            assert!(self.wall.duration_since(due).as_millis() <= i128::from(GRACE_MS), "{due} is late");
        }
        self.journal.insert(number, true);
        self.begun.push(due);
    }

    /// What a revision has due from its making to its end, inclusive.
    fn due(&self, plan: &Plan, end: Timestamp) -> Vec<Timestamp> {
        let Trigger::Clock(frequency) = plan.trigger() else { panic!("{plan:?}") };
        let mut last = plan.created();
        let next = || {
            last = frequency.next_after(last, &self.zone, plan.created()).filter(|due| *due <= end)?;
            Some(last)
        };
        std::iter::from_fn(next).collect()
    }

    /// All occurrences up to now are accounted for; exactly once, where the clock was never set back.
    fn audit(&mut self) {
        let last = (self.plan.clone(), self.wall);
        let spans = self.past.iter().chain([&last]);
        let occurrences: BTreeSet<Timestamp> = spans.flat_map(|(plan, end)| self.due(plan, *end)).collect();
        let mut words: BTreeMap<Timestamp, u32> = BTreeMap::new();
        for due in self.begun.iter().filter(|due| occurrences.contains(due)) {
            *words.entry(*due).or_default() += 1;
        }
        for action in &self.told {
            let Action::Skip { missed, .. } = action else { continue };
            assert!(missed.exact);
            let mut count = 0;
            for due in occurrences.iter().filter(|due| (missed.first..=missed.last).contains(due)) {
                *words.entry(*due).or_default() += 1;
                count += 1;
            }
            assert!(count == missed.count || self.was_set_back, "{missed:?} are {count}");
        }
        // What waits, and what was given out and crashed before it began.
        let state: serde_json::Value = serde_json::from_str(&self.disk).unwrap();
        let number = |value: &serde_json::Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let pending = match number(&state["running"]["number"]) {
            Some(number) if !self.journal.contains_key(&number) => Some(&state["running"]["occurrence"]),
            _ => None,
        };
        for occurrence in pending.into_iter().chain([&state["waiting"]]) {
            if let Some(ms) = occurrence["due_ms"].as_i64() {
                *words.entry(Timestamp::from_millisecond(ms).unwrap()).or_default() += 1;
            }
        }
        for due in occurrences {
            let said = words.get(&due).copied().unwrap_or_default();
            assert!(said == 1 || (said > 1 && self.was_set_back), "{due} is accounted for {said} times");
        }
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    let short = 1_i64..90_000;
    let long = 1_i64..4 * 3_600_000;
    prop_oneof![
        8 => short.clone().prop_map(|ms| Happening::Time { ms }),
        4 => Just(Happening::RunEnds),
        1 => long.clone().prop_map(|ms| Happening::Time { ms }),
        1 => long.clone().prop_map(|ms| Happening::Suspend { ms }),
        1 => (-7_200_000_i64..7_200_000).prop_map(|ms| Happening::Step { ms }),
        1 => (-3_000_i64..3_000).prop_map(|ms| Happening::Step { ms }),
        1 => long.clone().prop_map(|ms| Happening::AgentDown { ms }),
        1 => short.prop_map(|ms| Happening::AgentDown { ms }),
        1 => long.prop_map(|ms| Happening::Reboot { ms }),
        1 => Just(Happening::Revise),
    ]
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![6 => Just(Crash::Never), 1 => Just(Crash::BeforeTheDisk), 1 => Just(Crash::AfterTheDisk)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_begins_twice_and_nothing_is_lost_in_silence(
        frequency in prop::sample::select(vec![
            "rate(60s)", "rate(7m)", "*/30 * * * * ?", "0 0/5 * * * ?", "0 30 2 * * ? Europe/Berlin", "0 15/30 1-4 * * ? Europe/Berlin",
        ]),
        misfire in prop::sample::select(vec![Misfire::Skip, Misfire::RunOnce]),
        overlap in prop::sample::select(vec![Overlap::Skip, Overlap::Queue, Overlap::KillOld]),
        start in prop::sample::select(vec!["2026-03-28T23:30:00Z", "2026-10-24T23:30:00Z"]),
        happenings in prop::collection::vec((happening(), crash()), 1..80),
        set_back in any::<bool>(),
    ) {
        let (start, zone) = (time(start), zone("Europe/Berlin"));
        let plan = plan(1, start, Due::Frequency(frequency.to_owned()), misfire, overlap);
        let mut world = World::new(plan, zone, start);
        for (happening, crash) in happenings {
            if !set_back && matches!(happening, Happening::Step { ms } if ms < 0) {
                continue;
            }
            world.happens(happening, crash);
        }
        world.takes_in(Event::Tick, Crash::Never);
        world.audit();
    }
}
