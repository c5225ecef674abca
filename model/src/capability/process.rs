//! `process`: programs that a plugin may have the agent start. Owns what a rule names; the agent
//! opens and checks the file, and starts it without a shell.

use std::fmt;
use std::str::FromStr;

use super::RunAs;
use crate::error::{ParseError, is_deceptive, serde_by_text};
use crate::limits::ARGUMENTS_MAX;
use crate::name::AbsolutePath;
use crate::pattern::Pattern;

/// A program with the arguments that it may get.
///
/// `arguments` has one regular expression per position, each for the **whole** argument; the
/// number of arguments must be the same. Where the last entry is `"..."`, the one before it may
/// stand for one or more arguments. An empty list means no arguments at all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessRule {
    /// The program's file, as it is after links are resolved.
    pub executable: AbsolutePath,
    /// What the arguments must match, without argument zero.
    pub arguments: Vec<ArgumentPattern>,
    /// The user to run as.
    pub user: RunAs,
    /// Whether the program may be an interpreter (a shell, `env`, Python, …), which makes of its arguments whatever it likes.
    pub interpreter: bool,
}

/// One entry of a rule's arguments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArgumentPattern {
    /// One argument, which the whole of this must match.
    One(Pattern),
    /// `...`: the entry before may stand for more than one argument. Last, and never first.
    Repeat,
}

impl ProcessRule {
    /// Whether the entries stand in an order that means something; the reason where not.
    ///
    /// # Errors
    /// Where `...` is first or not last, there are more than 64 entries, or the path has characters that cannot be seen.
    pub fn check(&self) -> Result<(), &'static str> {
        let repeat = self.arguments.iter().position(|entry| *entry == ArgumentPattern::Repeat);
        match repeat {
            // What is approved is shown to people.
            _ if self.executable.as_str().contains(is_deceptive) => Err("the path has characters that cannot be seen"),
            _ if self.arguments.len() > ARGUMENTS_MAX => Err("name at most 64 arguments"),
            Some(0) => Err("`...` repeats the entry before it: there is none"),
            Some(place) if place + 1 != self.arguments.len() => Err("`...` must be the last entry"),
            _ => Ok(()),
        }
    }

    /// Whether this program may start with these arguments (without argument zero).
    pub fn allows(&self, executable: &AbsolutePath, arguments: &[&str]) -> bool {
        if self.executable != *executable || self.check().is_err() || arguments.len() > ARGUMENTS_MAX {
            return false;
        }
        let repeats = self.arguments.last() == Some(&ArgumentPattern::Repeat);
        let patterns: Vec<&Pattern> = self.arguments.iter().filter_map(ArgumentPattern::pattern).collect();
        let count_fits = if repeats { arguments.len() >= patterns.len() } else { arguments.len() == patterns.len() };
        let Some(last) = patterns.last() else {
            return arguments.is_empty();
        };
        count_fits
            && arguments
                .iter()
                .enumerate()
                .all(|(place, argument)| patterns.get(place).unwrap_or(last).matches(argument))
    }

    /// Whether this rule, alone, lets everything start that `other` does.
    ///
    /// Arguments are compared as texts: whether one regular expression takes in another is not
    /// decided, so what is approved must be what was asked.
    pub fn covers(&self, other: &Self) -> bool {
        self.executable == other.executable
            && self.arguments == other.arguments
            && self.user.covers(&other.user)
            && (self.interpreter || !other.interpreter)
    }
}

impl fmt::Display for ProcessRule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.executable)?;
        for argument in &self.arguments {
            write!(out, " {argument}")?;
        }
        if self.user != RunAs::Unprivileged {
            write!(out, " as {}", self.user)?;
        }
        if self.interpreter {
            write!(out, " (an interpreter)")?;
        }
        Ok(())
    }
}

