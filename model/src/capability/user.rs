//! `user`: who a plugin's process, or a program that it starts, runs as.

use std::fmt;
use std::str::FromStr;

use crate::error::{ParseError, serde_by_text};
use crate::name::UserName;

/// The user to run as. Written `unprivileged`, `root`, or a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunAs {
    /// The agent's user for plugins, which owns nothing. A user who is called `unprivileged` cannot be named.
    #[default]
    Unprivileged,
    /// The superuser.
    Root,
    /// A user of the instance. Made by parsing or `From`, which know that `root` is [`RunAs::Root`].
    User(UserName),
}

impl RunAs {
    /// Whether whoever may run as this user can do all that `other` can: the same user, anybody for
    /// the unprivileged one, and root for everybody.
    pub fn covers(&self, other: &Self) -> bool {
        self == other || self.is_root() || *other == Self::Unprivileged
    }

    /// Whether this is the superuser, by whichever way it was made.
    pub fn is_root(&self) -> bool {
        match self {
            Self::Unprivileged => false,
            Self::Root => true,
            Self::User(name) => name.as_str() == "root",
        }
    }

    /// As manifests have it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unprivileged => "unprivileged",
            Self::Root => "root",
            Self::User(name) => name.as_str(),
        }
    }
}

impl From<UserName> for RunAs {
    fn from(name: UserName) -> Self {
        match name.as_str() {
            "root" => Self::Root,
            "unprivileged" => Self::Unprivileged,
            _ => Self::User(name),
        }
    }
}

impl FromStr for RunAs {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.parse::<UserName>().map(Self::from)
    }
}

impl fmt::Display for RunAs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

serde_by_text!(RunAs);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn user(text: &str) -> RunAs {
        text.parse().unwrap()
    }

    #[test]
    fn root_covers_all_and_all_cover_the_unprivileged() {
        assert!(user("root").covers(&user("bob")));
        assert!(user("bob").covers(&RunAs::Unprivileged));
        assert!(user("bob").covers(&user("bob")));
        assert!(!user("bob").covers(&user("root")));
        assert!(!user("bob").covers(&user("bobby")));
        assert!(!RunAs::Unprivileged.covers(&user("bob")));
        assert_eq!(user("unprivileged"), RunAs::Unprivileged);
        assert!("0".parse::<RunAs>().is_err());
        assert!(RunAs::User("root".parse().unwrap()).is_root());
    }
}
