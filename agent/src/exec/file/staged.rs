//! A file on its way: written beside its place under another name, then put there whole.
//!
//! Owns the staged file from its making to the rename. It is made exclusively and for its owner alone, digested while it is written,
//! and has owner, mode and all its bytes on the disk before it gets its name. Dropping it before that removes it.

use std::fs::File;
use std::io::Write as _;

use orderly_signing::digest::{Digest, DigestWriter};
use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, fchmod, fstat, fsync, linkat, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use super::notes::MARK;
use super::owner::Owner;
use super::place::{Place, PlaceError, without_acl};
use crate::platform;

/// Bytes of the final name that the staged one begins with: it must not become longer than any name may be.
const NAME_SHOWN_BYTES: usize = 200;

/// A name for a staged file that nobody can foresee.
pub(super) fn name_for(name: &str) -> std::io::Result<String> {
    let shown = name.get(..name.floor_char_boundary(NAME_SHOWN_BYTES)).unwrap_or_default();
    let random = u64::from_le_bytes(platform::random::<8>()?);
    Ok(format!(".{shown}{MARK}{random:016x}"))
}

/// What a file is to be once it has its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Whose it is.
    pub(super) owner: Owner,
    /// Its mode, special bits too.
    pub(super) mode: u32,
    /// Whether another file of that name is replaced.
    pub(super) overwrite: bool,
}

/// A staged file.
#[derive(Debug)]
pub(super) struct Staged {
    place: Place,
    name: String,
    file: File,
    digest: DigestWriter,
    bytes: u64,
    named: bool,
}

impl Staged {
    /// Makes an empty staged file.
    pub(super) fn create(place: Place, name: String) -> Result<Self, PlaceError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&place.descriptor, &name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|source| PlaceError::io("make a file in", &place.path, source))?;
        Ok(Self { place, name, file: file.into(), digest: DigestWriter::new(), bytes: 0, named: false })
    }

    /// Writes the next bytes.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), PlaceError> {
        self.file.write_all(piece).map_err(|source| PlaceError::io("write a file in", &self.place.path, source))?;
        self.digest.update(piece);
        self.bytes += piece.len() as u64;
        Ok(())
    }

    /// What was written: its digest and its length.
    pub(super) fn content(&self) -> (Digest, u64) {
        (self.digest.clone().finish(), self.bytes)
    }

    /// Gives it owner and mode, and brings all of it to the disk.
    pub(super) fn complete(&self, finish: &Finish<'_>) -> Result<(), PlaceError> {
        let path = self.place.shown(finish.name);
        let failed = |doing| {
            let path = path.clone();
            move |source: Errno| PlaceError::io(doing, &path, source)
        };
        // A mode on top of an access list would give those that the list names what is meant for the group.
        without_acl(&self.file).map_err(failed("take the access list of"))?;
        finish.owner.give(&self.file).map_err(failed("set the owner of"))?;
        // Behind the owner: the system takes setuid and setgid away where the owner changes.
        fchmod(&self.file, Mode::from_raw_mode(finish.mode)).map_err(failed("set the mode of"))?;
        let found = fstat(&self.file).map_err(failed("look at"))?.st_mode & 0o7777;
        if found != finish.mode {
            return Err(PlaceError::Mode { path, wanted: finish.mode, found });
        }
        fsync(&self.file).map_err(failed("sync"))
    }

    /// Gives it its name.
    pub(super) fn put(mut self, finish: &Finish<'_>) -> Result<(), PlaceError> {
        let path = self.place.shown(finish.name);
        // Looked at once more: what is no regular file is not replaced, and a race for that is won by nobody's link, since a rename
        // follows none.
        let there = self.place.regular(finish.name)?;
        if there.is_some() && !finish.overwrite {
            return Err(PlaceError::Exists(path));
        }
        let directory = &self.place.descriptor;
        let renamed = if finish.overwrite {
            renameat(directory, &self.name, directory, finish.name)
        } else {
            match renameat_with(directory, &self.name, directory, finish.name, RenameFlags::NOREPLACE) {
                // Some file systems have no such rename. A second name is refused as well where there is one, and the first goes when
                // this is dropped.
                Err(Errno::INVAL) => linkat(directory, &self.name, directory, finish.name, AtFlags::empty())
                    .and_then(|()| unlinkat(directory, &self.name, AtFlags::empty())),
                renamed => renamed,
            }
        };
        match renamed {
            Err(Errno::EXIST) if !finish.overwrite => return Err(PlaceError::Exists(path)),
            renamed => renamed.map_err(|source| PlaceError::io("rename a file to", &path, source))?,
        }
        self.named = true;
        self.place.keep();
        fsync(&self.place.descriptor).map_err(|source| PlaceError::io("sync the directory of", &path, source))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.named {
            let _ = unlinkat(&self.place.descriptor, &self.name, AtFlags::empty());
        }
    }
}
