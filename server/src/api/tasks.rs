//! Tasks: list, show, output, receipt.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use orderly_model::report::Report;
use orderly_model::task::TaskStatus;
use orderly_wire::http::Page;
use orderly_wire::http::task::{ListTasks, TaskDetail, TaskView};
use orderly_wire::to_server::{KeptOutput, Stream};
use serde::Deserialize;

use super::auth::Permit;
use super::body::{Params, after, cut, limit, one_more};
use super::problem::ApiError;
use super::{Api, State, instances, invocations};
use crate::store::row::{InvocationRow, ResultRow, TaskRow};
use crate::view;

/// Lists the tasks of an invocation, in the order in which their instances enrolled.
#[utoipa::path(get, path = "/v1/invocations/{id}/tasks", tag = "tasks", params(
        ("id" = String, Path,),
        ("status" = Option<String>, Query, description = "only tasks of this status"),
        ("after" = Option<String>, Query, description = "the last page's `next`"),
        ("limit" = Option<u32>, Query, description = "rows of the page"),
    ), responses((status = OK, body = Page<TaskView>)))]
pub(crate) async fn list(
    _permit: Permit,
    api: State,
    Path(id): Path<String>,
    Params(query): Params<ListTasks>,
) -> Result<axum::Json<Page<TaskView>>, ApiError> {
    let limit = limit(query.limit)?;
    let status = query.status.as_deref().map(str::parse::<TaskStatus>).transpose().map_err(|error| {
        ApiError::bad_request("status", "`status` is not a status of tasks").detail(error.to_string())
    })?;
    let after = after(query.after.as_deref(), 0)?;
    let invocation = invocations::find(&api, &id).await?;
    let mut rows = api.store.tasks(invocation.key, status, after, one_more(limit)).await?;
    let next = cut(&mut rows, limit, |row| row.instance);
    Ok(axum::Json(Page { items: rows.iter().map(|row| view::task(&invocation.uid, row)).collect(), next }))
}

/// A task with its invocation and, where it ended with a receipt, its result.
pub(super) async fn find(
    api: &Api,
    id: &str,
    instance: &str,
) -> Result<(InvocationRow, TaskRow, Option<ResultRow>), ApiError> {
    let invocation = invocations::find(api, id).await?;
    let instance = instances::find(api, instance).await?;
    let task = api.store.tasks_of(invocation.key, &[instance.key]).await?.pop();
    let task = task.ok_or_else(|| {
        ApiError::unknown("task", format_args!("{} on {}", invocation.uid, instance.uid))
            .hint(format!("`orderly invocation show {}` lists its tasks", invocation.uid))
    })?;
    let result = api.store.result(invocation.key, instance.key).await?;
    Ok((invocation, task, result))
}

pub(super) fn unreadable(error: serde_json::Error) -> ApiError {
    ApiError::internal(&error)
}

/// Shows a task with all that is kept of its result.
#[utoipa::path(get, path = "/v1/invocations/{id}/tasks/{instance}", tag = "tasks",
    params(("id" = String, Path,), ("instance" = String, Path,)), responses((status = OK, body = TaskDetail)))]
pub(crate) async fn show(
    _permit: Permit,
    api: State,
    Path((id, instance)): Path<(String, String)>,
) -> Result<axum::Json<TaskDetail>, ApiError> {
    let (invocation, task, result) = find(&api, &id, &instance).await?;
    detail(&invocation, &task, result).map(axum::Json)
}

/// A task with all that is kept of its result.
pub(super) fn detail(
    invocation: &InvocationRow,
    task: &TaskRow,
    result: Option<ResultRow>,
) -> Result<TaskDetail, ApiError> {
    let (mut output, mut report, mut receipt) = (None, None, None);
    if let Some(result) = result {
        output = Some(serde_json::from_slice(&result.output).map_err(unreadable)?);
        report = result.report.as_deref().map(serde_json::from_slice::<Report>).transpose().map_err(unreadable)?;
        receipt = Some(serde_json::from_slice(&result.receipt).map_err(unreadable)?);
    }
    Ok(TaskDetail { view: view::task(&invocation.uid, task), output, report, receipt })
}

