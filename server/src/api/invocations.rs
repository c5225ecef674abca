//! Invocations: create, list, show, stop, evidence; what is said to rollouts is in `rollout`.

mod create;
pub(super) mod rollout;
mod series;

use axum::extract::Path;
use axum::http::StatusCode;
use orderly_model::task::TaskStatus;
use orderly_signing::instance::InstanceId;
use orderly_signing::order::{Action, Repeat};
use orderly_wire::http::Page;
use orderly_wire::http::invocation::{CreateInvocation, Evidence, InvocationView, StopInvocation};
use serde::Deserialize;

use super::auth::Permit;
use super::body::{Json, Params, after, cut, limit, one_more};
use super::order::Draft;
use super::problem::ApiError;
use super::{Api, State, order};
use crate::clock;
use crate::store::row::{InstanceKey, InvocationRow, NewStop};
use crate::view;

pub(super) use create::target_set;

/// The query of a list of invocations.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListInvocations {
    after: Option<String>,
    limit: Option<u32>,
}

/// Lists invocations, newest first.
#[utoipa::path(get, path = "/v1/invocations", tag = "invocations", params(
        ("after" = Option<String>, Query, description = "the last page's `next`"),
        ("limit" = Option<u32>, Query, description = "rows of the page"),
    ), responses((status = OK, body = Page<InvocationView>)))]
pub(crate) async fn list(
    _permit: Permit,
    api: State,
    Params(query): Params<ListInvocations>,
) -> Result<axum::Json<Page<InvocationView>>, ApiError> {
    let limit = limit(query.limit)?;
    let before = after(query.after.as_deref(), i64::MAX)?;
    let mut rows = api.store.invocations(before, one_more(limit)).await?;
    let next = cut(&mut rows, limit, |row| row.key);
    Ok(axum::Json(Page { items: rows.iter().map(view::invocation).collect(), next }))
}

/// Creates an invocation. The same signed order may come again: it is created once.
#[utoipa::path(post, path = "/v1/invocations", tag = "invocations", request_body = CreateInvocation,
    responses((status = CREATED, body = InvocationView)))]
pub(crate) async fn create(
    permit: Permit,
    api: State,
    Json(request): Json<CreateInvocation>,
) -> Result<(StatusCode, axum::Json<InvocationView>), ApiError> {
    let row = create::create(&api, &permit, request).await?;
    Ok((StatusCode::CREATED, axum::Json(view::invocation(&row))))
}

/// The invocation of a path.
pub(super) async fn find(api: &Api, id: &str) -> Result<InvocationRow, ApiError> {
    if let Some(found) = api.store.invocation(id).await? {
        return Ok(found);
    }
    Err(match api.store.pruned(id).await? {
        Some(gone) => ApiError::new(StatusCode::GONE, "removed", "this invocation is kept no longer")
            .detail(format!("`{id}` ended at {} and was removed at {}", utc(gone.finished_ms), utc(gone.pruned_ms)))
            .hint("`orderly invocation retention` shows how long this server keeps them"),
        None => ApiError::unknown("invocation", id.escape_debug()),
    })
}

/// A time for people.
fn utc(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.0}"))
}

/// Shows an invocation.
#[utoipa::path(get, path = "/v1/invocations/{id}", tag = "invocations", params(("id" = String, Path,)),
    responses((status = OK, body = InvocationView)))]
pub(crate) async fn show(
    _permit: Permit,
    api: State,
    Path(id): Path<String>,
) -> Result<axum::Json<InvocationView>, ApiError> {
    Ok(axum::Json(view::invocation(&find(&api, &id).await?)))
}

/// Stops an invocation, on some instances or all. Tasks that have ended stay as they are.
#[utoipa::path(post, path = "/v1/invocations/{id}/stop", tag = "invocations", params(("id" = String, Path,)),
    request_body = StopInvocation, responses((status = OK, body = InvocationView)))]
pub(crate) async fn stop(
    permit: Permit,
    api: State,
    Path(id): Path<String>,
    Json(request): Json<StopInvocation>,
) -> Result<axum::Json<InvocationView>, ApiError> {
    let row = find(&api, &id).await?;
    let mut stoppable = vec![TaskStatus::Pending, TaskStatus::Scheduled, TaskStatus::Running];
    // Its stop order may have expired before it reached an instance that is away: asked again, there is a new one.
    stoppable.extend(row.series.is_some().then_some(TaskStatus::Stopping));
    let open = stoppable.into_iter().any(|status| row.counts.get(status) > 0);
    let only = match request.instances.as_slice() {
        [] => None,
        named => Some(members(&api, &row, named).await?),
    };
    if !open {
        return Ok(axum::Json(view::invocation(&row)));
    }
    let keyring = api.trust.keyring().ok_or_else(order::no_keyring)?;
    let uids = match &only {
        Some(only) => only.iter().map(|(_, uid)| uid.clone()).collect(),
        None => api.store.targets(row.key).await?,
    };
    let targets = target_set(uids).await?.targets();
    let now_ms = clock::now_ms();
    let action = Action::Stop { order: row.order_digest, invocation: row.uid.clone() };
    // No sooner than any order that it may have to stop.
    let repeat = Repeat::Once;
    let draft = Draft { principal: permit.principal(), action, targets, now_ms, expires_ms: None, repeat };
    let signed = order::sign(&api, &keyring, &row.uid, draft)?;
    let stop = NewStop {
        invocation: row.key,
        digest: signed.digest,
        envelope: signed.envelope,
        expires_ms: signed.deadline_ms,
        now_ms,
        targets: only,
        series: row.series.is_some(),
    };
    let changed = api.store.stop(stop).await?;
    api.nudge.look();
    api.link.hub.announce(&api.store, &changed).await;
    let row = match changed.into_iter().next() {
        Some(change) => change.invocation,
        None => find(&api, &id).await?,
    };
    Ok(axum::Json(view::invocation(&row)))
}

/// The keys of instances that an invocation is for.
async fn members(
    api: &Api,
    row: &InvocationRow,
    named: &[InstanceId],
) -> Result<Vec<(InstanceKey, InstanceId)>, ApiError> {
    let keys = create::known(api, named).await?;
    let tasks = api.store.tasks_of(row.key, &keys.iter().map(|(key, _)| *key).collect::<Vec<_>>()).await?;
    match keys.iter().find(|(key, _)| tasks.iter().all(|task| task.instance != *key)) {
        None => Ok(keys),
        Some((_, uid)) => Err(ApiError::unprocessable("not-a-target", "the invocation is not for this instance")
            .detail(format!("`{uid}` is not a target of `{}`", row.uid))),
    }
}

/// What an auditor needs to check an invocation without this server.
#[utoipa::path(get, path = "/v1/invocations/{id}/evidence", tag = "invocations", params(("id" = String, Path,)),
    responses((status = OK, body = Evidence)))]
pub(crate) async fn evidence(
    _permit: Permit,
    api: State,
    Path(id): Path<String>,
) -> Result<axum::Json<Evidence>, ApiError> {
    let row = find(&api, &id).await?;
    let unknown = || ApiError::unknown("order", row.order_digest);
    let envelope = api.store.envelope(&row.order_digest).await?.ok_or_else(unknown)?;
    Ok(axum::Json(Evidence {
        order: serde_json::from_slice(&envelope).map_err(|error| ApiError::internal(&error))?,
        targets: api.store.targets(row.key).await?,
    }))
}
