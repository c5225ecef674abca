//! Saved groups of instances, as rows.

/// A group as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// Its name.
    pub name: String,
    /// Its selector, as it is shown.
    pub selector: String,
    /// When it was made.
    pub created_ms: i64,
    /// On whose behalf.
    pub created_by: String,
}
