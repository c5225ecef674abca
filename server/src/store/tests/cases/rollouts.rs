//! Rollouts: what is released, when, and what becomes of the rest.

use orderly_model::task::{ResultCode, TaskStatus};
use orderly_signing::digest::Digest;

use super::{ended, fact, instances, invocation};
use crate::store::Store;
use crate::store::fact::{ROLLOUT_EXPIRED, ROLLOUT_HALTED, What};
use crate::store::row::*;

/// Nobody.
const NONE: [InstanceKey; 0] = [];

fn rollout(policy: &str) -> NewRollout {
    NewRollout { policy: serde_json::from_str(policy).unwrap(), accept_s: 10, run_s: 30 }
}

async fn begin(store: &Store, number: u32, count: usize, policy: &str) -> (NewInvocation, InvocationKey) {
    until(store, number, count, policy, 1_000_000).await
}

/// A rollout that may go on until this.
async fn until(
    store: &Store,
    number: u32,
    count: usize,
    policy: &str,
    deadline_ms: i64,
) -> (NewInvocation, InvocationKey) {
    let all = instances(store, count).await;
    let new = NewInvocation { rollout: Some(rollout(policy)), deadline_ms, ..invocation(number, &all) };
    let key = store.create(new.clone()).await.unwrap().unwrap().invocation;
    (new, key)
}

