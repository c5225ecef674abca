//! Content that is kept for series, which run without a server.
//!
//! Owns the folder `series` of the data directory: one file for each content, named by its digest, with mode 0600. A file is
//! on the disk before its series is accepted, and what it gives has the digest that was asked for, always: a file that was
//! planted, changed or cut short is never given. It never looks at what it keeps. Nothing to stop.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use orderly_signing::digest::Digest;
use rustix::fs::{Mode, OFlags, open};

use crate::directory::{Directory, DirectoryError};

/// The folder's name in the data directory.
const FOLDER: &str = "series";

/// What a file is called until it is whole.
const UNFINISHED: &str = "new";

/// Content that was kept cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    /// It is gone, or cannot be read.
    #[error("the content `{0}` that was kept for the series cannot be read")]
    Read(Digest, #[source] io::Error),
    /// It is not what was kept.
    #[error("the file that was kept for the series as `{0}` holds something else: it is not run")]
    Other(Digest),
}

/// The folder; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct KeptContent {
    folder: PathBuf,
}

impl KeptContent {
    /// Uses (and makes) the folder in this data directory.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn open(directory: &Directory) -> Result<Self, DirectoryError> {
        Ok(Self { folder: directory.child(FOLDER)? })
    }

    /// Keeps content, on the disk when this answers, and gives the digest under which it is.
    ///
    /// # Errors
    /// It cannot be written; then no series may be accepted that runs it.
    pub(crate) fn keep(&self, content: &[u8]) -> io::Result<Digest> {
        let digest = Digest::of(content);
        let path = self.path(&digest);
        let temporary = path.with_extension(UNFINISHED);
        // What a crash has left is not written into, whatever it is and wherever it leads.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let written = file.write_all(content).and_then(|()| file.sync_all());
        let written = written.and_then(|()| std::fs::rename(&temporary, &path));
        if let Err(error) = written {
            let _ = std::fs::remove_file(&temporary);
            return Err(error);
        }
        File::open(&self.folder)?.sync_all()?;
        Ok(digest)
    }

    /// The content with this digest and size.
    ///
    /// # Errors
    /// It is gone, or is not what was kept.
    pub(crate) fn read(&self, digest: &Digest, bytes: u64) -> Result<Vec<u8>, KeptError> {
        let failed = |error| KeptError::Read(*digest, error);
        // Neither a link nor a pipe is waited for or followed.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = open(self.path(digest), flags, Mode::empty());
        let file = File::from(opened.map_err(|error| failed(error.into()))?);
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(KeptError::Other(*digest));
        }
        let mut content = Vec::new();
        // One byte more than it may have, so that a longer file is not taken for it.
        file.take(bytes.saturating_add(1)).read_to_end(&mut content).map_err(failed)?;
        if content.len() as u64 != bytes || Digest::of(&content) != *digest {
            return Err(KeptError::Other(*digest));
        }
        Ok(content)
    }

    /// Removes all that is not the content of one of these digests: of series that have ended, and what a crash has left.
    pub(crate) fn retain(&self, needed: &HashSet<Digest>) {
        let needed: HashSet<String> = needed.iter().map(Digest::hex).collect();
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let surplus = entry.file_name().to_str().is_none_or(|name| !needed.contains(name));
            if surplus && let Err(error) = std::fs::remove_file(entry.path()) {
                let path = entry.path();
                tracing::warn!(path = %path.display(), %error, "content that no series runs any more cannot be removed");
            }
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    const SCRIPT: &[u8] = b"#!/bin/sh\necho hello\n";

    fn fresh() -> (tempfile::TempDir, Directory, KeptContent) {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::enter(&dir.path().join("data")).unwrap();
        let kept = KeptContent::open(&directory).unwrap();
        (dir, directory, kept)
    }

    fn names(kept: &KeptContent) -> Vec<String> {
        let entries = std::fs::read_dir(&kept.folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_kept_is_given_and_private() {
        let (_dir, directory, kept) = fresh();
        let digest = kept.keep(SCRIPT).unwrap();
        assert_eq!(kept.keep(SCRIPT).unwrap(), digest, "twice is once");
        let reopened = KeptContent::open(&directory).unwrap();
        assert_eq!(reopened.read(&digest, SCRIPT.len() as u64).unwrap(), SCRIPT);
        assert_eq!(std::fs::metadata(kept.path(&digest)).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(names(&kept), [digest.hex()]);
        assert!(matches!(kept.read(&Digest::of(b"other"), 5), Err(KeptError::Read(..))));
    }

    #[test]
    fn planted_content_is_not_given() {
        let (dir, _directory, kept) = fresh();
        let digest = kept.keep(SCRIPT).unwrap();
        let (path, bytes) = (kept.path(&digest), SCRIPT.len() as u64);
        let refused = |what: &str| assert!(matches!(kept.read(&digest, bytes), Err(KeptError::Other(_))), "{what}");
        std::fs::write(&path, b"#!/bin/sh\necho OWNED\n").unwrap();
        refused("as long as it was");
        std::fs::write(&path, [SCRIPT, b"rm -rf /\n"].concat()).unwrap();
        refused("with more behind it");
        std::fs::write(&path, &SCRIPT[..9]).unwrap();
        refused("cut short");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        refused("a folder");
        std::fs::remove_dir(&path).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        std::fs::write(&elsewhere, SCRIPT).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert!(matches!(kept.read(&digest, bytes), Err(KeptError::Read(..))), "a link, which could change");
    }

    #[test]
    fn a_link_in_the_place_of_the_unfinished_file_is_not_followed() {
        let (dir, _directory, kept) = fresh();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, b"precious").unwrap();
        symlink(&victim, kept.path(&Digest::of(SCRIPT)).with_extension(UNFINISHED)).unwrap();
        let digest = kept.keep(SCRIPT).unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
        assert_eq!(kept.read(&digest, SCRIPT.len() as u64).unwrap(), SCRIPT);
    }

    #[test]
    fn what_no_series_runs_any_more_is_removed() {
        let (_dir, _directory, kept) = fresh();
        let (first, second) = (kept.keep(b"first").unwrap(), kept.keep(b"second").unwrap());
        std::fs::write(kept.path(&first).with_extension(UNFINISHED), b"fir").unwrap();
        kept.retain(&HashSet::from([second]));
        assert_eq!(names(&kept), [second.hex()]);
    }
}
