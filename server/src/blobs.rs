//! Content by digest: plugin components, scripts too large to travel with an offer, files that are put on instances, and those
//! that were collected from them.
//!
//! Owns the files under `blobs/` in the data directory: blobs by their SHA-256, collected files under `collected/` by theirs, and
//! under `parts/` what came of uploads ([`upload`]). A file gets its name whole, digested and synced, or not at all. What is served
//! is what the store knows; agents are served blobs only, never what another instance sent. What nothing needs any more is removed
//! ([`sweep`]). With several servers on one database they must share this directory.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::Stream;
use orderly_signing::digest::Digest;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::clock;
use crate::store::{Store, StoreError};

pub mod sweep;
pub mod upload;

/// Bytes read at once when a file is served.
const PIECE: usize = 64 * 1024;

/// Why a blob could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The file.
    #[error("the blob `{path}` cannot be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store.
    #[error("the blob could not be recorded")]
    Store(#[from] StoreError),
}

impl BlobError {
    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

/// How much may be stored.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files together, unfinished uploads counted as if they were whole.
    pub total_bytes: u64,
}

/// The blob directory; cheap to clone.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: PathBuf,
    store: Store,
    quota: Quota,
    /// Uploads that are being written, by the name of their part, with the size that they will have. Held to look one up only.
    active: Arc<Mutex<HashMap<String, u64>>>,
    /// Held while a file gets its name and its row, or loses both.
    placing: Arc<tokio::sync::Mutex<()>>,
}

impl Blobs {
    /// Opens the directory, and makes it where it is absent.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn open(folder: PathBuf, store: Store, quota: Quota) -> Result<Self, BlobError> {
        for folder in [&folder, &folder.join("parts"), &folder.join("collected")] {
            fs::create_dir_all(folder).map_err(BlobError::file(folder))?;
        }
        Ok(Self { folder, store, quota, active: Arc::default(), placing: Arc::default() })
    }

    /// Stores bytes and answers their digest. The same bytes may come again.
    ///
    /// # Errors
    /// Where the disk or the store fails.
    pub async fn put(&self, bytes: Bytes) -> Result<Digest, BlobError> {
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let blobs = self.clone();
        let placed = async move {
            let _placing = blobs.placing.lock().await;
            let folder = blobs.folder.clone();
            let digest = blocking(&blobs.folder, move || write(&folder, &bytes)).await?;
            blobs.store.add_blob(digest, length, clock::now_ms()).await?;
            Ok(digest)
        };
        self.to_its_end(placed).await
    }

    /// Does work that must not end in its middle because whoever asked for it went away: between a file's name and its row.
    async fn to_its_end<T: Send + 'static, E: From<BlobError> + Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E> {
        let done = tokio::spawn(work).await;
        done.map_err(|error| BlobError::file(&self.folder)(std::io::Error::other(error)))?
    }

    /// The size of a blob and its bytes from `offset` on, or `None` where there is none.
    ///
    /// # Errors
    /// Where the store fails or the file cannot be opened.
    pub async fn get(
        &self,
        digest: &Digest,
        offset: u64,
    ) -> Result<Option<(u64, impl Stream<Item = std::io::Result<Bytes>> + Send + 'static)>, BlobError> {
        let Some(length) = self.store.blob(digest).await? else {
            return Ok(None);
        };
        let pieces = pieces(self.folder.join(digest.hex()), offset).await?;
        Ok(Some((u64::try_from(length).unwrap_or(0), pieces)))
    }

    /// The bytes of a collected file from `offset` on.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub async fn collected(
        &self,
        digest: &Digest,
        offset: u64,
    ) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + 'static, BlobError> {
        pieces(self.folder.join("collected").join(digest.hex()), offset).await
    }
}

/// The bytes of a file from `offset` on, never more than one piece at a time in memory.
async fn pieces(
    path: PathBuf,
    offset: u64,
) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + 'static, BlobError> {
    let mut file = tokio::fs::File::open(&path).await.map_err(BlobError::file(&path))?;
    file.set_max_buf_size(PIECE);
    if offset > 0 {
        file.seek(SeekFrom::Start(offset)).await.map_err(BlobError::file(&path))?;
    }
    Ok(futures_util::stream::unfold(Some(file), |file| async move {
        let mut file = file?;
        let mut piece = Vec::with_capacity(PIECE);
        match (&mut file).take(PIECE as u64).read_to_end(&mut piece).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(Bytes::from(piece)), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

/// Does what the disk may hold up on a thread for that.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| BlobError::file(path)(std::io::Error::other(error)))?
}

/// Brings a folder's names to the disk.
fn sync(folder: &Path) -> Result<(), BlobError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(BlobError::file(folder))
}

fn write(folder: &Path, bytes: &[u8]) -> Result<Digest, BlobError> {
    let digest = Digest::of(bytes);
    let path = folder.join(digest.hex());
    if fs::metadata(&path).is_ok_and(|known| known.len() == bytes.len() as u64) {
        return Ok(digest);
    }
    // The name is unique to this write: two requests may bring the same bytes.
    let suffix = clock::random::<8>().map_err(|error| BlobError::file(&path)(std::io::Error::other(error)))?;
    let new = folder.join(format!("{}.{:016x}.new", digest.hex(), u64::from_le_bytes(suffix)));
    let mut file = File::create_new(&new).map_err(BlobError::file(&new))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).map_err(BlobError::file(&new));
    let placed = written.and_then(|()| fs::rename(&new, &path).map_err(BlobError::file(&path)));
    if placed.is_err() {
        let _ = fs::remove_file(&new);
    }
    placed.and_then(|()| sync(folder))?;
    Ok(digest)
}

#[cfg(test)]
mod tests;
