//! The description of the API, OpenAPI 3.1, and the health check.

use std::sync::OnceLock;

use orderly_wire::http::problem::{PROBLEM_JSON, Problem};
use serde::Serialize;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{PartialSchema as _, ToSchema};

use super::problem::ApiError;

/// The name of the response that every operation may give.
const PROBLEM: &str = "Problem";

/// The answer of the health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`
    pub status: String,
    /// The server's version.
    pub version: String,
}

/// Answers while the server takes requests and its store can be read.
#[utoipa::path(get, path = "/v1/health", tag = "server", security(()), responses((status = OK, body = Health)))]
pub(crate) async fn health(api: super::State) -> Result<axum::Json<Health>, ApiError> {
    api.store.newest_order().await?;
    Ok(axum::Json(Health { status: "ok".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }))
}

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "server", security(()),
    responses((status = OK, body = Object, content_type = "application/json")))]
pub(crate) async fn serve() -> axum::Json<&'static OpenApi> {
    static DOCUMENT: OnceLock<OpenApi> = OnceLock::new();
    axum::Json(DOCUMENT.get_or_init(document))
}

/// The part of the document that no route brings.
pub(super) fn head() -> OpenApi {
    let info = InfoBuilder::new().title("Orderly").version(env!("CARGO_PKG_VERSION")).description(Some(
        "The API of an Orderly control server. Times are Unix milliseconds; errors are problem details.",
    ));
    OpenApiBuilder::new().info(info.build()).build()
}

/// The whole document.
#[must_use]
pub fn document() -> OpenApi {
    let mut document = super::described().split_for_parts().1;
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API token, `ort_…`")).build();
    let schema = Ref::from_schema_name(Problem::name());
    let problem = ResponseBuilder::new()
        .description("what is wrong, where, and what to do about it")
        .content(PROBLEM_JSON, ContentBuilder::new().schema(Some(schema)).build())
        .build();
    let components = document.components.get_or_insert_default();
    components.security_schemes.insert("token".to_owned(), SecurityScheme::Http(bearer).into());
    components.responses.insert(PROBLEM.to_owned(), problem.into());
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    for (path, item) in &mut document.paths.paths {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().filter_map(Option::as_mut);
        for operation in operations {
            operation.responses.responses.insert("default".to_owned(), RefOr::Ref(Ref::from_response_name(PROBLEM)));
            // Handlers of different things share a name; what programs generate from this must not.
            if let (Some(id), Some([tag])) = (&mut operation.operation_id, operation.tags.as_deref()) {
                *id = format!("{tag}-{}", id.replace('_', "-"));
            }
            if path.starts_with("/v1/") && operation.security.is_none() {
                operation.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
            }
        }
    }
    document
}
