//! Plugins, as rows.

use orderly_signing::digest::Digest;

/// A plugin without its documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRow {
    /// Its key; 0 before it is stored.
    pub key: i64,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// Digest of the component.
    pub component: Digest,
    /// Size of the component.
    pub component_bytes: i64,
    /// Digest of the manifest.
    pub manifest_digest: Digest,
    /// Key id of the publisher.
    pub publisher: String,
    /// Tier that the manifest asks for.
    pub tier: String,
    /// What the manifest asks for, a line each.
    pub capabilities: String,
    /// Revision of the approval, where there is one.
    pub approval_revision: Option<i64>,
    /// When it was uploaded.
    pub created_ms: i64,
}

/// The documents of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginDocuments {
    /// Bytes of `plugin.toml`.
    pub manifest: Vec<u8>,
    /// The publisher's statement.
    pub statement: Vec<u8>,
    /// The security team's approval.
    pub approval: Option<Vec<u8>>,
}

/// How an upload ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddOutcome {
    /// Stored now, or the same was there already.
    Stored,
    /// The same name and version is there with other bytes.
    Conflict,
}
