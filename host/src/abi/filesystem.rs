//! `wasi:filesystem`: wasmtime's implementation behind our own check of every path.
//!
//! Owns resolving (by the kernel, beneath the directory at hand) and asking the grants about what was resolved; the thing
//! that was checked is the thing that is used. Links are never made. Only regular files and directories are opened.
//! Landlock is the second line behind this one; it holds where both are on, and this alone where Landlock is missing.

use std::io;
use std::os::fd::AsFd as _;

use rustix::fs::{AtFlags, Mode, OFlags};
use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::filesystem::{Descriptor, Dir, File, FsPerms, OpenMode, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use crate::capability::files::FileGuard;
use crate::capability::uses::Recorder;
use crate::platform::beneath::{self, Resolved};
use crate::state::State;
use types::{DescriptorFlags, ErrorCode, Filesize, OpenFlags, PathFlags};

/// The file system of one guest, for the time of one call.
pub(crate) struct CheckedFiles<'a> {
    inner: WasiFilesystemCtxView<'a>,
    guard: &'a FileGuard,
    recorder: &'a Recorder,
}

/// Names [`CheckedFiles`] to the linker.
pub(crate) struct HasCheckedFiles;

impl HasData for HasCheckedFiles {
    type Data<'a> = CheckedFiles<'a>;
}

impl State {
    /// The file system as the guest sees it.
    pub(crate) fn files(&mut self) -> CheckedFiles<'_> {
        let inner = WasiFilesystemCtxView { ctx: self.wasi.filesystem(), table: &mut self.table };
        CheckedFiles { inner, guard: &self.guard, recorder: &self.recorder }
    }
}

type Handle = Resource<Descriptor>;

impl CheckedFiles<'_> {
    fn directory(&self, handle: &Handle) -> FsResult<std::sync::Arc<std::fs::File>> {
        match self.inner.table.get(handle)? {
            Descriptor::Dir(directory) => Ok(std::sync::Arc::clone(&directory.dir)),
            Descriptor::File(_) => Err(ErrorCode::NotDirectory.into()),
        }
    }

    /// What `path` leads to, where it may be looked at: something that is granted, or a directory on the way to it.
    fn find(&self, handle: &Handle, path: &str, follow: bool) -> FsResult<Resolved> {
        let resolved = beneath::resolve(self.directory(handle)?.as_fd(), path, follow).map_err(failed)?;
        if self.guard.may_read(&resolved.path) || (is_directory(&resolved)? && self.guard.may_enter(&resolved.path)) {
            return Ok(resolved);
        }
        Err(ErrorCode::NotPermitted.into())
    }

    /// The directory and the name of something that may be made, changed or removed.
    fn find_to_change<'p>(&self, handle: &Handle, path: &'p str) -> FsResult<(Resolved, &'p str)> {
        let (parent, name) = beneath::resolve_parent(self.directory(handle)?.as_fd(), path).map_err(failed)?;
        let target = parent.path.join(name);
        if !self.guard.may_write(&target) {
            return Err(ErrorCode::NotPermitted.into());
        }
        self.recorder.count("files.write", &target.to_string_lossy());
        Ok((parent, name))
    }

    /// A handle, for one question, to something that is only named.
    fn name(&mut self, resolved: Resolved) -> FsResult<Handle> {
        let file = File::new(resolved.descriptor.into(), FsPerms::ReadOnly, OpenMode::empty(), true);
        Ok(self.inner.table.push(Descriptor::File(file))?)
    }

    fn open_existing(&self, resolved: &Resolved, oflags: OpenFlags, flags: DescriptorFlags) -> FsResult<Descriptor> {
        let directory = is_directory(resolved)?;
        let changes = flags.intersects(DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY)
            || oflags.contains(OpenFlags::TRUNCATE);
        if oflags.contains(OpenFlags::EXCLUSIVE) {
            return Err(ErrorCode::Exist.into());
        }
        if oflags.contains(OpenFlags::DIRECTORY) && !directory {
            return Err(ErrorCode::NotDirectory.into());
        }
        if directory {
            if flags.contains(DescriptorFlags::WRITE) || oflags.contains(OpenFlags::TRUNCATE) {
                return Err(ErrorCode::IsDirectory.into());
            }
            let file = beneath::open(resolved, OFlags::RDONLY | OFlags::DIRECTORY).or_else(|error| {
                match error.raw_os_error() {
                    // Where listing is not allowed, by the file's mode or by Landlock, the way through still is.
                    Some(libc::EACCES | libc::EPERM) => {
                        rustix::fs::openat(&resolved.descriptor, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                            .map(Into::into)
                            .map_err(Into::into)
                    }
                    _ => Err(error),
                }
            });
            let perms = if self.guard.may_write(&resolved.path) { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            let mode = if flags.contains(DescriptorFlags::MUTATE_DIRECTORY) {
                OpenMode::READ | OpenMode::WRITE
            } else {
                OpenMode::READ
            };
            return Ok(Descriptor::Dir(Dir::new(file.map_err(failed)?, perms, mode, true)));
        }
        let readable = self.guard.may_read(&resolved.path);
        if !readable || (changes && !self.guard.may_write(&resolved.path)) {
            return Err(ErrorCode::NotPermitted.into());
        }
        self.recorder.count(if changes { "files.write" } else { "files.read" }, &resolved.path.to_string_lossy());
        let mut open = access(flags);
        if oflags.contains(OpenFlags::TRUNCATE) {
            open |= OFlags::TRUNC;
        }
        let file = beneath::open(resolved, open).map_err(failed)?;
        Ok(Descriptor::File(file_of(file, flags)))
    }

    fn create(&self, handle: &Handle, path: &str, flags: DescriptorFlags) -> FsResult<Descriptor> {
        let (parent, name) = self.find_to_change(handle, path)?;
        let open =
            access(flags) | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        let file = rustix::fs::openat(&parent.descriptor, name, open, mode).map_err(|error| failed(error.into()))?;
        Ok(Descriptor::File(file_of(file.into(), flags)))
    }
}

fn access(flags: DescriptorFlags) -> OFlags {
    match (flags.contains(DescriptorFlags::READ), flags.contains(DescriptorFlags::WRITE)) {
        (true, true) => OFlags::RDWR,
        (false, true) => OFlags::WRONLY,
        _ => OFlags::RDONLY,
    }
}

fn file_of(file: std::fs::File, flags: DescriptorFlags) -> File {
    let mut mode = OpenMode::empty();
    mode.set(OpenMode::READ, flags.contains(DescriptorFlags::READ));
    mode.set(OpenMode::WRITE, flags.contains(DescriptorFlags::WRITE));
    let perms = if mode.contains(OpenMode::WRITE) { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
    File::new(file, perms, mode, true)
}

fn is_directory(resolved: &Resolved) -> FsResult<bool> {
    let stat = rustix::fs::fstat(&resolved.descriptor).map_err(|error| failed(error.into()))?;
    Ok(rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory)
}

/// The code of a failure; a way out of the directory is "not permitted", as a guest expects it.
fn failed(error: io::Error) -> FsError {
    match error.raw_os_error() {
        Some(libc::EXDEV) => ErrorCode::NotPermitted.into(),
        _ => error.into(),
    }
}

fn follow(flags: PathFlags) -> bool {
    flags.contains(PathFlags::SYMLINK_FOLLOW)
}

impl preopens::Host for CheckedFiles<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Handle, String)>> {
        preopens::Host::get_directories(&mut self.inner)
    }
}

