//! Selectors that people write: `env=prod and (role in (web,api) or not zone=cn)`. Owns their grammar, which is total and
//! bounded, and what they match.
//!
//! ```text
//! any  = all ("or" all)*
//! all  = term ("and" term)*
//! term = "not" term | "(" any ")" | word "=" word | word "!=" word | word "in" "(" word ("," word)* ")"
//! word = one or more characters other than blanks and ( ) = ! , "     `and`, `or`, `not`, `in` only in quotes
//!      | `"` any characters, with \" and \\ for the two `"`
//! ```
//!
//! A tag that an instance does not have is equal to nothing: `zone=cn` and `zone in (cn)` do not match it, `zone!=cn` and
//! `not zone=cn` do.

use std::fmt;
use std::str::FromStr;

use super::Tags;
use crate::error::{Position, Shown, serde_by_text};
use crate::name::{TagKey, TagValue};

mod parse;

/// Most bytes of a selector, as it is written and as it is shown.
pub const SELECTOR_MAX_BYTES: usize = 4 * 1024;
/// Most values that a selector compares with.
pub const SELECTOR_TESTS_MAX: usize = 100;
/// How deep `not` and parentheses may be in one another.
pub const SELECTOR_DEPTH_MAX: usize = 16;

/// Which instances are meant, by their tags. Two selectors are equal where they are written alike, blanks and needless
/// parentheses and quotes aside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector(Term);

/// A part of a selector.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Term {
    /// All of them match; at least two.
    All(Vec<Term>),
    /// One of them matches; at least two.
    Any(Vec<Term>),
    /// It does not match.
    Not(Box<Term>),
    /// The tag has this value.
    Is(TagKey, TagValue),
    /// The tag has not this value, or there is no such tag.
    IsNot(TagKey, TagValue),
    /// The tag has one of these values; at least one.
    In(TagKey, Vec<TagValue>),
}

/// A text that is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("selector {}: column {}: {why}", Shown(.text), .at.column)]
pub struct SelectorError {
    text: String,
    /// Where it goes wrong. Selectors are one line, as far as blanks are concerned.
    pub at: Position,
    /// What was expected there.
    pub why: String,
}

impl Selector {
    /// The selector's parts, for whoever asks the same of a database.
    pub fn term(&self) -> &Term {
        &self.0
    }

    /// Whether an instance with these tags is meant.
    pub fn matches(&self, tags: &Tags) -> bool {
        self.0.matches(tags)
    }
}

impl Term {
    fn matches(&self, tags: &Tags) -> bool {
        match self {
            Self::All(terms) => terms.iter().all(|term| term.matches(tags)),
            Self::Any(terms) => terms.iter().any(|term| term.matches(tags)),
            Self::Not(term) => !term.matches(tags),
            Self::Is(key, value) => tags.get(key) == Some(value),
            Self::IsNot(key, value) => tags.get(key) != Some(value),
            Self::In(key, values) => tags.get(key).is_some_and(|value| values.contains(value)),
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let refuse = |offset: usize, why: String| {
            let column = text.get(..offset).unwrap_or(text).chars().count() + 1;
            let text = text.chars().take(100).collect();
            SelectorError { text, at: Position { line: 1, column }, why }
        };
        let too_long = || refuse(SELECTOR_MAX_BYTES, format!("it is longer than {SELECTOR_MAX_BYTES} bytes"));
        if text.len() > SELECTOR_MAX_BYTES {
            return Err(too_long());
        }
        let selector = parse::selector(text).map(Self).map_err(|fault| refuse(fault.offset, fault.why))?;
        // A few blanks more than were written: what is shown must be a selector too.
        if selector.to_string().len() > SELECTOR_MAX_BYTES {
            return Err(too_long());
        }
        Ok(selector)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// A word as it must be written.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if parse::is_bare(self.0) {
            return out.write_str(self.0);
        }
        write!(out, "\"{}\"", self.0.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

fn joined(
    out: &mut fmt::Formatter<'_>,
    terms: &[Term],
    word: &str,
    needs_parentheses: fn(&Term) -> bool,
) -> fmt::Result {
    for (index, term) in terms.iter().enumerate() {
        if index > 0 {
            out.write_str(word)?;
        }
        if needs_parentheses(term) { write!(out, "({term})")? } else { write!(out, "{term}")? }
    }
    Ok(())
}

impl fmt::Display for Term {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(terms) => joined(out, terms, " and ", |term| matches!(term, Self::All(_) | Self::Any(_))),
            Self::Any(terms) => joined(out, terms, " or ", |term| matches!(term, Self::Any(_))),
            Self::Not(term) if matches!(**term, Self::All(_) | Self::Any(_)) => write!(out, "not ({term})"),
            Self::Not(term) => write!(out, "not {term}"),
            Self::Is(key, value) => write!(out, "{}={}", Word(key.as_str()), Word(value.as_str())),
            Self::IsNot(key, value) => write!(out, "{}!={}", Word(key.as_str()), Word(value.as_str())),
            Self::In(key, values) => {
                let values: Vec<String> = values.iter().map(|value| Word(value.as_str()).to_string()).collect();
                write!(out, "{} in ({})", Word(key.as_str()), values.join(","))
            }
        }
    }
}

serde_by_text!(Selector);

#[cfg(test)]
mod tests;
