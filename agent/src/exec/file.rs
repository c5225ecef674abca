//! Putting a file on this instance.
//!
//! Owns the order of things: all that can be refused is refused before a byte is written or fetched (path, name, what is there,
//! owner, group), the content is staged beside its place and digested on its way, and only what has the signed digest, the owner
//! and the mode gets its name. On any failure, at the time-out and on a stop nothing is left behind; after a crash the next start
//! sees to that ([`notes`]). A stop or time-out that comes behind the rename is too late: then the file is there, and that is said.

use std::time::Duration;

use bytes::Bytes;
use orderly_model::task::{ResultCode, TaskStatus};
use orderly_signing::digest::Digest;
use orderly_signing::order::FileAction;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::live::Live;
use super::{Outcome, chain};
use crate::clock::local_ms;
use crate::transfer::{Last, Transfer, TransferError};
use notes::{Noted, Notes};
use orderly_host::output::OutputSink as _;
use owner::{Owner, OwnerError};
use place::{Place, PlaceError, check_directory, check_name};
use staged::{Finish, Staged};

pub(crate) mod notes;
pub(crate) mod owner;
pub(crate) mod place;
mod staged;

/// Pieces that wait to be written. With those on their way they are less than 256 KiB.
const WAITING_PIECES: usize = 2;

/// A file order that passed checks 6 to 8.
#[derive(Debug, Clone)]
pub(crate) struct AdmittedFile {
    /// What the order says.
    pub action: FileAction,
    /// Whose the file will be.
    pub owner: Owner,
}

/// What moves files on this instance.
pub(crate) struct Mover<'a> {
    /// The way to the server.
    pub transfer: &'a Transfer,
    /// The notes of staged files.
    pub notes: &'a Notes,
    /// The order that is followed.
    pub order: Digest,
    /// Ends it when it is cancelled.
    pub halt: &'a CancellationToken,
}

