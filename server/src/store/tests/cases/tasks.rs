//! What becomes of an invocation: created, reported, too late, stopped.

use std::collections::BTreeSet;

use orderly_model::task::{ResultCode, TaskStatus};
use orderly_signing::digest::Digest;

use super::{ended, fact, instances, invocation};
use crate::store::Store;
use crate::store::fact::{Ended, Fact, RECEIPT_REFUSED, What};
use crate::store::row::*;

/// What a change has to say of tasks: no more and no less than is read afterwards.
async fn told(store: &Store, invocation: InvocationKey, instances: &[InstanceKey]) -> Vec<Changed> {
    let tasks = store.tasks_of(invocation, instances).await.unwrap();
    let mut rows = store.invocations(i64::MAX, 100).await.unwrap();
    rows.retain(|row| row.key == invocation);
    vec![Changed { invocation: rows.pop().unwrap(), tasks: ChangedTasks::Rows(tasks) }]
}

async fn status(store: &Store, invocation: InvocationKey, instance: InstanceKey) -> TaskStatus {
    store.tasks_of(invocation, &[instance]).await.unwrap().pop().unwrap().status
}

pub(in crate::store::tests) async fn creation_and_paging(store: Store) {
    let all = instances(&store, 60).await;
    let new = invocation(1, &all);
    let Created { invocation: key, order: first } = store.create(new.clone()).await.unwrap().unwrap();
    assert_eq!(store.create(new.clone()).await.unwrap(), None, "an id is taken once");
    let Created { invocation: other, order: second } = store.create(invocation(2, &all[..1])).await.unwrap().unwrap();
    let row = store.invocation("t-1").await.unwrap().unwrap();
    assert_eq!((row.key, row.targets, row.counts.get(TaskStatus::Pending), row.finished_ms), (key, 60, 60, None));
    assert_eq!(store.invocation("t-9").await.unwrap(), None);
    let listed: Vec<_> = store.invocations(i64::MAX, 10).await.unwrap().iter().map(|row| row.key).collect();
    assert_eq!(listed, [other, key], "newest first");
    assert_eq!(store.invocations(other, 10).await.unwrap().len(), 1);

    let page = store.tasks(key, None, all[9].0, 20).await.unwrap();
    assert_eq!(
        page.iter().map(|task| task.instance).collect::<Vec<_>>(),
        all[10..30].iter().map(|(key, _)| *key).collect::<Vec<_>>()
    );
    assert_eq!(page[0].instance_uid, all[10].1);
    assert!(store.tasks(key, Some(TaskStatus::Success), 0, 20).await.unwrap().is_empty());
    assert_eq!(store.tasks(key, Some(TaskStatus::Pending), 0, 100).await.unwrap().len(), 60);
    let mut sorted: Vec<_> = all.iter().map(|(_, uid)| uid.clone()).collect();
    sorted.sort();
    assert_eq!(store.targets(key).await.unwrap(), sorted);
    assert!(store.is_target("t-2", all[0].0).await.unwrap());
    assert!(!store.is_target("t-2", all[1].0).await.unwrap());
    assert!(!store.is_target("t-9", all[0].0).await.unwrap());

    let waiting = store.deliveries((0, 0), 100).await.unwrap();
    let places: Vec<_> = waiting.iter().map(|delivery| (delivery.order.key, delivery.instance)).collect();
    let expected = all.iter().map(|(instance, _)| (first, *instance)).chain([(second, all[0].0)]);
    assert_eq!(places, expected.collect::<Vec<_>>());
    assert_eq!(store.deliveries((first, all[57].0), 100).await.unwrap(), waiting[58..]);
    assert_eq!(store.deliveries((first, all[57].0), 2).await.unwrap(), waiting[58..60]);
    assert_eq!(store.deliveries((first, i64::MAX), 100).await.unwrap(), waiting[60..]);
    let heads = [waiting[0].order, waiting[60].order];
    assert_eq!(heads.map(|head| head.invocation), [key, other]);
    assert_eq!(store.newest_order().await.unwrap(), second);
    assert_eq!(store.deliveries_to(all[0].0, 0, 10).await.unwrap(), heads);
    assert_eq!(store.deliveries_to(all[0].0, heads[0].key, 10).await.unwrap(), heads[1..]);
    let body = store.order(heads[0].key).await.unwrap().unwrap();
    assert_eq!(
        (body.envelope.as_slice(), body.content.as_deref(), body.targets),
        (&b"order 1"[..], Some(&b"true"[..]), None)
    );
    assert_eq!(store.envelope(&new.order_digest).await.unwrap().as_deref(), Some(&b"order 1"[..]));
    assert_eq!(store.order(99).await.unwrap(), None);
}

