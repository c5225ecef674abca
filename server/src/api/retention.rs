//! How long invocations are kept, and what was removed.

use orderly_wire::http::retention::RetentionView;

use super::State;
use super::auth::Permit;
use super::problem::ApiError;
use crate::view::unsigned;

/// Shows how long this server keeps invocations that have ended, and how many it has removed.
#[utoipa::path(get, path = "/v1/retention", tag = "retention", responses((status = OK, body = RetentionView)))]
pub(crate) async fn show(_permit: Permit, api: State) -> Result<axum::Json<RetentionView>, ApiError> {
    let kept = api.store.kept().await?;
    Ok(axum::Json(RetentionView {
        keep_days: api.keep.days,
        keep_count: api.keep.count,
        invocations: unsigned(kept.invocations),
        oldest_ms: kept.oldest_ms,
        removed: unsigned(kept.pruned),
        removed_ms: kept.pruned_ms,
    }))
}