/// Why a file did not come to its place.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// The place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The owner.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// The way.
    #[error("the bytes of `{path}` could not be brought over")]
    Transfer {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: TransferError,
    },
    /// Other content than was signed.
    #[error(
        "the content for `{path}` is {found} with {found_bytes} bytes, the order names {wanted} with {wanted_bytes}"
    )]
    Content {
        /// The file.
        path: String,
        /// What came.
        found: Digest,
        /// Its length.
        found_bytes: u64,
        /// What was signed.
        wanted: Digest,
        /// Its length.
        wanted_bytes: u64,
    },
    /// A collected file is too large.
    #[error("`{path}` has {bytes} bytes, the order takes at most {most}")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
        /// The cap.
        most: u64,
    },
    /// A collected file is another by now.
    #[error(
        "`{0}` changed while it was read, so what was sent is no whole file: send it when nobody writes, or a copy"
    )]
    Changed(String),
    /// The note.
    #[error("the file is not moved, since a note of it cannot be written in the agent's data directory")]
    Note(#[source] std::io::Error),
    /// No randomness, or a thread that broke.
    #[error("the system did not do its part")]
    System(#[source] std::io::Error),
    /// The time-out.
    #[error("{0}")]
    TimedOut(String),
    /// A stop.
    #[error("it was ended by a stop{0}")]
    Stopped(&'static str),
}

impl Mover<'_> {
    /// Notes that this order is at work, so that it is not told after a crash that it has not begun.
    pub(super) async fn note(&self, directory: &str, name: &str) -> Result<Noted, FileError> {
        let (order, notes) = (self.order, self.notes.clone());
        let (directory, name) = (directory.to_owned(), name.to_owned());
        blocking(move || notes.write(&order, &directory, &name).map_err(FileError::Note)).await
    }
}

impl FileError {
    pub(super) fn outcome(&self, started_ms: i64) -> Outcome {
        let (status, code) = match self {
            Self::Stopped(_) => (TaskStatus::Terminated, None),
            other => {
                let code = other.code();
                (TaskStatus::from(code.usual_status()), Some(code))
            }
        };
        Outcome { started_ms: Some(started_ms), ..Outcome::without_run(status, code, chain(self)) }
    }

    fn code(&self) -> ResultCode {
        match self {
            Self::Place(error) => error.code(),
            Self::Owner(error) => error.code(),
            Self::Transfer { .. } | Self::Changed(_) => ResultCode::FileTransferFail,
            Self::Content { .. } => ResultCode::FileContentInvalid,
            Self::TooLarge { .. } => ResultCode::FileTooLarge,
            Self::Note(_) | Self::System(_) => ResultCode::FileCreateFail,
            Self::TimedOut(_) => ResultCode::ExecutionTimeout,
            Self::Stopped(_) => ResultCode::ExecutionInterrupted,
        }
    }
}

impl AdmittedFile {
    /// Checks what can be checked before the order is accepted: nothing is looked at but names.
    ///
    /// # Errors
    /// The word and the sentence of a refusal.
    pub(crate) fn admit(action: &FileAction) -> Result<Self, (ResultCode, String)> {
        let place = |error: PlaceError| (error.code(), chain(&error));
        check_directory(&action.directory).map_err(place)?;
        check_name(&action.name).map_err(place)?;
        let owner = Owner::find(action.owner.as_deref(), action.group.as_deref());
        let owner = owner.map_err(|error| (error.code(), chain(&error)))?;
        Ok(Self { action: action.clone(), owner })
    }
}

/// Puts the file in its place. The note of it is left in `noted`: it is good until the end is recorded.
pub(crate) async fn put(file: &AdmittedFile, mover: &Mover<'_>, live: &mut Live, noted: &mut Option<Noted>) -> Outcome {
    let started_ms = local_ms();
    let end = Instant::now() + Duration::from_secs(u64::from(file.action.timeout_s));
    match put_until(file, mover, end, live, noted).await {
        Ok(()) => Outcome {
            reason: None,
            started_ms: Some(started_ms),
            ..Outcome::without_run(TaskStatus::Success, None, "")
        },
        Err(error) => error.outcome(started_ms),
    }
}

async fn put_until(
    file: &AdmittedFile,
    mover: &Mover<'_>,
    end: Instant,
    live: &mut Live,
    noted: &mut Option<Noted>,
) -> Result<(), FileError> {
    let AdmittedFile { action, owner } = file.clone();
    let name = staged::name_for(&action.name).map_err(FileError::System)?;
    *noted = Some(mover.note(&action.directory, &name).await?);
    let (wanted, target) = (action.clone(), name);
    let staged = blocking(move || {
        let place = Place::make(&wanted.directory, owner)?;
        if place.regular(&wanted.name)?.is_some() && !wanted.overwrite {
            return Err(PlaceError::Exists(place.shown(&wanted.name)).into());
        }
        Ok(Staged::create(place, target)?)
    })
    .await?;
    let path = format!("{}/{}", action.directory.trim_end_matches('/'), action.name).escape_debug().to_string();
    let last = Last::default();
    let (sink, pieces) = mpsc::channel(WAITING_PIECES);
    let (done, writing) = write(staged, pieces);
    let fetched = {
        let fetching = mover.transfer.fetch(action.content, action.content_bytes, &sink, &last);
        tokio::pin!(fetching);
        loop {
            tokio::select! {
                fetched = &mut fetching => break fetched.map_err(|source| FileError::Transfer { path: path.clone(), source }),
                () = mover.halt.cancelled() => break Err(FileError::Stopped("")),
                () = tokio::time::sleep_until(end) => break Err(timed_out(&path, action.timeout_s, &last)),
                () = tick() => show(live, done.load(std::sync::atomic::Ordering::Relaxed), action.content_bytes),
            }
        }
    };
    drop(sink);
    // Waited for in any case: nothing of the task goes on once its end is told, and what is dropped here is removed.
    let staged = writing.await.map_err(|error| FileError::System(std::io::Error::other(error)))?;
    // Why nobody took the bytes says more than that nobody did.
    let staged = match (staged, fetched) {
        (Err(error), Ok(()) | Err(FileError::Transfer { source: TransferError::NotTaken, .. })) => {
            return Err(error.into());
        }
        (_, Err(error)) => return Err(error),
        (Ok(staged), Ok(())) => staged,
    };
    let (found, found_bytes) = staged.content();
    if (found, found_bytes) != (action.content, action.content_bytes) {
        let (wanted, wanted_bytes) = (action.content, action.content_bytes);
        return Err(FileError::Content { path, found, found_bytes, wanted, wanted_bytes });
    }
    let halt = mover.halt.clone();
    let late = timed_out(&path, action.timeout_s, &last);
    blocking(move || {
        let finish = Finish { name: &action.name, owner, mode: action.mode, overwrite: action.overwrite };
        staged.complete(&finish)?;
        if halt.is_cancelled() {
            return Err(FileError::Stopped(""));
        }
        if Instant::now() >= end {
            return Err(late);
        }
        Ok(staged.put(&finish)?)
    })
    .await
}

/// Writes what comes until nothing comes any more, on a thread of its own; the count is of bytes that are written.
fn write(
    mut staged: Staged,
    mut pieces: mpsc::Receiver<Bytes>,
) -> (std::sync::Arc<std::sync::atomic::AtomicU64>, tokio::task::JoinHandle<Result<Staged, PlaceError>>) {
    let done = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = std::sync::Arc::clone(&done);
    let writing = tokio::task::spawn_blocking(move || {
        while let Some(piece) = pieces.blocking_recv() {
            staged.write(&piece)?;
            count.fetch_add(piece.len() as u64, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(staged)
    });
    (done, writing)
}

/// A look at the progress now and then.
pub(super) async fn tick() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// Shows how far a transfer is, in KiB.
pub(super) fn show(live: &mut Live, done: u64, total: u64) {
    let kib = |bytes: u64| u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
    live.progress(kib(done), kib(total), "KiB");
}

pub(super) fn timed_out(path: &str, timeout_s: u32, last: &Last) -> FileError {
    FileError::TimedOut(format!("`{path}` was given up after {timeout_s} s, the order's time-out{}", last.tail()))
}

/// Does what the disk may hold up on a thread for that.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| FileError::System(std::io::Error::other(error)))?
}

#[cfg(test)]
mod tests;
