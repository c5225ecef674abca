//! Rollouts over random completions, against what must hold whatever happens.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const ENDS: [TaskStatus; 5] =
    [TaskStatus::Success, TaskStatus::Failed, TaskStatus::Timeout, TaskStatus::Aborted, TaskStatus::Terminated];

/// A fleet whose tasks end as the test says, and a planner that is asked after each event.
struct Fleet {
    policy: RolloutPolicy,
    state: RolloutState,
    now_ms: i64,
}

impl Fleet {
    fn new(policy: RolloutPolicy, total: u64) -> Self {
        assert_eq!(policy.check(), []);
        let mut counts = StatusCounts::new();
        counts.add(TaskStatus::Pending, total);
        let state = RolloutState { counts, held: total, released: 0, forgiven: 0, confirmed: 0, last_end_ms: None };
        Self { policy, state, now_ms: 0 }
    }

    fn plan(&self) -> Step {
        plan(&self.policy, &self.state, self.now_ms)
    }

    fn shift(&mut self, from: TaskStatus, to: TaskStatus, count: u64) {
        let mut counts = StatusCounts::new();
        for (status, there) in self.state.counts.iter() {
            counts.add(status, if status == from { there - count } else { there });
        }
        counts.add(to, count);
        self.state.counts = counts;
    }

    /// Releases; a released task counts as Running.
    fn start(&mut self, count: u64) {
        self.state.held -= count;
        self.state.released += count;
        self.shift(TaskStatus::Pending, TaskStatus::Running, count);
    }

    fn end(&mut self, status: TaskStatus) {
        self.shift(TaskStatus::Running, status, 1);
        self.state.last_end_ms = Some(self.now_ms);
    }

    /// Somebody cancels a task that is held back.
    fn cancel(&mut self) {
        self.state.held -= 1;
        self.shift(TaskStatus::Pending, TaskStatus::Cancelled, 1);
    }
}

fn policy(json: &str) -> RolloutPolicy {
    serde_json::from_str(json).unwrap()
}

#[test]
fn without_a_policy_all_start_at_once() {
    let mut fleet = Fleet::new(RolloutPolicy::default(), 1000);
    assert!(fleet.policy.is_at_once());
    assert_eq!(fleet.plan(), Step::Start(1000));
    fleet.start(1000);
    assert_eq!(fleet.plan(), Step::Wait(Wait::Ends));
    for _ in 0..1000 {
        fleet.end(TaskStatus::Failed);
    }
    assert_eq!(fleet.plan(), Step::Done);
    assert_eq!(Fleet::new(RolloutPolicy::default(), 0).plan(), Step::Done);
}

#[test]
fn canaries_then_batches_with_pause_and_confirmation() {
    let text = r#"{"canary":"2","batch":"40%","pause_s":60,"confirm":"each-wave","max_concurrency":"3"}"#;
    let mut fleet = Fleet::new(policy(text), 10);
    assert_eq!(
        serde_json::to_string(&fleet.policy).unwrap(),
        r#"{"max_concurrency":"3","canary":"2","batch":"40%","pause_s":60,"confirm":"each-wave"}"#
    );
    assert_eq!(fleet.plan(), Step::Start(2));
    fleet.start(2);
    fleet.now_ms = 1_000;
    fleet.end(TaskStatus::Success);
    assert_eq!(fleet.plan(), Step::Wait(Wait::Ends), "a canary is still open");
    fleet.end(TaskStatus::Success);
    assert_eq!(fleet.plan(), Step::Wait(Wait::Confirmation(1)));
    fleet.state.confirmed = 1;
    assert_eq!(fleet.plan(), Step::Wait(Wait::Until(61_000)));
    fleet.now_ms = 61_000;
    assert_eq!(fleet.plan(), Step::Start(3), "a wave of 4, three at a time");
    fleet.start(3);
    fleet.end(TaskStatus::Success);
    assert_eq!(fleet.plan(), Step::Start(1));
    fleet.start(1);
    assert_eq!(fleet.plan(), Step::Wait(Wait::Ends));
    for _ in 0..3 {
        fleet.end(TaskStatus::Success);
    }
    assert_eq!(fleet.plan(), Step::Wait(Wait::Confirmation(2)));
    fleet.state.confirmed = 2;
    fleet.now_ms += 60_000;
    assert_eq!(fleet.plan(), Step::Start(3));
}

