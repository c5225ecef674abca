//! How a report grows: one part at a time, each checked, and none after the report is full.
//! What is refused leaves the report as it was.

use std::collections::HashMap;

use serde::Serialize;

use super::{Fact, Finding, Outcome, Report, Table};
use crate::limits::{
    FINDING_TEXT_MAX_BYTES, OUTCOME_SUMMARY_MAX_BYTES, REPORT_COLUMNS_MAX, REPORT_FACTS_MAX, REPORT_FINDINGS_MAX,
    REPORT_MAX_BYTES, REPORT_ROWS_MAX, SUMMARY_MAX_BYTES,
};

/// Kept back of the report's 1 MiB for the braces and the outcome, whose 1,000 bytes may be 6,000 as JSON.
const RESERVE_BYTES: usize = 8 * 1024;

/// Why a part was not added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The report is full: 1 MiB as JSON, 10,000 findings, 10,000 facts or 100,000 rows.
    #[error("the report is full")]
    Full,
    /// The part is not as it must be.
    #[error("{0}")]
    Invalid(String),
}

/// A report that grows.
#[derive(Debug, Default)]
pub struct ReportBuilder {
    report: Report,
    /// Bytes that the parts take as JSON, with a comma each.
    bytes: usize,
    rows: usize,
    facts: HashMap<String, usize>,
    tables: HashMap<String, usize>,
}

fn json_bytes(part: &impl Serialize) -> usize {
    // Texts always serialise; what did not would count as too large.
    serde_json::to_vec(part).map_or(REPORT_MAX_BYTES, |json| json.len() + 1)
}

fn line(what: &str, text: &str, most: usize) -> Result<(), ReportError> {
    if text.is_empty() || text.len() > most || text.contains(char::is_control) {
        return Err(ReportError::Invalid(format!("{what} must be one line of 1 to {most} bytes")));
    }
    Ok(())
}

fn text(what: &str, text: &str) -> Result<(), ReportError> {
    if text.len() > FINDING_TEXT_MAX_BYTES {
        return Err(ReportError::Invalid(format!(
            "{what} has {} bytes; at most {FINDING_TEXT_MAX_BYTES} are allowed",
            text.len()
        )));
    }
    Ok(())
}

impl ReportBuilder {
    /// An empty report.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether so many bytes have room where `freed` ones go.
    fn room(&mut self, added: usize, freed: usize) -> Result<(), ReportError> {
        let bytes = self.bytes.saturating_sub(freed) + added;
        if bytes > REPORT_MAX_BYTES - RESERVE_BYTES {
            return Err(ReportError::Full);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Adds the result of one rule.
    ///
    /// # Errors
    /// Where a text of it is not as [`Finding`] says, or the report is full.
    pub fn finding(&mut self, finding: Finding) -> Result<(), ReportError> {
        let id = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if finding.id.is_empty() || finding.id.len() > 64 || !finding.id.chars().all(id) {
            return Err(ReportError::Invalid(
                "the id of a finding must be 1-64 of A-Z, a-z, 0-9, `.`, `_` and `-`".to_owned(),
            ));
        }
        line("the title of a finding", &finding.title, SUMMARY_MAX_BYTES)?;
        text("the evidence of a finding", &finding.evidence)?;
        text("the remedy of a finding", &finding.remedy)?;
        if self.report.findings.len() >= REPORT_FINDINGS_MAX {
            return Err(ReportError::Full);
        }
        self.room(json_bytes(&finding), 0)?;
        self.report.findings.push(finding);
        Ok(())
    }

    /// Adds a fact; the same key again replaces the value.
    ///
    /// # Errors
    /// Where key or value are not as [`Fact`] says, or the report is full.
    pub fn fact(&mut self, key: &str, value: &str) -> Result<(), ReportError> {
        line("the key of a fact", key, SUMMARY_MAX_BYTES)?;
        text("the value of a fact", value)?;
        let fact = Fact { key: key.to_owned(), value: value.to_owned() };
        let place = self.facts.get(key).copied();
        if place.is_none() && self.report.facts.len() >= REPORT_FACTS_MAX {
            return Err(ReportError::Full);
        }
        let replaced = place.and_then(|place| self.report.facts.get(place)).map_or(0, json_bytes);
        self.room(json_bytes(&fact), replaced)?;
        match place.and_then(|place| self.report.facts.get_mut(place)) {
            Some(old) => *old = fact,
            None => {
                self.facts.insert(key.to_owned(), self.report.facts.len());
                self.report.facts.push(fact);
            }
        }
        Ok(())
    }

    /// Adds a table; the same name again appends rows, and the columns must be equal. All rows are added or none.
    ///
    /// # Errors
    /// Where a part is not as [`Table`] says, the columns are others, or the report is full.
    pub fn table(&mut self, table: Table) -> Result<(), ReportError> {
        line("the name of a table", &table.name, SUMMARY_MAX_BYTES)?;
        let columns = table.columns.len();
        if columns == 0 || columns > REPORT_COLUMNS_MAX {
            return Err(ReportError::Invalid(format!("a table has 1 to {REPORT_COLUMNS_MAX} columns, not {columns}")));
        }
        for column in &table.columns {
            line("the name of a column", column, SUMMARY_MAX_BYTES)?;
        }
        for (index, row) in table.rows.iter().enumerate() {
            if row.len() != columns {
                let cells = row.len();
                return Err(ReportError::Invalid(format!(
                    "row {index} has {cells} cells; the table has {columns} columns"
                )));
            }
            for cell in row {
                text("a cell", cell)?;
            }
        }
        if table.rows.len() > REPORT_ROWS_MAX - self.rows {
            return Err(ReportError::Full);
        }
        let place = self.tables.get(&table.name).copied();
        match place.and_then(|place| self.report.tables.get(place)) {
            Some(old) if old.columns != table.columns => {
                return Err(ReportError::Invalid("the columns are not those of the table of this name".to_owned()));
            }
            Some(_) => self.room(json_bytes(&table.rows), 0)?,
            None => self.room(json_bytes(&table), 0)?,
        }
        self.rows += table.rows.len();
        match place.and_then(|place| self.report.tables.get_mut(place)) {
            Some(old) => old.rows.extend(table.rows),
            None => {
                self.tables.insert(table.name.clone(), self.report.tables.len());
                self.report.tables.push(table);
            }
        }
        Ok(())
    }

    /// Ends the report, with the outcome where the run reached its end.
    ///
    /// # Errors
    /// Where the outcome's summary is not one line of at most 1,000 bytes; an empty one is allowed.
    pub fn finish(mut self, outcome: Option<Outcome>) -> Result<Report, ReportError> {
        if let Some(outcome) = &outcome
            && !outcome.summary.is_empty()
        {
            line("the summary of an outcome", &outcome.summary, OUTCOME_SUMMARY_MAX_BYTES)?;
        }
        self.report.outcome = outcome;
        Ok(self.report)
    }
}

#[cfg(test)]
mod tests;
