//! Which instances a request means by their tags. Owns parsing and matching; the store asks
//! the same question in SQL.

mod expression;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::error::ParseError;
use crate::limits::TAGS_MAX;
use crate::name::{TagKey, TagValue};

pub use expression::{SELECTOR_DEPTH_MAX, SELECTOR_MAX_BYTES, SELECTOR_TESTS_MAX, Selector, SelectorError, Term};

/// The tags of an instance.
pub type Tags = BTreeMap<TagKey, TagValue>;

/// One `key=value`.
///
/// # Errors
/// Where there is no `=`, or key or value is not allowed. The text is cut at the first `=`.
pub fn parse_tag(text: &str) -> Result<(TagKey, TagValue), ParseError> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.parse()?, value.parse()?)),
        None => Err(ParseError::new("tag", text, "write `key=value`")),
    }
}

/// Instances that have **all** of some tags. Never empty: a selector that selects everything by accident is no selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagSelector {
    all: Vec<(TagKey, TagValue)>,
}

impl TagSelector {
    /// Makes a selector from 1-20 tags with distinct keys.
    ///
    /// # Errors
    /// Where there is none, too many, or two values are asked for one key (no instance could have both).
    pub fn new(tags: impl IntoIterator<Item = (TagKey, TagValue)>) -> Result<Self, ParseError> {
        const WHAT: &str = "tag selector";
        let mut all: Vec<_> = tags.into_iter().collect();
        all.sort();
        all.dedup();
        if all.is_empty() {
            return Err(ParseError::new(WHAT, "", "name at least one `key=value`"));
        }
        if all.len() > TAGS_MAX {
            return Err(ParseError::new(WHAT, "", format!("name at most {TAGS_MAX} tags")));
        }
        for pair in all.windows(2) {
            if let [(first, _), (second, _)] = pair
                && first == second
            {
                return Err(ParseError::new(WHAT, first.as_str(), "no instance has two values of one tag"));
            }
        }
        Ok(Self { all })
    }

    /// Makes a selector from texts `key=value`.
    ///
    /// # Errors
    /// As [`parse_tag`] and [`TagSelector::new`] say.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ParseError> {
        let tags: Result<Vec<_>, _> = texts.into_iter().map(parse_tag).collect();
        Self::new(tags?)
    }

    /// The tags that an instance must have, sorted by key.
    pub fn all(&self) -> &[(TagKey, TagValue)] {
        &self.all
    }

    /// Whether an instance with these tags is meant.
    pub fn matches(&self, tags: &Tags) -> bool {
        self.all.iter().all(|(key, value)| tags.get(key) == Some(value))
    }
}

impl FromStr for TagSelector {
    type Err = ParseError;

    /// Parses `key=value,key=value`. Values with commas need [`TagSelector::parse`].
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text.split(','))
    }
}

impl fmt::Display for TagSelector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.all.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(out, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tags(texts: &[&str]) -> Tags {
        texts.iter().map(|text| parse_tag(text).unwrap()).collect()
    }

    #[test]
    fn all_tags_must_match() {
        let selector = TagSelector::parse(["env=prod", "role=db"]).unwrap();
        assert!(selector.matches(&tags(&["role=db", "env=prod", "x=y"])));
        assert!(!selector.matches(&tags(&["env=prod"])));
        assert!(!selector.matches(&tags(&["env=prod", "role=dbx"])));
        assert!(!selector.matches(&Tags::new()));
        assert_eq!(selector.to_string().parse::<TagSelector>().unwrap(), selector);
    }

    #[test]
    fn refuses_what_selects_all_or_nothing() {
        assert!(TagSelector::parse([]).is_err());
        assert!("".parse::<TagSelector>().is_err());
        assert!(TagSelector::parse(["env"]).is_err());
        assert!(TagSelector::parse(["=prod"]).is_err());
        assert!(TagSelector::parse(["env=a", "env=b"]).is_err());
        assert_eq!(TagSelector::parse(["env=a", "env=a"]).unwrap().all().len(), 1);
        let many: Vec<String> = (0..21).map(|n| format!("k{n}=v")).collect();
        assert!(TagSelector::parse(many.iter().map(String::as_str)).is_err());
        assert_eq!(parse_tag("a=b=c").unwrap().1.as_str(), "b=c");
    }
}
