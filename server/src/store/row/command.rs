//! Commands that are kept, as rows.

use std::collections::BTreeMap;

use orderly_signing::digest::Digest;

/// Key of a command inside the store.
pub type CommandKey = i64;

/// A version of a command to store: who changed what, when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVersion {
    /// When.
    pub changed_ms: i64,
    /// On whose behalf.
    pub changed_by: String,
    /// Its name in this version.
    pub name: String,
    /// Its description in this version.
    pub description: String,
    /// SHA-256 of the script; absent for a plugin.
    pub content_digest: Option<Digest>,
    /// Bytes of the script.
    pub content_bytes: i64,
    /// The whole draft as JSON.
    pub draft: String,
    /// The tags from now on; those that there are stay where absent.
    pub tags: Option<BTreeMap<String, String>>,
}

/// A command to store with its first version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommand {
    /// Public id.
    pub uid: String,
    /// `shell`, `powershell`, `bat` or `plugin`.
    pub kind: String,
    /// Version 1.
    pub first: NewVersion,
}

/// A command as stored, in one of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRow {
    /// Its key.
    pub key: CommandKey,
    /// Public id.
    pub uid: String,
    /// `shell`, `powershell`, `bat` or `plugin`.
    pub kind: String,
    /// The newest version.
    pub newest: i32,
    /// When it was made.
    pub created_ms: i64,
    /// On whose behalf.
    pub created_by: String,
    /// When it was run last.
    pub used_ms: Option<i64>,
    /// The version that the rest is of.
    pub version: VersionRow,
    /// Its tags, which all versions share.
    pub tags: BTreeMap<String, String>,
}

/// A version without its draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// From 1.
    pub version: i32,
    /// When.
    pub changed_ms: i64,
    /// On whose behalf.
    pub changed_by: String,
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// SHA-256 of the script; absent for a plugin.
    pub content_digest: Option<Digest>,
    /// Bytes of the script.
    pub content_bytes: i64,
}

/// Which commands a list is of; all where nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandFilter {
    /// The name begins with this, capitals as they are.
    pub prefix: Option<String>,
    /// The name holds this, capitals as they are.
    pub contains: Option<String>,
    /// The type.
    pub kind: Option<String>,
    /// Tags, all of which it has.
    pub tags: BTreeMap<String, String>,
}

/// How a new version ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionOutcome {
    /// Stored under this number.
    Stored(i32),
    /// The command is at another version than the change was made from.
    Stale(i32),
    /// There is no such command.
    Unknown,
}

/// How a deletion ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// It is gone, with all versions.
    Deleted,
    /// These invocations of it have not ended; at most [`RUNNING_NAMED_MAX`] of them.
    Running(Vec<String>),
    /// There is no such command.
    Unknown,
}

/// Invocations that a refused deletion names.
pub const RUNNING_NAMED_MAX: i64 = 6;
