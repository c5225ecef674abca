//! The cases; each gets an empty store.

use std::collections::BTreeMap;

use orderly_model::task::{ResultCode, TaskStatus};
use orderly_signing::digest::Digest;
use orderly_signing::instance::InstanceId;

use crate::store::fact::{Ended, Fact, RECEIPT_REFUSED, What};
use crate::store::row::*;
use crate::store::{Store, StoreError};
use crate::tests::fleet::key;

pub(super) fn token(uid: &str, seed: u8) -> TokenRow {
    TokenRow {
        uid: uid.to_owned(),
        name: "somebody".to_owned(),
        hash: Digest::of(&[seed]),
        created_ms: 1,
        expires_ms: seed.is_multiple_of(2).then_some(2),
    }
}

fn activation(code: &str, max_instances: i32) -> (ActivationRow, Digest) {
    let row = ActivationRow {
        uid: format!("a-{code}"),
        name: None,
        created_ms: 1,
        expires_ms: 1000,
        max_instances,
        used: 0,
        disabled: false,
        tags: BTreeMap::from([("env".to_owned(), "test".to_owned()), ("role".to_owned(), "db".to_owned())]),
        networks: vec!["10.0.0.0/8".to_owned()],
    };
    (row, Digest::of(code.as_bytes()))
}

fn newcomer(code: &str, at_ms: i64) -> NewInstance {
    let key = key();
    NewInstance {
        uid: InstanceId::of(key.public()),
        name: "web".to_owned(),
        public_key: key.public().to_spki_der(),
        facts: "{}".to_owned(),
        enrolled_ms: at_ms,
        code_hash: Digest::of(code.as_bytes()),
    }
}

/// Enrols so many instances, and answers them in the order of their keys.
pub(super) async fn instances(store: &Store, count: usize) -> Vec<(InstanceKey, InstanceId)> {
    let (row, hash) = activation("many", i32::MAX);
    store.add_activation(row, hash).await.unwrap();
    let mut enrolled = Vec::new();
    for _ in 0..count {
        let new = newcomer("many", 10);
        enrolled.push(new.uid.clone());
        assert_eq!(store.enrol(new).await.unwrap(), EnrolOutcome::Enrolled);
    }
    let mut found = store.instance_keys(&enrolled).await.unwrap();
    found.sort_unstable_by_key(|(key, _)| *key);
    assert_eq!(found.len(), count);
    found
}

pub(super) fn invocation(number: u32, targets: &[(InstanceKey, InstanceId)]) -> NewInvocation {
    NewInvocation {
        uid: format!("t-{number}"),
        name: None,
        kind: "script",
        summary: "true".to_owned(),
        principal: "tester".to_owned(),
        created_ms: 100,
        deadline_ms: 1000,
        order_digest: Digest::of(&number.to_le_bytes()),
        envelope: format!("order {number}").into_bytes(),
        plugin: None,
        content: Some(b"true".to_vec()),
        targets: targets.iter().map(|(key, _)| *key).collect(),
    }
}

pub(super) fn ended(status: TaskStatus) -> What {
    What::Ended(Box::new(Ended {
        invocation: None,
        generation: 1,
        received_ms: 350,
        status,
        code: None,
        reason: Some("because".to_owned()),
        check: None,
        exit_code: Some(0),
        started_ms: Some(200),
        finished_ms: 300,
        output_bytes: 5,
        dropped_bytes: 0,
        receipt: b"receipt".to_vec(),
        output: b"output".to_vec(),
        report: None,
    }))
}

pub(super) fn fact(new: &NewInvocation, instance: InstanceKey, what: What) -> Fact {
    Fact { instance, order: new.order_digest, what }
}

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

