//! What a plugin's run reports: findings, facts, tables and the outcome. Owns the caps that
//! `orderly:plugin/report` promises; never says how a report is shown.

mod builder;

use serde::{Deserialize, Serialize};

use crate::limits::REPORT_MAX_BYTES;

pub use builder::{ReportBuilder, ReportError};

/// How bad a failed rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Of little weight.
    Low,
    /// Of some weight.
    Medium,
    /// To be mended soon.
    High,
    /// To be mended now.
    Critical,
}

impl Severity {
    /// The name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What a rule came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingVerdict {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It could not be asked here; the evidence says why.
    NotApplicable,
}

impl FindingVerdict {
    /// The name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotApplicable => "not-applicable",
        }
    }
}

/// The result of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Stable id of the rule, 1-64 characters of `[A-Za-z0-9._-]`.
    pub id: String,
    /// One line for people, 1 to 200 bytes.
    pub title: String,
    /// How bad it is where it fails.
    pub severity: Severity,
    /// What the rule came to.
    pub verdict: FindingVerdict,
    /// What was seen. At most 4 KiB.
    pub evidence: String,
    /// What to do; empty where nothing is to be done. At most 4 KiB.
    pub remedy: String,
}

/// A key and a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// 1 to 200 bytes, one line, unique in the report.
    pub key: String,
    /// At most 4 KiB.
    pub value: String,
}

/// A table. Every row has as many cells as there are columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// 1 to 200 bytes, one line, unique in the report.
    pub name: String,
    /// Names of 1 to 64 columns, each at most 200 bytes.
    pub columns: Vec<String>,
    /// The rows; a cell has at most 4 KiB.
    pub rows: Vec<Vec<String>>,
}

/// How a run that did its work came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing needs attention.
    Pass,
    /// Something needs attention.
    Attention,
}

impl Verdict {
    /// The name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Attention => "attention",
        }
    }
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// How it came out.
    pub verdict: Verdict,
    /// One line for people, at most 1,000 bytes.
    pub summary: String,
}

/// All that a run reported. Its compact JSON has at most 1 MiB; one from outside is read with [`Report::parse`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// In the order in which they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// In the order in which their keys first came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
    /// In the order in which their names first came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Table>,
    /// Absent where the run did not reach its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// Why bytes are no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportParseError {
    /// There are too many.
    #[error("the report has {0} bytes; at most {REPORT_MAX_BYTES} are allowed")]
    TooLong(usize),
    /// They are no JSON of this shape.
    #[error("the report is not what this release can read")]
    Shape(#[source] serde_json::Error),
    /// A part of it is over its cap.
    #[error("the report is over what a plugin may report")]
    Part(#[source] ReportError),
}

impl Report {
    /// Reads the JSON of a report and checks every cap.
    ///
    /// # Errors
    /// Where it is too long, of another shape, or a part of it could not have been reported.
    pub fn parse(json: &[u8]) -> Result<Self, ReportParseError> {
        if json.len() > REPORT_MAX_BYTES {
            return Err(ReportParseError::TooLong(json.len()));
        }
        let report: Self = serde_json::from_slice(json).map_err(ReportParseError::Shape)?;
        report.check().map_err(ReportParseError::Part)?;
        Ok(report)
    }

    /// Checks every cap of a report that came as a part of something else.
    ///
    /// # Errors
    /// The first part that could not have been reported.
    pub fn check(&self) -> Result<(), ReportError> {
        let mut builder = ReportBuilder::new();
        for finding in &self.findings {
            builder.finding(finding.clone())?;
        }
        for fact in &self.facts {
            builder.fact(&fact.key, &fact.value)?;
        }
        for table in &self.tables {
            builder.table(table.clone())?;
        }
        let rebuilt = builder.finish(self.outcome.clone())?;
        if rebuilt != *self {
            return Err(ReportError::Invalid("a key of a fact or a name of a table is there twice".to_owned()));
        }
        Ok(())
    }

    /// The compact JSON, over which the receipt's digest goes. At most 1 MiB where a builder made the report.
    pub fn to_json(&self) -> Vec<u8> {
        // Texts in vectors always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether nothing was reported.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
