//! Every error of the API as problem details, with a stable code, and its internal side in the log only.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use orderly_wire::http::problem::{Fault, PROBLEM_JSON, Problem};
use tracing::{Instrument as _, error, info_span};

use crate::store::StoreError;

/// The header with the request's id.
const REQUEST_ID: &str = "x-request-id";

/// An error on its way out: what the client reads, and what only the log gets.
#[derive(Debug, Clone)]
pub(crate) struct ApiError(Box<Told>);

#[derive(Debug, Clone)]
struct Told {
    problem: Problem,
    internal: Option<String>,
}

impl ApiError {
    /// An error with a stable code in kebab case and one sentence.
    #[must_use]
    pub(crate) fn new(status: StatusCode, code: &str, title: impl Into<String>) -> Self {
        let problem = Problem {
            kind: format!("urn:orderly:problem:{code}"),
            status: status.as_u16(),
            code: code.to_owned(),
            title: title.into(),
            detail: None,
            hint: None,
            faults: Vec::new(),
            request_id: None,
        };
        Self(Box::new(Told { problem, internal: None }))
    }

    /// A request that cannot be understood.
    #[must_use]
    pub(crate) fn bad_request(code: &str, title: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, title)
    }

    /// A request that is understood and cannot be.
    #[must_use]
    pub(crate) fn unprocessable(code: &str, title: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, title)
    }

    /// Something that is not there.
    #[must_use]
    pub(crate) fn unknown(what: &str, id: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, &format!("unknown-{what}"), format!("there is no {what} `{id}`"))
            .hint(format!("list them with `orderly {what} list`"))
    }

    /// A request that does not fit what is there.
    #[must_use]
    pub(crate) fn conflict(code: &str, title: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, title)
    }

    /// Several faults of one request.
    #[must_use]
    pub(crate) fn faults(faults: Vec<Fault>) -> Self {
        let mut error = Self::unprocessable("invalid-request", "the request has faults");
        error.0.problem.detail = Some(
            faults.iter().map(|fault| format!("`{}` {}", fault.field, fault.message)).collect::<Vec<_>>().join("; "),
        );
        error.0.problem.faults = faults;
        error
    }

    /// Adds where and why.
    #[must_use]
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.problem.detail = Some(detail.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.problem.hint = Some(hint.into());
        self
    }

    /// A failure of this server: the client learns the request's id, the log learns the rest.
    #[must_use]
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut chain = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            chain = format!("{chain}: {error}");
            cause = error.source();
        }
        let mut failure = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed to answer")
            .hint("the server's log says more under the request id");
        failure.0.internal = Some(chain);
        failure
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is stopping").hint("try again soon")
            }
            error => Self::internal(&error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The answer where no route fits.
pub(crate) async fn not_found(request: Request) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this path")
        .detail(format!("`{}`", request.uri().path()))
        .hint("`GET /v1/openapi.json` lists what there is")
}

/// The answer where the path is right and the method is not.
pub(crate) async fn method_not_allowed(request: Request) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path does not take this method")
        .detail(format!("`{} {}`", request.method(), request.uri().path()))
}

/// Gives each request an id, writes errors as problem details, and logs what only the log may say.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    // With the start of the process in it, so that ids of two runs differ in one log.
    let id = format!("r-{:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let span = info_span!("request", request.id = id, method = %request.method(), path = request.uri().path());
    let mut response = next.run(request).instrument(span.clone()).await;
    let _entered = span.enter();
    if let Some(error) = response.extensions_mut().remove::<ApiError>().or_else(|| plain(&response)) {
        if let Some(internal) = &error.0.internal {
            error!(error = internal, "a request failed");
        }
        let mut problem = error.0.problem;
        problem.request_id = Some(id.clone());
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        *response.body_mut() = body.into();
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// An error that did not come from a handler of ours.
fn plain(response: &Response) -> Option<ApiError> {
    let status = response.status();
    let ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON);
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let code = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "too-large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "media-type",
        StatusCode::UPGRADE_REQUIRED => "upgrade-required",
        _ => "bad-request",
    };
    Some(ApiError::new(status, code, status.canonical_reason().unwrap_or("the request cannot be answered")))
}
