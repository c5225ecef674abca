//! Users and groups, from `/etc/passwd` and `/etc/group`.
//!
//! Owns looking them up by name or number. Read as files, not through NSS: the agent is linked statically, where NSS
//! cannot be loaded. Users that exist only in a directory service are therefore not found, and that is said.

use std::io;
use std::path::PathBuf;

use super::spec::Credentials;

/// The uid and gid of the user that owns nothing (`nobody`), where there is no `orderly-plugin`.
pub const NOBODY: u32 = 65_534;

/// The user that plugins run as, where it exists.
pub const PLUGIN_USER: &str = "orderly-plugin";

/// A line of `/etc/passwd` with the user's groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids, the primary one among them.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell; `/bin/sh` where the line has none.
    pub shell: PathBuf,
}

impl User {
    /// Whether it is root under a name that does not say so: what is granted to a name is weighed by the name.
    pub fn is_root_by_another_name(&self) -> bool {
        self.uid == 0 && self.name != "root"
    }

    /// What a process of this user is started with.
    pub fn credentials(&self) -> Credentials {
        Credentials { uid: self.uid, gid: self.gid, groups: self.groups.clone() }
    }
}

/// The user called `name`.
///
/// # Errors
/// `/etc/passwd` cannot be read. That `/etc/group` cannot is taken as no groups.
pub fn by_name(name: &str) -> io::Result<Option<User>> {
    find(|user| user.name == name)
}

/// The user with the number `uid`.
///
/// # Errors
/// As [`by_name`].
pub fn by_uid(uid: u32) -> io::Result<Option<User>> {
    find(|user| user.uid == uid)
}

/// The number of the group called `name`.
///
/// # Errors
/// `/etc/group` cannot be read.
pub fn group_by_name(name: &str) -> io::Result<Option<u32>> {
    Ok(id_of(&String::from_utf8_lossy(&std::fs::read("/etc/group")?), name))
}

/// Whether this process may change to other users.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The credentials of an unprivileged plugin: the user `orderly-plugin` where there is one, else [`NOBODY`].
pub fn unprivileged() -> Credentials {
    match by_name(PLUGIN_USER) {
        Ok(Some(user)) if user.uid != 0 => Credentials { uid: user.uid, gid: user.gid, groups: Vec::new() },
        _ => Credentials { uid: NOBODY, gid: NOBODY, groups: Vec::new() },
    }
}

/// The user's name for `uid`, in the text of `/etc/passwd`; the group's for a gid in that of `/etc/group`.
pub fn name_of(database: &str, id: u32) -> Option<String> {
    database.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse::<u32>().ok()? == id).then(|| name.to_owned())
    })
}

fn id_of(database: &str, name: &str) -> Option<u32> {
    database.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

fn find(wanted: impl Fn(&User) -> bool) -> io::Result<Option<User>> {
    let users = String::from_utf8_lossy(&std::fs::read("/etc/passwd")?).into_owned();
    let Some(mut user) = users.lines().filter_map(parse_user).find(wanted) else { return Ok(None) };
    let groups = std::fs::read("/etc/group").unwrap_or_default();
    user.groups = groups_of(&String::from_utf8_lossy(&groups), &user.name, user.gid);
    Ok(Some(user))
}

/// A number of a user or a group. The largest is none: the kernel takes it as "no change", so whoever had it would stay root.
fn id(field: &str) -> Option<u32> {
    field.parse().ok().filter(|id| *id != u32::MAX)
}

fn parse_user(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let uid = fields.nth(1).and_then(id)?;
    let gid = fields.next().and_then(id)?;
    let home = fields.nth(1)?.into();
    let shell = fields.next().filter(|shell| !shell.is_empty()).unwrap_or("/bin/sh").into();
    Some(User { name, uid, gid, groups: vec![gid], home, shell })
}

fn groups_of(groups: &str, name: &str, primary: u32) -> Vec<u32> {
    let mut found = vec![primary];
    for line in groups.lines() {
        let mut fields = line.split(':');
        let Some(gid) = fields.nth(2).and_then(id) else { continue };
        if fields.next().is_some_and(|members| members.split(',').any(|member| member == name)) && !found.contains(&gid)
        {
            found.push(gid);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_are_read_as_passwd_5_says() {
        let user = parse_user("web:x:33:34:www,,,:/var/www:").unwrap();
        assert_eq!(
            (user.uid, user.gid, user.home.to_str(), user.shell.to_str()),
            (33, 34, Some("/var/www"), Some("/bin/sh"))
        );
        let unchanged = ["a:x:4294967295:1::/:", "a:x:1:4294967295::/:"];
        for bad in ["", ":x:0:0::/:/bin/sh", "a:x:b:0::/:", "+@netgroup", "a:x:1"].into_iter().chain(unchanged) {
            assert!(parse_user(bad).is_none(), "{bad}");
        }
        assert_eq!(groups_of("a:x:1:web\nb:x:2:x,web\nc:x:3:webx\nd:x:34:web", "web", 34), [34, 1, 2]);
        assert_eq!(groups_of("a:x:4294967295:web", "web", 34), [34]);
        assert_eq!(id_of("web:x:33:a\nx:x:y:", "web"), Some(33));
        assert_eq!((id_of("web:x:33:", "we"), id_of("x:x:y:", "x")), (None, None));
        assert_eq!(name_of("root:x:0:0::/:\nweb:x:33:", 33).as_deref(), Some("web"));
    }

    #[test]
    fn root_by_another_name_is_found_out() {
        assert!(parse_user("toor:x:0:0::/root:/bin/sh").unwrap().is_root_by_another_name());
        assert!(!parse_user("root:x:0:0::/root:/bin/sh").unwrap().is_root_by_another_name());
        assert!(!parse_user("web:x:33:0::/root:/bin/sh").unwrap().is_root_by_another_name());
    }

    #[test]
    fn root_is_there() {
        assert_eq!(by_name("root").unwrap().unwrap().uid, 0);
        assert_eq!(by_uid(0).unwrap().unwrap().name, "root");
        assert!(by_name("no such user").unwrap().is_none());
    }
}
