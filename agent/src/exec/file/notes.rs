//! Notes of files on their way: what a crash could leave in somebody else's directory, so that the next start removes it, and
//! which orders had begun.
//!
//! Owns the files under `staged` in the data directory, one for each order that moves a file, written and synced before a file is
//! staged or sent and removed once the order's end is recorded. A note is believed only where it names a file that this agent
//! names so; that of a collected file names none.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;

use orderly_signing::digest::Digest;
use rustix::fs::{AtFlags, unlinkat};
use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::directory::{Directory, DirectoryError};

/// What stands in the name of every staged file, behind the name that it will have.
pub(super) const MARK: &str = ".orderly-";

/// The notes; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    folder: PathBuf,
}

/// Where a staged file lies.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    directory: String,
    name: String,
}

/// A note that is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Noted {
    path: PathBuf,
}

impl Noted {
    /// Removes the note where the end of its order is recorded; else the next agent finds it.
    pub(crate) fn settle(self, recorded: bool) {
        if !recorded {
            std::mem::forget(self);
        }
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "a note of a file cannot be removed");
        }
    }
}

impl Notes {
    /// Uses (and makes) the folder of notes in this data directory.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn open(directory: &Directory) -> Result<Self, DirectoryError> {
        Ok(Self { folder: directory.child("staged")? })
    }

    /// Writes a note, on the disk when this answers.
    ///
    /// # Errors
    /// It cannot be written; then nothing may be staged.
    pub(crate) fn write(&self, order: &Digest, directory: &str, name: &str) -> io::Result<Noted> {
        let note = Note { directory: directory.to_owned(), name: name.to_owned() };
        let bytes = serde_json::to_vec(&note).map_err(io::Error::other)?;
        let noted = Noted { path: self.folder.join(order.hex()) };
        let mut file = File::create(&noted.path)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        File::open(&self.folder)?.sync_all()?;
        Ok(noted)
    }

    /// Removes what an earlier agent staged and did not put in place, and answers the orders that it was at work on, by their
    /// digests in hexadecimal.
    pub(crate) fn recover(&self) -> HashMap<String, Noted> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return HashMap::new() };
        entries
            .flatten()
            .map(|entry| {
                // A note that a crash has cut short says that nothing was staged yet.
                if let Ok(Ok(note)) = std::fs::read(entry.path()).map(|bytes| serde_json::from_slice::<Note>(&bytes)) {
                    remove(&note);
                }
                (entry.file_name().to_string_lossy().into_owned(), Noted { path: entry.path() })
            })
            .collect()
    }
}

fn remove(note: &Note) {
    if !note.name.starts_with('.') || !note.name.contains(MARK) || note.name.contains('/') {
        return;
    }
    let removed = Place::find(&note.directory)
        .map_err(|error| error.to_string())
        .and_then(|place| unlinkat(&place.descriptor, &note.name, AtFlags::empty()).map_err(|error| error.to_string()));
    match removed {
        Ok(()) => tracing::warn!(directory = note.directory, "a file that an earlier agent staged is removed"),
        Err(error) => tracing::debug!(directory = note.directory, error, "no staged file is left"),
    }
}
