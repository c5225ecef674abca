//! Key files: PKCS#8 PEM for secret keys, SPKI PEM for public ones.
//!
//! The one part of the crate that touches the file system. A secret key file is never followed through a symbolic link,
//! never read when others may read it, and written so that it is there whole with mode 0600 or not at all. An existing
//! file is never overwritten. On systems without Unix modes, who may read is left to the directory.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use thiserror::Error;
use zeroize::Zeroizing;

use super::{KeyError, PublicKey, SecretKey};

/// Largest key file: ours have some 120 bytes, others may have comments.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// A key file cannot be read or written.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// Cannot be opened or read.
    #[error("cannot read key file `{path}`: is the path right, and is it a file of yours, not a symbolic link?", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not a regular file.
    #[error("`{path}` is not a regular file: name the key file itself", path = path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the secret.
    #[error("key file `{path}` has mode {mode:04o}, others than its owner have access: `chmod 600 {path}`, and make a new key if somebody may have read it", path = path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Larger than any key.
    #[error("`{path}` has more than {MAX_FILE_BYTES} bytes, so it is no key file", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Read, but holds no key.
    #[error("`{path}` holds no key that can be used", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: KeyError,
    },
    /// There is a file already.
    #[error("`{path}` is there already and is not overwritten: move it away first if it is not needed", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Cannot be written.
    #[error("cannot write key file `{path}`: is the directory there, and yours?", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Reads a secret key.
///
/// # Errors
/// Not readable, a symbolic link, open to others, or no key; each names the path and how to mend it.
pub fn load_secret(path: impl AsRef<Path>) -> Result<SecretKey, KeyFileError> {
    let path = path.as_ref();
    let pem = Zeroizing::new(read(path, true)?);
    SecretKey::from_pkcs8_pem(&pem).map_err(|source| KeyFileError::Key { path: path.to_owned(), source })
}

/// Reads a public key.
///
/// # Errors
/// Not readable, a symbolic link, or no key; each names the path and how to mend it.
pub fn load_public(path: impl AsRef<Path>) -> Result<PublicKey, KeyFileError> {
    let path = path.as_ref();
    let pem = read(path, false)?;
    PublicKey::from_spki_pem(&pem).map_err(|source| KeyFileError::Key { path: path.to_owned(), source })
}

/// Writes a secret key to a new file with mode 0600: whole or not at all.
///
/// # Errors
/// There is a file already, or it cannot be written.
pub fn save_secret(path: impl AsRef<Path>, key: &SecretKey) -> Result<(), KeyFileError> {
    write(path.as_ref(), key.to_pkcs8_pem().as_bytes(), 0o600)
}

/// Writes a public key to a new file with mode 0644: whole or not at all.
///
/// # Errors
/// There is a file already, or it cannot be written.
pub fn save_public(path: impl AsRef<Path>, key: &PublicKey) -> Result<(), KeyFileError> {
    write(path.as_ref(), key.to_spki_pem().as_bytes(), 0o644)
}

fn read(path: &Path, secret: bool) -> Result<String, KeyFileError> {
    let failed = |source| KeyFileError::Read { path: path.to_owned(), source };
    let file = open_for_reading(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAFile { path: path.to_owned() });
    }
    if secret {
        refuse_open_modes(path, &metadata)?;
    }
    // One more byte than allowed tells a file that is too large. The capacity is all there from the start, so that a
    // secret is not left behind in memory that a growing string has given back.
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE_BYTES as usize + 1));
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(KeyFileError::TooLarge { path: path.to_owned() });
    }
    Ok(std::mem::take(&mut *text))
}

#[cfg(unix)]
fn open_for_reading(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // O_NONBLOCK: a named pipe in the place of the file would hold us up for ever.
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}

#[cfg(not(unix))]
fn open_for_reading(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path)?.is_symlink() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a symbolic link"));
    }
    File::open(path)
}

#[cfg(unix)]
fn refuse_open_modes(path: &Path, metadata: &fs::Metadata) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyFileError::TooOpen { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn refuse_open_modes(_: &Path, _: &fs::Metadata) -> Result<(), KeyFileError> {
    Ok(())
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), KeyFileError> {
    write_new(path, bytes, mode).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
        _ => KeyFileError::Write { path: path.to_owned(), source },
    })
}

/// Writes beside the path, then links it to the path, which fails when something is there: no half file is ever seen,
/// and none is lost.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}-{}.tmp", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let temporary = path.with_file_name(hidden);
    // What a killed process of the same number left behind.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_temporary(&temporary, bytes, mode).and_then(|()| fs::hard_link(&temporary, path));
    let removed = fs::remove_file(&temporary);
    written?;
    removed?;
    sync_directory(path)
}

fn write_temporary(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn keys_go_to_files_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let (secret, public) = (dir.path().join("k.pem"), dir.path().join("k.pub.pem"));
        let key = SecretKey::from_seed([3; 32]);
        save_secret(&secret, &key).unwrap();
        save_public(&public, key.public()).unwrap();
        assert_eq!(mode(&secret), 0o600);
        assert_eq!(load_secret(&secret).unwrap().public(), key.public());
        assert_eq!(load_public(&public).unwrap(), *key.public());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left behind");
    }

    #[test]
    fn an_existing_file_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.pem");
        save_secret(&path, &SecretKey::from_seed([3; 32])).unwrap();
        let error = save_secret(&path, &SecretKey::from_seed([4; 32])).unwrap_err();
        assert!(matches!(error, KeyFileError::Exists { .. }) && error.to_string().contains("k.pem"));
        assert_eq!(load_secret(&path).unwrap().public(), SecretKey::from_seed([3; 32]).public());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_with_the_mending() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.pem");
        save_secret(&path, &SecretKey::from_seed([3; 32])).unwrap();
        for bits in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            let error = load_secret(&path).unwrap_err();
            assert!(matches!(error, KeyFileError::TooOpen { mode, .. } if mode == bits), "{error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        load_secret(&path).unwrap();
    }

    #[test]
    fn what_is_no_key_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("k.pem"), dir.path().join("link.pem"));
        save_secret(&real, &SecretKey::from_seed([3; 32])).unwrap();
        symlink(&real, &link).unwrap();
        assert!(matches!(load_secret(&link), Err(KeyFileError::Read { .. })), "symbolic link");
        assert!(matches!(load_public(&link), Err(KeyFileError::Read { .. })), "symbolic link");
        assert!(matches!(load_secret(dir.path().join("none")), Err(KeyFileError::Read { .. })));
        assert!(matches!(load_secret(dir.path()), Err(KeyFileError::NotAFile { .. })));
        assert!(matches!(load_public(&real), Err(KeyFileError::Key { .. })), "a secret key is no public key");
        let large = dir.path().join("large");
        fs::write(&large, vec![b'a'; 20_000]).unwrap();
        assert!(matches!(load_public(&large), Err(KeyFileError::TooLarge { .. })));
        assert!(matches!(
            save_public(dir.path().join("no/such"), SecretKey::from_seed([3; 32]).public()),
            Err(KeyFileError::Write { .. })
        ));
    }
}
