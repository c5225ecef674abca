//! Collecting a file of this instance: from an open descriptor to the server.
//!
//! Owns what is taken: a regular file, opened without following a link and without waiting, of at most the signed size. It is
//! refused where it is larger, never cut, and where it changes while it is read: bytes of two times are no file. The bytes are
//! digested here on their way; the receipt says that digest and the size as the task's output, so that whoever has the file and
//! the receipt can check one by the other. It changes nothing on the instance.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::time::Duration;

use orderly_host::output::Kept;
use orderly_model::task::{ResultCode, TaskStatus};
use orderly_signing::order::CollectAction;
use rustix::fs::{Mode, OFlags, openat};
use tokio::time::Instant;

use super::file::notes::Noted;
use super::file::place::{Place, PlaceError, check_directory, check_name};
use super::file::{FileError, Mover, blocking, timed_out};
use super::{Outcome, chain};
use crate::clock::local_ms;
use crate::transfer::{Last, Sent};

/// Checks what can be checked of a path before the order is accepted.
///
/// # Errors
/// The word and the sentence of a refusal.
pub(crate) fn admit(action: &CollectAction) -> Result<(), (ResultCode, String)> {
    let (directory, name) = split(&action.path);
    let refused = |error: PlaceError| (ResultCode::FilePathInvalid, chain(&error));
    check_directory(directory).map_err(refused)?;
    check_name(name).map_err(refused)
}

/// Sends the file to the server. The note of it is left in `noted`.
pub(crate) async fn collect(action: &CollectAction, mover: &Mover<'_>, noted: &mut Option<Noted>) -> Outcome {
    let started_ms = local_ms();
    let end = Instant::now() + Duration::from_secs(u64::from(action.timeout_s));
    match sent(action, mover, end, noted).await {
        Ok((sent, bytes)) => Outcome {
            reason: None,
            started_ms: Some(started_ms),
            output: Some(Kept {
                head: Vec::new(),
                tail: Vec::new(),
                dropped_bytes: bytes,
                total_bytes: bytes,
                stdout_bytes: bytes,
                stderr_bytes: 0,
                sha256: sent.here,
            }),
            ..Outcome::without_run(TaskStatus::Success, None, "")
        },
        Err(error) => error.outcome(started_ms),
    }
}

async fn sent(
    action: &CollectAction,
    mover: &Mover<'_>,
    end: Instant,
    noted: &mut Option<Noted>,
) -> Result<(Sent, u64), FileError> {
    *noted = Some(mover.note("", "").await?);
    let wanted = action.clone();
    let (file, first) = blocking(move || open(&wanted)).await?;
    let bytes = first.len();
    let path = action.path.escape_debug().to_string();
    let again = file.try_clone().map_err(FileError::System)?;
    let last = Last::default();
    let sent = tokio::select! {
        sent = mover.transfer.send(mover.order, file, bytes, &last) => {
            sent.map_err(|source| FileError::Transfer { path: path.clone(), source })?
        }
        () = mover.halt.cancelled() => return Err(FileError::Stopped("; what the server has of it by then, it throws away")),
        () = tokio::time::sleep_until(end) => return Err(timed_out(&path, action.timeout_s, &last)),
    };
    if !same(&first, &blocking(move || again.metadata().map_err(FileError::System)).await?) {
        return Err(FileError::Changed(path));
    }
    match sent.there {
        Some(there) if there == sent.here => Ok((sent, bytes)),
        there => Err(FileError::Content {
            path,
            found: there.unwrap_or(orderly_signing::digest::Digest::ZERO),
            found_bytes: bytes,
            wanted: sent.here,
            wanted_bytes: bytes,
        }),
    }
}

/// Opens the file. What is no regular file is not opened at all: a pipe could wait for ever, and a device act.
fn open(action: &CollectAction) -> Result<(File, Metadata), FileError> {
    let (directory, name) = split(&action.path);
    let place = Place::find(if directory.is_empty() { "/" } else { directory })?;
    let path = place.shown(name);
    if place.regular(name)?.is_none() {
        return Err(PlaceError::Missing(path).into());
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file: File = openat(&place.descriptor, name, flags, Mode::empty())
        .map_err(|source| PlaceError::Io { doing: "open", path: path.clone(), source: source.into() })?
        .into();
    // Of the very file that is read: the name may lead to another by now.
    let found = file.metadata().map_err(|source| PlaceError::Io { doing: "look at", path: path.clone(), source })?;
    if !found.is_file() {
        return Err(PlaceError::NoFile { path, what: "no regular file any more" }.into());
    }
    if found.len() > action.max_bytes {
        return Err(FileError::TooLarge { path, bytes: found.len(), most: action.max_bytes });
    }
    // Files of /proc and /sys have a content that is made while it is read, and no size.
    let read = |source| PlaceError::Io { doing: "read", path: path.clone(), source };
    if found.len() == 0 && file.read_at(&mut [0], 0).map_err(read)? > 0 {
        return Err(PlaceError::NoFile { path, what: "made while it is read" }.into());
    }
    Ok((file, found))
}

/// Whether a file is as it was.
fn same(before: &Metadata, after: &Metadata) -> bool {
    let of = |found: &Metadata| {
        [found.len().cast_signed(), found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()]
    };
    of(before) == of(after)
}

/// Directory and name of an absolute path; what is none has no directory, which is refused.
fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => ("", path),
    }
}
