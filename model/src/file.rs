//! A file that is put on an instance or collected from one: its name, its place, whose it is and its mode. Owns these rules; what
//! stands at the place already, and what the instance's own names are, is the agent's to see.

use std::fmt;
use std::fmt::Display;
use std::str::FromStr;

use orderly_signing::order::{CollectAction, FileAction, MAX_FILE_BYTES, MAX_NAME_BYTES};
use serde::{Deserialize, Serialize};

use crate::Digest;
use crate::error::{ParseError, is_deceptive, serde_by_text};
use crate::limits::{TIMEOUT_DEFAULT_S, TIMEOUT_MAX_S, TIMEOUT_MIN_S};
use crate::name::{AbsolutePath, UserName};

/// The name of a file: 1-255 bytes on one line, without `/`, neither `.` nor `..`. One name, never a way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Box<str>);

impl FileName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let why = if text.is_empty() || text.len() > MAX_NAME_BYTES {
            "write 1-255 bytes"
        } else if text.contains('/') {
            "it is a path: say the directory apart"
        } else if matches!(text, "." | "..") {
            "it names a directory"
        } else if text.contains(is_deceptive) {
            "it has invisible characters"
        } else {
            return Ok(Self(text.into()));
        };
        Err(ParseError::new("file name", text, why))
    }
}

impl Display for FileName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.0)
    }
}

serde_by_text!(FileName);

/// A file's mode with its special bits: three or four octal digits, `644`, `0644`, `4755`. Shown with four.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileMode(u16);

impl FileMode {
    /// The bits, at most 0o7777.
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }

    /// Whether it has set-user-id, set-group-id or the sticky bit.
    pub fn is_special(self) -> bool {
        self.0 > 0o777
    }
}

impl Default for FileMode {
    /// 0644
    fn default() -> Self {
        Self(0o644)
    }
}

impl FromStr for FileMode {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        match u16::from_str_radix(text, 8) {
            Ok(mode) if octal => Ok(Self(mode)),
            _ => Err(ParseError::new("file mode", text, "write three or four octal digits, such as 644 or 4755")),
        }
    }
}

impl Display for FileMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04o}", self.0)
    }
}

impl fmt::Debug for FileMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, out)
    }
}

serde_by_text!(FileMode);

/// A file to be put, as people write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDraft {
    /// An absolute path; made where it is not there.
    pub directory: String,
    /// The file's name in it.
    pub name: String,
    /// By name; the agent's own user where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// By name; the owner's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Octal digits; `0644` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Whether a file that is there is replaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overwrite: bool,
    /// Seconds, 1 to 86,400; 60 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
}

/// A file to be collected, as people write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectDraft {
    /// An absolute path.
    pub path: String,
    /// The largest file that is taken, in bytes: 1 to 64 GiB.
    pub max_bytes: u64,
    /// Seconds, 1 to 86,400; 60 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
}

/// One thing that is wrong with a draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct FileFault {
    /// The draft's field.
    pub field: &'static str,
    /// What is wrong, in words that follow the field.
    pub problem: String,
}

#[derive(Default)]
struct Reader(Vec<FileFault>);

impl Reader {
    fn add(&mut self, field: &'static str, problem: impl Display) {
        self.0.push(FileFault { field, problem: problem.to_string() });
    }

    fn parse<T: FromStr<Err = ParseError>>(&mut self, field: &'static str, text: &str) -> Option<T> {
        text.parse().map_err(|error: ParseError| self.add(field, format!("is refused: {error}"))).ok()
    }

    /// An absolute path on one line.
    fn path(&mut self, field: &'static str, text: &str) -> Option<AbsolutePath> {
        if text.contains(is_deceptive) {
            self.add(field, "has invisible characters");
        }
        self.parse(field, text)
    }

    fn timeout(&mut self, asked: Option<u32>) -> u32 {
        let seconds = asked.unwrap_or(TIMEOUT_DEFAULT_S);
        if !(TIMEOUT_MIN_S..=TIMEOUT_MAX_S).contains(&seconds) {
            self.add("timeout_s", format!("is {seconds}; write {TIMEOUT_MIN_S} to {TIMEOUT_MAX_S}"));
        }
        seconds
    }

    fn end<T>(self, value: Option<T>) -> Result<T, Vec<FileFault>> {
        value.filter(|_| self.0.is_empty()).ok_or(self.0)
    }
}

