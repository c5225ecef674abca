//! How long invocations are kept.
//!
//! Owns the passes that remove what is older or more than the server was told to keep. Only what has ended goes, and only when nothing
//! refers to it any more: no order that an instance may still get, no file that it collected, no end that an instance may still prove.
//! The newest always stays. An invocation goes at once with its
//! orders and is answered as removed from then on; tasks and results follow in pieces, so that nothing else waits long for the store.
//! What it needed of the blobs goes with the next pass of [`crate::blobs::sweep`]. Each pass may be killed anywhere: the next goes on.
//! Without a setting nothing is ever removed. It stops with its phase.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock;
use crate::shutdown::Phase;
use crate::store::{Store, StoreError};

/// Time between two passes.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Invocations that are looked at, and removed, at once.
const PAGE: i64 = 100;

/// Tasks that are removed at once, with their results.
const TASKS: i64 = 500;

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What is kept. Whatever goes beyond either goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// Days after the last task has ended.
    pub days: Option<u32>,
    /// The newest so many.
    pub count: Option<u32>,
}

/// Starts the passes in `phase`, where there is anything to do.
pub fn spawn(store: Store, keep: Keep, phase: &Phase) {
    if keep == Keep::default() {
        return;
    }
    let stop = phase.token();
    phase.spawn("retention", async move {
        loop {
            if let Err(error) = pass(&store, keep, clock::now_ms(), &stop).await {
                warn!(error = ?error, "old invocations could not be removed; it is tried again in an hour");
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    });
}

/// One pass, at this time; ends early where it is told to stop.
pub(crate) async fn pass(store: &Store, keep: Keep, now_ms: i64, stop: &CancellationToken) -> Result<(), StoreError> {
    // What an earlier pass began.
    let mut tasks = erase(store, stop).await?;
    let before_ms = keep.days.map(|days| now_ms.saturating_sub(i64::from(days) * DAY_MS));
    let last = match keep.count {
        Some(count) => store.nth_newest(count.into()).await?,
        None => None,
    };
    let (mut after, mut invocations) = (0, 0);
    while !stop.is_cancelled() {
        let page = store.aged(after, now_ms, PAGE).await?;
        let Some(end) = page.last() else { break };
        after = end.key;
        // Keys grow with the times of making, so behind this there is nothing that is too old or too many.
        let reached =
            before_ms.is_none_or(|before_ms| end.created_ms >= before_ms) && last.is_none_or(|last| end.key > last);
        let gone: Vec<_> = page
            .into_iter()
            .filter(|row| {
                let too_old = row.finished_ms.zip(before_ms).is_some_and(|(finished, before)| finished < before);
                let too_many = last.is_some_and(|last| row.key <= last);
                row.finished_ms.is_some() && !row.referred && (too_old || too_many)
            })
            .map(|row| row.key)
            .collect();
        if !gone.is_empty() {
            invocations += store.retire(gone, now_ms).await?;
            tasks += erase(store, stop).await?;
        }
        if reached {
            break;
        }
    }
    if invocations > 0 || tasks > 0 {
        info!(invocations, tasks, days = keep.days, count = keep.count, "removed what is kept no longer");
    }
    Ok(())
}

/// Removes the tasks of removed invocations, and answers how many.
async fn erase(store: &Store, stop: &CancellationToken) -> Result<u64, StoreError> {
    let mut tasks = 0;
    loop {
        let page = store.erasing(PAGE).await?;
        if page.is_empty() {
            return Ok(tasks);
        }
        for invocation in page {
            loop {
                if stop.is_cancelled() {
                    return Ok(tasks);
                }
                match store.erase(invocation, TASKS).await? {
                    0 => break,
                    some => tasks += some,
                }
            }
        }
    }
}