#[test]
fn confirmation_after_canaries_is_asked_for_once() {
    let mut fleet = Fleet::new(policy(r#"{"canary":"1","batch":"1","confirm":"after-canary"}"#), 3);
    fleet.start(1);
    fleet.end(TaskStatus::Success);
    assert_eq!(fleet.plan(), Step::Wait(Wait::Confirmation(1)));
    fleet.state.confirmed = 1;
    fleet.start(1);
    fleet.end(TaskStatus::Success);
    assert_eq!(fleet.plan(), Step::Start(1));
}

#[test]
fn one_error_more_than_is_borne_halts_and_resuming_forgives() {
    // 3 % of 500 are 15.
    let mut fleet = Fleet::new(policy(r#"{"max_concurrency":"50","max_errors":"3%"}"#), 500);
    fleet.start(50);
    for _ in 0..15 {
        fleet.end(TaskStatus::Failed);
    }
    assert_eq!(fleet.plan(), Step::Start(15));
    fleet.end(TaskStatus::Timeout);
    let halt = Halt { errors: 16, allowed: 15 };
    assert_eq!(fleet.plan(), Step::Halt(halt));
    assert_eq!(halt.to_string(), "halted: 16 of the tasks that were started did not succeed, at most 15 are borne");
    fleet.state.forgiven = fleet.state.errors();
    assert_eq!(fleet.plan(), Step::Start(16));
    for _ in 0..15 {
        fleet.end(TaskStatus::Failed);
    }
    assert!(matches!(fleet.plan(), Step::Start(_)));
    fleet.end(TaskStatus::Failed);
    assert_eq!(fleet.plan(), Step::Halt(halt));
}

#[test]
fn none_borne_halts_at_the_first_and_a_stop_is_no_error() {
    let mut fleet = Fleet::new(policy(r#"{"max_concurrency":"3","max_errors":"0"}"#), 10);
    fleet.start(3);
    fleet.end(TaskStatus::Terminated);
    assert_eq!(fleet.plan(), Step::Start(1));
    fleet.end(TaskStatus::Invalid);
    assert_eq!(fleet.plan(), Step::Halt(Halt { errors: 1, allowed: 0 }));
}

#[test]
fn errors_of_the_last_wave_halt_nothing() {
    let mut fleet = Fleet::new(policy(r#"{"max_errors":"0"}"#), 2);
    fleet.start(2);
    fleet.end(TaskStatus::Failed);
    assert_eq!(fleet.plan(), Step::Wait(Wait::Ends), "nothing is held back, so there is nothing to halt");
}

#[test]
fn policies_that_mean_nothing_are_refused() {
    let told = |json: &str| policy(json).check().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        told(r#"{"max_concurrency":"0","canary":"0","batch":"0","pause_s":604801}"#),
        [
            "`max_concurrency` is 0: nothing would ever start",
            "`canary` is 0: nothing would ever start",
            "`batch` is 0: nothing would ever start",
            "`pause_s` is 604801; at most 604800 (7 days) are allowed",
        ]
    );
    assert_eq!(policy(r#"{"pause_s":1,"confirm":"each-wave"}"#).check().len(), 2);
    assert_eq!(policy(r#"{"batch":"1","confirm":"after-canary"}"#).check(), [PolicyFault::NoCanary]);
    for bad in [r#"{"max_errors":"3 %"}"#, r#"{"waves":3}"#, r#"{"confirm":"always"}"#, r#"{"pause_s":-1}"#] {
        assert!(serde_json::from_str::<RolloutPolicy>(bad).is_err(), "{bad}");
    }
}

fn amounts(least: u32) -> impl Strategy<Value = Option<Amount>> {
    proptest::option::of(prop_oneof![
        (least..20).prop_map(Amount::Count),
        (1..=100u8).prop_map(|percent| Amount::percent(percent).unwrap()),
    ])
}

fn policies() -> impl Strategy<Value = RolloutPolicy> {
    let confirm = prop_oneof![Just(Confirm::Never), Just(Confirm::AfterCanary), Just(Confirm::EachWave)];
    (amounts(1), amounts(0), amounts(1), amounts(1), 0..30u32, confirm)
        .prop_map(|(max_concurrency, max_errors, canary, batch, pause_s, confirm)| RolloutPolicy {
            max_concurrency,
            max_errors,
            canary,
            batch,
            pause_s,
            confirm,
        })
        .prop_filter("a policy that means something", |policy| policy.check().is_empty())
}

proptest! {
    #[test]
    fn whatever_happens(policy in policies(), total in 0..60u64, events in proptest::collection::vec((any::<Index>(), any::<u8>()), 200)) {
        let mut fleet = Fleet::new(policy, total);
        let most = policy.max_concurrency.map_or(u64::MAX, |amount| amount.of(total));
        let borne = policy.max_errors.map(|amount| amount.of(total));
        let mut events = events.into_iter().cycle();
        let mut steps = 0;
        let mut wave_end = None;
        loop {
            steps += 1;
            prop_assert!(steps < 2_000, "it never ends: {:?}", fleet.state);
            let errors = fleet.state.errors() - fleet.state.forgiven;
            let step = fleet.plan();
            prop_assert_eq!(step, fleet.plan(), "the same question has the same answer");
            if fleet.state.held > 0 {
                let halts = borne.is_some_and(|borne| errors > borne);
                prop_assert_eq!(matches!(step, Step::Halt(_)), halts, "it halts exactly when there are too many errors");
            }
            match step {
                Step::Start(count) => {
                    prop_assert!(count >= 1 && count <= fleet.state.held);
                    if let Some(due) = wave_end.take() {
                        prop_assert!(fleet.now_ms >= due, "a pause was cut short");
                    }
                    fleet.start(count);
                    prop_assert!(fleet.state.open() <= most);
                }
                Step::Wait(Wait::Ends) => {
                    prop_assert!(fleet.state.open() > 0, "it waits for what never comes");
                    let (index, kind) = events.next().unwrap();
                    fleet.now_ms += i64::from(kind);
                    fleet.end(*index.get(&ENDS));
                    if kind % 16 == 0 && fleet.state.held > 0 {
                        fleet.cancel();
                    }
                }
                Step::Wait(Wait::Until(until)) => {
                    prop_assert!(until > fleet.now_ms && fleet.state.open() == 0);
                    wave_end = Some(until);
                    fleet.now_ms = until;
                }
                Step::Wait(Wait::Confirmation(wave)) => {
                    prop_assert!(fleet.state.open() == 0 && wave > fleet.state.confirmed);
                    fleet.state.confirmed = wave;
                }
                Step::Halt(halt) => {
                    prop_assert_eq!(halt.errors, errors);
                    fleet.state.forgiven = fleet.state.errors();
                }
                Step::Done => break,
            }
        }
        prop_assert_eq!(fleet.state.counts.ended(), total);
    }

    #[test]
    fn planning_is_total(policy in policies(), numbers: [u64; 5], end: Option<i64>, now: i64, counts in proptest::collection::vec((proptest::sample::select(TaskStatus::ALL.to_vec()), any::<u64>()), 0..6)) {
        let mut all = StatusCounts::new();
        for (status, count) in counts {
            all.add(status, count);
        }
        let [held, released, forgiven, confirmed, _] = numbers;
        let state = RolloutState { counts: all, held, released, forgiven, confirmed, last_end_ms: end };
        if let Step::Start(count) = plan(&policy, &state, now) {
            prop_assert!(count >= 1 && count <= held);
        }
    }
}
