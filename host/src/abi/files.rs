//! `orderly:plugin/files`: what WASI does not say of a file. Linked with a grant on files; the path is checked as it was
//! given, before anything is touched, and again as it was resolved.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::FileType;

use super::bindings::orderly::plugin::files::{Error, Host, Kind, Metadata};
use crate::platform::{beneath, users};
use crate::state::{Names, State};

impl Host for State {
    fn stat(&mut self, path: String) -> wasmtime::Result<Result<Metadata, Error>> {
        if !self.guard.may_read(Path::new(&path)) {
            return Ok(Err(Error::Denied));
        }
        let resolved = match beneath::resolve_absolute(&path) {
            Ok(resolved) => resolved,
            Err(error) => return Ok(Err(refusal(&error))),
        };
        if !self.guard.may_read(&resolved.path) {
            return Ok(Err(Error::Denied));
        }
        self.recorder.count("files.read", &resolved.path.to_string_lossy());
        Ok(describe(&resolved.descriptor, &self.names).map_err(|error| refusal(&error)))
    }
}

fn refusal(error: &std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Error::NotFound,
        _ => Error::Failed(error.to_string()),
    }
}

fn describe(descriptor: &OwnedFd, names: &Names) -> std::io::Result<Metadata> {
    let stat = rustix::fs::fstat(descriptor)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let target = match kind {
        FileType::Symlink => Some(rustix::fs::readlinkat(descriptor, "", Vec::new())?.to_string_lossy().into_owned()),
        _ => None,
    };
    Ok(Metadata {
        kind: match kind {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::SymbolicLink,
            _ => Kind::Other,
        },
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        owner: users::name_of(&names.users, stat.st_uid),
        group: users::name_of(&names.groups, stat.st_gid),
        size: stat.st_size as f64,
        modified: stat.st_mtime as f64 + stat.st_mtime_nsec as f64 / 1e9,
        target,
    })
}
