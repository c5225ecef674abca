//! rpm's databases: each package is one header, kept in a file of one of several kinds.
//!
//! Owns which kinds are read. Takes any bytes: what does not read as a header or a page is an error or is left
//! out, and no loop in a file makes a loop here.

pub(crate) mod bdb;
mod bytes;
mod header;
pub(crate) mod ndb;
pub(crate) mod sqlite;
mod wal;

use std::fmt;

use orderly_plugin::files::{Error, ReadAt};

use crate::package::Package;

/// Longest header that is read, in bytes: packages with very many files have some MiB.
const HEADER_MAX: usize = 32 * 1024 * 1024;

/// Why a database could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its file could not be read.
    File(Error),
    /// What does not read as this kind of database.
    Format(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(formatter, "{error}"),
            Self::Format(what) => write!(formatter, "not readable: {what}"),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::File(error)
    }
}

/// What was found in a database.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub packages: Vec<Package>,
    /// Entries that do not read as a header.
    pub unreadable: usize,
}

impl Found {
    /// Takes one header, as it stands in a database.
    fn take(&mut self, blob: &[u8]) {
        match header::package(blob) {
            Some(package) => self.packages.push(package),
            None => self.unreadable += 1,
        }
    }
}

/// Exactly `length` bytes from `offset`.
fn exactly(file: &dyn ReadAt, offset: u64, length: usize) -> Result<Vec<u8>, Fault> {
    let mut all = Vec::with_capacity(length.min(orderly_plugin::files::READ_AT_MAX));
    while all.len() < length {
        let part = file.read_at(offset.saturating_add(all.len() as u64), length - all.len())?;
        if part.is_empty() {
            return Err(Fault::Format("the file ends too early"));
        }
        all.extend_from_slice(&part);
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