pub(in crate::store::tests) async fn reports_are_idempotent(store: Store) {
    let all = instances(&store, 2).await;
    let new = invocation(1, &all);
    let key = store.create(new.clone()).await.unwrap().unwrap().invocation;
    let (a, b) = (all[0].0, all[1].0);
    let changed = store.record(vec![fact(&new, a, What::Accepted)]).await.unwrap();
    assert_eq!(changed, told(&store, key, &[a]).await);
    assert_eq!(status(&store, key, a).await, TaskStatus::Running);
    assert!(store.deliveries_to(a, 0, 10).await.unwrap().is_empty(), "an accepted order is not sent again");
    assert_eq!(store.deliveries_to(b, 0, 10).await.unwrap().len(), 1);
    // The same again, the end twice, and the acceptance after the end.
    let facts = vec![
        fact(&new, a, What::Accepted),
        fact(&new, a, ended(TaskStatus::Failed)),
        fact(&new, a, ended(TaskStatus::Success)),
        fact(&new, a, What::Accepted),
        fact(&new, a, What::Stopping),
    ];
    assert_eq!(store.record(facts.clone()).await.unwrap(), told(&store, key, &[a]).await);
    assert!(store.record(facts).await.unwrap().is_empty(), "a repeated batch changes nothing");
    let task = store.tasks_of(key, &[a]).await.unwrap().pop().unwrap();
    assert_eq!(
        (task.status, task.reason.as_deref(), task.finished_ms),
        (TaskStatus::Failed, Some("because"), Some(300))
    );
    assert_eq!(store.result(key, a).await.unwrap().unwrap().receipt, b"receipt");
    let row = store.invocation("t-1").await.unwrap().unwrap();
    assert_eq!(
        (row.counts.get(TaskStatus::Failed), row.counts.get(TaskStatus::Pending), row.finished_ms),
        (1, 1, None)
    );
    // An end whose receipt was refused is an end without proof; the proven one still counts.
    store.record(vec![fact(&new, b, What::Unproven { generation: 1, at_ms: 400 })]).await.unwrap();
    let task = store.tasks_of(key, &[b]).await.unwrap().pop().unwrap();
    assert_eq!((task.status, task.code.as_deref()), (TaskStatus::Error, Some(RECEIPT_REFUSED)));
    assert_eq!(store.result(key, b).await.unwrap(), None);
    assert_eq!(store.invocation("t-1").await.unwrap().unwrap().finished_ms, Some(400));
    store.record(vec![fact(&new, b, ended(TaskStatus::Success))]).await.unwrap();
    assert_eq!(status(&store, key, b).await, TaskStatus::Success);
    // A receipt of another invocation or run proves nothing, whichever order it names.
    let third = invocation(3, &all[..1]);
    let third_key = store.create(third.clone()).await.unwrap().unwrap().invocation;
    let named = |invocation: &str, generation| match ended(TaskStatus::Success) {
        What::Ended(end) => {
            What::Ended(Box::new(Ended { invocation: Some(invocation.to_owned()), generation, ..*end }))
        }
        other => other,
    };
    for (invocation, generation) in [("t-1", 1), ("t-3", 2)] {
        store.record(vec![fact(&third, a, named(invocation, generation))]).await.unwrap();
        let task = store.tasks_of(third_key, &[a]).await.unwrap().pop().unwrap();
        assert_eq!(
            (task.status, task.code.as_deref(), task.finished_ms),
            (TaskStatus::Error, Some(RECEIPT_REFUSED), Some(350))
        );
        assert_eq!(store.result(third_key, a).await.unwrap(), None);
    }
    store.record(vec![fact(&third, a, named("t-3", 1))]).await.unwrap();
    assert_eq!(status(&store, third_key, a).await, TaskStatus::Success);
    // What nobody ordered, and what was ordered of others, is nothing.
    let unknown = Fact { instance: a, order: Digest::of(b"unknown"), what: What::Accepted };
    let foreign = fact(&new, 999_999, ended(TaskStatus::Success));
    assert!(store.record(vec![unknown, foreign]).await.unwrap().is_empty());
}