impl FileDraft {
    /// What an order says of this file with this content.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(&self, content: Digest, content_bytes: u64) -> Result<FileAction, Vec<FileFault>> {
        let mut reader = Reader::default();
        let directory = reader.path("directory", &self.directory);
        let name: Option<FileName> = reader.parse("name", &self.name);
        let owner: Option<UserName> = self.owner.as_ref().and_then(|owner| reader.parse("owner", owner));
        // Names of groups keep the same rule as names of users.
        let group: Option<UserName> = self.group.as_ref().and_then(|group| reader.parse("group", group));
        let mode = self.mode.as_ref().map_or(Some(FileMode::default()), |mode| reader.parse("mode", mode));
        if content_bytes > MAX_FILE_BYTES {
            reader.add("content", format!("has {content_bytes} bytes; at most {MAX_FILE_BYTES} are allowed"));
        }
        let timeout_s = reader.timeout(self.timeout_s);
        let action = || {
            Some(FileAction {
                directory: directory?.as_str().to_owned(),
                name: name?.to_string(),
                content,
                content_bytes,
                owner: owner.map(|owner| owner.to_string()),
                group: group.map(|group| group.to_string()),
                mode: mode?.bits(),
                overwrite: self.overwrite,
                timeout_s,
            })
        };
        reader.end(action())
    }
}

impl CollectDraft {
    /// What an order says of it.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(&self) -> Result<CollectAction, Vec<FileFault>> {
        let mut reader = Reader::default();
        let path = reader.path("path", &self.path);
        if self.path.ends_with('/') {
            reader.add("path", "names a directory, and only a file is collected");
        }
        let max_bytes = self.max_bytes;
        if !(1..=MAX_FILE_BYTES).contains(&max_bytes) {
            reader.add("max_bytes", format!("is {max_bytes}; write 1 to {MAX_FILE_BYTES}"));
        }
        let timeout_s = reader.timeout(self.timeout_s);
        let action = path.map(|path| CollectAction { path: path.as_str().to_owned(), max_bytes, timeout_s });
        reader.end(action)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn draft(json: &str) -> FileDraft {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_name_is_never_a_way() {
        for good in ["a", "...", ".bashrc", "a b", "é", "-x", &"x".repeat(255)] {
            assert_eq!(good.parse::<FileName>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "../x", "a/b", "/", "a\0", "a\n", "a\u{202e}b", &"x".repeat(256)] {
            assert!(bad.parse::<FileName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn special_bits_are_kept() {
        let mode = |text: &str| text.parse::<FileMode>().map(|mode| (mode.bits(), mode.is_special(), mode.to_string()));
        assert_eq!(mode("4755"), Ok((0o4755, true, "4755".into())));
        assert_eq!(mode("644"), Ok((0o644, false, "0644".into())));
        assert_eq!(mode("0644"), mode("644"));
        assert_eq!(FileMode::default().to_string(), "0644");
        for bad in ["", "7", "64", "888", "07777", "u+x", "+644", "-644", "0o644", " 644"] {
            assert!(mode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_draft_is_an_action_or_all_its_faults() {
        let good = draft(r#"{"directory":"/etc//app/","name":"a.conf","owner":"bob","group":"adm","mode":"4755"}"#);
        let action = good.check(Digest::ZERO, 3).unwrap();
        assert_eq!((action.directory.as_str(), action.mode, action.timeout_s), ("/etc/app", 0o4755, 60));
        assert!(!action.overwrite);
        let wrong = draft(
            r#"{"directory":"etc","name":"../x","owner":"0","group":"a b","mode":"999","timeout_s":0,"overwrite":true}"#,
        );
        let fields: Vec<_> =
            wrong.check(Digest::ZERO, MAX_FILE_BYTES + 1).unwrap_err().iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["directory", "name", "owner", "group", "mode", "content", "timeout_s"]);
        assert!(draft(r#"{"directory":"/etc/../root","name":"x"}"#).check(Digest::ZERO, 0).is_err());
        assert!(draft(r#"{"directory":"/etc/a\nb","name":"x"}"#).check(Digest::ZERO, 0).is_err());
    }

    #[test]
    fn only_a_file_is_collected() {
        let collect = |path: &str, max_bytes| CollectDraft { path: path.into(), max_bytes, timeout_s: None }.check();
        assert_eq!(collect("/var//log/x", 1).unwrap().path, "/var/log/x");
        for (bad, max_bytes) in
            [("/var/", 1), ("/", 1), ("var", 1), ("/a/../b", 1), ("/a", 0), ("/a", MAX_FILE_BYTES + 1)]
        {
            assert_eq!(collect(bad, max_bytes).unwrap_err().len(), 1, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_is_an_order_that_can_be_signed(directory in "[/a.é]{1,12}", name in "[/a.é\n]{1,6}", mode in proptest::option::of("[0-8]{2,5}")) {
            let draft = FileDraft { directory, name, mode, ..FileDraft::default() };
            if let Ok(action) = draft.check(Digest::ZERO, 0) {
                prop_assert!(!action.name.contains('/') && action.directory.starts_with('/'));
                prop_assert!(action.mode <= 0o7777);
            }
        }
    }
}
