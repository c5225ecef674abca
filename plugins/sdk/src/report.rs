//! Structured results: findings, facts, tables and progress.
//!
//! Owns the shapes that a plugin fills in. One run's report holds at most 1 MiB, 10,000 findings, 10,000 facts and
//! 100,000 rows; what is over is refused with [`Error::Full`] and what was taken before stays. Long texts of a
//! finding are cut here, with a mark, so that one long line does not lose the finding.
//!
//! ```no_run
//! use orderly_plugin::{Finding, Severity, Table, report};
//!
//! # fn main() -> Result<(), report::Error> {
//! Finding::fail("X-01", "the door is shut", Severity::High, "/etc/door:3: open", "shut it").send()?;
//! let mut table = Table::new("doors", ["name", "state"]);
//! table.row(["front".to_owned(), "open".to_owned()]);
//! table.send()?;
//! report::fact("doors", "1")?;
//! # Ok(())
//! # }
//! ```

use std::fmt;

use crate::bindings::orderly::plugin::report as wit;

/// Longest evidence and remedy of a finding in bytes: the interface refuses more.
const TEXT_MAX: usize = 4 * 1024;
/// Rows handed over in one call, so that a long table is copied in parts.
const ROWS_AT_ONCE: usize = 1_000;

/// Why the host did not take something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The run's report is full.
    Full,
    /// What is wrong with the value.
    Invalid(String),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => formatter.write_str("the run's report is full"),
            Self::Invalid(reason) => write!(formatter, "the report refused a value: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::Full => Self::Full,
            wit::Error::Invalid(reason) => Self::Invalid(reason),
        }
    }
}

impl From<Error> for crate::Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// How bad a failed rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// A weakness that needs others to be used.
    Low,
    /// A weakness that should be mended.
    Medium,
    /// A weakness that should be mended soon.
    High,
    /// The instance is open.
    Critical,
}

/// What a rule came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// All is as it should be.
    Pass,
    /// It is not.
    Fail,
    /// It could not be told; the evidence says why.
    NotApplicable,
}

/// The result of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable id of the rule, 1-64 characters of `[A-Za-z0-9._-]`.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// How bad a failure is.
    pub severity: Severity,
    /// What the rule came to.
    pub verdict: Verdict,
    /// What was seen: file and line, value.
    pub evidence: String,
    /// What to do. Empty where nothing is to be done.
    pub remedy: String,
}

impl Finding {
    /// All is as it should be; `evidence` says what was seen.
    #[must_use]
    pub fn pass(id: &str, title: &str, severity: Severity, evidence: impl Into<String>) -> Self {
        Self::new(id, title, severity, Verdict::Pass, evidence.into(), String::new())
    }

    /// Something is wrong; `evidence` says what was seen and `remedy` what to do.
    #[must_use]
    pub fn fail(
        id: &str,
        title: &str,
        severity: Severity,
        evidence: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(id, title, severity, Verdict::Fail, evidence.into(), remedy.into())
    }

    /// It could not be told; `reason` says why.
    #[must_use]
    pub fn not_applicable(id: &str, title: &str, severity: Severity, reason: impl Into<String>) -> Self {
        let verdict = Verdict::NotApplicable;
        Self::new(id, title, severity, verdict, reason.into(), String::new())
    }

    /// Hands it to the host.
    ///
    /// # Errors
    /// When the report is full or the host finds the finding ill-formed.
    pub fn send(&self) -> Result<(), Error> {
        wit::add_finding(&wit::Finding {
            id: self.id.clone(),
            title: self.title.clone(),
            severity: match self.severity {
                Severity::Info => wit::Severity::Info,
                Severity::Low => wit::Severity::Low,
                Severity::Medium => wit::Severity::Medium,
                Severity::High => wit::Severity::High,
                Severity::Critical => wit::Severity::Critical,
            },
            verdict: match self.verdict {
                Verdict::Pass => wit::Verdict::Pass,
                Verdict::Fail => wit::Verdict::Fail,
                Verdict::NotApplicable => wit::Verdict::NotApplicable,
            },
            evidence: cut(&self.evidence),
            remedy: cut(&self.remedy),
        })?;
        Ok(())
    }

    fn new(id: &str, title: &str, severity: Severity, verdict: Verdict, evidence: String, remedy: String) -> Self {
        Self { id: id.to_owned(), title: title.to_owned(), severity, verdict, evidence, remedy }
    }
}

/// A table whose rows have as many cells as it has columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    name: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Begins a table with `N` columns. The host takes at most 64.
    #[must_use]
    pub fn new<const N: usize>(name: &str, columns: [&str; N]) -> Self {
        Self {
            name: name.to_owned(),
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. Cells that are missing are empty and cells that are too many are left out.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row = cells.into_iter().take(self.columns.len()).collect::<Vec<_>>();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// The rows so far.
    #[must_use]
    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// Hands it to the host. An empty table is sent too: that there is nothing is a result.
    ///
    /// # Errors
    /// When the report is full; rows that were taken before stay in it.
    pub fn send(&self) -> Result<(), Error> {
        if self.rows.is_empty() {
            return self.send_rows(&[]);
        }
        self.rows.chunks(ROWS_AT_ONCE).try_for_each(|rows| self.send_rows(rows))
    }

    fn send_rows(&self, rows: &[Vec<String>]) -> Result<(), Error> {
        wit::add_table(&wit::Table { name: self.name.clone(), columns: self.columns.clone(), rows: rows.to_vec() })?;
        Ok(())
    }
}

/// Adds a fact. The same key again replaces the value.
///
/// # Errors
/// When the report is full.
pub fn fact(key: &str, value: &str) -> Result<(), Error> {
    wit::add_fact(key, value)?;
    Ok(())
}

/// Says how far the run is. Only the newest is kept.
pub fn progress(done: u32, total: u32, message: &str) {
    wit::progress(done, total, message);
}

/// At most [`TEXT_MAX`] bytes of a text, cut between two characters and marked.
fn cut(text: &str) -> String {
    const MARK: &str = " …";
    if text.len() <= TEXT_MAX {
        return text.to_owned();
    }
    let mut end = TEXT_MAX - MARK.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = "ä".repeat(TEXT_MAX);
        let short = cut(&long);
        assert!(short.len() <= TEXT_MAX && short.ends_with('…'));
    }

    #[test]
    fn every_row_has_the_width_of_the_table() {
        let mut table = Table::new("t", ["a", "b"]);
        table.row(["1".to_owned()]);
        table.row(["1".to_owned(), "2".to_owned(), "3".to_owned()]);
        assert_eq!(table.rows(), [["1", ""], ["1", "2"]]);
    }
}
