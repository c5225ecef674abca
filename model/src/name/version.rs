//! Versions of plugins: SemVer 2.0.0 without build metadata. Owns parsing and precedence only.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::error::{ParseError, serde_by_text};

/// `major.minor.patch` with an optional `-pre.release`, ordered as SemVer 2.0.0 says (rule 11). At most 64 bytes.
///
/// Build metadata (`+…`) is refused: two versions of the same precedence would be two plugins of one version.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PluginVersion {
    text: Box<str>,
    numbers: [u64; 3],
}

impl PluginVersion {
    /// The version as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Major, minor and patch.
    pub fn numbers(&self) -> [u64; 3] {
        self.numbers
    }

    /// The part after the hyphen, nothing for a release.
    pub fn pre_release(&self) -> Option<&str> {
        self.text.split_once('-').map(|(_, pre)| pre)
    }
}

/// A number without leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn identifier(text: &str) -> bool {
    let digits = text.bytes().all(|c| c.is_ascii_digit());
    let known = text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    !text.is_empty() && known && (!digits || number(text).is_some())
}

impl FromStr for PluginVersion {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parsed = || {
            let (core, pre) = match text.split_once('-') {
                Some((core, pre)) => (core, Some(pre)),
                None => (text, None),
            };
            let mut parts = core.split('.');
            let numbers = [number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?];
            let rest_is_good = parts.next().is_none() && pre.is_none_or(|pre| pre.split('.').all(identifier));
            (rest_is_good && text.len() <= 64).then_some(numbers)
        };
        match parsed() {
            Some(numbers) => Ok(Self { text: text.into(), numbers }),
            None => Err(ParseError::new(
                "plugin version",
                text,
                "write `major.minor.patch`, as `1.4.0` or `1.4.0-rc.1`, without leading zeros and `+`",
            )),
        }
    }
}

fn compare_identifiers(left: &str, right: &str) -> Ordering {
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

fn compare_pre(left: Option<&str>, right: Option<&str>) -> Ordering {
    match (left, right) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(left), Some(right)) => {
            let (mut left, mut right) = (left.split('.'), right.split('.'));
            loop {
                match (left.next(), right.next()) {
                    (None, None) => return Ordering::Equal,
                    (None, Some(_)) => return Ordering::Less,
                    (Some(_), None) => return Ordering::Greater,
                    (Some(a), Some(b)) => match compare_identifiers(a, b) {
                        Ordering::Equal => {}
                        unequal => return unequal,
                    },
                }
            }
        }
    }
}

impl Ord for PluginVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| compare_pre(self.pre_release(), other.pre_release()))
    }
}

impl PartialOrd for PluginVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for PluginVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.text)
    }
}

impl fmt::Debug for PluginVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", &*self.text)
    }
}

serde_by_text!(PluginVersion);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn version(text: &str) -> PluginVersion {
        text.parse().unwrap()
    }

    #[test]
    fn orders_as_semver_says() {
        // The example of SemVer 2.0.0, rule 11.
        let sorted = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.2.0",
            "1.10.0",
            "2.0.0",
        ];
        for pair in sorted.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn equal_order_means_equal_text() {
        // A number that does not fit in 64 bits would compare as letters: refused.
        assert!("1.0.0-99999999999999999999".parse::<PluginVersion>().is_err());
        assert_eq!(version("1.0.0-a").cmp(&version("1.0.0-a")), Ordering::Equal);
    }

    #[test]
    fn refuses_what_is_no_version() {
        for bad in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.2.3-",
            "1.2.3-01",
            "1.2.3-a..b",
            "1.2.3+b",
            "v1.2.3",
            "1.2.x",
            "1.2.3-é",
            "+1.2.3",
        ] {
            assert!(bad.parse::<PluginVersion>().is_err(), "{bad}");
        }
        assert_eq!(version("1.2.3-rc.1").pre_release(), Some("rc.1"));
        assert_eq!(version("1.2.3").numbers(), [1, 2, 3]);
    }
}
