//! Whose a file will be: names as numbers, before anything is written.
//!
//! Owns that look-up and the question whether this agent may make it so. It changes nothing itself.

use orderly_host::platform::users;
use orderly_model::task::ResultCode;

use crate::exec::account::{Account, AccountError};

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// A file cannot be theirs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnerError {
    /// The user.
    #[error(transparent)]
    User(#[from] AccountError),
    /// The groups cannot be read.
    #[error("the groups of this instance cannot be read")]
    Groups(#[source] std::io::Error),
    /// The group.
    #[error("there is no group `{0}` in this instance's /etc/group (groups of a directory service are not looked up)")]
    NoGroup(String),
    /// The agent may not give it to that group.
    #[error(
        "this agent's user is not in the group `{0}` and so cannot give a file to it: run the agent as root, or leave the group out"
    )]
    NotMember(String),
}

impl OwnerError {
    /// The word for it.
    pub(crate) fn code(&self) -> ResultCode {
        match self {
            Self::User(_) => ResultCode::AccountNotExists,
            Self::Groups(_) | Self::NoGroup(_) | Self::NotMember(_) => ResultCode::UserGroupNotExists,
        }
    }
}

impl Owner {
    /// Finds user and group; the agent's own user where there is no name, the user's own group where there is none.
    ///
    /// # Errors
    /// There is no such user or group, or this agent cannot give files to them.
    pub(crate) fn find(user: Option<&str>, group: Option<&str>) -> Result<Self, OwnerError> {
        // Where a file goes has nothing to do with anybody's home.
        let (uid, own_gid) = Account::find(user, Some("/"))?.ids();
        let Some(group) = group else { return Ok(Self { uid, gid: own_gid }) };
        let shown = || group.escape_debug().to_string();
        let gid =
            users::group_by_name(group).map_err(OwnerError::Groups)?.ok_or_else(|| OwnerError::NoGroup(shown()))?;
        let member = || {
            let groups = rustix::process::getgroups().unwrap_or_default();
            rustix::process::getegid().as_raw() == gid || groups.iter().any(|group| group.as_raw() == gid)
        };
        if !users::is_root() && !member() {
            return Err(OwnerError::NotMember(shown()));
        }
        Ok(Self { uid, gid })
    }
}
