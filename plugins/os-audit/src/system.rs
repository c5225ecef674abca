//! The files of an instance as the rules see them.
//!
//! Owns reading: each file once, with a cap, and the words for why one could not be read. Never judges.

use std::cell::OnceCell;

use orderly_plugin::files::{Error, Files, Metadata};

use crate::parse::{accounts, glob, sockets, sshd, sudoers};

/// Longest file that is read, in bytes.
const FILE_MAX: usize = 1024 * 1024;
/// Files that one configuration may pull in: more is a loop or an attack.
const INCLUDES_MAX: usize = 200;
/// sshd's and sudo's own limits on nesting are 16 and 128.
const DEPTH_MAX: usize = 16;

/// What was read, or why not.
pub(crate) type Read<T> = Result<T, String>;

/// One instance.
pub(crate) struct System<'f> {
    files: &'f dyn Files,
    passwd: OnceCell<Read<Vec<accounts::Account>>>,
    shadow: OnceCell<Read<Vec<accounts::Secret>>>,
    groups: OnceCell<Read<Vec<accounts::Group>>>,
    sshd: OnceCell<Read<Vec<sshd::Line>>>,
    sudoers: OnceCell<Read<Vec<sudoers::Line>>>,
    listening: OnceCell<Read<Vec<sockets::Socket>>>,
}

impl<'f> System<'f> {
    pub(crate) fn new(files: &'f dyn Files) -> Self {
        Self {
            files,
            passwd: OnceCell::new(),
            shadow: OnceCell::new(),
            groups: OnceCell::new(),
            sshd: OnceCell::new(),
            sudoers: OnceCell::new(),
            listening: OnceCell::new(),
        }
    }

    /// `/etc/passwd`.
    pub(crate) fn passwd(&self) -> Read<&[accounts::Account]> {
        kept(&self.passwd, || Ok(accounts::passwd(&self.text("/etc/passwd")?)))
    }

    /// `/etc/shadow`.
    pub(crate) fn shadow(&self) -> Read<&[accounts::Secret]> {
        kept(&self.shadow, || Ok(accounts::shadow(&self.text("/etc/shadow")?)))
    }

    /// `/etc/group`.
    pub(crate) fn groups(&self) -> Read<&[accounts::Group]> {
        kept(&self.groups, || Ok(accounts::groups(&self.text("/etc/group")?)))
    }

    /// The settings of sshd, included files in their places.
    pub(crate) fn sshd(&self) -> Read<&[sshd::Line]> {
        kept(&self.sshd, || {
            let mut lines = Vec::new();
            self.sshd_file("/etc/ssh/sshd_config", 0, &mut 0, &mut lines)?;
            Ok(lines)
        })
    }

    /// The lines of sudo's rules, included files in their places.
    pub(crate) fn sudoers(&self) -> Read<&[sudoers::Line]> {
        kept(&self.sudoers, || {
            let mut lines = Vec::new();
            self.sudoers_file("/etc/sudoers", 0, &mut 0, &mut lines)?;
            Ok(lines)
        })
    }

    /// Sockets that wait for others, of all four kinds; a kind that the kernel lacks is left out.
    ///
    /// `/proc/net` is the network of whoever looks: the one in which the agent lives.
    pub(crate) fn listening(&self) -> Read<&[sockets::Socket]> {
        kept(&self.listening, || {
            let mut all = Vec::new();
            for (protocol, required) in [("tcp", true), ("tcp6", false), ("udp", false), ("udp6", false)] {
                match self.text(&format!("/proc/net/{protocol}")) {
                    Ok(text) => all.extend(sockets::listening(protocol, &text)),
                    Err(why) if required => return Err(why),
                    Err(_) => {}
                }
            }
            Ok(all)
        })
    }

