//! The script as the program that runs it sees it.
//!
//! Owns the hand-over: a sealed memory file that nobody else can read or change, or, where a launcher needs a file with
//! a name of its own, a file in a directory that only the script's user and its group can enter and only the agent can change.
//! Never text in a command line, never a name that somebody could have planted. A named file goes with its owner here; what a
//! crash left is swept at the next start.

use std::ffi::OsStr;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use orderly_host::platform::{memfd, users};
use rustix::fs::{Gid, Mode, Uid, fchmod, fchown};

use super::account::Account;
use crate::platform::random;

/// A memory file as its reader finds it: the first descriptor behind the standard ones.
const MEMORY_PATH: &str = "/proc/self/fd/3";

/// A script that was handed over.
#[derive(Debug)]
pub(super) enum Handed {
    /// As a descriptor that the program inherits.
    Memory(OwnedFd),
    /// As a file.
    Named(Named),
}

/// A file with a name, in a directory of its own. Both are removed with it.
#[derive(Debug)]
pub(super) struct Named {
    directory: PathBuf,
    file: PathBuf,
}

/// Where files with names are made: root's agent has users to hand them to, who cannot enter its data directory.
pub(crate) fn place(data: &Path, instance: &str) -> PathBuf {
    if users::is_root() {
        return Path::new("/run/orderly").join(instance);
    }
    std::path::absolute(data).unwrap_or_else(|_| data.to_owned()).join("scripts")
}

/// Removes what an agent that crashed has left there.
pub(crate) fn sweep(place: &Path) {
    match std::fs::remove_dir_all(place) {
        Ok(()) => tracing::info!(place = %place.display(), "scripts that an earlier agent left are removed"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(place = %place.display(), %error, "scripts that an earlier agent left stay"),
    }
}

impl Handed {
    /// Hands a script over; as a file whose name ends with the extension, where there is one.
    pub(super) fn over(content: &[u8], account: &Account, place: &Path, extension: Option<&str>) -> io::Result<Self> {
        match extension {
            Some(extension) => Named::create(content, account, place, extension).map(Self::Named),
            None => memory(content, account).map(Self::Memory),
        }
    }

    /// Where its reader finds it.
    pub(super) fn path(&self) -> &OsStr {
        match self {
            Self::Memory(_) => MEMORY_PATH.as_ref(),
            Self::Named(named) => named.file.as_os_str(),
        }
    }
}

fn memory(content: &[u8], account: &Account) -> io::Result<OwnedFd> {
    let file = memfd::sealed("orderly-script", &[content])?;
    fchmod(&file, Mode::RUSR | Mode::XUSR)?;
    if account.credentials().is_some() {
        // The interpreter opens it anew by its path in /proc, as that user.
        let (uid, gid) = account.ids();
        fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    Ok(file)
}

impl Named {
    fn create(content: &[u8], account: &Account, place: &Path, extension: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o711).create(place)?;
        for directory in [Some(place), place.parent().filter(|_| users::is_root())].into_iter().flatten() {
            // Whatever this process's umask is: entered by the script's user, read by nobody else.
            std::fs::set_permissions(directory, Permissions::from_mode(0o711))?;
        }
        let name: String = random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let directory = place.join(name);
        DirBuilder::new().mode(0o700).create(&directory)?;
        // From here on it is removed whatever happens.
        let named = Self { file: directory.join(format!("script{extension}")), directory };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o500).open(&named.file)?;
        file.write_all(content)?;
        if account.credentials().is_some() {
            let (uid, gid) = account.ids();
            fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
            // The directory stays this agent's: what root removes is never another's to exchange.
            std::os::unix::fs::chown(&named.directory, None, Some(gid))?;
            std::fs::set_permissions(&named.directory, Permissions::from_mode(0o710))?;
        }
        Ok(named)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            tracing::warn!(directory = %self.directory.display(), %error, "a script's file stays");
        }
        // The last one takes the place with it; others keep it.
        let place = self.directory.parent();
        for directory in [place, place.and_then(Path::parent).filter(|_| users::is_root())].into_iter().flatten() {
            let _ = std::fs::remove_dir(directory);
        }
    }
}
