//! Resolving a path beneath a directory, links followed by the kernel, and learning where it led.
//!
//! Owns `openat2` and the question "which path is this descriptor". What was resolved is a descriptor: whoever goes on
//! with it works on the very thing that was checked. Needs Linux 5.6 and `/proc`; without either nothing resolves.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

/// A thing in the file system, held by a descriptor that only names it, and its path without links.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) descriptor: OwnedFd,
    pub(crate) path: PathBuf,
}

/// Finds `path` beneath `directory`; a link at its end is followed where `follow` says so.
///
/// `..` and links may lead anywhere within `directory` and nowhere else.
pub(crate) fn resolve(directory: impl AsFd, path: &str, follow: bool) -> io::Result<Resolved> {
    named(rustix::fs::openat2(
        directory,
        path,
        flags(follow),
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    )?)
}

/// Finds the absolute `path`; a link at its end is not followed.
pub(crate) fn resolve_absolute(path: &str) -> io::Result<Resolved> {
    named(rustix::fs::openat2(CWD, path, flags(false), Mode::empty(), ResolveFlags::NO_MAGICLINKS)?)
}

/// Finds the directory that holds the last name of `path`, and that name.
pub(crate) fn resolve_parent(directory: impl AsFd, path: &str) -> io::Result<(Resolved, &str)> {
    let trimmed = path.trim_end_matches('/');
    let (parent, name) = match trimmed.rsplit_once('/') {
        // `//x`: absolute, which the kernel refuses too.
        Some(("", name)) => ("/", name),
        Some((parent, name)) => (parent, name),
        None => (".", trimmed),
    };
    if name.is_empty() || name == "." || name == ".." {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok((resolve(directory, parent, true)?, name))
}

/// The path of an open directory or file, without links, as the kernel knows it now.
///
/// One link keeps its name: `/proc/net` is by its definition (proc(5)) a link to the network of whoever looks, so that no
/// grant could name what it leads to. What lies in *this* process's own `/proc/PID/net` is called `/proc/net/…`.
pub(crate) fn path_of(descriptor: impl AsFd) -> io::Result<PathBuf> {
    let link = format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd());
    let path = rustix::fs::readlinkat(CWD, link, Vec::new())?;
    let path = String::from_utf8(path.into_bytes()).map(PathBuf::from);
    let path = path.map_err(|_| io::Error::from_raw_os_error(libc::EILSEQ))?;
    Ok(match path.strip_prefix(format!("/proc/{}/net", std::process::id())) {
        Ok(rest) if rest.as_os_str().is_empty() => PathBuf::from("/proc/net"),
        Ok(rest) => Path::new("/proc/net").join(rest),
        Err(_) => path,
    })
}

/// Opens the very thing that was resolved. Only regular files and directories: anything else could block or act.
pub(crate) fn open(resolved: &Resolved, flags: OFlags) -> io::Result<File> {
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&resolved.descriptor)?.st_mode);
    match kind {
        rustix::fs::FileType::RegularFile | rustix::fs::FileType::Directory => {}
        rustix::fs::FileType::Symlink => return Err(io::Error::from_raw_os_error(libc::ELOOP)),
        _ => return Err(io::Error::from_raw_os_error(libc::EACCES)),
    }
    let link = format!("/proc/self/fd/{}", resolved.descriptor.as_raw_fd());
    Ok(rustix::fs::openat(CWD, link, flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?
        .into())
}

fn flags(follow: bool) -> OFlags {
    let base = OFlags::PATH | OFlags::CLOEXEC;
    if follow { base } else { base | OFlags::NOFOLLOW }
}

fn named(descriptor: OwnedFd) -> io::Result<Resolved> {
    let path = path_of(&descriptor)?;
    Ok(Resolved { descriptor, path })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_network_that_this_process_sees_has_one_name() {
        let own = File::open("/proc/net").unwrap();
        assert_eq!(path_of(&own).unwrap().as_os_str(), "/proc/net");
        assert_eq!(resolve(&own, "tcp", true).unwrap().path, Path::new("/proc/net/tcp"));
        let parent = format!("/proc/{}/net", std::os::unix::process::parent_id());
        assert_eq!(path_of(File::open(&parent).unwrap()).unwrap(), Path::new(&parent));
        assert_eq!(
            path_of(File::open("/proc/self").unwrap()).unwrap(),
            Path::new(&format!("/proc/{}", std::process::id()))
        );
    }

    #[test]
    fn links_are_followed_beneath_and_nowhere_else() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("in/deep")).unwrap();
        std::fs::write(root.join("in/deep/file"), "x").unwrap();
        std::fs::write(root.join("secret"), "s").unwrap();
        symlink("deep/file", root.join("in/good")).unwrap();
        symlink("../secret", root.join("in/up")).unwrap();
        symlink(root.join("secret"), root.join("in/absolute")).unwrap();
        symlink("/proc/self/root", root.join("in/magic")).unwrap();
        let directory = File::open(root.join("in")).unwrap();

        let good = resolve(&directory, "good", true).unwrap();
        assert_eq!(good.path, root.join("in/deep/file"));
        let mut text = String::new();
        open(&good, OFlags::RDONLY).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        assert_eq!(resolve(&directory, "good", false).unwrap().path, root.join("in/good"));
        assert!(open(&resolve(&directory, "good", false).unwrap(), OFlags::RDONLY).is_err());
        for escape in [
            "up",
            "absolute",
            "../secret",
            "deep/../../secret",
            "/etc/passwd",
            "magic",
            "magic/etc/passwd",
            "..",
            "deep/../..",
        ] {
            assert!(resolve(&directory, escape, true).is_err(), "{escape}");
        }
        let (parent, name) = resolve_parent(&directory, "deep/new").unwrap();
        assert_eq!((parent.path, name), (root.join("in/deep"), "new"));
        for bad in ["", ".", "..", "deep/..", "/", "../x", "/etc/x", "up/x"] {
            assert!(resolve_parent(&directory, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_could_block_is_not_opened() {
        let place = tempfile::tempdir().unwrap();
        rustix::fs::mknodat(CWD, place.path().join("fifo"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        let directory = File::open(place.path()).unwrap();
        assert!(open(&resolve(&directory, "fifo", true).unwrap(), OFlags::RDONLY).is_err());
    }
}
