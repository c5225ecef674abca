//! Saved groups of instances.

use axum::extract::Path;
use axum::http::StatusCode;
use orderly_model::name::GroupName;
use orderly_model::selector::Selector;
use orderly_wire::http::Page;
use orderly_wire::http::group::{CreateGroup, GroupView, ListGroups};

use super::auth::Permit;
use super::body::{Json, Params, limit, one_more};
use super::problem::ApiError;
use super::{Api, State};
use crate::store::StoreError;
use crate::store::row::GroupRow;
use crate::{clock, view};

/// Lists groups by name.
#[utoipa::path(get, path = "/v1/groups", tag = "groups", params(
        ("after" = Option<String>, Query, description = "the last page's `next`"),
        ("limit" = Option<u32>, Query, description = "rows of the page"),
    ), responses((status = OK, body = Page<GroupView>)))]
pub(crate) async fn list(
    _permit: Permit,
    api: State,
    Params(query): Params<ListGroups>,
) -> Result<axum::Json<Page<GroupView>>, ApiError> {
    let limit = limit(query.limit)?;
    let after = query.after.as_deref().unwrap_or_default();
    if !after.is_empty() && after.parse::<GroupName>().is_err() {
        return Err(ApiError::bad_request("after", "`after` is not the `next` of a page")
            .detail(format!("`{}`", after.escape_debug())));
    }
    let mut rows = api.store.groups(after, one_more(limit)).await?;
    let next =
        (rows.len() > limit).then(|| rows.truncate(limit)).and_then(|()| rows.last().map(|row| row.name.clone()));
    Ok(axum::Json(Page { items: rows.into_iter().map(view::group).collect(), next }))
}

/// Saves a group.
#[utoipa::path(post, path = "/v1/groups", tag = "groups", request_body = CreateGroup,
    responses((status = CREATED, body = GroupView)))]
pub(crate) async fn create(
    permit: Permit,
    api: State,
    Json(request): Json<CreateGroup>,
) -> Result<(StatusCode, axum::Json<GroupView>), ApiError> {
    let row = GroupRow {
        name: request.name.to_string(),
        selector: request.selector.to_string(),
        created_ms: clock::now_ms(),
        created_by: permit.principal().to_owned(),
    };
    if !api.store.add_group(row.clone()).await? {
        return Err(ApiError::conflict("group-exists", "there is a group of this name")
            .detail(format!("`{}`", row.name))
            .hint("delete it first, or take another name"));
    }
    Ok((StatusCode::CREATED, axum::Json(view::group(row))))
}

/// Shows a group.
#[utoipa::path(get, path = "/v1/groups/{name}", tag = "groups", params(("name" = String, Path,)),
    responses((status = OK, body = GroupView)))]
pub(crate) async fn show(
    _permit: Permit,
    api: State,
    Path(name): Path<String>,
) -> Result<axum::Json<GroupView>, ApiError> {
    Ok(axum::Json(view::group(find(&api, &name).await?)))
}

/// Deletes a group. Its instances stay as they are.
#[utoipa::path(delete, path = "/v1/groups/{name}", tag = "groups", params(("name" = String, Path,)),
    responses((status = NO_CONTENT)))]
pub(crate) async fn delete(_permit: Permit, api: State, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    if name.parse::<GroupName>().is_ok() && api.store.remove_group(&name).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::unknown("group", name.escape_debug()))
    }
}

async fn find(api: &Api, name: &str) -> Result<GroupRow, ApiError> {
    let unknown = || ApiError::unknown("group", name.escape_debug());
    name.parse::<GroupName>().map_err(|_| unknown())?;
    api.store.group(name).await?.ok_or_else(unknown)
}

/// The selector of a group.
pub(super) async fn selector(api: &Api, name: &str) -> Result<Selector, ApiError> {
    let row = find(api, name).await?;
    let unreadable = |_| ApiError::from(StoreError::Row { table: "instance_groups", value: row.selector.clone() });
    row.selector.parse().map_err(unreadable)
}
