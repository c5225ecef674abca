//! Content by digest: plugin components and scripts too large to travel with an offer.
//!
//! Owns the files under `blobs/` in the data directory; each is named by its SHA-256 and written whole or not at all. What is
//! served is what the store knows. Never deletes. With several servers on one database they must share this directory.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::Stream;
use orderly_signing::digest::Digest;
use tokio::io::AsyncReadExt as _;

use crate::clock;
use crate::store::{Store, StoreError};

/// Bytes read at once when a blob is served.
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

/// The blob directory; cheap to clone.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: PathBuf,
    store: Store,
}

impl Blobs {
    /// Opens the directory, and makes it where it is absent.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn open(folder: PathBuf, store: Store) -> Result<Self, BlobError> {
        fs::create_dir_all(&folder).map_err(|source| BlobError::File { path: folder.clone(), source })?;
        Ok(Self { folder, store })
    }

    /// Stores bytes and answers their digest. The same bytes may come again.
    ///
    /// # Errors
    /// Where the disk or the store fails.
    pub async fn put(&self, bytes: Bytes) -> Result<Digest, BlobError> {
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let folder = self.folder.clone();
        let written = tokio::task::spawn_blocking(move || write(&folder, &bytes)).await;
        let digest = written
            .map_err(|source| BlobError::File { path: self.folder.clone(), source: std::io::Error::other(source) })??;
        self.store.add_blob(digest, length, clock::now_ms()).await?;
        Ok(digest)
    }

    /// The size of a blob and its bytes, or `None` where there is none.
    ///
    /// # Errors
    /// Where the store fails or the file cannot be opened.
    pub async fn get(
        &self,
        digest: &Digest,
    ) -> Result<Option<(u64, impl Stream<Item = std::io::Result<Bytes>> + Send + 'static)>, BlobError> {
        let Some(length) = self.store.blob(digest).await? else {
            return Ok(None);
        };
        let path = self.folder.join(digest.hex());
        let file = tokio::fs::File::open(&path).await.map_err(|source| BlobError::File { path, source })?;
        let pieces = futures_util::stream::unfold(Some(file), |file| async move {
            let mut file = file?;
            let mut piece = Vec::with_capacity(PIECE);
            match (&mut file).take(PIECE as u64).read_to_end(&mut piece).await {
                Ok(0) => None,
                Ok(_) => Some((Ok(Bytes::from(piece)), Some(file))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Some((u64::try_from(length).unwrap_or(0), pieces)))
    }
}

fn write(folder: &std::path::Path, bytes: &[u8]) -> Result<Digest, BlobError> {
    let digest = Digest::of(bytes);
    let path = folder.join(digest.hex());
    let failed = |path: &PathBuf| {
        let path = path.clone();
        move |source| BlobError::File { path, source }
    };
    if fs::metadata(&path).is_ok_and(|known| known.len() == bytes.len() as u64) {
        return Ok(digest);
    }
    // The name is unique to this write: two requests may bring the same bytes.
    let suffix = clock::random::<8>().map_err(|error| failed(&path)(std::io::Error::other(error)))?;
    let new = folder.join(format!("{}.{:016x}.new", digest.hex(), u64::from_le_bytes(suffix)));
    let mut file = File::create_new(&new).map_err(failed(&new))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed(&new))?;
    fs::rename(&new, &path).map_err(failed(&path))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(&path))?;
    Ok(digest)
}
