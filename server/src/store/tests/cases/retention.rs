//! What is kept no longer.

use orderly_model::task::TaskStatus;
use orderly_signing::digest::Digest;
use tokio_util::sync::CancellationToken;

use super::{ended, fact, instances, invocation};
use crate::retention::{Keep, pass};
use crate::store::Store;
use crate::store::fact::{Ended, What};
use crate::store::row::*;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

async fn kept(store: &Store) -> Vec<String> {
    store.invocations(i64::MAX, 100).await.unwrap().into_iter().rev().map(|row| row.uid).collect()
}

pub(in crate::store::tests) async fn only_what_has_ended_and_is_not_referred_to_goes(store: Store) {
    let all = instances(&store, 3).await;
    let stop = CancellationToken::new();
    let mut keys = Vec::new();
    for number in 1..=6 {
        let deadline_ms = if number == 3 { 100 * DAY_MS } else { 1000 };
        let new = NewInvocation { deadline_ms, ..invocation(number, &all) };
        keys.push(store.create(new.clone()).await.unwrap().unwrap().invocation);
        if number == 4 {
            let file = FileRow { digest: Digest::of(b"file"), bytes: 4 };
            assert!(store.add_file(keys[3], all[0].0, file, 1).await.unwrap());
        }
        // The second one still runs; the third one's order may still be accepted; the fourth one has a file; the last is the newest.
        let done = if number == 2 { 2 } else { 3 };
        let facts = all[..done].iter().map(|(instance, _)| fact(&new, *instance, ended(TaskStatus::Success)));
        store.record(facts.collect()).await.unwrap();
    }
    let later = 40 * DAY_MS;
    pass(&store, Keep::default(), later, &stop).await.unwrap();
    assert_eq!(kept(&store).await.len(), 6, "nothing goes where nothing is said");
    pass(&store, Keep { days: Some(41), count: Some(6) }, later, &stop).await.unwrap();
    assert_eq!(kept(&store).await.len(), 6);
    pass(&store, Keep { days: None, count: Some(2) }, later, &stop).await.unwrap();
    assert_eq!(kept(&store).await, ["t-2", "t-3", "t-4", "t-5", "t-6"]);
    pass(&store, Keep { days: Some(39), count: None }, later, &stop).await.unwrap();
    assert_eq!(kept(&store).await, ["t-2", "t-3", "t-4", "t-6"]);

    let gone = store.pruned("t-1").await.unwrap();
    assert_eq!(gone, Some(PrunedRow { finished_ms: 350, pruned_ms: later }));
    assert_eq!(store.pruned("t-2").await.unwrap(), None);
    assert!(store.tasks(keys[0], None, 0, 10).await.unwrap().is_empty());
    assert_eq!(store.result(keys[0], all[0].0).await.unwrap(), None);
    assert_eq!(store.envelope(&invocation(1, &all).order_digest).await.unwrap(), None);
    assert!(store.erasing(10).await.unwrap().is_empty());
    assert_eq!(store.tasks(keys[1], None, 0, 10).await.unwrap().len(), 3, "what runs stays whole");
    // What comes late for it changes nothing, and its id never means another.
    let late = fact(&invocation(1, &all), all[0].0, ended(TaskStatus::Failed));
    assert!(store.record(vec![late]).await.unwrap().is_empty());
    assert_eq!(store.create(invocation(1, &all)).await.unwrap(), None);
    let told = store.kept().await.unwrap();
    assert_eq!((told.invocations, told.pruned, told.pruned_ms), (4, 2, Some(later)));
}

