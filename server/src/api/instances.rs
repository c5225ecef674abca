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
use crate::store::Store;
use crate::store::row::{InstanceKey, InstanceRow};
use crate::view;

/// Rows read at once where a page is filtered here.
const SCAN: i64 = 1000;

/// How often one request reads so many at most: a selector that means nobody must not read all there is.
const SCANS: usize = 20;

/// Lists instances by the order in which they enrolled.
#[utoipa::path(get, path = "/v1/instances", tag = "instances", params(
        ("tags" = Option<String>, Query, description = "`key=value` pairs joined by commas, all of which must hold"),
        ("where" = Option<String>, Query,
            description = "a selector that must match, such as `env=prod and not role in (db,cache)`"),
        ("group" = Option<String>, Query, description = "a saved group, whose selector must match"),
        ("online" = Option<bool>, Query, description = "only those whose link is up, or down"),
        ("after" = Option<String>, Query, description = "the last page's `next`"),
        ("limit" = Option<u32>, Query,
            description = "rows of the page; where a selector fits few there may be fewer, and a `next` all the same"),
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
    let rows = if query.online.is_some() || !selectors.is_empty() { SCAN } else { super::body::one_more(limit) };
    let pages = Pages { tags, after: after(query.after.as_deref(), 0)?, rows, most: SCANS };
    let fits = |row: &InstanceRow| {
        query.online.is_none_or(|online| online == api.link.links.linked(row.key)) && matches(&selectors, &row.tags)
    };
    let (found, next) = filtered(&api.store, pages, limit, fits).await?;
    let items = found
        .into_iter()
        .map(|row| {
            let heard_ms = api.link.links.heard_ms(row.key);
            view::instance(row, heard_ms)
        })
        .collect::<Result<_, _>>()?;
    Ok(axum::Json(Page { items, next }))
}

/// Which rows of the store a list looks at.
pub(super) struct Pages {
    /// Tags that all of them have.
    pub tags: BTreeMap<String, String>,
    /// The key that they come after.
    pub after: InstanceKey,
    /// How many are read at once.
    pub rows: i64,
    /// How often so many are read at most.
    pub most: usize,
}

/// The first instances that fit, at most `limit`, and the key after which the list goes on. Who is linked is known here and not in
/// the store, so the store's pages are filtered until one is full. Where few fit the answer is short, or empty, rather than late.
pub(super) async fn filtered(
    store: &Store,
    mut pages: Pages,
    limit: usize,
    fits: impl Fn(&InstanceRow) -> bool,
) -> Result<(Vec<InstanceRow>, Option<String>), ApiError> {
    let mut found: Vec<InstanceRow> = Vec::new();
    for _ in 0..pages.most {
        let rows = store.instances(&pages.tags, pages.after, pages.rows).await?;
        let short = i64::try_from(rows.len()).unwrap_or(0) < pages.rows;
        pages.after = rows.last().map_or(pages.after, |row| row.key);
        found.extend(rows.into_iter().filter(&fits));
        if short || found.len() > limit {
            let next = super::body::cut(&mut found, limit, |row| row.key);
            return Ok((found, next));
        }
    }
    Ok((found, Some(pages.after.to_string())))
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
