//! One entry: its name, its MAC, and reading and writing it without a gap between check and use.
//!
//! Owns the file format (magic, MAC, code) and the rules on owner and mode. Layout: directory 0700; `mac.key` 0600, 32
//! random bytes, made with the directory; `<component>-<name>.cwasm` 0400.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit as _, Mac as _};
use orderly_signing::Digest;
use rustix::fs::{AtFlags, Mode, OFlags};
use sha2::Sha256;

use crate::error::CompileError;
use crate::platform;

const MAGIC: &[u8; 8] = b"ORDAOT1\n";
const MAC_BYTES: usize = 32;
const KEY_FILE: &str = "mac.key";
/// How the name of an entry ends.
const ENTRY_END: &str = ".cwasm";
/// Most bytes of one entry: what 64 MiB of component can become, with room.
const ENTRY_MAX_BYTES: u64 = 512 * 1024 * 1024;

/// Entries that are kept, and bytes of all of them: those that were made first go first, and are made anew when needed.
const ENTRIES_MAX: usize = 64;
const ENTRIES_MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// How old a file that is being written may be. Older, its writer has died: writing takes seconds.
const WRITTEN_WITHIN: Duration = Duration::from_secs(3_600);

/// The name of an entry: for which component, made by what, for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    component: Digest,
    text: String,
    file: String,
}

impl Name {
    pub(super) fn new(component: Digest, compiler: Digest, engine: Digest) -> Self {
        let text = format!("orderly-aot-v1\n{component}\n{compiler}\n{engine}\n");
        let file = format!("{}-{}{ENTRY_END}", component.hex(), Digest::of(text.as_bytes()).hex());
        Self { component, text, file }
    }
}

/// The cache's directory, held open, and its key.
pub(super) struct Directory {
    path: PathBuf,
    descriptor: OwnedFd,
    key: [u8; MAC_BYTES],
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Directory").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, CompileError> {
        let fault = |doing| {
            move |source: rustix::io::Errno| CompileError::Cache { doing, path: path.to_owned(), source: source.into() }
        };
        match rustix::fs::mkdir(path, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(fault("make the cache directory")(error)),
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let descriptor = rustix::fs::open(path, flags, Mode::empty()).map_err(fault("open the cache directory"))?;
        let stat = rustix::fs::fstat(&descriptor).map_err(fault("look at"))?;
        if let Some(reason) = unsafe_for_others(&stat, 0o700) {
            return Err(CompileError::Unsafe { path: path.to_owned(), reason });
        }
        let mut directory = Self { path: path.to_owned(), descriptor, key: [0; MAC_BYTES] };
        directory.key = directory.load_key()?;
        directory.sweep();
        Ok(directory)
    }

    fn fault(&self, doing: &'static str, name: &str) -> impl FnOnce(io::Error) -> CompileError {
        let path = self.path.join(name);
        move |source| CompileError::Cache { doing, path, source }
    }

    fn load_key(&self) -> Result<[u8; MAC_BYTES], CompileError> {
        let mut key = [0; MAC_BYTES];
        match self.open_file(KEY_FILE, 0o600) {
            Ok(mut file) => {
                file.read_exact(&mut key).map_err(self.fault("read", KEY_FILE))?;
                return Ok(key);
            }
            Err(Bad::Missing) => {}
            Err(Bad::Unsafe(reason)) => return Err(CompileError::Unsafe { path: self.path.join(KEY_FILE), reason }),
            Err(Bad::Io(error)) => return Err(self.fault("open", KEY_FILE)(error)),
        }
        getrandom::fill(&mut key).map_err(|_| self.fault("make", KEY_FILE)(io::ErrorKind::Unsupported.into()))?;
        match self.write_file(KEY_FILE, Mode::RUSR | Mode::WUSR, &[&key]) {
            // Another agent with the same directory was faster; its key counts.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.load_key(),
            done => done.map(|()| key).map_err(self.fault("make", KEY_FILE)),
        }
    }

    fn open_file(&self, name: &str, mode: u32) -> Result<File, Bad> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Err(Bad::Missing),
            Err(rustix::io::Errno::LOOP) => return Err(Bad::Unsafe("it is a symbolic link".to_owned())),
            Err(error) => return Err(Bad::Io(error.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(|error| Bad::Io(error.into()))?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
            return Err(Bad::Unsafe("it is not a regular file".to_owned()));
        }
        match unsafe_for_others(&stat, mode) {
            Some(reason) => Err(Bad::Unsafe(reason)),
            None => Ok(file),
        }
    }

