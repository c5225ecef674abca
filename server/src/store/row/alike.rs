//! Results that are alike, as they come out of the store.

use orderly_model::task::TaskStatus;
use orderly_signing::digest::Digest;
use orderly_signing::instance::InstanceId;

use super::InstanceKey;

/// What two tasks must have in common to be alike, beside their status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// The whole output, by the digest of the receipt.
    Output,
    /// The exit code, and the error code of the result.
    Exit,
}

/// A member of a group of tasks that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlikeRow {
    /// The number of the group, from 1; the largest group comes first.
    pub group: i64,
    /// How many tasks the group has.
    pub count: i64,
    /// How many groups there are, those that were not asked for too.
    pub groups: i64,
    /// The member's key.
    pub instance: InstanceKey,
    /// The member's id.
    pub instance_uid: InstanceId,
    /// The member's name.
    pub instance_name: String,
    /// The status of all of the group.
    pub status: TaskStatus,
    /// The member's exit code.
    pub exit_code: Option<i32>,
    /// The member's error code.
    pub code: Option<String>,
    /// SHA-256 of the member's output.
    pub output_digest: Option<Digest>,
}

/// What a plugin reported on one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    /// The instance's key.
    pub instance: InstanceKey,
    /// The instance's id.
    pub instance_uid: InstanceId,
    /// The instance's name.
    pub instance_name: String,
    /// The report as JSON.
    pub report: Vec<u8>,
}
