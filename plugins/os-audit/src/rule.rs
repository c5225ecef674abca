//! One rule: what it is called, how bad its failure is, and the check.
//!
//! Owns the shape of a rule and of its answer. Never reads anything itself.

use orderly_plugin::{Finding, Severity};

use crate::system::System;

/// Lines of evidence that a finding shows; the rest is counted.
const EVIDENCE_LINES: usize = 20;

/// A rule of the baseline.
pub(crate) struct Rule {
    /// Stable: never given to another rule.
    pub id: &'static str,
    /// What should be so, in one line.
    pub title: &'static str,
    /// How bad it is when it is not.
    pub severity: Severity,
    /// Looks and says what it saw.
    pub check: fn(&System<'_>) -> Check,
}

/// What a rule saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    /// All is as it should be: what was seen.
    Pass(String),
    /// It is not: what was seen, line by line, and what to do.
    Fail(Vec<String>, String),
    /// It could not be told: why.
    NotApplicable(String),
}

impl Check {
    /// Fails with the lines, or passes with the text where there are none.
    pub(crate) fn none_of(lines: Vec<String>, pass: impl Into<String>, remedy: &str) -> Self {
        if lines.is_empty() { Self::Pass(pass.into()) } else { Self::Fail(lines, remedy.to_owned()) }
    }

    /// Fails with one line.
    pub(crate) fn fail(line: impl Into<String>, remedy: &str) -> Self {
        Self::Fail(vec![line.into()], remedy.to_owned())
    }
}

/// A check that may end early because something could not be read.
impl From<Result<Check, String>> for Check {
    fn from(result: Result<Check, String>) -> Self {
        result.unwrap_or_else(Self::NotApplicable)
    }
}

impl Rule {
    /// Checks the rule.
    pub(crate) fn finding(&self, system: &System<'_>) -> Finding {
        match (self.check)(system) {
            Check::Pass(evidence) => Finding::pass(self.id, self.title, self.severity, evidence),
            Check::Fail(lines, remedy) => Finding::fail(self.id, self.title, self.severity, shorten(lines), remedy),
            Check::NotApplicable(reason) => Finding::not_applicable(self.id, self.title, self.severity, reason),
        }
    }
}

fn shorten(mut lines: Vec<String>) -> String {
    let more = lines.len().saturating_sub(EVIDENCE_LINES);
    lines.truncate(EVIDENCE_LINES);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_evidence_is_counted_not_listed() {
        let lines = (0..25).map(|line| line.to_string()).collect();
        assert!(shorten(lines).ends_with("19\nand 5 more"));
    }
}
