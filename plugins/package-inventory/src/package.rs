//! One installed package, whoever installed it.
//!
//! Owns the fields that all managers have.

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Package {
    pub name: String,
    /// With epoch and release, as the manager prints it.
    pub version: String,
    pub architecture: String,
    /// The source package that it was built from, where the manager says so.
    pub source: String,
    /// What is wrong with its installation; empty where nothing is.
    pub state: String,
}
