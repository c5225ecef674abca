//! Bodies and queries, with errors that say where.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::{StatusCode, header, request::Parts};
use orderly_model::limits::TAGS_MAX;
use orderly_model::name::{TagKey, TagValue};
use orderly_wire::http::problem::Fault;
use serde::de::DeserializeOwned;

use super::problem::ApiError;

/// The bytes of a body, within the route's limit.
pub(super) async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is larger than this path takes")
        } else {
            ApiError::bad_request("body", "the body could not be read").detail(rejection.body_text())
        }
    })
}

/// Refuses a body that says it is something else.
pub(super) fn expect_type(request: &Request, expected: &str) -> Result<(), ApiError> {
    let said = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = said.split(';').next().unwrap_or("").trim();
    if kind.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", format!("this path takes `{expected}`"))
        .detail(format!("`content-type` is `{said}`")))
}

/// A JSON body.
pub(crate) struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        expect_type(&request, "application/json")?;
        let body = bytes(request, state).await?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            ApiError::bad_request("json", "the body is not what this path takes").detail(error.to_string())
        })
    }
}

/// The query of a URL.
pub(crate) struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Query::try_from_uri(&parts.uri).map(|Query(query)| Self(query)).map_err(|rejection| {
            ApiError::bad_request("query", "the query is not what this path takes").detail(rejection.body_text())
        })
    }
}

/// How many rows a page gets.
pub(super) fn limit(asked: Option<u32>) -> Result<usize, ApiError> {
    use orderly_wire::http::{PAGE_DEFAULT, PAGE_MAX};
    let limit = asked.unwrap_or(PAGE_DEFAULT);
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(limit as usize);
    }
    Err(ApiError::bad_request("limit", format!("`limit` is 1 to {PAGE_MAX}")))
}

/// The key after which a page begins; `first` for the first page.
pub(super) fn after(text: Option<&str>, first: i64) -> Result<i64, ApiError> {
    text.map_or(Ok(first), |text| {
        text.parse().map_err(|_| {
            ApiError::bad_request("after", "`after` is not the `next` of a page")
                .detail(format!("`{}`", text.escape_debug()))
        })
    })
}

/// Cuts one row too many off a page, and answers the key of the last that stays where there was one.
pub(super) fn cut<T>(rows: &mut Vec<T>, limit: usize, key: impl Fn(&T) -> i64) -> Option<String> {
    if rows.len() <= limit {
        return None;
    }
    rows.truncate(limit);
    rows.last().map(|row| key(row).to_string())
}

/// One row more than the page has, to learn whether there is a next one.
pub(super) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1
}

/// A name for people: 1 to 128 characters in one line, nothing where it is absent or empty.
pub(super) fn label(field: &str, text: Option<&str>) -> Result<Option<String>, ApiError> {
    match text.map(str::trim) {
        None => Ok(None),
        Some(text) if !text.is_empty() && text.chars().count() <= 128 && !text.contains(char::is_control) => {
            Ok(Some(text.to_owned()))
        }
        Some(text) => Err(ApiError::unprocessable("name", format!("`{field}` is 1 to 128 characters in one line"))
            .detail(format!("`{}`", text.escape_debug()))),
    }
}

/// Tags that people gave: at most 20, each of the model's form.
pub(super) fn tags(tags: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ApiError> {
    let faults = tag_faults(tags);
    if faults.is_empty() { Ok(tags.clone()) } else { Err(ApiError::faults(faults)) }
}

/// What is wrong with tags that people gave.
pub(super) fn tag_faults(tags: &BTreeMap<String, String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    if tags.len() > TAGS_MAX {
        faults.push(Fault {
            field: "tags".to_owned(),
            message: format!("has {} entries, at most {TAGS_MAX}", tags.len()),
        });
    }
    for (key, value) in tags {
        let field = format!("tags.{}", key.escape_debug());
        if let Err(error) = key.parse::<TagKey>() {
            faults.push(Fault { field: field.clone(), message: error.to_string() });
        }
        if let Err(error) = value.parse::<TagValue>() {
            faults.push(Fault { field, message: error.to_string() });
        }
    }
    faults
}
