//! WASI's file system: which granted folder holds a path, and calls on it.
//!
//! Owns the opened folders of this run, taken from the host at the first call. Never follows a link by itself.

use std::cell::OnceCell;

use wasip2::filesystem::preopens;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, DescriptorType, ErrorCode, OpenFlags, PathFlags};

use super::Entry;

/// Bytes asked for in one call.
const CHUNK: usize = 64 * 1024;

/// Why a call did not succeed.
pub(super) enum Error {
    /// The host or the system said no; WASI does not say which.
    Refused,
    /// Anything else.
    Other(super::Error),
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Access | ErrorCode::NotPermitted => Self::Refused,
            ErrorCode::NoEntry => Self::Other(super::Error::NotFound),
            other => Self::Other(super::Error::Failed(other.name().to_owned())),
        }
    }
}

thread_local! {
    static FOLDERS: OnceCell<Vec<(Descriptor, String)>> = const { OnceCell::new() };
}

pub(super) fn read(path: &str, limit: usize) -> Result<Vec<u8>, Error> {
    let file = open(path, OpenFlags::empty(), DescriptorFlags::READ)?;
    let mut bytes = Vec::new();
    loop {
        // One byte more than the limit tells a longer file from one that just fits.
        let wanted = CHUNK.min(limit.saturating_add(1) - bytes.len());
        let (chunk, end) = file.read(wanted as u64, bytes.len() as u64)?;
        if chunk.is_empty() {
            return Ok(bytes);
        }
        bytes.extend_from_slice(&chunk);
        if bytes.len() > limit {
            return Err(Error::Other(super::Error::TooLong(limit)));
        }
        if end {
            return Ok(bytes);
        }
    }
}

/// An opened file.
pub(super) struct File(Descriptor);

pub(super) fn open_file(path: &str) -> Result<File, Error> {
    Ok(File(open(path, OpenFlags::empty(), DescriptorFlags::READ)?))
}

impl super::ReadAt for File {
    fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, super::Error> {
        let length = length.min(super::READ_AT_MAX);
        let mut bytes = Vec::with_capacity(length);
        // The host may give less than asked for before the end.
        while bytes.len() < length {
            let at = offset.saturating_add(bytes.len() as u64);
            let read = self.0.read((length - bytes.len()) as u64, at);
            let (chunk, end) = read.map_err(|code| match Error::from(code) {
                Error::Refused => super::Error::NotGranted,
                Error::Other(error) => error,
            })?;
            let none = chunk.is_empty();
            bytes.extend_from_slice(&chunk);
            if end || none {
                break;
            }
        }
        Ok(bytes)
    }
}

pub(super) fn read_dir(path: &str) -> Result<Vec<Entry>, Error> {
    let folder = open(path, OpenFlags::DIRECTORY, DescriptorFlags::READ)?;
    let stream = folder.read_directory()?;
    let mut entries = Vec::new();
    while let Some(entry) = stream.read_directory_entry()? {
        entries.push(Entry { name: entry.name, directory: entry.type_ == DescriptorType::Directory });
    }
    entries.sort();
    Ok(entries)
}

pub(super) fn write(path: &str, bytes: &[u8]) -> Result<(), Error> {
    let file = open(path, OpenFlags::CREATE | OpenFlags::TRUNCATE, DescriptorFlags::WRITE)?;
    let mut written = 0;
    while written < bytes.len() {
        let end = bytes.len().min(written + CHUNK);
        let count = file.write(&bytes[written..end], written as u64)?;
        if count == 0 {
            return Err(Error::Other(super::Error::Failed("nothing was written".to_owned())));
        }
        written += usize::try_from(count).unwrap_or(bytes.len());
    }
    Ok(())
}

fn open(path: &str, open: OpenFlags, access: DescriptorFlags) -> Result<Descriptor, Error> {
    FOLDERS.with(|folders| {
        let folders = folders.get_or_init(preopens::get_directories);
        let (folder, rest) =
            locate(folders.iter().map(|(folder, at)| (folder, at.as_str())), path).ok_or(Error::Refused)?;
        Ok(folder.open_at(PathFlags::SYMLINK_FOLLOW, rest, open, access)?)
    })
}

/// The folder that covers `path` most closely, and the rest of the path beneath it.
fn locate<'f, 'p, F>(folders: impl Iterator<Item = (F, &'f str)>, path: &'p str) -> Option<(F, &'p str)> {
    folders
        .filter_map(|(folder, at)| {
            let rest = path.strip_prefix(at.trim_end_matches('/'))?;
            if rest.is_empty() {
                return Some((folder, ".", at.len()));
            }
            let rest = rest.strip_prefix('/')?;
            Some((folder, if rest.is_empty() { "." } else { rest }, at.len()))
        })
        .max_by_key(|(_, _, length)| *length)
        .map(|(folder, rest, _)| (folder, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_folder_wins_and_a_near_miss_does_not() {
        let folders = ["/etc", "/etc/ssh", "/proc/sys/"];
        let find = |path| locate(folders.iter().map(|at| (*at, *at)), path);
        assert_eq!(find("/etc/passwd"), Some(("/etc", "passwd")));
        assert_eq!(find("/etc/ssh/sshd_config"), Some(("/etc/ssh", "sshd_config")));
        assert_eq!(find("/etc/ssh"), Some(("/etc/ssh", ".")));
        assert_eq!(find("/etc/sshx/y"), Some(("/etc", "sshx/y")));
        assert_eq!(find("/proc/sys/kernel"), Some(("/proc/sys/", "kernel")));
        assert_eq!(find("/etcetera"), None);
        assert_eq!(find("etc/passwd"), None);
    }
}