pub(super) async fn people(store: Store) {
    store.add_token(token("k-1", 1)).await.unwrap();
    store.add_token(token("k-2", 2)).await.unwrap();
    assert_eq!(store.tokens().await.unwrap(), vec![token("k-1", 1), token("k-2", 2)]);
    assert_eq!(store.token(&Digest::of(&[2])).await.unwrap(), Some(token("k-2", 2)));
    assert!(store.remove_token("k-1").await.unwrap());
    assert!(!store.remove_token("k-1").await.unwrap());
    assert_eq!(store.token(&Digest::of(&[1])).await.unwrap(), None);

    let keyring = |revision| KeyringRow { revision, root: Digest::of(b"root"), envelope: vec![1, 2], created_ms: 3 };
    assert_eq!(store.keyring().await.unwrap(), None);
    assert!(store.add_keyring(keyring(2)).await.unwrap());
    for not_newer in [2, 1] {
        assert!(!store.add_keyring(keyring(not_newer)).await.unwrap());
    }
    assert!(store.add_keyring(keyring(7)).await.unwrap());
    assert_eq!(store.keyring().await.unwrap(), Some(keyring(7)));
}

pub(super) async fn enrolment(store: Store) {
    let (row, hash) = activation("code", 2);
    store.add_activation(row.clone(), hash).await.unwrap();
    assert_eq!(store.activation(&hash).await.unwrap(), Some(row));
    let first = newcomer("code", 10);
    assert_eq!(store.enrol(first.clone()).await.unwrap(), EnrolOutcome::Enrolled);
    // The answer was lost and the agent asks again: it is not counted twice.
    let again = NewInstance { name: "web-2".to_owned(), ..first.clone() };
    assert_eq!(store.enrol(again).await.unwrap(), EnrolOutcome::Enrolled);
    assert_eq!(store.activations().await.unwrap()[0].used, 1);
    assert_eq!(store.enrol(newcomer("code", 10)).await.unwrap(), EnrolOutcome::Enrolled);
    assert_eq!(store.enrol(newcomer("code", 10)).await.unwrap(), EnrolOutcome::CodeSpent);
    assert_eq!(store.enrol(newcomer("wrong", 10)).await.unwrap(), EnrolOutcome::CodeSpent);
    assert_eq!(store.enrol(NewInstance { enrolled_ms: 1000, ..first.clone() }).await.unwrap(), EnrolOutcome::CodeSpent);
    assert!(store.disable_activation("a-code").await.unwrap());
    assert!(!store.disable_activation("a-none").await.unwrap());
    assert_eq!(store.enrol(first.clone()).await.unwrap(), EnrolOutcome::CodeSpent);

    let found = store.instance(&first.uid).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.last_seen_ms), ("web-2", None));
    assert_eq!(found.tags, BTreeMap::from([("env".into(), "test".into()), ("role".into(), "db".into())]));
    let seen = |at_ms| Seen { instance: found.key, at_ms, boot_id: "b".to_owned(), keyring_revision: 1 };
    store.seen(vec![seen(5)]).await.unwrap();
    store.seen(vec![seen(6)]).await.unwrap();
    store.set_facts(found.key, "{\"new\":1}".to_owned()).await.unwrap();
    store.set_tags(found.key, BTreeMap::from([("env".into(), "prod".into())])).await.unwrap();
    let found = store.instance(&first.uid).await.unwrap().unwrap();
    assert_eq!((found.facts.as_str(), found.last_seen_ms, found.tags.len()), ("{\"new\":1}", Some(6), 1));
    let with = async |pairs: &[(&str, &str)]| {
        let tags = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let listed = store.instances(&tags, 0, 10).await.unwrap();
        let all = store.instances_with(&tags).await.unwrap();
        assert_eq!(
            listed.iter().map(|row| row.key).collect::<Vec<_>>(),
            all.iter().map(|(key, _)| *key).collect::<Vec<_>>()
        );
        all.len()
    };
    assert_eq!(with(&[]).await, 2);
    assert_eq!(with(&[("env", "test")]).await, 1);
    assert_eq!(with(&[("env", "prod")]).await, 1);
    assert_eq!(with(&[("env", "test"), ("role", "db")]).await, 1);
    assert_eq!(with(&[("env", "prod"), ("role", "db")]).await, 0);
    assert_eq!(store.instances(&BTreeMap::new(), found.key, 10).await.unwrap().len(), 1);
}

