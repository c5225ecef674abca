//! Which container a script runs in. Owns the grammar of ids and names; finding the container is the agent's.

use std::fmt;
use std::str::FromStr;

use crate::error::{ParseError, serde_by_text};

/// Most bytes of a container's name, its runtime aside.
const NAME_MAX_BYTES: usize = 200;

/// What runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// `docker://`
    Docker,
    /// `containerd://`
    Containerd,
    /// `cri-o://`
    CriO,
}

impl Runtime {
    const ALL: [Self; 3] = [Self::Docker, Self::Containerd, Self::CriO];

    /// The prefix without `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
        }
    }

    /// The runtime that a text begins with, and the rest.
    fn split(text: &str) -> (Option<Self>, &str) {
        let prefixed = |runtime: Self| Some((Some(runtime), text.strip_prefix(runtime.as_str())?.strip_prefix("://")?));
        Self::ALL.into_iter().find_map(prefixed).unwrap_or((None, text))
    }
}

macro_rules! containers {
    ($($(#[$doc:meta])* $name:ident $check:ident $what:literal $why:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $name {
            runtime: Option<Runtime>,
            text: Box<str>,
        }

        impl $name {
            /// The runtime, where it is named.
            pub fn runtime(&self) -> Option<Runtime> {
                self.runtime
            }

            /// Without the runtime.
            pub fn as_str(&self) -> &str {
                &self.text
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                let (runtime, rest) = Runtime::split(text);
                let text = $check(rest).ok_or_else(|| ParseError::new($what, text, $why))?;
                Ok(Self { runtime, text: text.into() })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                if let Some(runtime) = self.runtime {
                    write!(out, "{}://", runtime.as_str())?;
                }
                out.write_str(&self.text)
            }
        }

        serde_by_text!($name);
    )* };
}

containers! {
    /// The id of a container: 64 hexadecimal digits (kept in small letters), after `docker://`, `containerd://`, `cri-o://` or
    /// nothing.
    ContainerId id "container id"
        "write 64 hexadecimal digits, with `docker://`, `containerd://` or `cri-o://` before them where the runtime matters";
    /// The name of a container: a letter or digit, then letters, digits, `_`, `.` and `-`, 2-200 in all, after a runtime or
    /// nothing. A `/` before it, as Docker shows it, is taken away.
    ContainerName name "container name"
        "write 2-200 of A-Z, a-z, 0-9, `_`, `.` and `-`, a letter or digit first, with `docker://`, `containerd://` or `cri-o://` before them where the runtime matters";
}

fn id(text: &str) -> Option<String> {
    let fits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| text.to_ascii_lowercase())
}

fn name(text: &str) -> Option<String> {
    let text = text.strip_prefix('/').unwrap_or(text);
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let fits = (2..=NAME_MAX_BYTES).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(rest);
    fits.then(|| text.to_owned())
}

/// A container by its id, by its name, or by both, which must then agree.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ContainerRef {
    /// By id.
    Id(ContainerId),
    /// By name.
    Name(ContainerName),
    /// By both.
    Both(ContainerId, ContainerName),
}

impl ContainerRef {
    /// The id, where there is one.
    pub fn id(&self) -> Option<&ContainerId> {
        match self {
            Self::Id(id) | Self::Both(id, _) => Some(id),
            Self::Name(_) => None,
        }
    }

    /// The name, where there is one.
    pub fn name(&self) -> Option<&ContainerName> {
        match self {
            Self::Name(name) | Self::Both(_, name) => Some(name),
            Self::Id(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_are_64_digits_after_a_runtime_or_nothing() {
        let digits = "0123456789abcdef".repeat(4);
        for prefix in ["", "docker://", "containerd://", "cri-o://"] {
            let id: ContainerId = format!("{prefix}{}", digits.to_uppercase()).parse().unwrap();
            assert_eq!(id.to_string(), format!("{prefix}{digits}"));
            assert_eq!(id.as_str(), digits);
        }
        let bad = [String::new(), digits[1..].to_owned(), format!("{digits}0"), format!("podman://{digits}")];
        for bad in bad.into_iter().chain([format!("docker:/{digits}"), digits.replace('a', "g"), format!("/{digits}")])
        {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_dockers_after_a_runtime_or_nothing() {
        assert_eq!("/web_1.a-b".parse::<ContainerName>().unwrap().to_string(), "web_1.a-b");
        let name: ContainerName = "containerd://web".parse().unwrap();
        assert_eq!((name.runtime(), name.as_str()), (Some(Runtime::Containerd), "web"));
        assert!("x".repeat(NAME_MAX_BYTES).parse::<ContainerName>().is_ok());
        for bad in ["", "a", "-web", "//web", "a b", "a;b", "a/b", "docker://", "é2", &"x".repeat(NAME_MAX_BYTES + 1)]
        {
            assert!(bad.parse::<ContainerName>().is_err(), "{bad}");
        }
    }
}