    /// Writes a new file completely before it can be seen under `name`.
    fn write_file(&self, name: &str, mode: Mode, parts: &[&[u8]]) -> io::Result<()> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| io::Error::from(io::ErrorKind::Unsupported))?;
        let temporary = format!(".{name}.{}", data_encoding::HEXLOWER.encode(&random));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&self.descriptor, temporary.as_str(), flags, mode)?);
        let written = || -> io::Result<()> {
            parts.iter().try_for_each(|part| file.write_all(part))?;
            file.sync_all()?;
            if name == KEY_FILE {
                // Never over a key that is there: entries made with it would be lost.
                rustix::fs::renameat_with(
                    &self.descriptor,
                    temporary.as_str(),
                    &self.descriptor,
                    name,
                    rustix::fs::RenameFlags::NOREPLACE,
                )?;
            } else {
                rustix::fs::renameat(&self.descriptor, temporary.as_str(), &self.descriptor, name)?;
            }
            Ok(())
        }();
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&self.descriptor, temporary.as_str(), AtFlags::empty());
        }
        written
    }

    fn mac(&self, name: &Name, code: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(name.text.as_bytes());
        mac.update(code);
        Some(mac)
    }

    /// The code of the entry in a sealed memory file, and its size in bytes; nothing where there is none, or it was bad and
    /// is gone now.
    pub(super) fn load(&self, name: &Name) -> Result<Option<(OwnedFd, u64)>, CompileError> {
        let reason = match self.open_file(&name.file, 0o400) {
            Err(Bad::Missing) => return Ok(None),
            Err(Bad::Io(error)) => return Err(self.fault("open", &name.file)(error)),
            Err(Bad::Unsafe(reason)) => reason,
            Ok(file) => {
                let bytes = read(file).map_err(self.fault("read", &name.file))?;
                match self.checked(name, &bytes) {
                    Ok(code) => {
                        return platform::memfd::sealed("orderly-code", &[code])
                            .map(|sealed| Some((sealed, code.len() as u64)))
                            .map_err(CompileError::Memory);
                    }
                    Err(reason) => reason.to_owned(),
                }
            }
        };
        tracing::warn!(entry = %self.path.join(&name.file).display(), %reason, "a compiled plugin was not what it should be; it is made anew");
        rustix::fs::unlinkat(&self.descriptor, name.file.as_str(), AtFlags::empty())
            .map_err(|error| self.fault("delete", &name.file)(error.into()))?;
        Ok(None)
    }

    fn checked<'a>(&self, name: &Name, bytes: &'a [u8]) -> Result<&'a [u8], &'static str> {
        let (mac, code) = bytes
            .strip_prefix(MAGIC)
            .and_then(|rest| rest.split_at_checked(MAC_BYTES))
            .ok_or("it is too short or not of this format")?;
        let right = self.mac(name, code).is_some_and(|expected| expected.verify_slice(mac).is_ok());
        if right { Ok(code) } else { Err("its MAC is wrong") }
    }

    /// Writes an entry, and takes away what older compilers made of the same component, and what is too much.
    pub(super) fn store(&self, name: &Name, code: &[u8]) -> Result<(), CompileError> {
        let fault = self.fault("write", &name.file);
        let Some(mac) = self.mac(name, code) else { return Err(fault(io::ErrorKind::InvalidInput.into())) };
        let mac = mac.finalize().into_bytes();
        self.write_file(&name.file, Mode::RUSR, &[MAGIC, &mac, code]).map_err(fault)?;
        let prefix = format!("{}-", name.component.hex());
        let mut entries = self.files();
        entries.retain(|file| file.name.ends_with(ENTRY_END) && file.name != name.file);
        entries.sort_by_key(|file| std::cmp::Reverse(file.modified));
        let (mut kept, mut bytes) = (1, (MAGIC.len() + MAC_BYTES + code.len()) as u64);
        for file in entries {
            let fits = kept < ENTRIES_MAX && bytes.saturating_add(file.bytes) <= ENTRIES_MAX_BYTES;
            if fits && !file.name.starts_with(&prefix) {
                (kept, bytes) = (kept + 1, bytes + file.bytes);
            } else {
                let _ = rustix::fs::unlinkat(&self.descriptor, file.name.as_str(), AtFlags::empty());
            }
        }
        Ok(())
    }

    /// Takes away what was being written when its writer died.
    fn sweep(&self) {
        let Ok(now) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) else { return };
        let oldest = now.saturating_sub(WRITTEN_WITHIN).as_secs().cast_signed();
        for file in self.files().iter().filter(|file| file.name.starts_with('.') && file.modified < oldest) {
            let _ = rustix::fs::unlinkat(&self.descriptor, file.name.as_str(), AtFlags::empty());
        }
    }

    /// All files. What cannot be looked at is not among them.
    fn files(&self) -> Vec<FileOf> {
        let Ok(entries) = rustix::fs::Dir::read_from(&self.descriptor) else { return Vec::new() };
        let look = |entry: rustix::fs::DirEntry| {
            let stat = rustix::fs::statat(&self.descriptor, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
            let name = entry.file_name().to_str().ok()?.to_owned();
            let there = rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::Directory;
            there.then(|| FileOf { name, bytes: stat.st_size.cast_unsigned(), modified: stat.st_mtime })
        };
        entries.flatten().filter_map(look).collect()
    }
}

/// A file of the directory.
struct FileOf {
    name: String,
    bytes: u64,
    /// Unix seconds.
    modified: i64,
}

/// All bytes of an entry, read at once; nothing of what goes on behind the largest one, whose MAC is wrong then.
fn read(file: File) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len().min(ENTRY_MAX_BYTES);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default().saturating_add(1));
    file.take(ENTRY_MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why a file is not used.
enum Bad {
    Missing,
    Unsafe(String),
    Io(io::Error),
}

/// Why a file is not to be trusted: an owner other than us, or more rights for anybody than `mode`.
fn unsafe_for_others(stat: &rustix::fs::Stat, mode: u32) -> Option<String> {
    let owner = rustix::process::geteuid().as_raw();
    if stat.st_uid != owner {
        return Some(format!("its owner is uid {}, not {owner}: remove it", stat.st_uid));
    }
    let surplus = stat.st_mode & 0o7777 & !mode;
    (surplus != 0).then(|| format!("its mode is {:o}: `chmod {mode:o}` it, or remove it", stat.st_mode & 0o7777))
}
