//! Where a file is put or found: its directory as an open descriptor, and the rules on the way there.
//!
//! Owns the walk from the root, one name after the other, and what is refused on it: `..`, a link as the last directory, and links
//! on the way that somebody other than root or this agent's own user has made, or can put another in the place of. What was
//! walked to is a descriptor, so that nobody can exchange it afterwards; directories that were made are removed again where
//! nothing came of them.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;

use orderly_model::task::ResultCode;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, fremovexattr, fstat, mkdirat, openat,
    readlinkat, statat, unlinkat,
};
use rustix::io::Errno;

use super::owner::Owner;

/// Where the system keeps who else may do what with a file, and what files in a directory get of that.
const ACL: &str = "system.posix_acl_access";
const DEFAULT_ACL: &str = "system.posix_acl_default";

/// Links that are followed on one way, as many as Linux follows.
const LINKS_MAX: u32 = 40;

/// A path is none at which a file may be put or taken, or something failed there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// Not absolute.
    #[error("`{0}` is not absolute")]
    Relative(String),
    /// A zero byte.
    #[error("`{0}` holds a zero byte")]
    Zero(String),
    /// Goes up.
    #[error("`{0}` goes up with `..`: write the path that is meant")]
    Up(String),
    /// No file's name.
    #[error("`{0}` is not the name of a file")]
    Name(String),
    /// The last directory is a link.
    #[error("`{0}` is a symbolic link, and must be the directory itself")]
    LinkAtEnd(String),
    /// A link that cannot be relied on.
    #[error("`{path}` is a symbolic link of user {uid}, who could turn it elsewhere: write the path that is meant")]
    LinkOfOther {
        /// The link.
        path: String,
        /// Whose it is.
        uid: u32,
    },
    /// A link that others can exchange.
    #[error(
        "`{0}` is a symbolic link in a directory in which others may put another in its place: write the path that is meant"
    )]
    LinkInOpen(String),
    /// Something else than what was just there or just made.
    #[error("`{0}` was exchanged for something else meanwhile, by somebody who may write there")]
    Exchanged(String),
    /// Too many links.
    #[error("`{0}` leads over more than {LINKS_MAX} symbolic links")]
    Links(String),
    /// Something else stands where a directory should.
    #[error("`{0}` is not a directory")]
    NoDirectory(String),
    /// Something that is no file stands at the place.
    #[error("`{path}` is {what}, and only a regular file is replaced or taken")]
    NoFile {
        /// The place.
        path: String,
        /// What is there.
        what: &'static str,
    },
    /// A file is there.
    #[error("`{0}` is there already, and the order does not say that it may be replaced")]
    Exists(String),
    /// Nothing is there.
    #[error("`{0}` is not there")]
    Missing(String),
    /// The mode was not taken.
    #[error("`{path}` cannot have the mode {wanted:04o}: the system made it {found:04o}")]
    Mode {
        /// The file.
        path: String,
        /// What was asked for.
        wanted: u32,
        /// What came of it.
        found: u32,
    },
    /// The system said no.
    #[error("cannot {doing} `{path}`")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl PlaceError {
    /// The word for it.
    pub(crate) fn code(&self) -> ResultCode {
        match self {
            Self::Name(_) => ResultCode::FileNameInvalid,
            Self::Exists(_) => ResultCode::FileAlreadyExists,
            Self::Missing(_) => ResultCode::FileNotExists,
            Self::Mode { .. } => ResultCode::FileAuthorityInvalid,
            Self::Io { .. } => ResultCode::FileCreateFail,
            _ => ResultCode::FilePathInvalid,
        }
    }

    pub(super) fn io(doing: &'static str, path: &str, source: impl Into<io::Error>) -> Self {
        Self::Io { doing, path: path.to_owned(), source: source.into() }
    }
}

/// Checks what can be checked of a directory's path without looking at the file system.
///
/// # Errors
/// It is relative, goes up, or holds a zero byte.
pub(crate) fn check_directory(path: &str) -> Result<(), PlaceError> {
    let shown = || path.escape_debug().to_string();
    match path {
        _ if !path.starts_with('/') => Err(PlaceError::Relative(shown())),
        _ if path.contains('\0') => Err(PlaceError::Zero(shown())),
        _ if path.split('/').any(|part| part == "..") => Err(PlaceError::Up(shown())),
        _ => Ok(()),
    }
}

