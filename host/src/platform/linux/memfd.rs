//! Sealed memory files: bytes handed to a child that nobody can change afterwards.
//!
//! Owns making and sealing; the descriptor is closed with its owner.

use std::fs::File;
use std::io::{self, Write as _};
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read as _;

    #[test]
    fn holds_the_bytes_and_cannot_be_changed() {
        let mut file = File::from(sealed("test", &[b"ab", b"cd"]).unwrap());
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcd");
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(0).is_err());
    }
}