impl types::Host for CheckedFiles<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        types::Host::convert_error_code(&mut self.inner, error)
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        types::Host::filesystem_error_code(&mut self.inner, error)
    }
}

impl types::HostDirectoryEntryStream for CheckedFiles<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<types::DirectoryEntryStream>,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        self.inner.read_directory_entry(stream).await
    }

    fn drop(&mut self, stream: Resource<types::DirectoryEntryStream>) -> wasmtime::Result<()> {
        types::HostDirectoryEntryStream::drop(&mut self.inner, stream)
    }
}

impl types::HostDescriptor for CheckedFiles<'_> {
    async fn open_at(
        &mut self,
        fd: Handle,
        path_flags: PathFlags,
        path: String,
        oflags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Handle> {
        let resolved = self.find(&fd, &path, follow(path_flags));
        let opened = match resolved {
            Ok(resolved) => self.open_existing(&resolved, oflags, flags)?,
            Err(error) => match error.downcast_ref() {
                Some(ErrorCode::NoEntry)
                    if oflags.contains(OpenFlags::CREATE) && !oflags.contains(OpenFlags::DIRECTORY) =>
                {
                    self.create(&fd, &path, flags)?
                }
                _ => return Err(error),
            },
        };
        Ok(self.inner.table.push(opened)?)
    }

    async fn stat_at(&mut self, fd: Handle, path_flags: PathFlags, path: String) -> FsResult<types::DescriptorStat> {
        let resolved = self.find(&fd, &path, follow(path_flags))?;
        let handle = self.name(resolved)?;
        let answer = self.inner.stat(Resource::new_own(handle.rep())).await;
        self.inner.table.delete(handle)?;
        answer
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Handle,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<types::MetadataHashValue> {
        let resolved = self.find(&fd, &path, follow(path_flags))?;
        let handle = self.name(resolved)?;
        let answer = self.inner.metadata_hash(Resource::new_own(handle.rep())).await;
        self.inner.table.delete(handle)?;
        answer
    }

    async fn readlink_at(&mut self, fd: Handle, path: String) -> FsResult<String> {
        let resolved = self.find(&fd, &path, false)?;
        let target =
            rustix::fs::readlinkat(&resolved.descriptor, "", Vec::new()).map_err(|error| failed(error.into()))?;
        target.into_string().map_err(|_| ErrorCode::IllegalByteSequence.into())
    }

    async fn read_directory(&mut self, fd: Handle) -> FsResult<Resource<types::DirectoryEntryStream>> {
        let path = beneath::path_of(self.directory(&fd)?.as_fd()).map_err(failed)?;
        if !self.guard.may_list(&path) {
            return Err(ErrorCode::NotPermitted.into());
        }
        self.recorder.count("files.read", &path.to_string_lossy());
        self.inner.read_directory(fd).await
    }

    async fn create_directory_at(&mut self, fd: Handle, path: String) -> FsResult<()> {
        let (parent, name) = self.find_to_change(&fd, &path)?;
        let mode = Mode::RWXU | Mode::RWXG | Mode::RWXO;
        rustix::fs::mkdirat(&parent.descriptor, name, mode).map_err(|error| failed(error.into()))
    }

    async fn remove_directory_at(&mut self, fd: Handle, path: String) -> FsResult<()> {
        let (parent, name) = self.find_to_change(&fd, &path)?;
        rustix::fs::unlinkat(&parent.descriptor, name, AtFlags::REMOVEDIR).map_err(|error| failed(error.into()))
    }

    async fn unlink_file_at(&mut self, fd: Handle, path: String) -> FsResult<()> {
        let (parent, name) = self.find_to_change(&fd, &path)?;
        rustix::fs::unlinkat(&parent.descriptor, name, AtFlags::empty()).map_err(|error| failed(error.into()))
    }

    async fn rename_at(&mut self, fd: Handle, old_path: String, new_fd: Handle, new_path: String) -> FsResult<()> {
        let (from, old) = self.find_to_change(&fd, &old_path)?;
        let (to, new) = self.find_to_change(&new_fd, &new_path)?;
        rustix::fs::renameat(&from.descriptor, old, &to.descriptor, new).map_err(|error| failed(error.into()))
    }

    async fn set_times_at(
        &mut self,
        fd: Handle,
        _flags: PathFlags,
        path: String,
        atim: types::NewTimestamp,
        mtim: types::NewTimestamp,
    ) -> FsResult<()> {
        let resolved = self.find(&fd, &path, false)?;
        if !self.guard.may_write(&resolved.path) {
            return Err(ErrorCode::NotPermitted.into());
        }
        let file = File::new(
            beneath::open(&resolved, OFlags::RDONLY).map_err(failed)?,
            FsPerms::ReadWrite,
            OpenMode::WRITE,
            true,
        );
        let handle = self.inner.table.push(Descriptor::File(file))?;
        let done = self.inner.set_times(Resource::new_own(handle.rep()), atim, mtim).await;
        self.inner.table.delete(handle)?;
        done
    }

    async fn link_at(
        &mut self,
        _fd: Handle,
        _flags: PathFlags,
        _old: String,
        _new_fd: Handle,
        _new: String,
    ) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    async fn symlink_at(&mut self, _fd: Handle, _source: String, _target: String) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    // What follows is about descriptors that were opened above: nothing is resolved any more.

    async fn advise(&mut self, fd: Handle, offset: Filesize, len: Filesize, advice: types::Advice) -> FsResult<()> {
        self.inner.advise(fd, offset, len, advice).await
    }

    async fn sync_data(&mut self, fd: Handle) -> FsResult<()> {
        self.inner.sync_data(fd).await
    }

    async fn sync(&mut self, fd: Handle) -> FsResult<()> {
        self.inner.sync(fd).await
    }

    async fn get_flags(&mut self, fd: Handle) -> FsResult<DescriptorFlags> {
        self.inner.get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Handle) -> FsResult<types::DescriptorType> {
        self.inner.get_type(fd).await
    }

    async fn set_size(&mut self, fd: Handle, size: Filesize) -> FsResult<()> {
        self.inner.set_size(fd, size).await
    }

    async fn set_times(&mut self, fd: Handle, atim: types::NewTimestamp, mtim: types::NewTimestamp) -> FsResult<()> {
        self.inner.set_times(fd, atim, mtim).await
    }

    async fn read(&mut self, fd: Handle, len: Filesize, offset: Filesize) -> FsResult<(Vec<u8>, bool)> {
        self.inner.read(fd, len, offset).await
    }

    async fn write(&mut self, fd: Handle, buffer: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        self.inner.write(fd, buffer, offset).await
    }

    async fn stat(&mut self, fd: Handle) -> FsResult<types::DescriptorStat> {
        self.inner.stat(fd).await
    }

    async fn is_same_object(&mut self, a: Handle, b: Handle) -> wasmtime::Result<bool> {
        self.inner.is_same_object(a, b).await
    }

    async fn metadata_hash(&mut self, fd: Handle) -> FsResult<types::MetadataHashValue> {
        self.inner.metadata_hash(fd).await
    }

    fn read_via_stream(&mut self, fd: Handle, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        self.inner.read_via_stream(fd, offset)
    }

    fn write_via_stream(&mut self, fd: Handle, offset: Filesize) -> FsResult<Resource<DynOutputStream>> {
        self.inner.write_via_stream(fd, offset)
    }

    fn append_via_stream(&mut self, fd: Handle) -> FsResult<Resource<DynOutputStream>> {
        self.inner.append_via_stream(fd)
    }

    fn drop(&mut self, fd: Handle) -> wasmtime::Result<()> {
        types::HostDescriptor::drop(&mut self.inner, fd)
    }
}

#[cfg(test)]
mod tests;
