//! `files.read` and `files.write`: which directories a plugin sees, and which of the paths beneath them it may use.
//!
//! Owns the plan (directories to open, places for the box) and the question, which is always asked about the path that
//! was *resolved*, links followed, never about the text that the guest gave. It opens nothing itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orderly_model::capability::{Capabilities, PathPattern};
use orderly_model::name::AbsolutePath;

use crate::platform::{Plan, UserChange};

/// The grants on files.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileGuard {
    read: Vec<PathPattern>,
    write: Vec<PathPattern>,
}

/// A directory that is opened for the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Preopen {
    pub(crate) path: PathBuf,
    pub(crate) writable: bool,
}

impl FileGuard {
    pub(crate) fn new(capabilities: &Capabilities) -> Self {
        Self { read: capabilities.files_read.clone(), write: capabilities.files_write.clone() }
    }

    fn all(&self) -> impl Iterator<Item = &PathPattern> {
        self.read.iter().chain(&self.write)
    }

    /// Whether the file or directory at the resolved `path` may be read or looked at.
    pub(crate) fn may_read(&self, path: &Path) -> bool {
        absolute(path).is_some_and(|path| self.all().any(|pattern| pattern.allows(&path)))
    }

    /// Whether what is at the resolved `path` may be made, changed or removed.
    pub(crate) fn may_write(&self, path: &Path) -> bool {
        absolute(path).is_some_and(|path| self.write.iter().any(|pattern| pattern.allows(&path)))
    }

    /// Whether the names in the resolved directory may be listed.
    pub(crate) fn may_list(&self, directory: &Path) -> bool {
        absolute(directory).is_some_and(|path| {
            self.all().any(|pattern| matches!(pattern, PathPattern::Tree(_)) && pattern.allows(&path))
        })
    }

    /// Whether the resolved directory may be opened to go on to something that is granted.
    pub(crate) fn may_enter(&self, directory: &Path) -> bool {
        self.may_read(directory)
            || absolute(directory)
                .is_some_and(|directory| self.all().any(|pattern| pattern.path().is_within(&directory)))
    }

    /// The directories to open: each tree, and the parent of each file. Of what is not there, the nearest directory above
    /// that is, so that the guest is told "not found" rather than "denied". Never `/`.
    pub(crate) fn preopens(&self, is_directory: impl Fn(&Path) -> bool) -> Vec<Preopen> {
        let mut found: BTreeMap<PathBuf, bool> = BTreeMap::new();
        for (patterns, writable) in [(&self.read, false), (&self.write, true)] {
            for pattern in patterns {
                let wanted = match pattern {
                    PathPattern::Tree(directory) => Some(directory.clone()),
                    PathPattern::File(file) => file.parent(),
                };
                let mut place = wanted;
                while let Some(directory) = place.filter(|directory| !directory.is_root()) {
                    if is_directory(directory.as_path()) {
                        *found.entry(directory.as_path().to_owned()).or_default() |= writable;
                        break;
                    }
                    place = directory.parent();
                }
            }
        }
        found.into_iter().map(|(path, writable)| Preopen { path, writable }).collect()
    }

    /// The box that fits the grants.
    pub(crate) fn plan(&self, user: UserChange, required: bool) -> Plan {
        let paths = |patterns: &[PathPattern]| {
            patterns.iter().map(|pattern| pattern.path().as_path().to_owned()).collect::<Vec<_>>()
        };
        let write = paths(&self.write);
        // A file that is yet to be made has no place for a rule of its own.
        let make =
            self.write.iter().filter_map(|pattern| pattern.path().parent()).map(|parent| parent.as_path().to_owned());
        let make = make.filter(|_| self.write.iter().any(|pattern| !pattern.path().as_path().exists())).collect();
        Plan { read: [paths(&self.read), write.clone()].concat(), write, make, user, required }
    }
}

fn absolute(path: &Path) -> Option<AbsolutePath> {
    path.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn guard(read: &[&str], write: &[&str]) -> FileGuard {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        FileGuard { read: parse(read), write: parse(write) }
    }

    #[test]
    fn one_file_does_not_open_its_neighbours() {
        let guard = guard(&["/etc/passwd", "/etc/ssh/**"], &[]);
        for path in ["/etc/passwd", "/etc/ssh", "/etc/ssh/sshd_config.d/x"] {
            assert!(guard.may_read(Path::new(path)), "{path}");
        }
        for path in ["/etc/shadow", "/etc", "/etc/passwd-", "/etc/sshx", "/", "etc/passwd", "/etc/ssh/../shadow"] {
            assert!(!guard.may_read(Path::new(path)), "{path}");
        }
        assert!(!guard.may_write(Path::new("/etc/passwd")));
    }

    #[test]
    fn a_parent_can_be_entered_but_not_listed() {
        let guard = guard(&["/etc/passwd", "/var/lib/dpkg/**"], &[]);
        assert!(
            guard.may_enter(Path::new("/etc"))
                && guard.may_enter(Path::new("/var"))
                && guard.may_enter(Path::new("/var/lib/dpkg/info"))
        );
        assert!(!guard.may_enter(Path::new("/home")) && !guard.may_enter(Path::new("/etc/ssh")));
        assert!(guard.may_list(Path::new("/var/lib/dpkg/info")));
        assert!(!guard.may_list(Path::new("/etc")) && !guard.may_list(Path::new("/var/lib")));
    }

    #[test]
    fn opens_trees_and_parents_and_never_the_root() {
        let guard =
            guard(&["/etc/passwd", "/etc/ssh/**", "/vmlinuz", "/opt/none/**", "/var/none/deep/**"], &["/etc/motd"]);
        let there = ["/etc", "/etc/ssh", "/var", "/"];
        let opened = guard.preopens(|path| there.iter().any(|there| Path::new(there) == path));
        let expected = [("/etc", true), ("/etc/ssh", false), ("/var", false)];
        assert_eq!(opened, expected.map(|(path, writable)| Preopen { path: path.into(), writable }));
    }

    #[test]
    fn what_may_be_written_may_be_read() {
        let guard = guard(&[], &["/srv/x/**"]);
        assert!(guard.may_read(Path::new("/srv/x/y")) && guard.may_write(Path::new("/srv/x/y")));
        assert!(!guard.may_write(Path::new("/srv")));
    }
}
