//! What an agent says that its instance is. Owns the shape and the caps of these facts; they are
//! claims of the agent and no policy may rely on them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{ParseError, serde_by_text};

/// Most bytes of one text among the facts.
pub const FACT_TEXT_MAX_BYTES: usize = 255;
/// Most entries of `os_release`, and of `wit`.
pub const FACT_ENTRIES_MAX: usize = 64;

/// The operating systems that agents run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// Linux, of any distribution.
    Linux,
    /// Windows.
    Windows,
    /// FreeBSD.
    FreeBsd,
}

impl Platform {
    /// As documents and plugins have it: `linux`, `windows`, `freebsd`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Windows => "windows",
            Self::FreeBsd => "freebsd",
        }
    }
}

impl FromStr for Platform {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "linux" => Ok(Self::Linux),
            "windows" => Ok(Self::Windows),
            "freebsd" => Ok(Self::FreeBsd),
            _ => Err(ParseError::new("platform", text, "write `linux`, `windows` or `freebsd`")),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

serde_by_text!(Platform);

/// What an instance is, as its agent says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The host name.
    pub hostname: String,
    /// `x86_64`, `aarch64`, …
    pub architecture: String,
    /// The operating system.
    pub system: Platform,
    /// As `uname -r` prints it.
    pub kernel: String,
    /// Names and values of os-release(5), in the file's order.
    pub os_release: Vec<(String, String)>,
    /// The agent's version.
    pub agent_version: String,
    /// The WIT versions that the agent can link: `orderly:plugin@0.1.0`.
    pub wit: Vec<String>,
    /// What the kernel gives to box plugins in.
    pub sandbox: Sandbox,
}

impl Facts {
    /// Checks the caps: texts of at most 255 bytes without control characters, lists of at most 64 entries.
    ///
    /// # Errors
    /// Names the first fact that is over.
    pub fn check(&self) -> Result<(), ParseError> {
        if self.os_release.len() > FACT_ENTRIES_MAX || self.wit.len() > FACT_ENTRIES_MAX {
            return Err(ParseError::new(
                "facts",
                &self.hostname,
                format!("a list has more than {FACT_ENTRIES_MAX} entries"),
            ));
        }
        let single = [&self.hostname, &self.architecture, &self.kernel, &self.agent_version];
        let pairs = self.os_release.iter().flat_map(|(name, value)| [name, value]);
        for text in single.into_iter().chain(pairs).chain(&self.wit) {
            if text.len() > FACT_TEXT_MAX_BYTES || text.contains(char::is_control) {
                let why = format!("a fact is at most {FACT_TEXT_MAX_BYTES} bytes without control characters");
                return Err(ParseError::new("fact", text, why));
            }
        }
        Ok(())
    }

    /// The value of `name` in os-release(5).
    pub fn os_release_value(&self, name: &str) -> Option<&str> {
        self.os_release.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The parts of the box that an agent can put around a plugin's process.
///
/// The component's own sandbox is always there; these are the second line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    /// The kernel's Landlock ABI; 0 where there is none.
    pub landlock_abi: u32,
    /// Whether system calls can be filtered.
    pub seccomp: bool,
    /// Whether plugins run as a user of their own, not as the agent's.
    pub own_user: bool,
    /// Whether tasks get a control group of their own, by which their whole tree is ended.
    pub cgroup: bool,
}

/// How much of the box there is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxLevel {
    /// The component's own sandbox only.
    ComponentOnly,
    /// Some of Landlock and seccomp.
    Partial,
    /// Landlock and seccomp: what `require_sandbox` insists on.
    Full,
}

impl Sandbox {
    /// How much of the box there is.
    pub fn level(&self) -> SandboxLevel {
        match (self.landlock_abi > 0, self.seccomp) {
            (true, true) => SandboxLevel::Full,
            (false, false) => SandboxLevel::ComponentOnly,
            _ => SandboxLevel::Partial,
        }
    }

    /// What is not there of what `require_sandbox` insists on, for people.
    pub fn missing(&self) -> Vec<&'static str> {
        let landlock = (self.landlock_abi == 0).then_some("Landlock");
        let seccomp = (!self.seccomp).then_some("seccomp");
        landlock.into_iter().chain(seccomp).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn facts() -> Facts {
        Facts {
            hostname: "web-1".into(),
            architecture: "x86_64".into(),
            system: Platform::Linux,
            kernel: "6.1.0".into(),
            os_release: vec![("ID".into(), "debian".into())],
            agent_version: "0.1.0".into(),
            wit: vec!["orderly:plugin@0.1.0".into()],
            sandbox: Sandbox { landlock_abi: 4, seccomp: true, own_user: true, cgroup: false },
        }
    }

    #[test]
    fn caps_are_checked() {
        assert_eq!(facts().check(), Ok(()));
        assert_eq!(facts().os_release_value("ID"), Some("debian"));
        let long = Facts { kernel: "x".repeat(256), ..facts() };
        let control = Facts { hostname: "a\u{1b}[2J".into(), ..facts() };
        let many = Facts { os_release: vec![(String::new(), String::new()); 65], ..facts() };
        for bad in [long, control, many] {
            assert!(bad.check().is_err());
        }
    }

    #[test]
    fn round_trips_by_serde() {
        let json = serde_json::to_string(&facts()).unwrap();
        assert!(json.contains("\"system\":\"linux\""));
        assert_eq!(serde_json::from_str::<Facts>(&json).unwrap(), facts());
    }

    #[test]
    fn names_what_the_box_lacks() {
        assert_eq!(facts().sandbox.level(), SandboxLevel::Full);
        assert_eq!(Sandbox::default().level(), SandboxLevel::ComponentOnly);
        assert_eq!(Sandbox::default().missing(), ["Landlock", "seccomp"]);
        assert_eq!(Sandbox { seccomp: true, ..Sandbox::default() }.level(), SandboxLevel::Partial);
    }
}
