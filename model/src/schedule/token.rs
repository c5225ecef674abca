//! A piece of a frequency's text that knows where it stands, and what is said where it is wrong.
//!
//! Owns positions (characters from 1, as an editor counts) and the one rule for numbers. Knows no field.

use std::fmt;

use crate::error::Shown;

/// A piece of the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// Characters before it in the whole text.
    before: usize,
}

/// What is wrong with a piece.
#[derive(Debug)]
pub(super) struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl<'a> Token<'a> {
    /// All of the text, without blanks around it.
    pub(super) fn whole(text: &'a str) -> Self {
        Self { text, before: 0 }.trimmed()
    }

    /// What stands between `open` and the closing bracket at the end; nothing where it does not begin with `open`.
    pub(super) fn inside(&self, open: &str) -> Option<Result<Self, Fault>> {
        let rest = self.text.strip_prefix(open)?;
        let inner = Self { text: rest, before: self.before + open.chars().count() };
        Some(match rest.strip_suffix(')') {
            Some(text) => Ok(Self { text, ..inner }),
            None => Err(inner.fault(open, "end it with `)`")),
        })
    }

    /// The pieces between blanks.
    pub(super) fn words(self) -> Vec<Self> {
        self.split(|character| character == ' ' || character == '\t').filter(|word| !word.text.is_empty()).collect()
    }

    /// The pieces between commas; at least one, any may be empty.
    pub(super) fn list(self) -> impl Iterator<Item = Self> {
        self.split(|character| character == ',')
    }

    /// What stands before and after the first `mark`.
    pub(super) fn cut(self, mark: char) -> Option<(Self, Self)> {
        let (left, right) = self.text.split_once(mark)?;
        Some((Self { text: left, ..self }, Self { text: right, before: self.before + left.chars().count() + 1 }))
    }

    /// The piece without `suffix`, where it ends with it.
    pub(super) fn without_suffix(self, suffix: char) -> Option<Self> {
        Some(Self { text: self.text.strip_suffix([suffix, suffix.to_ascii_lowercase()])?, ..self })
    }

    /// Says that this piece is wrong as `field`, and how to mend it.
    pub(super) fn fault(&self, field: &str, mend: impl fmt::Display) -> Fault {
        if self.text.is_empty() {
            return Fault(format!("{field} is empty at character {}: {mend}", self.before + 1));
        }
        Fault(format!("{field} {} at character {}: {mend}", Shown(self.text), self.before + 1))
    }

    /// The number that it is, with at most one leading zero; nothing where it is none or has more than five digits.
    pub(super) fn number(&self) -> Option<u32> {
        let digits = match self.text.strip_prefix('0') {
            Some("") | None => self.text,
            Some(rest) if rest.len() > 1 && rest.starts_with('0') => return None,
            Some(rest) => rest,
        };
        let plain = (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    }

    fn trimmed(self) -> Self {
        let text = self.text.trim_start_matches([' ', '\t']);
        let before = self.before + self.text.len() - text.len();
        Self { text: text.trim_end_matches([' ', '\t']), before }
    }

    fn split(self, separator: impl Fn(char) -> bool) -> impl Iterator<Item = Self> {
        let mut before = self.before;
        self.text.split(separator).map(move |text| {
            let token = Self { text, before };
            before += text.chars().count() + 1;
            token
        })
    }
}
