//! The data directory: whose it is, who may enter it, and that one agent uses it at a time.
//!
//! Owns the names of its files, its mode (0700), its lock and the atomic writing of small files in it. It never knows
//! what they mean. The lock goes with the process, however that ends.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// The file that the lock is on; it holds the process id of the holder.
const LOCK: &str = "lock";

/// How long the lock of an agent that is dead is waited for. A process that it was just starting holds the lock too, from
/// fork to exec.
const LINGERING_TIME: Duration = Duration::from_secs(2);

/// Time between two looks at such a lock. Nothing else is to be done meanwhile: the agent has not started yet.
const LINGERING_LOOK: Duration = Duration::from_millis(10);

/// The data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    /// It cannot be made, entered or written.
    #[error("data directory `{path}`: cannot {doing} `{name}`", path = path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// With which file in it.
        name: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others may enter it, or it is somebody else's.
    #[error("data directory `{path}` has mode {mode:04o} and owner {owner}: it must be this user's alone, `chmod 700 {path}`", path = path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its owner's number.
        owner: u32,
    },
    /// Another agent uses it.
    #[error("data directory `{path}` is in use by the agent with process id {holder}: stop that one, or give this one its own `--data-dir`", path = path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
        /// The other's process id.
        holder: String,
    },
}

/// An entered data directory.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Holds the lock as long as it is open.
    lock: File,
}

/// The data directory where the command line names none.
pub(crate) fn default_path() -> PathBuf {
    if orderly_host::platform::users::is_root() {
        return PathBuf::from("/var/lib/orderly-agent");
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from).join(".local/state");
    state.unwrap_or_else(home).join("orderly-agent")
}

impl Directory {
    /// Makes the directory if it is absent, checks whose it is, and takes the lock.
    ///
    /// # Errors
    /// It cannot be made or entered, others may enter it, or another agent holds it.
    pub(crate) fn enter(path: &Path) -> Result<Self, DirectoryError> {
        let failed = |doing, name: &str| {
            let (path, name) = (path.to_owned(), name.to_owned());
            move |source| DirectoryError::Io { path, doing, name, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("make", "."))?;
        let metadata = std::fs::metadata(path).map_err(failed("look at", "."))?;
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 || metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(DirectoryError::Open { path: path.to_owned(), mode, owner: metadata.uid() });
        }
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK))
            .map_err(failed("open", LOCK))?;
        let until = Instant::now() + LINGERING_TIME;
        while flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let _ = lock.rewind().and_then(|()| lock.read_to_string(&mut holder));
            let holder = holder.trim();
            let alive = Path::new("/proc").join(holder).is_dir();
            if alive || Instant::now() > until {
                let holder = if holder.is_empty() { "unknown" } else { holder }.to_owned();
                return Err(DirectoryError::Busy { path: path.to_owned(), holder });
            }
            std::thread::sleep(LINGERING_LOOK);
        }
        let _ = lock.rewind();
        let written = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
        written.map_err(failed("write", LOCK))?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Looks at a directory that an agent may be using, without taking the lock.
    ///
    /// # Errors
    /// It is not there, or cannot be entered.
    pub(crate) fn look(path: &Path) -> Result<Self, DirectoryError> {
        let failed =
            |source| DirectoryError::Io { path: path.to_owned(), doing: "look at", name: LOCK.to_owned(), source };
        Ok(Self { path: path.to_owned(), lock: File::open(path.join(LOCK)).map_err(failed)? })
    }

    /// The process id of the agent that uses it, if one does.
    pub(crate) fn holder(&self) -> Option<String> {
        let free = flock(&self.lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        let read = || std::fs::read_to_string(self.path.join(LOCK)).unwrap_or_default();
        (!free).then(read)
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a small file: whole, with mode 0600, and on the disk when this answers.
    ///
    /// # Errors
    /// It cannot be written; the old one is still there.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DirectoryError> {
        self.write_atomic(name, bytes).map_err(|source| self.failed("write", name, source))
    }

    fn write_atomic(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.path.join(format!(".{name}.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, self.path.join(name))?;
        File::open(&self.path)?.sync_all()
    }

    /// Reads a small file, or nothing where it is absent.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DirectoryError> {
        match std::fs::read(self.path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed("read", name, source)),
        }
    }

    /// Makes a directory in it, with mode 0700, and gives its path.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn child(&self, name: &str) -> Result<PathBuf, DirectoryError> {
        let path = self.path.join(name);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|source| self.failed("make", name, source))?;
        Ok(path)
    }

    fn failed(&self, doing: &'static str, name: &str, source: io::Error) -> DirectoryError {
        DirectoryError::Io { path: self.path.clone(), doing, name: name.to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_second_agent_is_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let first = Directory::enter(&path).unwrap();
        let error = Directory::enter(&path).unwrap_err();
        assert!(error.to_string().contains(&format!("process id {}", std::process::id())), "{error}");
        drop(first);
        Directory::enter(&path).unwrap();
    }

    #[test]
    fn a_directory_that_others_may_enter_is_refused_with_the_mending() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = Directory::enter(dir.path()).unwrap_err();
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }

    #[test]
    fn files_are_private_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let data = Directory::enter(&dir.path().join("d")).unwrap();
        assert_eq!(data.read("x").unwrap(), None);
        data.write("x", b"one").unwrap();
        data.write("x", b"two").unwrap();
        assert_eq!(data.read("x").unwrap().unwrap(), b"two");
        assert_eq!(std::fs::metadata(data.path().join("x")).unwrap().mode() & 0o7777, 0o600);
        assert!(data.child("sub").unwrap().is_dir());
    }
}
