//! passwd(5), shadow(5), group(5) and login.defs(5).
//!
//! Owns the fields. Keeps line numbers for evidence.

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub line: usize,
    pub name: String,
    pub password: String,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub shell: String,
}

/// A line of `/etc/shadow` or `/etc/gshadow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secret {
    pub line: usize,
    pub name: String,
    pub hash: String,
}

/// A line of `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub line: usize,
    pub name: String,
    pub gid: Option<u32>,
    pub members: Vec<String>,
}

impl Account {
    /// Whether the shell lets somebody work: programs that only say no do not.
    pub(crate) fn can_log_in(&self) -> bool {
        let program = self.shell.rsplit('/').next().unwrap_or_default();
        !matches!(program, "nologin" | "false" | "true" | "sync" | "shutdown" | "halt" | "git-shell")
    }
}

impl Secret {
    /// Whether no password opens the account.
    pub(crate) fn is_locked(&self) -> bool {
        self.hash.starts_with(['!', '*']) || self.hash == "x"
    }
}

pub(crate) fn passwd(text: &str) -> Vec<Account> {
    fields(text)
        .map(|(line, fields)| Account {
            line,
            name: field(&fields, 0),
            password: field(&fields, 1),
            uid: fields.get(2).and_then(|uid| uid.parse().ok()),
            gid: fields.get(3).and_then(|gid| gid.parse().ok()),
            shell: field(&fields, 6),
        })
        .collect()
}

pub(crate) fn shadow(text: &str) -> Vec<Secret> {
    fields(text).map(|(line, fields)| Secret { line, name: field(&fields, 0), hash: field(&fields, 1) }).collect()
}

pub(crate) fn groups(text: &str) -> Vec<Group> {
    fields(text)
        .map(|(line, fields)| Group {
            line,
            name: field(&fields, 0),
            gid: fields.get(2).and_then(|gid| gid.parse().ok()),
            members: field(&fields, 3).split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect(),
        })
        .collect()
}

/// Names and values of `/etc/login.defs` with their lines; the last of a name counts.
pub(crate) fn login_defs(text: &str) -> Vec<(usize, String, String)> {
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let mut words = line.split_whitespace();
            let name = words.next().filter(|name| !name.starts_with('#'))?;
            Some((index + 1, name.to_owned(), words.next().unwrap_or_default().to_owned()))
        })
        .collect()
}

fn fields(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(index, line)| (index + 1, line.split(':').collect()))
}

fn field(fields: &[&str], index: usize) -> String {
    fields.get(index).map_or_else(String::new, |field| field.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_comments_left_out() {
        let accounts = passwd("# comment\n\nroot:x:0:0:root:/root:/bin/bash\nbroken\n");
        assert_eq!(accounts.len(), 2);
        assert_eq!((accounts[0].line, accounts[0].uid, accounts[0].can_log_in()), (3, Some(0), true));
        assert_eq!((accounts[1].name.as_str(), accounts[1].uid), ("broken", None));
    }

    #[test]
    fn a_locked_hash_is_told_from_an_empty_one() {
        let secrets = shadow("a:!:1\nb::1\nc:$6$x$y:1\nd:*:1\ne:!$6$x$y:1\n");
        assert_eq!(secrets.iter().map(Secret::is_locked).collect::<Vec<_>>(), [true, false, false, true, true]);
    }

    #[test]
    fn an_empty_shell_means_bin_sh() {
        assert!(passwd("x:x:1:1:::")[0].can_log_in());
        assert!(!passwd("x:x:1:1:::/usr/sbin/nologin")[0].can_log_in());
    }
}
