//! Regular expressions that people write for a whole value. Owns anchoring and size; never
//! says what is matched. Matching takes time linear in the value's length (regex-lite).

use std::fmt;
use std::str::FromStr;

use regex_lite::Regex;

use crate::error::{ParseError, serde_by_text};
use crate::limits::PATTERN_MAX_BYTES;

/// A regular expression that the **whole** value must match. At most 256 bytes.
///
/// Two patterns are equal when their texts are: nothing here decides whether one matches all
/// that another does.
#[derive(Clone)]
pub struct Pattern {
    text: Box<str>,
    whole: Regex,
}

impl Pattern {
    /// The expression as it was written, without the anchors that are put around it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `value` matches.
    pub fn matches(&self, value: &str) -> bool {
        self.whole.is_match(value)
    }
}

impl FromStr for Pattern {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const WHAT: &str = "pattern";
        if text.len() > PATTERN_MAX_BYTES {
            return Err(ParseError::new(WHAT, text, format!("it is longer than {PATTERN_MAX_BYTES} bytes")));
        }
        // Alone first: `a)|(b` is wrong alone, but between our anchors it would match less than a whole value.
        let alone = Regex::new(text);
        match alone.and_then(|_| Regex::new(&format!(r"\A(?:{text})\z"))) {
            Ok(whole) => Ok(Self { text: text.into(), whole }),
            Err(error) => Err(ParseError::new(WHAT, text, error.to_string())),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", &*self.text)
    }
}

serde_by_text!(Pattern);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn matches_whole_values_only() {
        let pattern: Pattern = "a|ab".parse().unwrap();
        assert!(pattern.matches("a") && pattern.matches("ab"));
        for near in ["", "aab", "abc", "xa", "a\n", "\na", "a\nab"] {
            assert!(!pattern.matches(near), "{near:?}");
        }
        let lines: Pattern = "(?m)^a$".parse().unwrap();
        assert!(lines.matches("a") && !lines.matches("a\nb"));
    }

    #[test]
    fn refuses_what_would_escape_the_anchors() {
        for bad in ["a)|(?:b", "(", "[", "a{99999999}", "(?x)a #", &"a".repeat(257)] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
    }
}
