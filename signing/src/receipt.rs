//! The receipt: an agent's signed answer about one run, or about an order that it refused.
//!
//! Owns what a receipt says and the bounds of it. It never judges the answer: a receipt of a failure is as good as one
//! of a success.

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    document::{self, Document},
    envelope::RECEIPT_TYPE,
    error::Invalid,
    instance::InstanceId,
};

/// Longest reason, in bytes; [`clip_reason`] makes one fit.
pub const MAX_REASON_BYTES: usize = 4096;
/// Longest text of one used capability, in bytes; [`Use::new`] makes one fit.
pub const MAX_CAPABILITY_BYTES: usize = 1024;
/// Most lines about used capabilities.
pub const MAX_USED: usize = 256;

/// A receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Always 1.
    pub version: u32,
    /// Digest of the order that it answers.
    pub order: Digest,
    /// The invocation of that order.
    pub invocation: String,
    /// Who answers: the id of the key that signs.
    pub instance: InstanceId,
    /// Number of the run, 1 for an order that runs once.
    pub generation: u32,
    /// Which run of a series it was; nothing for an order that runs once, and where an order was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesRun>,
    /// The final status.
    pub status: String,
    /// Code of the error, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A sentence about it, when there is one: at most [`MAX_REASON_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Code of the check that refused, when one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<String>,
    /// Exit code, when the run had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The whole output, not only what was kept.
    pub output: OutputDigest,
    /// Digest of the report, when a plugin made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Digest>,
    /// When it began, unix milliseconds; nothing when it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms: Option<i64>,
    /// When it ended or was refused, unix milliseconds.
    pub finished_ms: i64,
    /// What a plugin used, counted.
    pub used: Vec<Use>,
    /// Version of the agent.
    pub agent: String,
}

/// What a receipt says of a run of a series, besides its number. Each names the one before, so that no run can be left out
/// of the list, or put into it, without a gap that shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesRun {
    /// When it was due, unix milliseconds.
    pub scheduled_ms: i64,
    /// Digest of the receipt of the run before; nothing for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
}

/// The whole output of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputDigest {
    /// SHA-256 over all bytes, in the order in which they came.
    pub sha256: Digest,
    /// How many bytes there were.
    pub bytes: u64,
    /// How many of them were standard output.
    pub stdout_bytes: u64,
    /// How many of them were standard error.
    pub stderr_bytes: u64,
}

impl OutputDigest {
    /// That of a run without output.
    #[must_use]
    pub fn none() -> Self {
        Self { sha256: Digest::of(b""), bytes: 0, stdout_bytes: 0, stderr_bytes: 0 }
    }
}

/// One capability that a plugin used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// Which, as people read it.
    pub capability: String,
    /// How often.
    pub count: u64,
}

impl Use {
    /// Makes the line fit into a receipt: control characters, which file names may hold, become `\u{fffd}`, and what is too
    /// long is cut. So no name that a plugin thinks of can keep its receipt from being signed.
    #[must_use]
    pub fn new(capability: &str, count: u64) -> Self {
        let line = capability.replace(char::is_control, "\u{fffd}");
        let capability = if line.is_empty() { "?".to_owned() } else { clip(&line, MAX_CAPABILITY_BYTES) };
        Self { capability, count }
    }
}

impl Receipt {
    /// Checks all bounds that the types do not check.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn validate(&self) -> Result<(), Invalid> {
        document::version_1(self.version)?;
        document::id("invocation", &self.invocation, "t-")?;
        document::text("status", &self.status, 64, document::word)?;
        for (field, value) in [("code", &self.code), ("check", &self.check)] {
            if let Some(value) = value {
                document::text(field, value, 64, document::word)?;
            }
        }
        if self.reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON_BYTES) {
            return Err(Invalid::new("reason", format!("must have at most {MAX_REASON_BYTES} bytes")));
        }
        let output = &self.output;
        if output.stdout_bytes.checked_add(output.stderr_bytes) != Some(output.bytes) {
            return Err(Invalid::new("output.bytes", "must be the sum of `stdout_bytes` and `stderr_bytes`"));
        }
        document::within("used", self.used.len() as u64, 0, MAX_USED as u64)?;
        for used in &self.used {
            document::text("used.capability", &used.capability, MAX_CAPABILITY_BYTES, document::line)?;
        }
        document::text("agent", &self.agent, 64, document::word)?;
        self.validate_series()?;
        if self.finished_ms < 0 || self.started_ms.is_some_and(|started| started < 0) {
            return Err(Invalid::new("finished_ms", "and `started_ms` must not be before 1970"));
        }
        Ok(())
    }

    fn validate_series(&self) -> Result<(), Invalid> {
        let Some(series) = &self.series else { return Ok(()) };
        if series.scheduled_ms < 0 {
            return Err(Invalid::new("series.scheduled_ms", "is before 1970"));
        }
        if self.generation == 0 {
            return Err(Invalid::new("generation", "of a series begins with 1"));
        }
        if series.previous.is_some() != (self.generation > 1) {
            return Err(Invalid::new("series.previous", "must be there for every run but the first"));
        }
        Ok(())
    }
}

/// Makes a reason fit into a receipt: cuts at a character, and says so with `…`.
#[must_use]
pub fn clip_reason(reason: &str) -> String {
    clip(reason, MAX_REASON_BYTES)
}

fn clip(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most.saturating_sub('…'.len_utf8()));
    format!("{}…", text.get(..end).unwrap_or_default())
}

impl Document for Receipt {
    const TYPE: &'static str = RECEIPT_TYPE;
    const NAME: &'static str = "receipt";

    fn bounds(&self) -> Result<(), Invalid> {
        self.validate()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_clipped_reason_fits_and_ends_at_a_character() {
        let clipped = clip_reason(&"é".repeat(MAX_REASON_BYTES));
        assert!(clipped.len() <= MAX_REASON_BYTES && clipped.ends_with("é…"));
        assert_eq!(clip_reason("short"), "short");
        assert_eq!(clip_reason(&"x".repeat(MAX_REASON_BYTES)), "x".repeat(MAX_REASON_BYTES), "just fits");
    }

    #[test]
    fn whatever_a_plugin_touched_fits_into_a_line() {
        for capability in ["", "files.read /tmp/\u{1b}[2J\n", &"é".repeat(2_000), "\0"] {
            let used = Use::new(capability, 1);
            document::text("used", &used.capability, MAX_CAPABILITY_BYTES, document::line).unwrap();
        }
        assert_eq!(Use::new("files.read /etc/passwd", 2).capability, "files.read /etc/passwd");
    }
}
