//! Names that people give, as types whose only constructors check them; serde goes through
//! the same door. Owns the rules of names, never what a name stands for.

mod parameter;
mod path;
mod version;

use std::fmt;
use std::str::FromStr;

use crate::error::{ParseError, is_deceptive, serde_by_text};

pub use parameter::{PARAMETER_VARIABLE_PREFIX, ParameterName};
pub use path::AbsolutePath;
pub use version::PluginVersion;

/// Prefixes and words that Cloud Assistant keeps for itself in tags; a tag with one could not be shown by its API.
fn reserved_in_tags(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.starts_with("aliyun") || lower.starts_with("acs:") || lower.contains("http://") || lower.contains("https://")
}

fn plugin_name(text: &str) -> Result<(), &'static str> {
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ok = text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(rest);
    if ok { Ok(()) } else { Err("write 1-64 of a-z, 0-9 and `-`, a letter first") }
}

fn instance_name(text: &str) -> Result<(), &'static str> {
    // Wider than Cloud Assistant (2-128, a letter first): host names are names, and `7` is one.
    let rest = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
    let ok = text.chars().count() <= 128 && text.starts_with(char::is_alphanumeric) && text.chars().all(rest);
    if ok { Ok(()) } else { Err("write 1-128 letters, digits, `.`, `_`, `-` and `:`, a letter or digit first") }
}

fn tag_key(text: &str) -> Result<(), &'static str> {
    let bad = |c: char| is_deceptive(c) || c == '=' || c == ',';
    if text.is_empty() || text.chars().count() > 128 || text.contains(bad) || text.trim() != text {
        Err("write 1-128 characters without `=`, `,`, invisible characters and blanks at the ends")
    } else if reserved_in_tags(text) {
        Err("it must not start with `aliyun` or `acs:` nor contain `http://` or `https://`")
    } else {
        Ok(())
    }
}

fn tag_value(text: &str) -> Result<(), &'static str> {
    if text.chars().count() > 128 || text.contains(is_deceptive) || text.trim() != text {
        Err("write at most 128 characters without invisible characters and blanks at the ends")
    } else if reserved_in_tags(text) {
        Err("it must not start with `aliyun` or `acs:` nor contain `http://` or `https://`")
    } else {
        Ok(())
    }
}

fn user_name(text: &str) -> Result<(), &'static str> {
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.len() > 64 || !text.starts_with(first) || !text.chars().all(rest) || text.ends_with('.') {
        Err("write 1-64 of A-Z, a-z, 0-9, `.`, `_` and `-`, no `.` or `-` first, no `.` last")
    } else if text.bytes().all(|c| c.is_ascii_digit()) {
        // Programs such as chown(1) would take it for a user number.
        Err("it must not be a number: write the user's name")
    } else {
        Ok(())
    }
}

fn env_name(text: &str) -> Result<(), &'static str> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let rest = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let ok = text.len() <= 128 && text.starts_with(first) && text.chars().all(rest);
    if ok { Ok(()) } else { Err("write 1-128 of A-Z, a-z, 0-9 and `_`, no digit first") }
}

fn group_name(text: &str) -> Result<(), &'static str> {
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ok = text.len() <= 64 && !text.is_empty() && !text.starts_with('-') && text.chars().all(rest);
    if ok { Ok(()) } else { Err("write 1-64 of a-z, 0-9 and `-`, no `-` first") }
}

fn command_name(text: &str) -> Result<(), &'static str> {
    // Words for people: it never becomes part of a path or of a command line.
    if text.is_empty() || text.chars().count() > 128 || text.contains(is_deceptive) || text.trim() != text {
        Err("write 1-128 characters without invisible characters and blanks at the ends")
    } else {
        Ok(())
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident $check:ident $what:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                match $check(text) {
                    Ok(()) => Ok(Self(text.into())),
                    Err(why) => Err(ParseError::new($what, text, why)),
                }
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{:?}", &*self.0)
            }
        }

        serde_by_text!($name);
    )* };
}

