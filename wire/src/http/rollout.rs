//! Rollouts: how an invocation spreads over its instances, how far it is, and what a person says to it.

use orderly_model::rollout::RolloutPolicy;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a rollout goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutView {
    /// How it is to spread.
    #[schema(value_type = Object)]
    pub policy: RolloutPolicy,
    /// `rolling`, `pausing` (between two waves), `confirming` (a person has to confirm the wave that is over), `halted`, or `started`
    /// (nothing is held back any more).
    pub state: String,
    /// Why it halted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The wave that was started last, from 1; 0 before the first.
    pub wave: u64,
    /// How many waves there are.
    pub waves: u64,
    /// Tasks that are held back.
    pub held: u64,
    /// Tasks that were started, whatever became of them.
    pub started: u64,
    /// Tasks that were started and are open; this is what `max_concurrency` limits.
    pub open: u64,
    /// Tasks that did not succeed, those that were stopped aside.
    pub errors: u64,
    /// Those among the errors of which nothing was heard for longer than they could take.
    pub lost: u64,
    /// When the pause is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

/// `POST /v1/invocations/{id}/halt`: starts no more tasks until it is resumed. Those that are open go on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HaltRollout {
    /// Why, for people; at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /v1/invocations/{id}/resume`: goes on after a halt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRollout {
    /// How many errors whoever resumes has seen. They count no more; those that came since do.
    pub errors: u64,
}

/// `POST /v1/invocations/{id}/confirm`: lets the next wave start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRollout {
    /// The wave that was looked at. To confirm it again changes nothing.
    pub wave: u64,
}
