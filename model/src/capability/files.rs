//! `files.read` and `files.write`: paths. Owns the lexical rule; the host asks it about paths
//! that it has resolved, so that links do not lead around it.

use std::fmt;
use std::str::FromStr;

use crate::error::{ParseError, is_deceptive, serde_by_text};
use crate::name::AbsolutePath;

/// One file, or a directory and all that is beneath it. At most 4,095 bytes, no characters that cannot be seen.
///
/// Written `/etc/passwd`, or `/etc/ssh/**` for the tree. There is no other wildcard, and the
/// whole file system (`/**`) cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathPattern {
    /// This path only: a file, or a directory's own entry without what is in it.
    File(AbsolutePath),
    /// This directory and everything beneath it. Never `/`.
    Tree(AbsolutePath),
}

impl PathPattern {
    /// The path without the wildcard.
    pub fn path(&self) -> &AbsolutePath {
        match self {
            Self::File(path) | Self::Tree(path) => path,
        }
    }

    /// Whether this pattern names `path`.
    pub fn allows(&self, path: &AbsolutePath) -> bool {
        match self {
            Self::File(file) => path == file,
            Self::Tree(directory) => path.is_within(directory),
        }
    }

    /// Whether everything that `other` names, this names too.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(mine), Self::File(theirs)) => mine == theirs,
            // A tree has room for files that one file is not.
            (Self::File(_), Self::Tree(_)) => false,
            (Self::Tree(directory), Self::File(path) | Self::Tree(path)) => path.is_within(directory),
        }
    }
}

impl FromStr for PathPattern {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const WHAT: &str = "path pattern";
        let (base, tree) = match text.strip_suffix("/**") {
            Some(base) => (base, true),
            None => (text, false),
        };
        if base.contains(['*', '?', '[', ']', '\\']) {
            let why = "the only wildcard is `/**` at the end, for a directory and all beneath it";
            return Err(ParseError::new(WHAT, text, why));
        }
        if base.contains(is_deceptive) {
            return Err(ParseError::new(WHAT, text, "characters that cannot be seen are not allowed"));
        }
        if !tree && base.ends_with('/') {
            let why = "write `/**` at the end for a directory and all beneath it, or the path without the last `/`";
            return Err(ParseError::new(WHAT, text, why));
        }
        if base.is_empty() && tree {
            return Err(ParseError::new(WHAT, text, "the whole file system cannot be granted: name directories"));
        }
        let path: AbsolutePath = base.parse().map_err(|error: ParseError| ParseError::new(WHAT, text, error.why()))?;
        if path.is_root() {
            return Err(ParseError::new(WHAT, text, "the whole file system cannot be granted: name directories"));
        }
        Ok(if tree { Self::Tree(path) } else { Self::File(path) })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(out, "{path}"),
            Self::Tree(path) => write!(out, "{path}/**"),
        }
    }
}

serde_by_text!(PathPattern);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> PathPattern {
        text.parse().unwrap()
    }

    fn path(text: &str) -> AbsolutePath {
        text.parse().unwrap()
    }

    #[test]
    fn near_misses() {
        let tree = pattern("/etc/ssh/**");
        for inside in ["/etc/ssh", "/etc/ssh/a", "/etc/ssh/a/b", "/etc/ssh//a"] {
            assert!(tree.allows(&path(inside)), "{inside}");
        }
        for outside in ["/etc", "/etc/sshx", "/etc/ssh.d/a", "/etc/ss", "/", "/x/etc/ssh", "/ETC/ssh/a"] {
            assert!(!tree.allows(&path(outside)), "{outside}");
        }
        let file = pattern("/etc/passwd");
        assert!(file.allows(&path("/etc/passwd")));
        for outside in ["/etc/passwd-", "/etc/passw", "/etc/passwd/x", "/etc"] {
            assert!(!file.allows(&path(outside)), "{outside}");
        }
        assert!(!file.covers(&pattern("/etc/passwd/**")));
        assert!(tree.covers(&pattern("/etc/ssh")));
    }

    #[test]
    fn refuses_wildcards_and_the_whole_system() {
        for bad in [
            "",
            "/",
            "//",
            "/**",
            "//**",
            "///**",
            "**",
            "etc/**",
            "/etc/*",
            "/etc/**/x",
            "/*/x",
            "/etc/**x",
            "/etc/s?h",
            "/etc/[a]",
            "/etc/ssh/",
            "/etc/../**",
            "/etc/./x",
            "/a\nb",
            "/etc/\u{202e}dwssap",
            "/a\0b",
            "C:\\x",
            "~/x",
        ] {
            assert!(bad.parse::<PathPattern>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn covers_agrees_with_allows(mine in "(/[ab]{1,2}){1,3}(/\\*\\*)?", theirs in "(/[ab]{1,2}){1,3}(/\\*\\*)?", below in "(/[ab]{1,2}){0,2}") {
            let (mine, theirs) = (pattern(&mine), pattern(&theirs));
            // Whatever the covered one allows, the covering one allows; and a tree is told from its own parts by a deep path.
            let deep = path(&format!("{}{below}", theirs.path()));
            if mine.covers(&theirs) && theirs.allows(&deep) {
                prop_assert!(mine.allows(&deep));
            }
            let probe = match &theirs {
                PathPattern::File(file) => file.clone(),
                PathPattern::Tree(tree) => path(&format!("{tree}/zz/zz")),
            };
            prop_assert_eq!(mine.covers(&theirs), mine.allows(&probe) && mine.allows(theirs.path()));
        }

        #[test]
        fn parsing_is_total_and_round_trips(text in "(/[a.*?]{0,3}){0,4}|.{0,12}") {
            if let Ok(once) = text.parse::<PathPattern>() {
                prop_assert_eq!(&pattern(&once.to_string()), &once);
                prop_assert!(once.covers(&once) && once.allows(once.path()) && !once.path().is_root());
            }
        }
    }
}