impl ArgumentPattern {
    /// The expression, nothing for `...`.
    pub fn pattern(&self) -> Option<&Pattern> {
        match self {
            Self::One(pattern) => Some(pattern),
            Self::Repeat => None,
        }
    }
}

impl FromStr for ArgumentPattern {
    type Err = ParseError;

    /// Parses `...` or a regular expression. An argument of three dots is written `\.\.\.`.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text == "..." {
            return Ok(Self::Repeat);
        }
        if text.contains(is_deceptive) {
            // What is approved is shown to people.
            return Err(ParseError::new("argument", text, "write characters that cannot be seen as escapes, as `\\n`"));
        }
        text.parse().map(Self::One)
    }
}

impl fmt::Display for ArgumentPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(pattern) => write!(out, "{pattern}"),
            Self::Repeat => write!(out, "..."),
        }
    }
}

serde_by_text!(ArgumentPattern);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rule(arguments: &[&str]) -> ProcessRule {
        ProcessRule {
            executable: "/usr/bin/id".parse().unwrap(),
            arguments: arguments.iter().map(|text| text.parse().unwrap()).collect(),
            user: RunAs::Unprivileged,
            interpreter: false,
        }
    }

    fn allows(rule: &ProcessRule, arguments: &[&str]) -> bool {
        rule.allows(&"/usr/bin/id".parse().unwrap(), arguments)
    }

    #[test]
    fn each_position_must_match_whole() {
        assert!(allows(&rule(&[]), &[]));
        assert!(!allows(&rule(&[]), &["-u"]));
        let one = rule(&["-u"]);
        assert!(allows(&one, &["-u"]));
        for near in [&[][..], &["-ux"], &["x-u"], &["-u", "-u"], &["-u\n"], &["-U"]] {
            assert!(!allows(&one, near), "{near:?}");
        }
        assert!(!one.allows(&"/usr/bin/idx".parse().unwrap(), &["-u"]));
        assert!(!one.allows(&"/bin/id".parse().unwrap(), &["-u"]));
    }

    #[test]
    fn the_last_may_be_repeated() {
        let many = rule(&["-n", "[a-z]+", "..."]);
        assert!(allows(&many, &["-n", "a"]));
        assert!(allows(&many, &["-n", "a", "b", "c"]));
        for near in [&["-n"][..], &["-n", "a", "B"], &["a", "b"], &["-n", "a", "..."]] {
            assert!(!allows(&many, near), "{near:?}");
        }
        for wrong in [&["..."][..], &["a", "...", "b"], &["a", "...", "..."]] {
            assert!(rule(wrong).check().is_err() && !allows(&rule(wrong), &["a"]), "{wrong:?}");
        }
        assert!(allows(&rule(&["\\.\\.\\."]), &["..."]));
        let flood: Vec<&str> = std::iter::once("-n").chain(std::iter::repeat_n("a", 64)).collect();
        assert!(!allows(&many, &flood));
    }

    #[test]
    fn covers_in_every_field() {
        let approved = rule(&["-u"]);
        assert!(approved.covers(&approved));
        assert!(!approved.covers(&rule(&[])));
        assert!(!approved.covers(&rule(&["-u", "..."])));
        assert!(!approved.covers(&ProcessRule { user: RunAs::Root, ..approved.clone() }));
        assert!(!approved.covers(&ProcessRule { interpreter: true, ..approved.clone() }));
        assert!(!approved.covers(&ProcessRule { executable: "/bin/sh".parse().unwrap(), ..approved.clone() }));
        let hidden = ProcessRule { executable: "/usr/bin/i\u{200b}d".parse().unwrap(), ..approved.clone() };
        assert!(hidden.check().is_err() && "a\u{202e}".parse::<ArgumentPattern>().is_err());
        let root = ProcessRule { user: RunAs::Root, interpreter: true, ..approved.clone() };
        assert!(root.covers(&approved));
        assert_eq!(root.to_string(), "/usr/bin/id -u as root (an interpreter)");
    }
}
