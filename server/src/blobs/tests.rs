#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::io;

use futures_util::{StreamExt as _, stream};
use tempfile::TempDir;

use super::upload::{Part, UploadError};
use super::*;
use crate::shutdown::Phase;

const QUOTA: Quota = Quota { file_bytes: 1000 * 1000, total_bytes: 1500 * 1000 };

async fn blobs() -> (TempDir, Phase, Blobs) {
    let dir = tempfile::tempdir().unwrap();
    let phase = Phase::new("store");
    let store = Store::open_lite(dir.path(), &phase).await.unwrap();
    let blobs = Blobs::open(dir.path().join("blobs"), store, QUOTA).unwrap();
    (dir, phase, blobs)
}

/// A body in pieces of an uneven size, which breaks off where `cut` says so.
fn body(content: &[u8], cut: bool) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + use<> {
    let mut pieces: Vec<_> = content.chunks(70_001).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    if cut {
        pieces.push(Err(io::ErrorKind::ConnectionReset.into()));
    }
    stream::iter(pieces)
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|number| number.wrapping_mul(31).to_le_bytes()[0]).collect()
}

async fn read(blobs: &Blobs, digest: &Digest, offset: u64) -> Option<Vec<u8>> {
    let (_, pieces) = blobs.get(digest, offset).await.unwrap()?;
    let mut pieces = Box::pin(pieces);
    let mut all = Vec::new();
    while let Some(piece) = pieces.next().await {
        all.extend_from_slice(&piece.unwrap());
    }
    Some(all)
}

fn parts(dir: &TempDir) -> usize {
    fs::read_dir(dir.path().join("blobs/parts")).unwrap().count()
}

#[tokio::test]
async fn an_upload_that_is_cut_goes_on_where_it_ended_and_has_the_digest_of_the_whole() {
    let (dir, phase, blobs) = blobs().await;
    let content = content(600_000);
    let digest = Digest::of(&content);
    let part = Part::Blob(digest);
    let cut = blobs.take(&part, 600_000, 0, body(&content[..333_333], true)).await;
    assert!(matches!(cut, Err(UploadError::Cut(333_333))));
    assert_eq!(blobs.received(&part), 333_333);
    assert!(read(&blobs, &digest, 0).await.is_none(), "half a file is served");
    for wrong in [0, 333_332, 333_334] {
        let refused = blobs.take(&part, 600_000, wrong, body(&content, false)).await;
        assert!(matches!(refused, Err(UploadError::Offset { have: 333_333, .. })), "{wrong}");
    }
    let whole = blobs.take(&part, 600_000, 333_333, body(&content[333_333..], false)).await.unwrap();
    blobs.place_blob(whole, &digest).await.unwrap();
    assert_eq!(read(&blobs, &digest, 0).await.unwrap(), content);
    assert_eq!(read(&blobs, &digest, 599_990).await.unwrap(), content[599_990..]);
    assert_eq!(parts(&dir), 0);
    phase.end().await;
}

#[tokio::test]
async fn content_with_another_digest_than_it_was_announced_with_is_thrown_away() {
    let (dir, phase, blobs) = blobs().await;
    let wanted = Digest::of(b"wanted");
    let whole = blobs.take(&Part::Blob(wanted), 5, 0, body(b"other", false)).await.unwrap();
    assert!(matches!(blobs.place_blob(whole, &wanted).await, Err(UploadError::Digest { .. })));
    assert_eq!((parts(&dir), read(&blobs, &wanted, 0).await), (0, None));
    phase.end().await;
}

#[tokio::test]
async fn a_body_that_goes_on_behind_its_announced_size_is_thrown_away() {
    let (dir, phase, blobs) = blobs().await;
    let part = Part::Blob(Digest::ZERO);
    assert!(matches!(blobs.take(&part, 4, 0, body(b"12345", false)).await, Err(UploadError::TooMany(4))));
    assert_eq!(parts(&dir), 0);
    phase.end().await;
}

#[tokio::test]
async fn more_than_the_quota_is_refused_before_a_byte_is_taken() {
    let (_dir, phase, blobs) = blobs().await;
    let size = QUOTA.file_bytes;
    let large = blobs.take(&Part::Blob(Digest::ZERO), size + 1, 0, body(b"", false)).await;
    assert!(matches!(large, Err(UploadError::TooLarge { .. })));
    blobs.put(Bytes::from(content(900_000))).await.unwrap();
    let full = blobs.take(&Part::Blob(Digest::ZERO), 700_000, 0, body(b"", false)).await;
    assert!(matches!(full, Err(UploadError::Full { used: 900_000, .. })));
    // What is promised to an upload that is under way counts as if it were there.
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let slow = Box::pin(stream::once(async {
        let _ = receiver.await;
        Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset))
    }));
    let (first, second) = (Part::Blob(Digest::of(b"1")), Part::Blob(Digest::of(b"2")));
    let taking = blobs.take(&first, 400_000, 0, slow);
    let other = async {
        while blobs.active.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let full = blobs.take(&second, 400_000, 0, body(b"", false)).await;
        assert!(matches!(full, Err(UploadError::Full { used: 1_300_000, .. })));
        let busy = blobs.take(&first, 400_000, 0, body(b"", false)).await;
        assert!(matches!(busy, Err(UploadError::Busy)));
        drop(sender);
    };
    let (taken, ()) = tokio::join!(taking, other);
    assert!(matches!(taken, Err(UploadError::Cut(0))));
    phase.end().await;
}