pub(in crate::store::tests) async fn a_batch_over_many_invocations(store: Store) {
    let all = instances(&store, 130).await;
    let (one, two) = (invocation(1, &all), invocation(2, &all[..70]));
    store.create(one.clone()).await.unwrap().unwrap();
    store.create(two.clone()).await.unwrap().unwrap();
    let both = all.iter().map(|(key, _)| fact(&one, *key, ended(TaskStatus::Success)));
    let both = both.chain(all[..70].iter().map(|(key, _)| fact(&two, *key, ended(TaskStatus::Timeout))));
    let changed = store.record(both.collect()).await.unwrap();
    assert_eq!(changed.iter().map(|change| change.tasks.count()).collect::<Vec<_>>(), [130, 70]);
    for (uid, status, count) in [("t-1", TaskStatus::Success, 130), ("t-2", TaskStatus::Timeout, 70)] {
        let row = store.invocation(uid).await.unwrap().unwrap();
        assert_eq!((row.counts.get(status), row.counts.total(), row.finished_ms), (count, count, Some(350)));
    }
    assert!(store.deliveries_to(all[0].0, 0, 10).await.unwrap().is_empty());
}

pub(in crate::store::tests) async fn the_instance_overrules_the_deadline(store: Store) {
    let all = instances(&store, 3).await;
    let new = invocation(1, &all);
    let key = store.create(new.clone()).await.unwrap().unwrap().invocation;
    let [a, b, c] = [all[0].0, all[1].0, all[2].0];
    store.record(vec![fact(&new, a, What::Accepted)]).await.unwrap();
    assert_eq!(store.next_deadline().await.unwrap(), Some(1000));
    assert!(store.overdue(999, 10).await.unwrap().is_empty());
    assert_eq!(store.overdue(1000, 10).await.unwrap(), [key]);
    let changed = store.expire(key, 1001).await.unwrap();
    assert_eq!((changed[0].tasks.count(), changed[0].invocation.counts.get(TaskStatus::Aborted)), (2, 2));
    assert_eq!(store.next_deadline().await.unwrap(), None);
    assert!(store.deliveries_to(b, 0, 10).await.unwrap().is_empty());
    let task = store.tasks_of(key, &[b]).await.unwrap().pop().unwrap();
    assert_eq!((task.status, task.code.as_deref()), (TaskStatus::Aborted, Some(ResultCode::DeliveryTimeout.as_str())));
    store.record(vec![fact(&new, a, ended(TaskStatus::Success))]).await.unwrap();
    assert!(store.invocation("t-1").await.unwrap().unwrap().finished_ms.is_some());
    // It had accepted in time after all, and its reports come late.
    store.record(vec![fact(&new, b, What::Accepted)]).await.unwrap();
    let row = store.invocation("t-1").await.unwrap().unwrap();
    assert_eq!((row.counts.get(TaskStatus::Running), row.finished_ms), (1, None));
    store
        .record(vec![fact(&new, b, ended(TaskStatus::Success)), fact(&new, c, ended(TaskStatus::Invalid))])
        .await
        .unwrap();
    let row = store.invocation("t-1").await.unwrap().unwrap();
    assert_eq!((row.counts.get(TaskStatus::Success), row.counts.get(TaskStatus::Invalid)), (2, 1));
    assert!(row.finished_ms.is_some());
}

