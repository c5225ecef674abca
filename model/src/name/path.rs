//! Absolute paths in one written form, so that two texts name the same place or do not.
//! Owns the lexical rule; never looks at a file system, where links may still say otherwise.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::error::{ParseError, serde_by_text};
use crate::limits::PATH_MAX_BYTES;

/// An absolute POSIX path: UTF-8, no NUL, no `.` or `..`, single slashes, no slash at the end. At most 4,095 bytes.
///
/// Doubled slashes and a slash at the end are taken away on the way in; `.` and `..` are refused,
/// as what they mean depends on links.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbsolutePath(Box<str>);

impl AbsolutePath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path as the standard library has it.
    pub fn as_path(&self) -> &Path {
        Path::new(&*self.0)
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
    }

    /// The names between the slashes; none for `/`.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }

    /// The directory that holds this path, nothing for `/`.
    pub fn parent(&self) -> Option<Self> {
        let (parent, name) = self.0.rsplit_once('/')?;
        match (parent, name) {
            (_, "") => None,
            ("", _) => Some(Self("/".into())),
            _ => Some(Self(parent.into())),
        }
    }

    /// The last name, nothing for `/`.
    pub fn file_name(&self) -> Option<&str> {
        self.components().last()
    }

    /// Whether this path is `directory` or lies beneath it: by whole names, `/etc/sshx` is not beneath `/etc/ssh`.
    pub fn is_within(&self, directory: &Self) -> bool {
        if directory.is_root() {
            return true;
        }
        match self.0.strip_prefix(&*directory.0) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// The part of this path beneath `directory`: empty for the directory itself, nothing where it is not within.
    pub fn beneath(&self, directory: &Self) -> Option<&str> {
        if !self.is_within(directory) {
            return None;
        }
        let skip = if directory.is_root() { 0 } else { directory.0.len() };
        self.0.get(skip..).map(|rest| rest.trim_start_matches('/'))
    }
}

impl FromStr for AbsolutePath {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |why: &str| Err(ParseError::new("absolute path", text, why));
        if !text.starts_with('/') {
            return refuse("it must start with `/`");
        }
        if text.len() > PATH_MAX_BYTES {
            return refuse("it is longer than 4095 bytes");
        }
        if text.contains('\0') {
            return refuse("it must not contain NUL");
        }
        let names = || text.split('/').filter(|name| !name.is_empty());
        if names().any(|name| name == "." || name == "..") {
            return refuse("`.` and `..` are not allowed: write the path itself");
        }
        let mut path = String::with_capacity(text.len());
        for name in names() {
            path.push('/');
            path.push_str(name);
        }
        if path.is_empty() {
            path.push('/');
        }
        Ok(Self(path.into()))
    }
}

impl AsRef<str> for AbsolutePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<Path> for AbsolutePath {
    fn as_ref(&self) -> &Path {
        self.as_path()
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

impl fmt::Debug for AbsolutePath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", &*self.0)
    }
}

serde_by_text!(AbsolutePath);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> AbsolutePath {
        text.parse().unwrap()
    }

    #[test]
    fn is_normalised_or_refused() {
        for (text, normal) in
            [("/", "/"), ("//", "/"), ("/etc/", "/etc"), ("//etc///ssh", "/etc/ssh"), ("/a/...", "/a/...")]
        {
            assert_eq!(path(text).as_str(), normal);
        }
        for bad in
            ["", "etc", "./etc", "/etc/..", "/../etc", "/./etc", "/a/\0", "~/x", &format!("/{}", "a".repeat(4095))]
        {
            assert!(bad.parse::<AbsolutePath>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn knows_its_parts() {
        assert_eq!(path("/etc/passwd").parent().unwrap().as_str(), "/etc");
        assert_eq!(path("/etc").parent().unwrap().as_str(), "/");
        assert!(path("/").parent().is_none());
        assert_eq!(path("/etc/passwd").file_name(), Some("passwd"));
        assert_eq!(path("/").file_name(), None);
        assert_eq!(path("/etc/ssh/a/b").beneath(&path("/etc/ssh")), Some("a/b"));
        assert_eq!(path("/etc").beneath(&path("/")), Some("etc"));
        assert_eq!(path("/etc").beneath(&path("/etc")), Some(""));
        assert_eq!(path("/etcx").beneath(&path("/etc")), None);
    }

    #[test]
    fn is_within_goes_by_whole_names() {
        assert!(path("/etc/ssh").is_within(&path("/etc/ssh")));
        assert!(path("/etc/ssh/x").is_within(&path("/etc/ssh")));
        assert!(path("/etc").is_within(&path("/")));
        assert!(!path("/etc/sshx").is_within(&path("/etc/ssh")));
        assert!(!path("/etc").is_within(&path("/etc/ssh")));
    }

    proptest! {
        #[test]
        fn parsing_is_total_and_stable(text in "(/[a.]{0,3}){0,5}/?|.{0,20}") {
            if let Ok(once) = text.parse::<AbsolutePath>() {
                prop_assert_eq!(&once.as_str().parse::<AbsolutePath>().unwrap(), &once);
                prop_assert!(once.components().all(|name| name != "." && name != ".."));
            }
        }
    }
}