#[tokio::test]
async fn a_blob_that_nothing_needs_is_removed_after_a_day_and_one_that_is_wanted_again_is_not() {
    let (dir, phase, blobs) = blobs().await;
    let now = clock::now_ms();
    let hour = 60 * 60 * 1000;
    let idle = blobs.put(Bytes::from_static(b"idle")).await.unwrap();
    let wanted = blobs.put(Bytes::from_static(b"wanted")).await.unwrap();
    blobs.sweep(now + 23 * hour).await.unwrap();
    assert!(read(&blobs, &idle, 0).await.is_some());
    assert!(blobs.store.touch_blob(wanted, 6, now + 23 * hour).await.unwrap());
    assert!(!blobs.store.touch_blob(wanted, 7, now + 23 * hour).await.unwrap(), "of another size");
    let cut = blobs.take(&Part::Blob(Digest::ZERO), 10, 0, body(b"123", true)).await;
    assert!(matches!(cut, Err(UploadError::Cut(3))));
    blobs.sweep(now + 25 * hour).await.unwrap();
    assert!(read(&blobs, &idle, 0).await.is_none());
    assert!(!dir.path().join("blobs").join(idle.hex()).exists());
    assert_eq!(read(&blobs, &wanted, 0).await.unwrap(), b"wanted");
    assert_eq!(parts(&dir), 0, "what came of an upload that broke off is kept for ever");
    assert!(!blobs.store.touch_blob(idle, 4, now).await.unwrap());
    phase.end().await;
}

#[tokio::test]
async fn an_upload_of_another_size_begins_anew_at_its_first_byte() {
    let (dir, phase, blobs) = blobs().await;
    let digest = Digest::of(b"12345");
    let part = Part::Blob(digest);
    let cut = blobs.take(&part, 10, 0, body(b"abcdef", true)).await;
    assert!(matches!(cut, Err(UploadError::Cut(6))));
    let refused = blobs.take(&part, 5, 2, body(b"345", false)).await;
    assert!(matches!(refused, Err(UploadError::Offset { have: 0, offset: 2 })));
    let whole = blobs.take(&part, 5, 0, body(b"12345", false)).await.unwrap();
    blobs.place_blob(whole, &digest).await.unwrap();
    assert_eq!((parts(&dir), read(&blobs, &digest, 0).await.unwrap()), (0, b"12345".to_vec()));
    phase.end().await;
}

#[tokio::test]
async fn a_client_that_goes_away_while_its_file_gets_its_name_leaves_no_file_without_a_row() {
    let (dir, phase, blobs) = blobs().await;
    let digest = Digest::of(b"12345");
    let whole = blobs.take(&Part::Blob(digest), 5, 0, body(b"12345", false)).await.unwrap();
    tokio::select! {
        biased;
        _ = blobs.place_blob(whole, &digest) => panic!("it was placed at once"),
        () = std::future::ready(()) => {}
    }
    let bytes = crate::tests::until("its row", async || blobs.store.blob(&digest).await.unwrap()).await;
    assert_eq!((bytes, parts(&dir), read(&blobs, &digest, 0).await.unwrap()), (5, 0, b"12345".to_vec()));
    phase.end().await;
}

#[tokio::test]
async fn a_file_for_a_task_that_is_not_open_is_thrown_away() {
    let (dir, phase, blobs) = blobs().await;
    let whole = blobs.take(&Part::File(Digest::ZERO, 1), 5, 0, body(b"12345", false)).await.unwrap();
    assert!(matches!(blobs.place_file(whole, 1, 1).await, Err(UploadError::Ended)));
    assert_eq!((parts(&dir), fs::read_dir(dir.path().join("blobs/collected")).unwrap().count()), (0, 0));
    phase.end().await;
}

#[tokio::test]
async fn what_crashes_leave_without_a_row_does_not_fill_the_disk() {
    let (dir, phase, blobs) = blobs().await;
    let (now, hour) = (clock::now_ms(), 60 * 60 * 1000);
    let wanted = blobs.put(Bytes::from_static(b"wanted")).await.unwrap();
    let folder = dir.path().join("blobs");
    let orphan = Digest::of(b"orphan").hex();
    let left = [folder.join(&orphan), folder.join("collected").join(&orphan), folder.join(format!("{orphan}.0.new"))];
    for path in &left {
        fs::write(path, b"orphan").unwrap();
    }
    let there = || left.iter().filter(|path| path.exists()).count();
    assert!(blobs.store.touch_blob(wanted, 6, now + 23 * hour).await.unwrap());
    blobs.sweep(now + 23 * hour).await.unwrap();
    assert_eq!(there(), 3, "somebody may be about to give it a row");
    blobs.sweep(now + 25 * hour).await.unwrap();
    assert_eq!(there(), 0);
    assert_eq!(read(&blobs, &wanted, 0).await.unwrap(), b"wanted");
    phase.end().await;
}
