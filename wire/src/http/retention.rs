//! How long the server keeps what has ended.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/retention`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetentionView {
    /// Days for which an invocation is kept after its last task has ended; for ever where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u32>,
    /// How many invocations are kept, the newest; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_count: Option<u32>,
    /// How many there are now.
    pub invocations: u64,
    /// When the oldest of them was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<i64>,
    /// How many were removed in all.
    pub removed: u64,
    /// When the last of those was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_ms: Option<i64>,
}
