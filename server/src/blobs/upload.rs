//! Uploads that may be cut at any byte and go on from there.
//!
//! Owns the parts: files under `parts/` that hold what came so far. One request at a time writes a part, through a buffer of
//! [`BUFFER`]; the next goes on where the file ends. The digest is over what is on the disk: a request that goes on reads what is
//! there first. Never believes a digest or a size that somebody says. A part ends as a whole file, or is swept a day after its
//! last byte.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use orderly_signing::digest::{Digest, DigestWriter};
use std::collections::HashMap;
use std::time::Duration;

use super::{BlobError, Blobs, blocking, sync};
use crate::clock;
use crate::store::StoreError;
use crate::store::row::{Content, FileRow, InstanceKey, InvocationKey};

/// Bytes that are gathered before they are written.
const BUFFER: usize = 128 * 1024;

/// How long a sender may send nothing.
const STALLED: Duration = Duration::from_secs(30);

/// Whose an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The blob of this digest.
    Blob(Digest),
    /// What this instance collects for this order.
    File(Digest, InstanceKey),
}

impl Part {
    fn name(&self) -> String {
        match self {
            Self::Blob(digest) => format!("blob-{}", digest.hex()),
            Self::File(order, instance) => format!("file-{}-{instance}", order.hex()),
        }
    }
}

/// Why an upload does not go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Disk or store.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The file is too large for this server.
    #[error("it has {bytes} bytes, this server takes files of at most {most}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The cap.
        most: u64,
    },
    /// There is no room.
    #[error("{needed} bytes more are needed, of the {most} that this server stores {used} are used or promised")]
    Full {
        /// What this upload needs.
        needed: u64,
        /// What there is.
        used: u64,
        /// The quota.
        most: u64,
    },
    /// Another request writes it.
    #[error("another request is sending it")]
    Busy,
    /// It does not begin where the last one ended.
    #[error("{have} bytes of it are here, the body begins at {offset}")]
    Offset {
        /// What is there.
        have: u64,
        /// Where the body begins.
        offset: u64,
    },
    /// The body is longer than was said.
    #[error("the body goes on behind the {0} bytes that were announced")]
    TooMany(u64),
    /// The task that it is for has ended meanwhile.
    #[error("the task ended before the file was whole; what came is thrown away")]
    Ended,
    /// The sender went away; what came is kept.
    #[error("the body broke off, {0} bytes of the file are kept")]
    Cut(u64),
    /// Other content.
    #[error("the content is {found}, not {wanted}")]
    Digest {
        /// What was asked for.
        wanted: Digest,
        /// What came.
        found: Digest,
    },
}

impl From<StoreError> for UploadError {
    fn from(error: StoreError) -> Self {
        Self::Blob(error.into())
    }
}

/// The name of a part among those that are being written.
#[derive(Debug)]
struct Claim {
    name: String,
    active: Arc<Mutex<HashMap<String, u64>>>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

/// A part that is being written. It moves to the thread that writes and back, so that its claim ends only when nobody writes.
struct Writer {
    path: PathBuf,
    file: File,
    digest: DigestWriter,
    have: u64,
    buffer: Vec<u8>,
    _claim: Claim,
}

impl Writer {
    fn flush(mut self) -> Result<Self, BlobError> {
        self.file.write_all(&self.buffer).map_err(BlobError::file(&self.path))?;
        self.digest.update(&self.buffer);
        self.have += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(self)
    }

    /// Digests what is there already.
    fn read_up(mut self) -> Result<Self, BlobError> {
        let mut piece = vec![0; BUFFER];
        loop {
            let count = self.file.read(&mut piece).map_err(BlobError::file(&self.path))?;
            if count == 0 {
                return Ok(self);
            }
            self.digest.update(piece.get(..count).unwrap_or_default());
            self.have += count as u64;
        }
    }
}

impl Blobs {
    /// Bytes of an upload that are there; 0 where none are.
    #[must_use]
    pub fn received(&self, part: &Part) -> u64 {
        fs::metadata(self.part(&part.name())).map_or(0, |found| found.len())
    }

    fn part(&self, name: &str) -> PathBuf {
        self.folder.join("parts").join(name)
    }

