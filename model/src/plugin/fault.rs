//! What is wrong with a manifest and where, for the person who writes it.

use std::fmt;

/// One fault of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFault {
    /// Line, from 1; 0 where the fault is of the whole file.
    pub line: usize,
    /// Column in characters, from 1; 0 where the fault is of the whole file.
    pub column: usize,
    /// The key: `capabilities.files.read[1]`; empty where the text is no TOML.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// How to mend it; empty where the problem says so itself.
    pub mend: String,
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "plugin.toml")?;
        if self.line > 0 {
            write!(out, ":{}:{}", self.line, self.column)?;
        }
        write!(out, ": ")?;
        if !self.key.is_empty() {
            write!(out, "`{}`: ", self.key)?;
        }
        write!(out, "{}", self.problem)?;
        if !self.mend.is_empty() {
            write!(out, "\n  hint: {}", self.mend)?;
        }
        Ok(())
    }
}

/// All faults of a manifest, in the order of its text. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestErrors(pub(super) Vec<ManifestFault>);

impl ManifestErrors {
    /// The faults.
    pub fn faults(&self) -> &[ManifestFault] {
        &self.0
    }
}

impl fmt::Display for ManifestErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            write!(out, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ManifestErrors {}
