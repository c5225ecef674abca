//! Commands that are kept: versions, lists, and that none goes while it runs.

use std::collections::BTreeMap;

use orderly_model::task::TaskStatus;
use orderly_signing::digest::Digest;

use super::{ended, fact, instances, invocation};
use crate::store::Store;
use crate::store::row::*;

fn version(name: &str, at_ms: i64, tags: Option<&[(&str, &str)]>) -> NewVersion {
    NewVersion {
        changed_ms: at_ms,
        changed_by: "alice".to_owned(),
        name: name.to_owned(),
        description: String::new(),
        content_digest: Some(Digest::of(name.as_bytes())),
        content_bytes: 4,
        draft: format!("{{\"name\":\"{name}\"}}"),
        tags: tags.map(|tags| tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()),
    }
}

async fn add(store: &Store, uid: &str, kind: &str, first: NewVersion) {
    let new = NewCommand { uid: uid.to_owned(), kind: kind.to_owned(), first };
    assert!(store.add_command(new, 3).await.unwrap());
}

pub(in crate::store::tests) async fn versions_lists_and_filters(store: Store) {
    add(&store, "c-1", "shell", version("restart web", 1, Some(&[("team", "a"), ("env", "prod")]))).await;
    add(&store, "c-2", "bat", version("Restart db", 2, None)).await;
    add(&store, "c-3", "shell", version("100% _full_", 3, Some(&[("team", "a")]))).await;
    let listed = async |filter: CommandFilter| {
        let rows = store.commands(&filter, 0, 10).await.unwrap();
        rows.into_iter().map(|row| row.uid).collect::<Vec<_>>()
    };
    let all = CommandFilter::default();
    assert_eq!(listed(all.clone()).await, ["c-1", "c-2", "c-3"]);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(listed(CommandFilter { prefix: text("restart"), ..all.clone() }).await, ["c-1"], "capitals count");
    assert_eq!(listed(CommandFilter { contains: text("start"), ..all.clone() }).await, ["c-1", "c-2"]);
    for wild in ["%", "_"] {
        assert_eq!(
            listed(CommandFilter { contains: text(wild), ..all.clone() }).await,
            ["c-3"],
            "no wild card: {wild}"
        );
    }
    assert_eq!(listed(CommandFilter { kind: text("shell"), ..all.clone() }).await, ["c-1", "c-3"]);
    let tags = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(listed(CommandFilter { tags: tags(&[("team", "a")]), ..all.clone() }).await, ["c-1", "c-3"]);
    assert_eq!(listed(CommandFilter { tags: tags(&[("team", "a"), ("env", "prod")]), ..all.clone() }).await, ["c-1"]);
    let page = store.commands(&all, 0, 2).await.unwrap();
    assert_eq!(store.commands(&all, page[1].key, 2).await.unwrap().len(), 1);

    let change = async |from, new| store.change_command("c-1", from, new).await.unwrap();
    assert_eq!(change(1, version("reload web", 5, None)).await, VersionOutcome::Stored(2));
    assert_eq!(change(1, version("lost", 6, None)).await, VersionOutcome::Stale(2), "somebody was faster");
    let gone = store.change_command("c-9", 1, version("x", 6, None)).await.unwrap();
    assert_eq!(gone, VersionOutcome::Unknown);
    let (row, draft) = store.command("c-1", None).await.unwrap().unwrap();
    assert_eq!((row.newest, row.version.version, row.version.name.as_str()), (2, 2, "reload web"));
    assert_eq!((draft.as_str(), row.tags.len()), ("{\"name\":\"reload web\"}", 2));
    assert_eq!((row.created_ms, row.created_by.as_str(), row.used_ms), (1, "alice", None));
    let (old, draft) = store.command("c-1", Some(1)).await.unwrap().unwrap();
    assert_eq!((old.newest, old.version.version, draft.as_str()), (2, 1, "{\"name\":\"restart web\"}"));
    assert!(store.command("c-1", Some(3)).await.unwrap().is_none());
    let numbers = async |before| {
        let rows = store.command_versions(row.key, before, 10).await.unwrap();
        rows.into_iter().map(|row| (row.version, row.changed_ms)).collect::<Vec<_>>()
    };
    assert_eq!(numbers(i32::MAX).await, [(2, 5), (1, 1)]);
    assert_eq!(numbers(2).await, [(1, 1)]);
    let new = NewCommand { uid: "c-4".to_owned(), kind: "shell".to_owned(), first: version("one too many", 7, None) };
    assert!(!store.add_command(new.clone(), 3).await.unwrap());
    assert!(store.command("c-4", None).await.unwrap().is_none());
    assert!(store.add_command(new, 4).await.unwrap());
}

pub(in crate::store::tests) async fn a_command_stays_while_it_runs(store: Store) {
    let all = instances(&store, 1).await;
    add(&store, "c-1", "shell", version("one", 1, Some(&[("a", "b")]))).await;
    let new = NewInvocation { command: Some(("c-1".to_owned(), 1)), ..invocation(1, &all) };
    store.create(new.clone()).await.unwrap().unwrap();
    let stored = store.invocation(&new.uid).await.unwrap().unwrap();
    assert_eq!(stored.command, new.command);
    assert_eq!(store.command("c-1", None).await.unwrap().unwrap().0.used_ms, Some(new.created_ms));
    let running = DeleteOutcome::Running(vec![new.uid.clone()]);
    assert_eq!(store.delete_command("c-1").await.unwrap(), running);
    assert!(store.command("c-1", None).await.unwrap().is_some(), "nothing half done");
    let changed = store.record(vec![fact(&new, all[0].0, ended(TaskStatus::Success))]).await.unwrap();
    assert_eq!(changed[0].invocation.command, new.command);
    assert_eq!(store.delete_command("c-1").await.unwrap(), DeleteOutcome::Deleted);
    assert_eq!(store.delete_command("c-1").await.unwrap(), DeleteOutcome::Unknown);
    assert!(store.command("c-1", Some(1)).await.unwrap().is_none());
    // What ran still says what it was.
    assert_eq!(store.invocation(&new.uid).await.unwrap().unwrap().command, new.command);
}
