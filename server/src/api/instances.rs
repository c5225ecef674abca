//! Instances and their tags.

use std::collections::BTreeMap;

use axum::extract::Path;
use orderly_model::name::{TagKey, TagValue};
use orderly_model::selector::{Selector, SelectorError, TagSelector, Tags};
use orderly_signing::instance::InstanceId;
use orderly_wire::http::Page;
use orderly_wire::http::instance::{InstanceView, ListInstances, SetTags};

use super::auth::Permit;
use super::body::{Json, Params, after, limit, tags};
use super::problem::ApiError;
use super::{State, groups};
use crate::store::row::InstanceRow;
use crate::view;

/// Rows read at once where a page is filtered here.
const SCAN: i64 = 1000;

/// Lists instances by the order in which they enrolled.
#[utoipa::path(get, path = "/v1/instances", tag = "instances", params(
        ("tags" = Option<String>, Query, description = "`key=value` pairs joined by commas, all of which must hold"),
        ("where" = Option<String>, Query,
            description = "a selector that must match, such as `env=prod and not role in (db,cache)`"),
        ("group" = Option<String>, Query, description = "a saved group, whose selector must match"),
        ("online" = Option<bool>, Query, description = "only those whose link is up, or down"),
        ("after" = Option<String>, Query, description = "the last page's `next`"),
        ("limit" = Option<u32>, Query, description = "rows of the page"),
    ), responses((status = OK, body = Page<InstanceView>)))]
pub(crate) async fn list(
    _permit: Permit,
    api: State,
    Params(query): Params<ListInstances>,
) -> Result<axum::Json<Page<InstanceView>>, ApiError> {
    let limit = limit(query.limit)?;
    let mut selectors: Vec<Selector> = query.selector.as_deref().map(selector).transpose()?.into_iter().collect();
    if let Some(group) = &query.group {
        selectors.push(groups::selector(&api, group).await?);
    }
    let tags = query.tags.as_deref().map(tag_selector).transpose()?.unwrap_or_default();
    let mut after = after(query.after.as_deref(), 0)?;
    let mut found: Vec<InstanceRow> = Vec::new();
    // Who is linked is known here and not in the store, so the store's pages are filtered until one is full.
    let page = if query.online.is_some() || !selectors.is_empty() { SCAN } else { super::body::one_more(limit) };
    while found.len() <= limit {
        let rows = api.store.instances(&tags, after, page).await?;
        let Some(last) = rows.last().map(|row| row.key) else { break };
        let short = i64::try_from(rows.len()).unwrap_or(0) < page;
        after = last;
        let fits = |row: &InstanceRow| {
            query.online.is_none_or(|online| online == api.link.links.linked(row.key)) && matches(&selectors, &row.tags)
        };
        found.extend(rows.into_iter().filter(fits));
        if short {
            break;
        }
    }
    let next = super::body::cut(&mut found, limit, |row| row.key);
    let items = found
        .into_iter()
        .map(|row| {
            let heard_ms = api.link.links.heard_ms(row.key);
            view::instance(row, heard_ms)
        })
        .collect::<Result<_, _>>()?;
    Ok(axum::Json(Page { items, next }))
}

/// A selector as people write it.
pub(super) fn selector(text: &str) -> Result<Selector, ApiError> {
    text.parse().map_err(|error: SelectorError| {
        ApiError::bad_request("selector", "`where` is not a selector").detail(error.to_string())
    })
}

/// Whether all selectors mean an instance with these tags. The store has taken no tag that the model would not.
fn matches(selectors: &[Selector], tags: &BTreeMap<String, String>) -> bool {
    if selectors.is_empty() {
        return true;
    }
    let pairs =
        tags.iter().filter_map(|(key, value)| Some((key.parse::<TagKey>().ok()?, value.parse::<TagValue>().ok()?)));
    let tags: Tags = pairs.collect();
    selectors.iter().all(|selector| selector.matches(&tags))
}

/// A tag selector of a query, as the store takes it.
pub(super) fn tag_selector(text: &str) -> Result<BTreeMap<String, String>, ApiError> {
    let selector: TagSelector = text.parse().map_err(|error: orderly_model::error::ParseError| {
        ApiError::bad_request("selector", "`tags` is not a tag selector").detail(error.to_string())
    })?;
    Ok(pairs(&selector))
}

/// A selector as the store takes it.
pub(super) fn pairs(selector: &TagSelector) -> BTreeMap<String, String> {
    selector.all().iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// The instance of a path.
pub(super) async fn find(api: &super::Api, id: &str) -> Result<InstanceRow, ApiError> {
    let uid: InstanceId = id.parse().map_err(|error: orderly_signing::instance::InstanceIdError| {
        ApiError::unknown("instance", id.escape_debug()).detail(error.to_string())
    })?;
    api.store.instance(&uid).await?.ok_or_else(|| ApiError::unknown("instance", id))
}

/// Shows an instance.
#[utoipa::path(get, path = "/v1/instances/{id}", tag = "instances", params(("id" = String, Path,)),
    responses((status = OK, body = InstanceView)))]
pub(crate) async fn show(
    _permit: Permit,
    api: State,
    Path(id): Path<String>,
) -> Result<axum::Json<InstanceView>, ApiError> {
    let row = find(&api, &id).await?;
    let heard_ms = api.link.links.heard_ms(row.key);
    Ok(axum::Json(view::instance(row, heard_ms)?))
}

/// Replaces the tags of an instance.
#[utoipa::path(put, path = "/v1/instances/{id}/tags", tag = "instances", params(("id" = String, Path,)),
    request_body = SetTags, responses((status = OK, body = InstanceView)))]
pub(crate) async fn set_tags(
    _permit: Permit,
    api: State,
    Path(id): Path<String>,
    Json(request): Json<SetTags>,
) -> Result<axum::Json<InstanceView>, ApiError> {
    let row = find(&api, &id).await?;
    api.store.set_tags(row.key, tags(&request.tags)?).await?;
    let row = find(&api, &id).await?;
    let heard_ms = api.link.links.heard_ms(row.key);
    Ok(axum::Json(view::instance(row, heard_ms)?))
}
