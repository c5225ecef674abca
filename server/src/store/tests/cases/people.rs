//! Who is there, and what may be run: tokens, keyrings, instances, plugins.

use std::collections::BTreeMap;

use orderly_signing::digest::Digest;

use super::{activation, newcomer, token};
use crate::store::Store;
use crate::store::row::*;

pub(in crate::store::tests) async fn people(store: Store) {
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

pub(in crate::store::tests) async fn enrolment(store: Store) {
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

pub(in crate::store::tests) async fn plugins(store: Store) {
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

pub(in crate::store::tests) async fn groups(store: Store) {
    let group = |name: &str| GroupRow {
        name: name.to_owned(),
        selector: "env=prod".to_owned(),
        created_ms: 7,
        created_by: "alice".to_owned(),
    };
    assert!(store.add_group(group("web")).await.unwrap());
    assert!(store.add_group(group("db")).await.unwrap());
    let other = GroupRow { selector: "env=test".to_owned(), ..group("web") };
    assert!(!store.add_group(other).await.unwrap(), "the name is taken");
    assert_eq!(store.group("web").await.unwrap(), Some(group("web")));
    assert_eq!(store.groups("", 10).await.unwrap(), [group("db"), group("web")]);
    assert_eq!(store.groups("db", 10).await.unwrap(), [group("web")]);
    assert!(store.remove_group("web").await.unwrap());
    assert!(!store.remove_group("web").await.unwrap());
    assert_eq!(store.group("web").await.unwrap(), None);
}
