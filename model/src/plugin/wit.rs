//! Which version of the WIT package `orderly:plugin` something was made for.

use std::fmt;
use std::str::FromStr;

use crate::error::{ParseError, serde_by_text};

/// The versions that this release links, newest first.
pub const WIT_SUPPORTED: [&str; 1] = ["orderly:plugin@0.1.0"];

/// A version of `orderly:plugin`: `orderly:plugin@major.minor.patch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WitVersion {
    numbers: [u32; 3],
}

impl WitVersion {
    /// Major, minor and patch.
    pub fn numbers(self) -> [u32; 3] {
        self.numbers
    }

    /// Whether something made for `self` can be linked to an implementation of `implemented`: the same
    /// track (major, or minor while major is 0), and the implementation is not older.
    pub fn is_served_by(self, implemented: Self) -> bool {
        same_track(self.numbers, implemented.numbers) && self <= implemented
    }

    /// Whether this release can link it.
    pub fn is_supported(self) -> bool {
        let mut supported = WIT_SUPPORTED.iter().filter_map(|text| text.parse().ok());
        supported.any(|implemented| self.is_served_by(implemented))
    }
}

/// Whether two versions promise the same in SemVer's sense.
pub(super) fn same_track(left: [u32; 3], right: [u32; 3]) -> bool {
    match (left, right) {
        ([0, 0, left], [0, 0, right]) => left == right,
        ([0, left, _], [0, right, _]) => left == right,
        ([left, ..], [right, ..]) => left == right,
    }
}

/// Parses `major.minor.patch` without a pre-release, which no track takes in.
pub(super) fn numbers(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split('.').map(|part| {
        let plain =
            !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
        if plain { part.parse::<u32>().ok() } else { None }
    });
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

impl FromStr for WitVersion {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.strip_prefix("orderly:plugin@").and_then(numbers) {
            Some(numbers) => Ok(Self { numbers }),
            None => Err(ParseError::new("WIT version", text, "write `orderly:plugin@major.minor.patch`")),
        }
    }
}

impl fmt::Display for WitVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(out, "orderly:plugin@{major}.{minor}.{patch}")
    }
}

serde_by_text!(WitVersion);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wit(text: &str) -> WitVersion {
        format!("orderly:plugin@{text}").parse().unwrap()
    }

    #[test]
    fn tracks_are_semvers() {
        assert!(wit("0.1.0").is_supported());
        assert!(wit("0.1.0").is_served_by(wit("0.1.4")));
        assert!(!wit("0.1.4").is_served_by(wit("0.1.0")));
        assert!(!wit("0.1.0").is_served_by(wit("0.2.0")));
        assert!(wit("1.2.0").is_served_by(wit("1.9.1")));
        assert!(!wit("1.2.0").is_served_by(wit("2.2.0")));
        assert!(!wit("0.0.1").is_served_by(wit("0.0.2")));
        assert!(!wit("0.2.0").is_supported());
        for bad in [
            "orderly:plugin",
            "orderly:plugin@0.1",
            "orderly:plugin@0.1.0-rc.1",
            "orderly:plugin@00.1.0",
            "wasi:cli@0.2.0",
        ] {
            assert!(bad.parse::<WitVersion>().is_err(), "{bad}");
        }
    }
}
