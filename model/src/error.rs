//! What is said of a text that is not what it should be, and the one door by which such texts
//! come in from serde. Owns no rule itself: the types that parse own theirs.

use std::fmt;

/// Most characters of a refused text that an error repeats.
const SHOWN_MAX_CHARS: usize = 80;

/// A text that does not parse as what it should be.
///
/// Display says what was expected, the text (cut at 80 characters, control characters
/// escaped, so that it can go to a terminal) and why it was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {}: {why}", Shown(.text))]
pub struct ParseError {
    what: &'static str,
    text: String,
    why: String,
}

impl ParseError {
    /// Makes an error that says `text` is no `what` because of `why`.
    pub(crate) fn new(what: &'static str, text: &str, why: impl Into<String>) -> Self {
        // One character more than is shown, so that the display knows that it cuts.
        let text = text.chars().take(SHOWN_MAX_CHARS + 1).collect();
        Self { what, text, why: why.into() }
    }

    /// What was expected, as people say it: `plugin name`.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// Why the text was refused, and where there is one, how to mend it.
    pub fn why(&self) -> &str {
        &self.why
    }
}

/// Whether a character shows as something else than it is, or not at all: control characters, and those that
/// turn or hide what is around them. What people approve must not contain any.
pub(crate) fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A text from outside as it may be printed: quoted, cut, control characters escaped.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("`")?;
        for (count, character) in self.0.chars().enumerate() {
            if count == SHOWN_MAX_CHARS {
                out.write_str("…")?;
                break;
            }
            if is_deceptive(character) {
                write!(out, "{}", character.escape_default())?;
            } else {
                write!(out, "{character}")?;
            }
        }
        out.write_str("`")
    }
}

/// A place in a text that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// Where a text starts.
    pub const START: Self = Self { line: 1, column: 1 };

    /// The place of a byte offset; of the end where it is past it.
    pub fn of(text: &str, offset: usize) -> Self {
        Self::START.after(text.get(..offset).unwrap_or(text))
    }

    /// The place right after `text`, which starts here.
    pub(crate) fn after(self, text: &str) -> Self {
        match text.rfind('\n') {
            None => Self { line: self.line, column: self.column + text.chars().count() },
            Some(newline) => Self {
                line: self.line + text.matches('\n').count(),
                column: 1 + text.get(newline + 1..).unwrap_or_default().chars().count(),
            },
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "line {}, column {}", self.line, self.column)
    }
}

/// Serialises by `Display` and deserialises by `FromStr`, so that serde has no second door.
macro_rules! serde_by_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_by_text;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let text = "é{{\n\nab";
        assert_eq!(Position::of(text, 2), Position { line: 1, column: 2 });
        assert_eq!(Position::of(text, 6), Position { line: 3, column: 1 });
        assert_eq!(Position::of(text, 99).to_string(), "line 3, column 3");
    }

    #[test]
    fn says_what_where_and_why_and_stays_printable() {
        let error = ParseError::new("plugin name", "a\u{1b}[31m\u{202e}", "use letters");
        assert_eq!(error.to_string(), "plugin name `a\\u{1b}[31m\\u{202e}`: use letters");
        let long = ParseError::new("name", &"x".repeat(1000), "too long");
        assert_eq!(long.to_string(), format!("name `{}…`: too long", "x".repeat(80)));
    }
}