pub(super) async fn plugins(store: Store) {
    let row = |version: &str, component: &[u8]| PluginRow {
        key: 0,
        name: "look".to_owned(),
        version: version.to_owned(),
        summary: "Looks".to_owned(),
        component: Digest::of(component),
        component_bytes: 3,
        manifest_digest: Digest::of(b"m"),
        publisher: "p".to_owned(),
        tier: "plugin-read-only".to_owned(),
        capabilities: "clock".to_owned(),
        approval_revision: None,
        created_ms: 9,
    };
    let documents = PluginDocuments { manifest: b"m".to_vec(), statement: b"s".to_vec(), approval: None };
    let add = async |row| store.add_plugin(row, documents.clone()).await.unwrap();
    assert_eq!(add(row("1.0.0", b"a")).await, AddOutcome::Stored);
    assert_eq!(add(row("1.0.0", b"a")).await, AddOutcome::Stored);
    assert_eq!(add(row("1.0.0", b"b")).await, AddOutcome::Conflict);
    assert_eq!(add(row("1.1.0", b"b")).await, AddOutcome::Stored);
    assert_eq!(store.plugins(Some("look")).await.unwrap().len(), 2);
    assert_eq!(store.plugins(None).await.unwrap().len(), 2);
    assert!(store.plugins(Some("other")).await.unwrap().is_empty());
    let (found, _) = store.plugin("look", "1.0.0").await.unwrap().unwrap();
    assert!(store.set_approval(found.key, 2, b"two".to_vec()).await.unwrap());
    assert!(store.set_approval(found.key, 2, b"two".to_vec()).await.unwrap(), "the same again");
    assert!(!store.set_approval(found.key, 2, b"other".to_vec()).await.unwrap());
    assert!(!store.set_approval(found.key, 1, b"one".to_vec()).await.unwrap(), "rolled back");
    assert_eq!(store.plugin("look", "1.0.0").await.unwrap().unwrap().0.approval_revision, Some(2));
    let (_, stored) = store.plugin("look", "1.0.0").await.unwrap().unwrap();
    assert_eq!(stored, PluginDocuments { approval: Some(b"two".to_vec()), ..documents });
    store.add_blob(Digest::of(b"a"), 1, 2).await.unwrap();
    store.add_blob(Digest::of(b"a"), 1, 3).await.unwrap();
    assert_eq!(store.blob(&Digest::of(b"a")).await.unwrap(), Some(1));
    assert_eq!(store.blob(&Digest::of(b"b")).await.unwrap(), None);
}

pub(super) async fn creation_and_paging(store: Store) {
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

pub(super) async fn reports_are_idempotent(store: Store) {
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
    store.record(vec![fact(&new, b, What::Unproven { at_ms: 400 })]).await.unwrap();
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

pub(super) async fn a_batch_over_many_invocations(store: Store) {
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
        assert_eq!((row.counts.get(status), row.counts.total(), row.finished_ms), (count, count, Some(300)));
    }
    assert!(store.deliveries_to(all[0].0, 0, 10).await.unwrap().is_empty());
}

pub(super) async fn the_instance_overrules_the_deadline(store: Store) {
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

pub(super) async fn stop(store: Store) {
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
    };
    let only = vec![all[0].clone(), all[1].clone(), all[2].clone()];
    let changed = store.stop(order("some", Some(only.clone()))).await.unwrap();
    let ChangedTasks::Of(instances) = &changed[0].tasks else { panic!("{changed:?}") };
    assert_eq!(std::collections::BTreeSet::from_iter(instances), [&a, &c].into());
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

pub(super) async fn a_failing_change_harms_no_other(store: Store) {
    store.add_token(token("k-0", 0)).await.unwrap();
    let changes = (0..40_u8).map(|number| {
        let store = store.clone();
        // Every other one takes an id that is taken.
        let uid = if number % 2 == 0 { "k-0".to_owned() } else { format!("k-{number}") };
        tokio::spawn(async move { (number, store.add_token(token(&uid, number.max(1) + 100)).await) })
    });
    let answers: Vec<_> = changes.collect();
    for answer in answers {
        let (number, answer) = answer.await.unwrap();
        match answer {
            Ok(()) => assert_eq!(number % 2, 1),
            Err(StoreError::Batch(_) | StoreError::Database(_)) => assert_eq!(number % 2, 0),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(store.tokens().await.unwrap().len(), 21);
}
