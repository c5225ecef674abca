//! What nothing needs any more is removed.
//!
//! Owns the times: a blob goes a day after the last invocation that needs it has ended (or after it came, where none does), a
//! collected file a week after it came, and what came of an upload that broke off a day after its last byte. A plugin's component
//! stays. One pass an hour, and each may be killed anywhere: rows go first, a file without a row is served to nobody, and it goes a
//! day after it was written. It stops with its phase.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use orderly_signing::digest::Digest;
use tracing::{info, warn};

use super::{BlobError, Blobs, blocking};
use crate::clock;
use crate::shutdown::Phase;
use crate::store::row::Content;

/// Time between two passes.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// How long a blob stays that nothing needs, a part to which nothing comes, and a file that has no row.
const IDLE: Duration = Duration::from_secs(24 * 60 * 60);

/// Files whose rows are looked up together.
const LOOKED_UP: usize = 500;

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
        let oldest = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms - millis(IDLE)).unwrap_or(0));
        self.sweep_orphans(Content::Blob, self.folder.clone(), oldest).await?;
        self.sweep_orphans(Content::Collected, collected, oldest).await?;
        for (name, path) in old(&self.folder.join("parts"), oldest)? {
            if !self.active.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&name) {
                remove(&path);
            }
        }
        Ok(())
    }

    /// Removes files that a crash left between their name and their row, or without a name.
    async fn sweep_orphans(&self, content: Content, folder: PathBuf, oldest: SystemTime) -> Result<(), BlobError> {
        let files = blocking(&folder.clone(), move || old(&folder, oldest)).await?;
        let (unnamed, named): (Vec<_>, Vec<_>) = files.into_iter().partition(|(name, _)| name.ends_with(".new"));
        for (_, path) in unnamed {
            remove(&path);
        }
        let named: Vec<(Digest, PathBuf)> =
            named.into_iter().filter_map(|(name, path)| Some((format!("sha256:{name}").parse().ok()?, path))).collect();
        for some in named.chunks(LOOKED_UP) {
            let digests: Vec<Digest> = some.iter().map(|(digest, _)| *digest).collect();
            // Held from the look at the rows on, so that nobody gives one of the files a row in between.
            let _placing = self.placing.lock().await;
            let known = self.store.known(content, &digests).await?;
            for (_, path) in some.iter().filter(|(digest, _)| !known.contains(digest)) {
                remove(path);
            }
        }
        Ok(())
    }
}

/// The files of a folder that were written last before `oldest`.
fn old(folder: &Path, oldest: SystemTime) -> Result<Vec<(String, PathBuf)>, BlobError> {
    let entries = fs::read_dir(folder).map_err(BlobError::file(folder))?.flatten();
    let idle = entries.filter(|entry| {
        let found = entry.metadata();
        found.is_ok_and(|found| found.is_file() && found.modified().is_ok_and(|at| at < oldest))
    });
    Ok(idle.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect())
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        warn!(path = %path.display(), %error, "a file that nothing needs could not be removed");
    }
}