    /// Takes the body of one request, whose file has `bytes` bytes in all and of which the body holds those from `offset` on.
    /// Answers the digest where the file is whole now; then it still is a part, and waits to be placed.
    ///
    /// # Errors
    /// It is not taken, or broke off; what came of it is kept in the second case.
    pub async fn take<E>(
        &self,
        part: &Part,
        bytes: u64,
        offset: u64,
        body: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<Whole, UploadError> {
        let claim = self.claim(part, bytes).await?;
        let path = self.part(&claim.name);
        let writer = self.open_part(path, claim, bytes, offset).await?;
        let mut writer = self.receive(writer, bytes, body).await?;
        if writer.have < bytes {
            return Err(UploadError::Cut(writer.have));
        }
        let digest = std::mem::take(&mut writer.digest).finish();
        Ok(Whole { writer, digest, bytes })
    }

    /// Claims the part, where there is room for the whole file.
    async fn claim(&self, part: &Part, bytes: u64) -> Result<Claim, UploadError> {
        if bytes > self.quota.file_bytes {
            return Err(UploadError::TooLarge { bytes, most: self.quota.file_bytes });
        }
        let stored = u64::try_from(self.store.stored_bytes().await?).unwrap_or(0);
        let parts = self.parts()?;
        let name = part.name();
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        if active.contains_key(&name) {
            return Err(UploadError::Busy);
        }
        let idle = parts.iter().filter(|(other, _)| **other != name && !active.contains_key(*other));
        let used = stored + active.values().sum::<u64>() + idle.map(|(_, bytes)| bytes).sum::<u64>();
        if used.saturating_add(bytes) > self.quota.total_bytes {
            return Err(UploadError::Full { needed: bytes, used, most: self.quota.total_bytes });
        }
        active.insert(name.clone(), bytes);
        Ok(Claim { name, active: Arc::clone(&self.active) })
    }

    /// The parts that there are, with their sizes.
    fn parts(&self) -> Result<HashMap<String, u64>, BlobError> {
        let folder = self.folder.join("parts");
        let entries = fs::read_dir(&folder).map_err(BlobError::file(&folder))?;
        let sized = |entry: fs::DirEntry| Some((entry.file_name().into_string().ok()?, entry.metadata().ok()?.len()));
        Ok(entries.flatten().filter_map(sized).collect())
    }

    async fn open_part(&self, path: PathBuf, claim: Claim, bytes: u64, offset: u64) -> Result<Writer, UploadError> {
        let at = path.clone();
        blocking(&path, move || {
            let failed = |source| BlobError::File { path: at.clone(), source };
            let file = OpenOptions::new().read(true).append(true).create(true).open(&at).map_err(failed)?;
            let have = file.metadata().map_err(failed)?.len();
            // Of another size than was said before: begun anew, from its first byte.
            let have = if have > bytes {
                file.set_len(0).map_err(failed)?;
                0
            } else {
                have
            };
            if have != offset {
                return Ok(Err(UploadError::Offset { have, offset }));
            }
            let writer =
                Writer { path: at, file, digest: DigestWriter::new(), have: 0, buffer: Vec::new(), _claim: claim };
            writer.read_up().map(Ok)
        })
        .await?
    }

    async fn receive<E>(
        &self,
        mut writer: Writer,
        bytes: u64,
        mut body: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<Writer, UploadError> {
        loop {
            let next = tokio::time::timeout(STALLED, body.next()).await;
            let piece = match next {
                Ok(Some(Ok(piece))) => piece,
                // The end, an error or nothing for a long time: what came is kept.
                Ok(None) | Ok(Some(Err(_))) | Err(_) => return Ok(self.flush(writer).await?),
            };
            if writer.have + writer.buffer.len() as u64 + piece.len() as u64 > bytes {
                let _ = fs::remove_file(&writer.path);
                return Err(UploadError::TooMany(bytes));
            }
            writer.buffer.extend_from_slice(&piece);
            if writer.buffer.len() >= BUFFER {
                writer = self.flush(writer).await?;
            }
        }
    }

    async fn flush(&self, writer: Writer) -> Result<Writer, BlobError> {
        blocking(&self.folder, move || writer.flush()).await
    }

    /// Makes a whole upload the blob of its digest.
    ///
    /// # Errors
    /// It has another digest; then it is removed.
    pub async fn place_blob(&self, whole: Whole, wanted: &Digest) -> Result<(), UploadError> {
        if whole.digest != *wanted {
            let _ = fs::remove_file(&whole.writer.path);
            return Err(UploadError::Digest { wanted: *wanted, found: whole.digest });
        }
        let (digest, bytes) = (whole.digest, signed(whole.bytes));
        let blobs = self.clone();
        let placed = async move {
            let _placing = blobs.placing.lock().await;
            blobs.rename(whole, blobs.folder.clone()).await?;
            blobs.store.add_blob(digest, bytes, clock::now_ms()).await?;
            Ok(())
        };
        self.to_its_end(placed).await
    }

    /// Ties a whole upload to the task of which it is; where the task has a file, that one stays. Answers the file that counts.
    ///
    /// # Errors
    /// The task has ended (then the upload is removed), or disk or store fail.
    pub async fn place_file(
        &self,
        whole: Whole,
        invocation: InvocationKey,
        instance: InstanceKey,
    ) -> Result<FileRow, UploadError> {
        let file = FileRow { digest: whole.digest, bytes: signed(whole.bytes) };
        let blobs = self.clone();
        let placed = async move {
            let _placing = blobs.placing.lock().await;
            let folder = blobs.folder.join("collected");
            blobs.rename(whole, folder.clone()).await?;
            if blobs.store.add_file(invocation, instance, file, clock::now_ms()).await? {
                return Ok(file);
            }
            if blobs.store.known(Content::Collected, &[file.digest]).await?.is_empty() {
                let _ = fs::remove_file(folder.join(file.digest.hex()));
            }
            blobs.store.file(invocation, instance).await?.ok_or(UploadError::Ended)
        };
        self.to_its_end(placed).await
    }

    async fn rename(&self, whole: Whole, folder: PathBuf) -> Result<(), BlobError> {
        let path = folder.join(whole.digest.hex());
        blocking(&path.clone(), move || {
            whole.writer.file.sync_all().map_err(BlobError::file(&whole.writer.path))?;
            fs::rename(&whole.writer.path, &path).map_err(BlobError::file(&path))?;
            sync(&folder)
        })
        .await
    }
}

/// An upload of which every byte is there.
pub struct Whole {
    writer: Writer,
    /// SHA-256 of it.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
