//! As whom, where and with which environment a script runs.
//!
//! Owns the look-up of the user, the choice of the working directory and the clean environment. Decided before the
//! order is accepted, so that a wrong user or directory is a refusal with a reason and nothing has begun. It never
//! changes a user itself; the spawned child does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use orderly_host::platform::Credentials;
use orderly_host::platform::users::{self, User};

/// The search path of a script, whoever it runs as.
pub(super) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// No user or no directory to run in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    /// The user database cannot be read.
    #[error("the users of this instance cannot be read")]
    Database(#[source] std::io::Error),
    /// Not in it.
    #[error("there is no user `{0}` in this instance's /etc/passwd (users of a directory service are not looked up)")]
    NoUser(String),
    /// The agent cannot become another user.
    #[error(
        "this agent runs as `{own}` and cannot start programs as `{asked}`: run the agent as root, or leave the user out"
    )]
    NotRoot {
        /// The agent's own user.
        own: String,
        /// The user that was asked for.
        asked: String,
    },
    /// The working directory.
    #[error("the working directory `{0}` is not there or is no directory")]
    NoDirectory(PathBuf),
    /// The working directory is not absolute.
    #[error("the working directory `{0}` is not absolute")]
    RelativeDirectory(PathBuf),
}

/// As whom and where.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    user: User,
    /// Whether the user is another than the agent's own.
    switch: bool,
    directory: PathBuf,
}

impl Account {
    /// Finds user and working directory.
    ///
    /// # Errors
    /// There is no such user or directory, or this agent cannot become that user.
    pub(crate) fn find(user: Option<&str>, directory: Option<&str>) -> Result<Self, AccountError> {
        let own = own_user()?;
        let user = match user {
            None => own.clone(),
            Some(name) if name == own.name => own.clone(),
            Some(name) => users::by_name(name)
                .map_err(AccountError::Database)?
                .ok_or_else(|| AccountError::NoUser(name.escape_debug().to_string()))?,
        };
        let switch = user.uid != own.uid;
        if switch && !users::is_root() {
            return Err(AccountError::NotRoot { own: own.name, asked: user.name });
        }
        let directory = directory.map_or_else(|| user.home.clone(), PathBuf::from);
        if !directory.is_absolute() {
            return Err(AccountError::RelativeDirectory(directory));
        }
        if !directory.is_dir() {
            return Err(AccountError::NoDirectory(directory));
        }
        Ok(Self { user, switch, directory })
    }

    /// The user's name.
    pub(crate) fn name(&self) -> &str {
        &self.user.name
    }

    /// Whether it is root, or as mighty.
    pub(crate) fn is_root(&self) -> bool {
        self.user.uid == 0
    }

    /// User and group ids.
    pub(crate) fn ids(&self) -> (u32, u32) {
        (self.user.uid, self.user.gid)
    }

    /// The working directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What to change to; nothing where it is the agent's own user.
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        self.switch.then(|| self.user.credentials())
    }

    /// The whole environment: that of a fresh login, then the order's. Nothing of the agent's own is in it.
    pub(crate) fn environment(&self, ordered: &BTreeMap<String, String>) -> Vec<(OsString, OsString)> {
        let mut all: BTreeMap<OsString, OsString> = BTreeMap::new();
        for (name, value) in [
            ("HOME", self.user.home.as_os_str()),
            ("USER", self.user.name.as_ref()),
            ("LOGNAME", self.user.name.as_ref()),
            ("SHELL", self.user.shell.as_os_str()),
            ("PATH", SEARCH_PATH.as_ref()),
            ("LANG", "C.UTF-8".as_ref()),
        ] {
            all.insert(name.into(), value.to_owned());
        }
        for (name, value) in ordered {
            all.insert(name.into(), value.into());
        }
        all.into_iter().collect()
    }
}

fn own_user() -> Result<User, AccountError> {
    let uid = rustix::process::geteuid().as_raw();
    let known = users::by_uid(uid).map_err(AccountError::Database)?;
    // A container may run us under a number that has no line in its user database.
    Ok(known.unwrap_or_else(|| {
        let gid = rustix::process::getegid().as_raw();
        User { name: format!("uid-{uid}"), uid, gid, groups: vec![gid], home: "/".into(), shell: "/bin/sh".into() }
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_environment_is_a_fresh_logins_and_the_order_may_add_to_it() {
        let account = Account::find(None, Some("/")).unwrap();
        let ordered = BTreeMap::from([("X".to_owned(), "1".to_owned()), ("LANG".to_owned(), "C".to_owned())]);
        let environment: BTreeMap<_, _> = account.environment(&ordered).into_iter().collect();
        let names: Vec<_> = environment.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "USER", "X"]);
        assert_eq!(environment[&OsString::from("LANG")], "C");
        assert_eq!(environment[&OsString::from("USER")].to_str(), Some(account.name()));
    }

    #[test]
    fn a_wrong_user_or_directory_is_said() {
        let told = |user, directory| Account::find(user, directory).unwrap_err().to_string();
        assert!(told(Some("no-such-user"), None).contains("no-such-user"));
        assert!(told(None, Some("/no/such/dir")).contains("/no/such/dir"));
        assert!(told(None, Some("/etc/passwd")).contains("no directory"));
        assert!(told(None, Some("tmp")).contains("not absolute"));
    }
}
