//! `mounts`: the mount table and how full the file systems are, read once, before the box closes.
//!
//! Network file systems are not measured, as one whose server is gone would hold the run until its deadline. They are
//! left out, and the task's log says so.

use std::ffi::CString;
use std::io::Write as _;

use crate::platform::unescape_mount;

/// Most mounts that are told.
const MOUNTS_MAX: usize = 1_000;

/// File systems that are not measured, as their server, which may be any program of any user, may never answer.
const REMOTE: &[&str] = &[
    "9p",
    "afs",
    "autofs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse",
    "fuseblk",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "pvfs2",
    "smb3",
    "smbfs",
    "virtiofs",
];

/// A mounted file system. Sizes in bytes; 0 where it has none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mount {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) file_system: String,
    pub(crate) read_only: bool,
    pub(crate) total: f64,
    pub(crate) available: f64,
    pub(crate) inodes: f64,
    pub(crate) inodes_free: f64,
}

/// Reads and measures the mounts.
pub(crate) fn read() -> Vec<Mount> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let (remote, local): (Vec<_>, Vec<_>) = table.lines().filter_map(parse).take(MOUNTS_MAX).partition(is_remote);
    for Mount { target, file_system, .. } in remote {
        // The child's standard error is the task's log.
        let _ = writeln!(std::io::stderr(), "info: {target} is left out: {file_system} may not answer in time");
    }
    local.into_iter().map(measure).collect()
}

fn parse(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(4);
    let (target, options) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    let (file_system, source) = (after.next()?, after.next()?);
    let text = |field| unescape_mount(field).to_string_lossy().into_owned();
    Some(Mount {
        source: text(source),
        target: text(target),
        file_system: file_system.to_owned(),
        read_only: options.split(',').any(|option| option == "ro")
            || after.next()?.split(',').any(|option| option == "ro"),
        total: 0.0,
        available: 0.0,
        inodes: 0.0,
        inodes_free: 0.0,
    })
}

fn is_remote(mount: &Mount) -> bool {
    REMOTE.contains(&mount.file_system.as_str()) || mount.file_system.starts_with("fuse.")
}

fn measure(mut mount: Mount) -> Mount {
    if let Ok(path) = CString::new(mount.target.as_bytes())
        && let Ok(found) = rustix::fs::statvfs(path.as_c_str())
    {
        let unit = found.f_frsize as f64;
        mount.total = found.f_blocks as f64 * unit;
        mount.available = found.f_bavail as f64 * unit;
        mount.inodes = found.f_files as f64;
        mount.inodes_free = found.f_favail as f64;
    }
    mount
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn lines_of_the_mount_table_are_read() {
        let mount =
            parse(r"36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - ext3 /dev/ro\040ot rw,errors=continue").unwrap();
        assert_eq!(
            (mount.target.as_str(), mount.source.as_str(), mount.file_system.as_str(), mount.read_only),
            ("/mnt 2", "/dev/ro ot", "ext3", false)
        );
        assert!(parse("1 2 3:4 / /x ro - tmpfs tmpfs rw").unwrap().read_only);
        assert!(parse("1 2 3:4 / /x rw - squashfs /dev/x ro").unwrap().read_only);
        assert!(parse("").is_none());
        for (kind, remote) in [
            ("nfs4", true),
            ("fuse.sshfs", true),
            ("fuseblk", true),
            ("fuse", true),
            ("fusectl", false),
            ("ext4", false),
        ] {
            let line = format!("1 2 3:4 / /x rw - {kind} /dev/x rw");
            assert_eq!(is_remote(&parse(&line).unwrap()), remote, "{kind}");
        }
    }

    #[test]
    fn this_machine_has_a_root() {
        let mounts = read();
        let root = mounts.iter().find(|mount| mount.target == "/").expect("a root file system");
        assert!(root.total > 0.0 && root.available <= root.total);
    }
}
