//! Sealed memory files: bytes handed to a child that nobody can change afterwards.
//!
//! Owns making and sealing; the descriptor is closed with its owner.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags};

/// Puts `parts`, one after the other, into a memory file and seals it: no byte of it changes any more.
///
/// The descriptor's offset is at the start and it is closed on exec.
///
/// # Errors
/// What the operating system said (no memory, no descriptor left).
pub fn sealed(name: &str, parts: &[&[u8]]) -> io::Result<OwnedFd> {
    let descriptor = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(descriptor);
    for part in parts {
        file.write_all(part)?;
    }
    rustix::fs::fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    Ok(file.into())
}

/// Reads to its end what a parent handed over.
///
/// At once, and not through a parser: a JSON parser asks a reader for one byte at a time, a system call each.
///
/// # Errors
/// What the operating system said.
pub(crate) fn read_all(descriptor: OwnedFd) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::from(descriptor).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn holds_the_bytes_and_cannot_be_changed() {
        let mut file = File::from(sealed("test", &[b"ab", b"cd"]).unwrap());
        assert_eq!(read_all(file.try_clone().unwrap().into()).unwrap(), b"abcd");
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(0).is_err());
    }
}