/// The query of a task's output.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputQuery {
    stream: Option<Stream>,
}

/// The kept output of a task as text: the beginning, a line where something was dropped, the end.
#[utoipa::path(get, path = "/v1/invocations/{id}/tasks/{instance}/output", tag = "tasks", params(
        ("id" = String, Path,),
        ("instance" = String, Path,),
        ("stream" = Option<String>, Query, description = "`stdout` or `stderr`; both in their order where absent"),
    ), responses((status = OK, body = String, content_type = "text/plain")))]
pub(crate) async fn output(
    _permit: Permit,
    api: State,
    Path((id, instance)): Path<(String, String)>,
    Params(query): Params<OutputQuery>,
) -> Result<impl IntoResponse, ApiError> {
    let (_, task, result) = find(&api, &id, &instance).await?;
    let Some(result) = result else {
        let error = if task.status.is_final() {
            ApiError::new(StatusCode::NOT_FOUND, "no-output", "this task ended without reaching its instance")
        } else {
            ApiError::conflict("not-ended", "this task has not ended, its output is not here yet")
                .hint("`orderly run` and the event stream show live output")
        };
        return Err(error.detail(format!("it is {}", task.status)));
    };
    let output: KeptOutput = serde_json::from_slice(&result.output).map_err(unreadable)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], render(&output, query.stream)))
}

pub(super) fn render(output: &KeptOutput, only: Option<Stream>) -> Vec<u8> {
    let wanted = |stream: Stream| only.is_none_or(|only| only == stream);
    let mut text = Vec::new();
    for segment in output.head.iter().filter(|segment| wanted(segment.stream)) {
        text.extend_from_slice(&segment.data);
    }
    if output.dropped_bytes > 0 {
        if text.last().is_some_and(|last| *last != b'\n') {
            text.push(b'\n');
        }
        text.extend_from_slice(format!("[… {} bytes dropped …]\n", output.dropped_bytes).as_bytes());
    }
    for segment in output.tail.iter().filter(|segment| wanted(segment.stream)) {
        text.extend_from_slice(&segment.data);
    }
    text
}

/// The receipt of a task: a DSSE envelope, byte for byte as the instance signed it.
#[utoipa::path(get, path = "/v1/invocations/{id}/tasks/{instance}/receipt", tag = "tasks",
    params(("id" = String, Path,), ("instance" = String, Path,)),
    responses((status = OK, body = Object, content_type = "application/json")))]
pub(crate) async fn receipt(
    _permit: Permit,
    api: State,
    Path((id, instance)): Path<(String, String)>,
) -> Result<impl IntoResponse, ApiError> {
    let (_, task, result) = find(&api, &id, &instance).await?;
    let result = result.ok_or_else(|| {
        ApiError::new(StatusCode::NOT_FOUND, "no-receipt", "this task has no receipt")
            .detail(format!("it is {}", task.status))
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json")], result.receipt))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use orderly_wire::to_server::Segment;

    use super::*;

    #[test]
    fn dropped_bytes_are_a_line_of_their_own() {
        let segment = |stream, data: &str| Segment { stream, data: data.as_bytes().to_vec() };
        let output = KeptOutput {
            head: vec![segment(Stream::Stdout, "a\n"), segment(Stream::Stderr, "b")],
            dropped_bytes: 7,
            tail: vec![segment(Stream::Stdout, "z\n")],
        };
        let text = |only| String::from_utf8(render(&output, only)).unwrap();
        assert_eq!(text(None), "a\nb\n[… 7 bytes dropped …]\nz\n");
        assert_eq!(text(Some(Stream::Stderr)), "b\n[… 7 bytes dropped …]\n");
        assert_eq!(render(&KeptOutput::default(), None), b"");
    }
}