/// Checks a file's name.
///
/// # Errors
/// It is empty, names a directory, or holds a slash or a zero byte.
pub(crate) fn check_name(name: &str) -> Result<(), PlaceError> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        return Err(PlaceError::Name(name.escape_debug().to_string()));
    }
    Ok(())
}

/// A directory that was walked to.
#[derive(Debug)]
pub(crate) struct Place {
    /// The directory; one that was made, or may have been, can be synced.
    pub descriptor: OwnedFd,
    /// As it was asked for, for sentences.
    pub path: String,
    /// What was made on the way, with what holds it; outermost first.
    made: Vec<(OwnedFd, OsString)>,
}

impl Place {
    /// Walks to a directory that must be there.
    ///
    /// # Errors
    /// It is not there, or a rule of the walk is broken.
    pub(crate) fn find(path: &str) -> Result<Self, PlaceError> {
        Self::walk(path, None)
    }

    /// Walks to a directory, and makes what is missing for this owner with mode 0755.
    ///
    /// # Errors
    /// It cannot be made, or a rule of the walk is broken; what was made is removed again.
    pub(crate) fn make(path: &str, owner: Owner) -> Result<Self, PlaceError> {
        Self::walk(path, Some(owner))
    }

    fn walk(path: &str, make: Option<Owner>) -> Result<Self, PlaceError> {
        check_directory(path)?;
        let io = |doing| move |source: Errno| PlaceError::io(doing, path, source);
        let mut place =
            Self { descriptor: open_directory(CWD, "/").map_err(io("open"))?, path: path.to_owned(), made: Vec::new() };
        let mut ahead: VecDeque<OsString> = names(path.as_bytes());
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            let found = match statat(&place.descriptor, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {
                    let Some(owner) = make else { return Err(PlaceError::Missing(path.to_owned())) };
                    place.make_one(&name, owner)?;
                    continue;
                }
                found => found.map_err(io("look at"))?,
            };
            match FileType::from_raw_mode(found.st_mode) {
                FileType::Directory => {
                    place.descriptor = open_directory(&place.descriptor, &name).map_err(io("open"))?;
                }
                FileType::Symlink if ahead.is_empty() => return Err(PlaceError::LinkAtEnd(path.to_owned())),
                FileType::Symlink => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(PlaceError::Links(path.to_owned()));
                    }
                    let target = place.target(&name)?;
                    if target.as_bytes().starts_with(b"/") {
                        place.descriptor = open_directory(CWD, "/").map_err(io("open"))?;
                    }
                    for name in names(target.as_bytes()).into_iter().rev() {
                        ahead.push_front(name);
                    }
                }
                _ => return Err(PlaceError::NoDirectory(path.to_owned())),
            }
        }
        if make.is_some() {
            place.descriptor = readable(&place.descriptor).map_err(io("open"))?;
        }
        Ok(place)
    }

    /// Where the link leads, if nobody but root and this agent's own user can have a say in that. What is looked at is what is read.
    fn target(&self, name: &OsString) -> Result<std::ffi::CString, PlaceError> {
        let shown = || format!("{}: {}", self.path, name.to_string_lossy().escape_debug());
        let failed = |source: Errno| PlaceError::io("follow", &self.path, source);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let link = openat(&self.descriptor, name, flags, Mode::empty()).map_err(failed)?;
        let found = fstat(&link).map_err(failed)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::Symlink {
            return Err(PlaceError::Exchanged(shown()));
        }
        if !is_trusted(found.st_uid) {
            return Err(PlaceError::LinkOfOther { path: shown(), uid: found.st_uid });
        }
        let holder = fstat(&self.descriptor).map_err(failed)?;
        let (open, sticky) = (Mode::WGRP | Mode::WOTH, Mode::SVTX);
        let mode = Mode::from_raw_mode(holder.st_mode);
        if !is_trusted(holder.st_uid) || (mode.intersects(open) && !mode.contains(sticky)) {
            return Err(PlaceError::LinkInOpen(shown()));
        }
        readlinkat(&link, "", Vec::new()).map_err(failed)
    }

    fn make_one(&mut self, name: &OsString, owner: Owner) -> Result<(), PlaceError> {
        let failed = |source: Errno| PlaceError::io("make the directory", &self.path, source);
        match mkdirat(&self.descriptor, name, Mode::from_raw_mode(0o700)) {
            // Somebody was faster: whatever it is, it must be a directory and no link to be gone on with.
            Err(Errno::EXIST) => {
                self.descriptor = open_directory(&self.descriptor, name).map_err(failed)?;
                return Ok(());
            }
            made => made.map_err(failed)?,
        }
        let holder =
            self.descriptor.try_clone().map_err(|source| PlaceError::io("make the directory", &self.path, source))?;
        self.made.push((holder, name.clone()));
        let failed = |source: Errno| PlaceError::io("make the directory", &self.path, source);
        let opened = open_directory(&self.descriptor, name).map_err(failed)?;
        let made = readable(&opened).map_err(failed)?;
        // Somebody who may write there can have put another in its place, which must not be given away.
        if !is_fresh(&made).map_err(failed)? {
            return Err(PlaceError::Exchanged(self.path.clone()));
        }
        without_acl(&made).map_err(failed)?;
        owner.give(&made).map_err(failed)?;
        fchmod(&made, Mode::from_raw_mode(0o755)).map_err(failed)?;
        // The name must last as long as what is put in it.
        readable(&self.descriptor).and_then(rustix::fs::fsync).map_err(failed)?;
        self.descriptor = made;
        Ok(())
    }

    /// The path of a name in it, for sentences.
    pub(crate) fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.path.trim_end_matches('/')).escape_debug().to_string()
    }

    /// What is at a name in it; nothing where nothing is.
    ///
    /// # Errors
    /// It is there and no regular file, or cannot be looked at.
    pub(crate) fn regular(&self, name: &str) -> Result<Option<Stat>, PlaceError> {
        let stat = match statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(source) => return Err(PlaceError::io("look at", &self.shown(name), source)),
        };
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => return Ok(Some(stat)),
            FileType::Directory => "a directory",
            FileType::Symlink => "a symbolic link",
            FileType::Fifo => "a pipe",
            FileType::Socket => "a socket",
            _ => "a device",
        };
        Err(PlaceError::NoFile { path: self.shown(name), what })
    }

    /// Keeps the directories that were made.
    pub(super) fn keep(&mut self) {
        self.made.clear();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Only where they are still empty: somebody else may have put something there.
        for (holder, name) in self.made.drain(..).rev() {
            let _ = unlinkat(&holder, &name, AtFlags::REMOVEDIR);
        }
    }
}