pub(in crate::store::tests) async fn a_pass_that_was_killed_is_finished_by_the_next(store: Store) {
    let all = instances(&store, 3).await;
    let new = invocation(1, &all);
    let key = store.create(new.clone()).await.unwrap().unwrap().invocation;
    let facts = all.iter().map(|(instance, _)| fact(&new, *instance, ended(TaskStatus::Success)));
    store.record(facts.collect()).await.unwrap();
    store.create(invocation(2, &all)).await.unwrap();
    assert_eq!(store.retire(vec![key, 99], DAY_MS).await.unwrap(), 1);
    assert_eq!(store.retire(vec![key], DAY_MS).await.unwrap(), 0, "it goes once");
    assert_eq!(store.erase(key, 2).await.unwrap(), 2, "in pieces");
    assert_eq!(store.tasks(key, None, 0, 10).await.unwrap().len(), 1);
    assert_eq!(store.erasing(10).await.unwrap(), [key]);
    pass(&store, Keep { days: Some(1), count: None }, DAY_MS, &CancellationToken::new()).await.unwrap();
    assert!(store.tasks(key, None, 0, 10).await.unwrap().is_empty());
    assert!(store.erasing(10).await.unwrap().is_empty());
}

/// Keys are what the dispatcher, links and the cache of offers go on from: they only grow, whatever was removed.
pub(in crate::store::tests) async fn keys_are_never_given_away_again(store: Store) {
    let all = instances(&store, 1).await;
    let stop = CancellationToken::new();
    let mut before = (0, 0);
    for number in 1..=3 {
        let new = invocation(number, &all);
        let made = store.create(new.clone()).await.unwrap().unwrap();
        assert!(made.invocation > before.0 && made.order > before.1, "{made:?} after {before:?}");
        before = (made.invocation, made.order);
        store.record(vec![fact(&new, all[0].0, ended(TaskStatus::Success))]).await.unwrap();
        pass(&store, Keep { days: Some(1), count: None }, 40 * DAY_MS, &stop).await.unwrap();
        assert_eq!(kept(&store).await, [format!("t-{number}")], "the newest stays, all others go");
    }
}

/// An instance that was away when its task was given up has the proof of what it did.
pub(in crate::store::tests) async fn what_an_instance_may_still_prove_is_kept_for_a_week(store: Store) {
    let all = instances(&store, 2).await;
    let stop = CancellationToken::new();
    let new = invocation(1, &all);
    let key = store.create(new.clone()).await.unwrap().unwrap().invocation;
    store.create(invocation(2, &all)).await.unwrap();
    store.record(vec![fact(&new, all[0].0, ended(TaskStatus::Success))]).await.unwrap();
    store.expire(key, 2000).await.unwrap();
    let week = Keep { days: None, count: Some(1) };
    pass(&store, week, 2000 + 7 * DAY_MS - 1, &stop).await.unwrap();
    let late = fact(&new, all[1].0, ended(TaskStatus::Success));
    assert_eq!(store.record(vec![late]).await.unwrap().len(), 1, "it is taken");
    let new = invocation(3, &all);
    let key = store.create(new).await.unwrap().unwrap().invocation;
    store.create(invocation(4, &all)).await.unwrap();
    store.expire(key, 2000).await.unwrap();
    pass(&store, week, 2000 + 7 * DAY_MS, &stop).await.unwrap();
    assert!(!kept(&store).await.contains(&"t-3".to_owned()), "nobody told for a week");
}

pub(in crate::store::tests) async fn the_clock_of_one_instance_removes_the_evidence_of_all(store: Store) {
    let all = instances(&store, 2).await;
    let new = invocation(1, &all);
    let key = store.create(new.clone()).await.unwrap().unwrap().invocation;
    for ((instance, _), finished_ms) in all.iter().zip([40 * DAY_MS, 0]) {
        let What::Ended(end) = ended(TaskStatus::Success) else { panic!("an end") };
        let end = Ended { finished_ms, received_ms: 40 * DAY_MS, ..*end };
        store.record(vec![fact(&new, *instance, What::Ended(Box::new(end)))]).await.unwrap();
    }
    let keep = Keep { days: Some(1), ..Keep::default() };
    pass(&store, keep, 40 * DAY_MS + 1, &CancellationToken::new()).await.unwrap();
    assert_eq!(kept(&store).await, ["t-1"]);
    let told = store.tasks(key, None, 0, 10).await.unwrap();
    assert_eq!(told[1].finished_ms, Some(0), "what the instance says of its task is told");
}
