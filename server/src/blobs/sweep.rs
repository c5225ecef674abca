//! What nothing needs any more is removed.
//!
//! Owns the times: a blob goes a day after the last invocation that needs it has ended (or after it came, where none does), a
//! collected file a week after it came, and what came of an upload that broke off a day after its last byte. A plugin's component
//! stays. One pass an hour, and each may be killed anywhere: rows go first, and a file without a row is served to nobody. It stops
//! with its phase.

use std::fs;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use super::{BlobError, Blobs};
use crate::clock;
use crate::shutdown::Phase;

/// Time between two passes.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// How long a blob stays that nothing needs, and a part to which nothing comes.
const IDLE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a collected file stays.
const COLLECTED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Starts the passes in `phase`.
pub fn spawn(blobs: Blobs, phase: &Phase) {
    let stop = phase.token();
    phase.spawn("sweeper", async move {
        loop {
            if let Err(error) = blobs.sweep(clock::now_ms()).await {
                warn!(error = ?error, "what nothing needs could not be removed; it is tried again in an hour");
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    });
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl Blobs {
    /// One pass, at this time.
    pub(super) async fn sweep(&self, now_ms: i64) -> Result<(), BlobError> {
        let placing = self.placing.lock().await;
        let swept = self.store.sweep(now_ms - millis(IDLE), now_ms - millis(COLLECTED)).await?;
        let collected = self.folder.join("collected");
        for digest in &swept.blobs {
            remove(&self.folder.join(digest.hex()));
        }
        for digest in &swept.files {
            remove(&collected.join(digest.hex()));
        }
        drop(placing);
        if !swept.blobs.is_empty() || !swept.files.is_empty() {
            info!(blobs = swept.blobs.len(), files = swept.files.len(), "removed what nothing needs any more");
        }
        self.sweep_parts(now_ms)
    }

    fn sweep_parts(&self, now_ms: i64) -> Result<(), BlobError> {
        let folder = self.folder.join("parts");
        let oldest = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms - millis(IDLE)).unwrap_or(0));
        for entry in fs::read_dir(&folder).map_err(BlobError::file(&folder))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let old = entry.metadata().and_then(|found| found.modified()).is_ok_and(|at| at < oldest);
            if old && !self.active.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&name) {
                remove(&entry.path());
            }
        }
        Ok(())
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        warn!(path = %path.display(), %error, "a file that nothing needs could not be removed");
    }
}