/// Whether nobody but root and this agent's own user is behind it.
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Whether a directory can be the one that was made just now: this agent's own user's alone, and empty.
pub(super) fn is_fresh(directory: &OwnedFd) -> Result<bool, Errno> {
    let found = fstat(directory)?;
    // Its group and the bit for that can come from the directory that holds it.
    let own = found.st_uid == rustix::process::geteuid().as_raw() && found.st_mode & 0o777 == 0o700;
    for entry in Dir::read_from(directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(own)
}

/// Takes away what a file or a directory got from the directory that holds it: nobody has more of it than its mode says.
pub(super) fn without_acl(file: impl AsFd) -> Result<(), Errno> {
    for name in [ACL, DEFAULT_ACL] {
        match fremovexattr(&file, name) {
            Err(Errno::NODATA | Errno::NOTSUP) => {}
            removed => removed?,
        }
    }
    Ok(())
}

/// Opens what must be a directory and no link, to go on from it.
fn open_directory(at: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    openat(at, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// The same directory, to be changed itself.
fn readable(directory: &OwnedFd) -> Result<OwnedFd, Errno> {
    openat(directory, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn names(path: &[u8]) -> VecDeque<OsString> {
    let names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    names.map(|name| OsString::from_vec(name.to_vec())).collect()
}

impl Owner {
    /// Makes it the owner of something open, where it is not yet.
    pub(super) fn give(self, descriptor: impl AsFd) -> Result<(), Errno> {
        let stat = fstat(&descriptor)?;
        if (stat.st_uid, stat.st_gid) == (self.uid, self.gid) {
            return Ok(());
        }
        let uid = (stat.st_uid != self.uid).then(|| Uid::from_raw(self.uid));
        fchown(descriptor, uid, Some(Gid::from_raw(self.gid)))
    }
}
