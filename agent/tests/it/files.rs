//! Files that are collected: what a server says of them is never signed, and what is signed is a file that was there.

use std::path::Path;

use http::Method;
use orderly_signing::digest::Digest;
use orderly_signing::order::{Action, CollectAction};

use crate::fleet::{Fleet, Outcome};

/// As the server says it, of so many bytes and of a content.
fn all(bytes: u64, content: &[u8]) -> String {
    format!(r#"{{"bytes":{bytes},"digest":"{}"}}"#, Digest::of(content))
}

fn offer(fleet: &Fleet, path: &Path) -> Digest {
    let path = path.display().to_string();
    fleet.offer(&fleet.order(Action::Collect(CollectAction { path, max_bytes: 1000, timeout_s: 30 })), None)
}

async fn collect(fleet: &Fleet, path: &Path) -> Outcome {
    fleet.ended(offer(fleet, path)).await
}

fn says(fleet: &Fleet, before: &str, behind: &str) {
    let said = [(Method::GET, before.to_owned()), (Method::PUT, behind.to_owned())];
    fleet.server.with(|state| state.said = said.into());
}

const NOTHING: &str = r#"{"bytes":0}"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_with_the_digest_of_nothing_is_not_signed_as_the_files() {
    let fleet = Fleet::linked().await;
    let file = fleet.dir.path().join("f");
    std::fs::write(&file, "hello").unwrap();
    for (before, behind, word) in [
        (all(0, b""), NOTHING.to_owned(), "this is 0 bytes"),
        (all(5, b""), NOTHING.to_owned(), "order names"),
        (NOTHING.to_owned(), all(0, b""), "this is 0 bytes"),
        (NOTHING.to_owned(), all(5, b""), "order names"),
    ] {
        says(&fleet, &before, &behind);
        let done = collect(&fleet, &file).await;
        assert_ne!(done.status(), "Success", "{before} {behind}");
        assert!(done.reason().contains(word), "{before} {behind}: {}", done.reason());
    }
    says(&fleet, &all(5, b"hello"), NOTHING);
    let done = collect(&fleet, &file).await;
    assert_eq!((done.status(), done.receipt.output.sha256), ("Success", Digest::of(b"hello")), "{}", done.reason());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_while_it_is_read_or_changes_meanwhile_is_no_file() {
    let fleet = Fleet::linked().await;
    says(&fleet, NOTHING, &all(0, b""));
    let done = collect(&fleet, Path::new("/proc/cpuinfo")).await;
    assert_eq!(done.receipt.code.as_deref(), Some("FilePathInvalid"));
    assert!(done.reason().contains("made while it is read"), "{}", done.reason());
    let file = fleet.dir.path().join("f");
    std::fs::write(&file, "").unwrap();
    assert_eq!(collect(&fleet, &file).await.status(), "Success", "an empty file is a file");
    std::fs::write(&file, "hello").unwrap();
    says(&fleet, NOTHING, &all(5, b"hello"));
    let asked = fleet.server.with(|state| {
        state.hold = true;
        state.asked
    });
    let order = offer(&fleet, &file);
    fleet.server.until("the file to be opened", |state| (state.asked > asked).then_some(())).await;
    std::fs::write(&file, "hello again").unwrap();
    fleet.server.with(|state| state.hold = false);
    let done = fleet.ended(order).await;
    assert_eq!(done.receipt.code.as_deref(), Some("FileTransferFail"));
    assert!(done.reason().contains("changed while it was read"), "{}", done.reason());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_on_its_way_when_the_agent_was_killed_is_not_told_as_never_begun() {
    let mut fleet = Fleet::linked().await;
    let file = fleet.dir.path().join("f");
    std::fs::write(&file, "hello").unwrap();
    fleet.server.with(|state| state.hold = true);
    let order = offer(&fleet, &file);
    fleet.server.until("the file to be sent", |state| (state.asked > 0).then_some(())).await;
    fleet.kill().await;
    fleet.server.with(|state| state.hold = false);
    fleet.run().await;
    let done = fleet.ended(order).await;
    assert_eq!(done.receipt.code.as_deref(), Some("ExecutionInterrupted"));
    assert!(done.reason().contains("moved a file"), "{}", done.reason());
}