names! {
    /// The name of a plugin: `[a-z][a-z0-9-]{0,63}`, so that it is a file name everywhere.
    PluginName plugin_name "plugin name";
    /// The name of an instance for people: 1-128 letters, digits, `.`, `_`, `-`, `:`. Not unique.
    ///
    /// Letters of every script are allowed; scripts get the name as text only where it is ASCII.
    InstanceName instance_name "instance name";
    /// The key of a tag: 1-128 characters, without what Cloud Assistant keeps for itself.
    TagKey tag_key "tag key";
    /// The value of a tag: 0-128 characters, without what Cloud Assistant keeps for itself.
    TagValue tag_value "tag value";
    /// The name of a user of an operating system: POSIX's portable set, which is safe on Windows too. At most 64 bytes.
    UserName user_name "user name";
    /// The name of a saved group of instances: `[a-z0-9][a-z0-9-]{0,63}`.
    GroupName group_name "group name";
    /// The name of a stored command: 1-128 characters on one line.
    CommandName command_name "command name";
    /// The name of an environment variable. At most 128 bytes.
    EnvName env_name "environment variable";
}

impl EnvName {
    /// A name of two parts of which the caller knows that they make one: a letter first, at most 128 bytes.
    pub(crate) fn from_parts(prefix: &str, rest: &str) -> Self {
        Self(format!("{prefix}{rest}").into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn good<T: FromStr<Err = ParseError> + fmt::Display>(texts: &[&str]) {
        for text in texts {
            assert_eq!(text.parse::<T>().map(|name| name.to_string()).as_deref(), Ok(*text));
        }
    }

    fn bad<T: FromStr<Err = ParseError> + serde::de::DeserializeOwned>(texts: &[&str]) {
        for text in texts {
            assert!(text.parse::<T>().is_err(), "{text:?}");
            assert!(serde_json::from_value::<T>((*text).into()).is_err(), "{text:?} by serde");
        }
    }

    #[test]
    fn plugin_names() {
        good::<PluginName>(&["a", "os-audit", "p2p"]);
        bad::<PluginName>(&["", "-a", "2p", "Os", "a_b", "a.b", "a/b", "é", "a ", &"a".repeat(65)]);
    }

    #[test]
    fn instance_names() {
        good::<InstanceName>(&["web-1", "7", "数据库", "a:b.c_d"]);
        bad::<InstanceName>(&["", "-a", "a b", "a\n", "a;reboot", "$(x)", &"a".repeat(129)]);
    }

    #[test]
    fn tags() {
        good::<TagKey>(&["env", "team name", "k8s.io/role"]);
        bad::<TagKey>(&["", " env", "a=b", "a,b", "Aliyun", "acs:x", "see http://x", &"a".repeat(129)]);
        good::<TagValue>(&["", "prod", "a=b"]);
        bad::<TagValue>(&["acs:", "ALIYUN", "https://x", "a\tb", "a "]);
    }

    #[test]
    fn users_and_variables() {
        good::<UserName>(&["root", "_apt", "www-data", "j.doe", "7up"]);
        bad::<UserName>(&["", "0", "1000", "-x", ".x", "x.", "a b", "a:b", "DOM\\u", "u@h", "a/b", &"a".repeat(65)]);
        good::<GroupName>(&["web", "7-up"]);
        bad::<GroupName>(&["", "-web", "Web", "a b", &"a".repeat(65)]);
        good::<CommandName>(&["Restart the shop", "数据库", &"é".repeat(128)]);
        bad::<CommandName>(&["", " a", "a\nb", "a\u{202e}b", &"a".repeat(129)]);
        good::<EnvName>(&["LANG", "_x", "a1"]);
        bad::<EnvName>(&["", "1A", "A=B", "A-B", "A B"]);
    }
}