/// A rollout of ten at a time on so many instances, whose order does not expire.
pub(crate) async fn ten_at_a_time(store: &Store, count: usize) -> InvocationKey {
    until(store, 1, count, r#"{"max_concurrency":"10"}"#, i64::MAX).await.1
}

/// A look of a server that was always there.
pub(crate) fn at(now_ms: i64) -> Moment {
    Moment { now_ms, since_ms: 0 }
}

async fn roll(store: &Store, key: InvocationKey, now_ms: i64) -> Rolled {
    *store.roll(key, at(now_ms)).await.unwrap().unwrap()
}

async fn end(store: &Store, new: &NewInvocation, instances: &[InstanceKey], status: TaskStatus) {
    store.record(instances.iter().map(|instance| fact(new, *instance, ended(status))).collect()).await.unwrap();
}

async fn steer(store: &Store, key: InvocationKey, steer: Steer) -> SteerOutcome {
    store.steer(key, steer, 0).await.unwrap()
}

pub(in crate::store::tests) async fn waves_halts_and_the_rest(store: Store) {
    let policy = r#"{"max_concurrency":"2","max_errors":"1","canary":"1","confirm":"after-canary","pause_s":5}"#;
    let (new, key) = begin(&store, 1, 8, policy).await;
    let targets = new.targets.clone();
    assert!(store.deliveries((0, 0), 100).await.unwrap().is_empty(), "nothing goes out before it is released");
    assert_eq!(store.rolling().await.unwrap().len(), 1);
    assert_eq!(roll(&store, key, 1000).await.released, targets[..1], "the canary");
    assert_eq!(roll(&store, key, 1000).await.released, NONE, "the same question again releases nothing");
    assert_eq!(store.deliveries((0, 0), 100).await.unwrap().len(), 1);
    end(&store, &new, &targets[..1], TaskStatus::Success).await;
    assert_eq!(roll(&store, key, 2000).await.released, NONE);
    assert_eq!(steer(&store, key, Steer::Confirm(2)).await, SteerOutcome::NotWaiting(Some(1)));
    assert_eq!(steer(&store, key, Steer::Resume(0)).await, SteerOutcome::NotHalted);
    for _ in 0..2 {
        assert!(matches!(steer(&store, key, Steer::Confirm(1)).await, SteerOutcome::Done(_)), "twice is once");
    }
    let pausing = roll(&store, key, 6999).await;
    assert_eq!((pausing.released.as_slice(), pausing.invocation.rollout.unwrap().due_ms), (&[][..], Some(7000)));
    assert_eq!(roll(&store, key, 7000).await.released, targets[1..3]);
    // One fails, which is borne; a report that comes twice counts once.
    for _ in 0..2 {
        end(&store, &new, &targets[1..2], TaskStatus::Failed).await;
    }
    assert_eq!(roll(&store, key, 7100).await.released, targets[3..4]);
    // A person halts; what was released goes on and fails, which is one too many as well.
    assert!(matches!(steer(&store, key, Steer::Halt("halted by x".to_owned())).await, SteerOutcome::Done(_)));
    end(&store, &new, &targets[2..4], TaskStatus::Failed).await;
    let halted = roll(&store, key, 7200).await;
    assert_eq!(halted.released, NONE);
    assert!(halted.invocation.rollout.unwrap().is_halted(&halted.invocation.counts, 7200));
    // Who has seen two of three errors forgives two; the third is borne.
    let SteerOutcome::Done(row) = steer(&store, key, Steer::Resume(2)).await else { panic!("it was halted") };
    assert_eq!(row.rollout.as_ref().map(|rollout| rollout.forgiven), Some(2));
    assert_eq!(roll(&store, key, 7300).await.released, targets[4..6]);
    end(&store, &new, &targets[4..6], TaskStatus::Timeout).await;
    assert_eq!(roll(&store, key, 7400).await.released, NONE, "three errors that nobody forgave");
    let SteerOutcome::Done(row) = steer(&store, key, Steer::Resume(5)).await else { panic!("it was halted") };
    assert_eq!(row.rollout.unwrap().forgiven, 5);
    assert!(matches!(steer(&store, key, Steer::Resume(5)).await, SteerOutcome::Done(_)), "twice is once");
    assert_eq!(roll(&store, key, 7500).await.released, targets[6..8]);
    assert_eq!(steer(&store, key, Steer::Halt(String::new())).await, SteerOutcome::NothingHeld);
    end(&store, &new, &targets[6..8], TaskStatus::Success).await;
    assert!(!roll(&store, key, 7600).await.invocation.rollout.unwrap().active);
    assert!(store.rolling().await.unwrap().is_empty());
    assert_eq!(store.roll(key, at(7700)).await.unwrap(), None);
    assert!(store.invocation("t-1").await.unwrap().unwrap().finished_ms.is_some());
}

pub(in crate::store::tests) async fn who_never_answers_holds_nothing_up(store: Store) {
    let (new, key) = begin(&store, 1, 4, r#"{"max_concurrency":"2"}"#).await;
    let targets = new.targets.clone();
    assert_eq!(roll(&store, key, 0).await.released, targets[..2]);
    // One accepts and is never heard again; the other is offline.
    store.record(vec![fact(&new, targets[0], What::Accepted)]).await.unwrap();
    let waiting = roll(&store, key, 11_999).await;
    assert_eq!((waiting.released, waiting.invocation.rollout.unwrap().due_ms), (vec![], Some(12_000)));
    let given_up = roll(&store, key, 12_000).await;
    assert_eq!((given_up.ended, given_up.released), (targets[1..2].to_vec(), targets[2..3].to_vec()));
    let task = store.tasks_of(key, &targets[1..2]).await.unwrap().pop().unwrap();
    assert_eq!((task.status, task.code.as_deref()), (TaskStatus::Aborted, Some(ResultCode::DeliveryTimeout.as_str())));
    assert!(store.deliveries_to(targets[1], 0, 10).await.unwrap().is_empty(), "it is not asked any more");
    store.record(vec![fact(&new, targets[2], What::Accepted)]).await.unwrap();
    // 10 s to accept, 30 s to run, and a minute in which news may be late.
    assert_eq!(roll(&store, key, 101_999).await.released, NONE);
    let lost = roll(&store, key, 102_000).await;
    assert_eq!(lost.released, targets[3..4]);
    let rollout = lost.invocation.rollout.clone().unwrap();
    assert_eq!((rollout.lost, rollout.state(&lost.invocation.counts, 0).errors()), (1, 2));
    // Its word still counts when it comes.
    end(&store, &new, &targets[..1], TaskStatus::Success).await;
    assert_eq!(roll(&store, key, 102_100).await.invocation.rollout.unwrap().lost, 0);
}

pub(in crate::store::tests) async fn what_is_held_back_is_cancelled_with_the_reason(store: Store) {
    let (new, key) = begin(&store, 1, 6, r#"{"max_concurrency":"1","max_errors":"0"}"#).await;
    let targets = new.targets.clone();
    roll(&store, key, 0).await;
    let order = |name: &str, now_ms, targets| NewStop {
        invocation: key,
        digest: Digest::of(name.as_bytes()),
        envelope: name.as_bytes().to_vec(),
        expires_ms: 5000,
        now_ms,
        targets,
        series: false,
    };
    let third = store.tasks_of(key, &targets[2..3]).await.unwrap().pop().unwrap().instance_uid;
    store.stop(order("one", 500, Some(vec![(targets[2], third)]))).await.unwrap();
    assert_eq!(store.invocation("t-1").await.unwrap().unwrap().rollout.unwrap().held, 4);
    assert!(
        store.deliveries_to(targets[2], 0, 10).await.unwrap().is_empty(),
        "what was never sent needs no stop order"
    );
    end(&store, &new, &targets[..1], TaskStatus::Failed).await;
    assert_eq!(roll(&store, key, 600).await.released, NONE, "halted");
    store.stop(order("rest", 650, None)).await.unwrap();
    let codes = |tasks: Vec<TaskRow>| tasks.into_iter().map(|task| (task.status, task.code)).collect::<Vec<_>>();
    let halted = (TaskStatus::Cancelled, Some(ROLLOUT_HALTED.to_owned()));
    assert_eq!(
        codes(store.tasks(key, None, 0, 10).await.unwrap())[1..],
        [halted.clone(), (TaskStatus::Cancelled, None), halted.clone(), halted.clone(), halted]
    );
    assert!(!roll(&store, key, 700).await.invocation.rollout.unwrap().active);

    let (new, key) = begin_again(&store).await;
    roll(&store, key, 0).await;
    store.expire(key, 1_000_001).await.unwrap();
    assert_eq!(
        codes(store.tasks(key, None, 0, 10).await.unwrap()),
        [
            (TaskStatus::Aborted, Some(ResultCode::DeliveryTimeout.as_str().to_owned())),
            (TaskStatus::Cancelled, Some(ROLLOUT_EXPIRED.to_owned()))
        ]
    );
    assert_eq!(store.invocation(&new.uid).await.unwrap().unwrap().rollout.unwrap().held, 0);
}

/// Another rollout on two of the instances that are there.
async fn begin_again(store: &Store) -> (NewInvocation, InvocationKey) {
    let old = store.invocation("t-1").await.unwrap().unwrap();
    let tasks = store.tasks(old.key, None, 0, 2).await.unwrap();
    let two: Vec<_> = tasks.into_iter().map(|task| (task.instance, task.instance_uid)).collect();
    let asked = Some(rollout(r#"{"max_concurrency":"1"}"#));
    let new = NewInvocation { rollout: asked, deadline_ms: 1_000_000, ..invocation(2, &two) };
    let key = store.create(new.clone()).await.unwrap().unwrap().invocation;
    (new, key)
}

pub(in crate::store::tests) async fn the_word_of_an_instance_that_was_never_released_counts_nothing(store: Store) {
    let (new, key) = begin(&store, 1, 4, r#"{"max_concurrency":"2"}"#).await;
    let targets = new.targets.clone();
    assert_eq!(roll(&store, key, 0).await.released, targets[..2]);
    // They know of the order from elsewhere and say that they are at it, or done.
    store.record(vec![fact(&new, targets[2], What::Accepted)]).await.unwrap();
    end(&store, &new, &targets[3..], TaskStatus::Failed).await;
    let row = store.invocation("t-1").await.unwrap().unwrap();
    assert_eq!((row.counts.get(TaskStatus::Pending), row.rollout.unwrap().held), (4, 2));
    end(&store, &new, &targets[..2], TaskStatus::Success).await;
    assert_eq!(roll(&store, key, 10).await.released, targets[2..]);
    end(&store, &new, &targets[2..], TaskStatus::Success).await;
    assert!(!roll(&store, key, 20).await.invocation.rollout.unwrap().active, "its word counts once it was asked");
}

pub(in crate::store::tests) async fn a_server_that_was_away_gives_up_nothing_before_it_could_be_accepted(store: Store) {
    let (new, key) = begin(&store, 1, 4, r#"{"max_concurrency":"2"}"#).await;
    let targets = new.targets.clone();
    roll(&store, key, 0).await;
    store.record(vec![fact(&new, targets[0], What::Accepted)]).await.unwrap();
    let look = async |now_ms, since_ms| *store.roll(key, Moment { now_ms, since_ms }).await.unwrap().unwrap();
    let back = look(500_000, 499_000).await;
    assert_eq!((back.ended, back.released), (vec![], vec![]));
    let rollout = back.invocation.rollout.unwrap();
    assert_eq!((rollout.lost, rollout.due_ms), (0, Some(511_000)));
    let given_up = look(511_000, 499_000).await;
    assert_eq!((given_up.ended, given_up.released), (targets[1..2].to_vec(), targets[2..3].to_vec()));
    store.record(vec![fact(&new, targets[2], What::Accepted)]).await.unwrap();
    let lost = look(601_000, 499_000).await;
    assert_eq!((lost.invocation.rollout.unwrap().lost, lost.released), (1, targets[3..].to_vec()));
    assert_eq!(look(602_000, 601_500).await.invocation.rollout.unwrap().lost, 1, "what was waited for stays so");
}

pub(in crate::store::tests) async fn an_error_that_was_taken_back_is_not_forgiven_again(store: Store) {
    let (new, key) = begin(&store, 1, 4, r#"{"max_concurrency":"1","max_errors":"0"}"#).await;
    let targets = new.targets.clone();
    roll(&store, key, 0).await;
    assert_eq!(roll(&store, key, 12_000).await.released, NONE, "one was not accepted in time, which halts");
    assert!(matches!(steer(&store, key, Steer::Resume(1)).await, SteerOutcome::Done(_)));
    assert_eq!(roll(&store, key, 12_100).await.released, targets[1..2]);
    // It was done all the same; the next error is the first.
    end(&store, &new, &targets[..1], TaskStatus::Success).await;
    roll(&store, key, 12_200).await;
    end(&store, &new, &targets[1..2], TaskStatus::Failed).await;
    let halted = roll(&store, key, 12_300).await;
    assert_eq!(halted.released, NONE);
    assert!(halted.invocation.rollout.unwrap().is_halted(&halted.invocation.counts, 12_300));
}

pub(in crate::store::tests) async fn what_opens_again_below_the_floor_is_still_counted(store: Store) {
    let (new, key) = begin(&store, 1, 4, r#"{"max_concurrency":"1"}"#).await;
    let targets = new.targets.clone();
    roll(&store, key, 0).await;
    assert_eq!(roll(&store, key, 12_000).await.released, targets[1..2], "the first was given up");
    store.record(vec![fact(&new, targets[1], What::Accepted)]).await.unwrap();
    // Nothing of the first release is open: the floor moves above it.
    assert_eq!(roll(&store, key, 102_000).await.invocation.rollout.unwrap().lost, 0);
    store.record(vec![fact(&new, targets[0], What::Accepted)]).await.unwrap();
    assert_eq!(roll(&store, key, 102_100).await.invocation.rollout.unwrap().lost, 1);
}
