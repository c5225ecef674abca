//! Files by absolute path. Needs `files.read` grants that cover them, and `files.write` for [`write`].
//!
//! Owns the way from a path to the granted folder that holds it: the host opens one folder for each grant and WASI
//! knows only paths beneath these. Never widens a refusal: the host checks every path again.
//! Code that should be tested without an instance takes a [`Files`] and gets [`Instance`] in a run.
//!
//! ```
//! use orderly_plugin::files::{Error, Files};
//! use orderly_plugin::testing::FakeFiles;
//!
//! /// In a run: `issue(&orderly_plugin::files::Instance)`, with `read = ["/etc/issue"]` in `plugin.toml`.
//! fn issue(files: &dyn Files) -> Result<String, Error> {
//!     Ok(files.read_text("/etc/issue", 4_096)?.trim().to_owned())
//! }
//!
//! assert_eq!(issue(&FakeFiles::new().with("/etc/issue", "Debian\n")).as_deref(), Ok("Debian"));
//! assert_eq!(issue(&FakeFiles::new()), Err(Error::NotFound));
//! ```

mod wasi;

use std::fmt;

use crate::bindings::orderly::plugin::files as wit;

/// Most bytes that one [`ReadAt::read_at`] gives.
pub const READ_AT_MAX: usize = 1024 * 1024;

/// Why a file could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// No grant covers the path.
    NotGranted,
    /// There is no such file.
    NotFound,
    /// The grant covers it but the system does not let the sandbox's user read it: its mode and owner.
    Unreadable(String),
    /// It is longer than the given limit in bytes.
    TooLong(usize),
    /// Anything else.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotGranted => formatter.write_str("no grant covers it"),
            Self::NotFound => formatter.write_str("not found"),
            Self::Unreadable(why) => write!(formatter, "not readable without more rights ({why})"),
            Self::TooLong(limit) => write!(formatter, "longer than {limit} bytes"),
            Self::Failed(why) => formatter.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link.
    SymbolicLink,
    /// A device, a socket and so on.
    Other,
}

/// What is known of a path without opening it. A symbolic link is described, not followed.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// What it is.
    pub kind: Kind,
    /// Permission bits of chmod(2), 0 to 0o7777.
    pub mode: u32,
    /// Id of the owner.
    pub uid: u32,
    /// Id of the group.
    pub gid: u32,
    /// Name of the owner, where the instance knows one.
    pub owner: Option<String>,
    /// Name of the group, where the instance knows one.
    pub group: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Whole seconds since 1970-01-01 UTC.
    pub modified: i64,
    /// Where a symbolic link points.
    pub target: Option<String>,
}

impl fmt::Display for Metadata {
    /// As `0640 root:shadow`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04o} ", self.mode)?;
        match &self.owner {
            Some(name) => formatter.write_str(name)?,
            None => write!(formatter, "{}", self.uid)?,
        }
        match &self.group {
            Some(name) => write!(formatter, ":{name}"),
            None => write!(formatter, ":{}", self.gid),
        }
    }
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name without the folder's path.
    pub name: String,
    /// Whether it is a folder itself.
    pub directory: bool,
}

/// An opened file that is read piece by piece: for databases that are larger than the memory limit.
pub trait ReadAt {
    /// Reads at most `length` bytes (and at most 1 MiB) from `offset`; fewer, or none, at the end of the file.
    ///
    /// # Errors
    /// See [`Error`].
    fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, Error>;
}

/// Access to files, so that a rule can be tested with files that a test makes up.
pub trait Files {
    /// Reads the file at `path`, at most `limit` bytes.
    ///
    /// # Errors
    /// See [`Error`].
    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, Error>;

    /// Opens the file at `path` for reading piece by piece.
    ///
    /// # Errors
    /// See [`Error`].
    fn open(&self, path: &str) -> Result<Box<dyn ReadAt>, Error>;

    /// Lists the folder at `path` in the order of the names.
    ///
    /// # Errors
    /// See [`Error`].
    fn read_dir(&self, path: &str) -> Result<Vec<Entry>, Error>;

    /// Says what `path` is.
    ///
    /// # Errors
    /// See [`Error`].
    fn metadata(&self, path: &str) -> Result<Metadata, Error>;

    /// Reads a file as text. Bytes that are no UTF-8 become U+FFFD: one bad byte must not hide the rest of a file.
    ///
    /// # Errors
    /// See [`Error`].
    fn read_text(&self, path: &str, limit: usize) -> Result<String, Error> {
        let bytes = self.read(path, limit)?;
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }
}

/// The files of the instance that the plugin runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Instance;

impl Files for Instance {
    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, Error> {
        wasi::read(path, limit).map_err(|error| explain(path, error))
    }

    fn open(&self, path: &str) -> Result<Box<dyn ReadAt>, Error> {
        match wasi::open_file(path) {
            Ok(file) => Ok(Box::new(file)),
            Err(error) => Err(explain(path, error)),
        }
    }

    fn read_dir(&self, path: &str) -> Result<Vec<Entry>, Error> {
        wasi::read_dir(path).map_err(|error| explain(path, error))
    }

    fn metadata(&self, path: &str) -> Result<Metadata, Error> {
        metadata(path)
    }
}

/// Writes the file at `path`, which is made where it is not there and emptied where it is.
///
/// # Errors
/// See [`Error`]; what was written before an error stays.
pub fn write(path: &str, bytes: &[u8]) -> Result<(), Error> {
    wasi::write(path, bytes).map_err(|error| match error {
        wasi::Error::Refused => Error::NotGranted,
        wasi::Error::Other(error) => error,
    })
}

/// WASI has one word for "not granted", "not allowed" and "not there beneath what is granted"; the host knows which.
fn explain(path: &str, error: wasi::Error) -> Error {
    match error {
        wasi::Error::Other(error) => error,
        wasi::Error::Refused => match metadata(path) {
            Ok(metadata) => Error::Unreadable(metadata.to_string()),
            Err(error) => error,
        },
    }
}

fn metadata(path: &str) -> Result<Metadata, Error> {
    let found = wit::stat(path).map_err(|error| match error {
        wit::Error::Denied => Error::NotGranted,
        wit::Error::NotFound => Error::NotFound,
        wit::Error::Failed(why) => Error::Failed(why),
    })?;
    Ok(Metadata {
        kind: match found.kind {
            wit::Kind::File => Kind::File,
            wit::Kind::Directory => Kind::Directory,
            wit::Kind::SymbolicLink => Kind::SymbolicLink,
            wit::Kind::Other => Kind::Other,
        },
        mode: found.mode & 0o7777,
        uid: found.uid,
        gid: found.gid,
        owner: found.owner,
        group: found.group,
        size: found.size as u64,
        modified: found.modified as i64,
        target: found.target,
    })
}
