//! The cases; each gets an empty store.

pub(super) mod alike;
pub(super) mod commands;
pub(super) mod people;
pub(super) mod retention;
pub(crate) mod rollouts;
pub(super) mod series;
pub(super) mod tasks;

use std::collections::BTreeMap;

use orderly_model::task::TaskStatus;
use orderly_signing::digest::Digest;
use orderly_signing::instance::InstanceId;

use crate::store::fact::{Ended, Fact, What};
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
        blob: None,
        content: Some(b"true".to_vec()),
        command: None,
        targets: targets.iter().map(|(key, _)| *key).collect(),
        rollout: None,
        series: None,
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
        output_digest: Digest::of(b"outpu"),
        receipt: b"receipt".to_vec(),
        output: b"output".to_vec(),
        report: None,
    }))
}

pub(super) fn fact(new: &NewInvocation, instance: InstanceKey, what: What) -> Fact {
    Fact { instance, order: new.order_digest, what }
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
