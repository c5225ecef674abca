//! Runs of a series, and what was left out of it.

use axum::extract::Path;
use axum::http::StatusCode;
use orderly_wire::http::Page;
use orderly_wire::http::series::{RunDetail, RunView, SkipView};
use serde::Deserialize;

use super::auth::Permit;
use super::body::{Params, after, cut, limit, one_more};
use super::problem::ApiError;
use super::{Api, State, invocations, tasks};
use crate::store::row::{InstanceKey, InvocationRow};
use crate::view;

/// The query of a list of runs or skips.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListRuns {
    after: Option<String>,
    limit: Option<u32>,
}

/// Lists the runs of a series on all its instances, the newest first.
#[utoipa::path(get, path = "/v1/invocations/{id}/runs", tag = "runs", params(
        ("id" = String, Path,),
        ("after" = Option<String>, Query, description = "the last page's `next`"),
        ("limit" = Option<u32>, Query, description = "rows of the page"),
    ), responses((status = OK, body = Page<RunView>)))]
pub(crate) async fn list(
    _permit: Permit,
    api: State,
    Path(id): Path<String>,
    Params(query): Params<ListRuns>,
) -> Result<axum::Json<Page<RunView>>, ApiError> {
    let row = invocations::find(&api, &id).await?;
    page(&api, &row, None, &query).await
}

/// Lists the runs of a series on one instance, the newest first.
#[utoipa::path(get, path = "/v1/invocations/{id}/tasks/{instance}/runs", tag = "runs", params(
        ("id" = String, Path,),
        ("instance" = String, Path,),
        ("after" = Option<String>, Query, description = "the last page's `next`"),
        ("limit" = Option<u32>, Query, description = "rows of the page"),
    ), responses((status = OK, body = Page<RunView>)))]
pub(crate) async fn of_task(
    _permit: Permit,
    api: State,
    Path((id, instance)): Path<(String, String)>,
    Params(query): Params<ListRuns>,
) -> Result<axum::Json<Page<RunView>>, ApiError> {
    let (row, task, _) = tasks::find(&api, &id, &instance).await?;
    page(&api, &row, Some(task.instance), &query).await
}

async fn page(
    api: &Api,
    invocation: &InvocationRow,
    instance: Option<InstanceKey>,
    query: &ListRuns,
) -> Result<axum::Json<Page<RunView>>, ApiError> {
    let limit = limit(query.limit)?;
    // Numbers of runs are 32 bits wide, keys are not.
    let newest = if instance.is_some() { i64::from(i32::MAX) } else { i64::MAX };
    let before = after(query.after.as_deref(), newest)?.min(newest);
    let mut rows = api.store.runs(invocation.key, instance, before, one_more(limit)).await?;
    let key = |row: &crate::store::row::RunRow| instance.map_or(row.key, |_| i64::from(row.task.generation));
    let next = cut(&mut rows, limit, key);
    Ok(axum::Json(Page { items: rows.iter().map(|row| view::run(&invocation.uid, row)).collect(), next }))
}

/// Shows a run with all that is kept of its result.
#[utoipa::path(get, path = "/v1/invocations/{id}/tasks/{instance}/runs/{run}", tag = "runs",
    params(("id" = String, Path,), ("instance" = String, Path,), ("run" = u32, Path, description = "its number, from 1")),
    responses((status = OK, body = RunDetail)))]
pub(crate) async fn show(
    _permit: Permit,
    api: State,
    Path((id, instance, run)): Path<(String, String, String)>,
) -> Result<axum::Json<RunDetail>, ApiError> {
    let (invocation, task, _) = tasks::find(&api, &id, &instance).await?;
    let number: Option<i32> = run.parse().ok();
    let found = match number {
        Some(number) => api.store.run(invocation.key, task.instance, number).await?,
        None => None,
    };
    let (row, result) = found.ok_or_else(|| {
        ApiError::new(StatusCode::NOT_FOUND, "unknown-run", "there is no such run")
            .detail(format!("`{}` of {} on {}", run.escape_debug(), invocation.uid, task.instance_uid))
            .hint(format!("`orderly invocation runs {}` lists them", invocation.uid))
    })?;
    let task = tasks::detail(&invocation, &row.task, result)?;
    Ok(axum::Json(RunDetail { task, due_ms: row.due_ms, late: row.late }))
}

/// Lists what was left out of a series: a row for each instance and reason. `limit` counts instances.
#[utoipa::path(get, path = "/v1/invocations/{id}/skips", tag = "runs", params(
        ("id" = String, Path,),
        ("after" = Option<String>, Query, description = "the last page's `next`"),
        ("limit" = Option<u32>, Query, description = "instances of the page"),
    ), responses((status = OK, body = Page<SkipView>)))]
pub(crate) async fn skips(
    _permit: Permit,
    api: State,
    Path(id): Path<String>,
    Params(query): Params<ListRuns>,
) -> Result<axum::Json<Page<SkipView>>, ApiError> {
    let limit = limit(query.limit)?;
    let after = after(query.after.as_deref(), 0)?;
    let invocation = invocations::find(&api, &id).await?;
    let rows = api.store.skips(invocation.key, after, one_more(limit)).await?;
    let mut instances: Vec<InstanceKey> = rows.iter().map(|row| row.instance).collect();
    instances.dedup();
    let next = cut(&mut instances, limit, |instance| *instance);
    let last = instances.last().copied().unwrap_or(after);
    let items = rows.iter().filter(|row| row.instance <= last).map(view::skip).collect();
    Ok(axum::Json(Page { items, next }))
}