pub(in crate::store::tests) async fn stop(store: Store) {
    let all = instances(&store, 4).await;
    let new = invocation(1, &all);
    let key = store.create(new.clone()).await.unwrap().unwrap().invocation;
    let [a, b, c, d] = [all[0].0, all[1].0, all[2].0, all[3].0];
    store.record(vec![fact(&new, a, What::Accepted), fact(&new, b, ended(TaskStatus::Success))]).await.unwrap();
    let order = |name: &str, targets| NewStop {
        invocation: key,
        digest: Digest::of(name.as_bytes()),
        envelope: name.as_bytes().to_vec(),
        expires_ms: 5000,
        now_ms: 500,
        targets,
        series: false,
    };
    let only = vec![all[0].clone(), all[1].clone(), all[2].clone()];
    let changed = store.stop(order("some", Some(only.clone()))).await.unwrap();
    let ChangedTasks::Of(instances) = &changed[0].tasks else { panic!("{changed:?}") };
    assert_eq!(BTreeSet::from_iter(instances), [&a, &c].into());
    let is = async |instance| status(&store, key, instance).await;
    assert_eq!(
        [is(a).await, is(b).await, is(c).await, is(d).await],
        [TaskStatus::Stopping, TaskStatus::Success, TaskStatus::Cancelled, TaskStatus::Pending]
    );
    let waiting = |heads: Vec<OrderHead>| heads.into_iter().map(|head| head.kind).collect::<Vec<_>>();
    assert_eq!(waiting(store.deliveries_to(a, 0, 10).await.unwrap()), [OrderKind::Stop]);
    assert_eq!(waiting(store.deliveries_to(b, 0, 10).await.unwrap()), []);
    assert_eq!(waiting(store.deliveries_to(c, 0, 10).await.unwrap()), [OrderKind::Stop]);
    assert_eq!(waiting(store.deliveries_to(d, 0, 10).await.unwrap()), [OrderKind::Run]);
    let head = store.deliveries_to(a, 0, 10).await.unwrap()[0];
    let body = store.order(head.key).await.unwrap().unwrap();
    assert_eq!(body.targets, Some(only.into_iter().map(|(_, uid)| uid).collect()));
    assert_eq!((body.envelope.as_slice(), body.content), (&b"some"[..], None));

    assert!(store.stop(order("again", Some(vec![all[0].clone()]))).await.unwrap().is_empty(), "nothing left to stop");
    assert_eq!(store.stop(order("rest", None)).await.unwrap()[0].tasks, ChangedTasks::Of(vec![d]));
    store
        .record(vec![fact(&new, a, ended(TaskStatus::Terminated)), fact(&new, c, ended(TaskStatus::Terminated))])
        .await
        .unwrap();
    assert_eq!(is(c).await, TaskStatus::Terminated, "it had the order already, and its word counts");
    assert!(store.deliveries_to(a, 0, 10).await.unwrap().is_empty(), "an ended task needs no stop");
    // The stop of what never answers is sent until it expires.
    assert!(!store.prune(4999).await.unwrap());
    assert_eq!(store.deliveries_to(d, 0, 10).await.unwrap().len(), 1);
    assert!(store.prune(5000).await.unwrap());
    assert!(store.deliveries_to(d, 0, 10).await.unwrap().is_empty());
    let row = store.invocation("t-1").await.unwrap().unwrap();
    let counts =
        [TaskStatus::Success, TaskStatus::Terminated, TaskStatus::Cancelled].map(|status| row.counts.get(status));
    assert_eq!((counts, row.finished_ms.is_some()), ([1, 2, 1], true));
}

pub(in crate::store::tests) async fn a_file_comes_only_while_its_task_is_open(store: Store) {
    let all = instances(&store, 3).await;
    let (a, b, stranger) = (all[0].0, all[1].0, all[2].0);
    let new = invocation(1, &all[..2]);
    let key = store.create(new.clone()).await.unwrap().unwrap().invocation;
    let file = |content: &[u8]| FileRow { digest: Digest::of(content), bytes: 3 };
    assert!(store.add_file(key, a, file(b"one"), 5).await.unwrap());
    assert!(!store.add_file(key, a, file(b"two"), 6).await.unwrap(), "the first one stays");
    assert!(!store.add_file(key, stranger, file(b"two"), 6).await.unwrap());
    store.record(vec![fact(&new, b, ended(TaskStatus::Success))]).await.unwrap();
    assert!(!store.add_file(key, b, file(b"two"), 6).await.unwrap(), "its task has ended");
    assert_eq!(store.file(key, a).await.unwrap(), Some(file(b"one")));
    assert_eq!(store.file(key, b).await.unwrap(), None);
    let digests = [Digest::of(b"one"), Digest::of(b"two")];
    let known = store.known(Content::Collected, &digests).await.unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), digests[..1]);
    assert!(store.known(Content::Blob, &digests).await.unwrap().is_empty());
}