    /// A kernel parameter by its name in sysctl(8)'s way of writing.
    pub(crate) fn parameter(&self, name: &str) -> Read<String> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        match self.files.read_text(&path, FILE_MAX) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(Error::NotFound) => Err(format!("this kernel has no {name}")),
            Err(error) => Err(explain(&path, &error)),
        }
    }

    /// A whole file as text.
    pub(crate) fn text(&self, path: &str) -> Read<String> {
        self.files.read_text(path, FILE_MAX).map_err(|error| explain(path, &error))
    }

    /// A whole file as text, `None` where there is none.
    pub(crate) fn text_if_there(&self, path: &str) -> Read<Option<String>> {
        absent(path, self.files.read_text(path, FILE_MAX))
    }

    /// Mode and owner of a path, `None` where there is none.
    pub(crate) fn metadata_if_there(&self, path: &str) -> Read<Option<Metadata>> {
        absent(path, self.files.metadata(path))
    }

    /// Names of the files in a folder, `None` where there is no folder.
    pub(crate) fn names_if_there(&self, path: &str) -> Read<Option<Vec<String>>> {
        let entries = absent(path, self.files.read_dir(path))?;
        Ok(entries
            .map(|entries| entries.into_iter().filter(|entry| !entry.directory).map(|entry| entry.name).collect()))
    }

    fn sshd_file(&self, path: &str, depth: usize, count: &mut usize, into: &mut Vec<sshd::Line>) -> Read<()> {
        enter(path, depth, count)?;
        for line in sshd::lines(path, &self.text(path)?) {
            if line.keyword != "include" {
                into.push(line);
                continue;
            }
            for pattern in line.value.split_whitespace().map(|word| word.trim_matches('"')) {
                let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/ssh/{pattern}") };
                for file in self.expand(&pattern)? {
                    let start = into.len();
                    self.sshd_file(&file, depth + 1, count, into)?;
                    // What a block includes holds only within it.
                    for included in &mut into[start..] {
                        if included.matched.is_none() {
                            included.matched.clone_from(&line.matched);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn sudoers_file(&self, path: &str, depth: usize, count: &mut usize, into: &mut Vec<sudoers::Line>) -> Read<()> {
        enter(path, depth, count)?;
        for line in sudoers::lines(path, &self.text(path)?) {
            let sudoers::Kind::Include(target) = &line.kind else {
                into.push(line);
                continue;
            };
            let target = if target.starts_with('/') { target.clone() } else { format!("/etc/{target}") };
            if line.text.contains("includedir") {
                // sudo leaves out names with a dot or a tilde at the end.
                for name in self.names_if_there(&target)?.unwrap_or_default() {
                    if !name.contains('.') && !name.ends_with('~') {
                        self.sudoers_file(&format!("{target}/{name}"), depth + 1, count, into)?;
                    }
                }
            } else {
                self.sudoers_file(&target, depth + 1, count, into)?;
            }
        }
        Ok(())
    }

    /// The files that match a pattern whose wildcards stand in its last part, in the order of their names.
    fn expand(&self, pattern: &str) -> Read<Vec<String>> {
        let Some((folder, name)) = pattern.rsplit_once('/') else { return Ok(Vec::new()) };
        if folder.contains(['*', '?']) {
            return Err(format!(
                "`Include {pattern}` has wildcards in a folder's name, which this audit does not follow"
            ));
        }
        let names = self.names_if_there(folder)?.unwrap_or_default();
        Ok(names
            .into_iter()
            .filter(|candidate| glob::matches(name, candidate))
            .filter(|candidate| name.starts_with('.') || !candidate.starts_with('.'))
            .map(|candidate| format!("{folder}/{candidate}"))
            .collect())
    }
}

fn kept<T>(cell: &OnceCell<Read<Vec<T>>>, read: impl FnOnce() -> Read<Vec<T>>) -> Read<&[T]> {
    cell.get_or_init(read).as_ref().map(Vec::as_slice).map_err(Clone::clone)
}

fn absent<T>(path: &str, result: Result<T, Error>) -> Read<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(explain(path, &error)),
    }
}

fn explain(path: &str, error: &Error) -> String {
    match error {
        Error::NotFound => format!("{path} is not there"),
        error => format!("{path}: {error}"),
    }
}

fn enter(path: &str, depth: usize, count: &mut usize) -> Read<()> {
    *count += 1;
    if depth > DEPTH_MAX || *count > INCLUDES_MAX {
        return Err(format!("{path} is included too deeply or too many files are included"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use orderly_plugin::testing::FakeFiles;

    use super::*;

    #[test]
    fn included_settings_stand_where_the_include_stands() {
        let files = FakeFiles::new()
            .with(
                "/etc/ssh/sshd_config",
                "Include sshd_config.d/*.conf\nPermitRootLogin yes\nMatch User x\nInclude m.conf\n",
            )
            .with("/etc/ssh/sshd_config.d/50-a.conf", "PermitRootLogin no\n")
            .with("/etc/ssh/sshd_config.d/readme.txt", "PermitEmptyPasswords yes\n")
            .with("/etc/ssh/m.conf", "X11Forwarding yes\n");
        let system = System::new(&files);
        let lines = system.sshd().unwrap();
        assert_eq!(sshd::global(lines, "permitrootlogin").unwrap().value, "no");
        assert!(sshd::global(lines, "permitemptypasswords").is_none());
        assert!(sshd::global(lines, "x11forwarding").is_none());
        assert_eq!(sshd::conditional(lines, "x11forwarding").count(), 1);
    }

    #[test]
    fn an_include_loop_ends_with_a_reason() {
        let files = FakeFiles::new()
            .with("/etc/ssh/sshd_config", "Include sshd_config\n")
            .with("/etc/sudoers", "@includedir /etc/sudoers.d\n")
            .with("/etc/sudoers.d/a", "@include /etc/sudoers\n");
        let system = System::new(&files);
        assert!(system.sshd().unwrap_err().contains("too deeply"));
        assert!(system.sudoers().unwrap_err().contains("too deeply"));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let files = FakeFiles::new().with_error("/etc/shadow", Error::Unreadable("0640 root:shadow".to_owned()));
        let why = System::new(&files).shadow().unwrap_err();
        assert_eq!(why, "/etc/shadow: not readable without more rights (0640 root:shadow)");
    }
}
