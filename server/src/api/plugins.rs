//! Plugins: packages and approvals.

use axum::body::Bytes;
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use orderly_wire::http::Page;
use orderly_wire::http::plugin::{PluginDetail, PluginView};
use orderly_wire::package::Package;

use super::auth::Permit;
use super::blobs::failed;
use super::body::{bytes, expect_type};
use super::problem::ApiError;
use super::{Api, State};
use crate::catalogue::{CatalogueError, check_approval, check_package};
use crate::store::row::{AddOutcome, PluginDocuments, PluginRow};
use crate::{clock, view};

/// The media type of a package.
const TAR: &str = "application/x-tar";

/// Lists all versions of all plugins.
#[utoipa::path(get, path = "/v1/plugins", tag = "plugins", responses((status = OK, body = Page<PluginView>)))]
pub(crate) async fn list(_permit: Permit, api: State) -> Result<axum::Json<Page<PluginView>>, ApiError> {
    let items = api.store.plugins(None).await?.into_iter().map(view::plugin).collect();
    Ok(axum::Json(Page { items, next: None }))
}

fn refused(error: CatalogueError) -> ApiError {
    let (code, hint) = match &error {
        CatalogueError::Package(_) => ("package", "`orderly plugin sign` makes a package"),
        CatalogueError::Manifest(_) => ("manifest", "mend `plugin.toml`, build and sign again"),
        CatalogueError::Publisher { .. } => {
            ("publisher", "sign with a publisher key of the keyring, or add the key and publish the keyring")
        }
        CatalogueError::Differs { .. } => ("differs", "build and sign the package again"),
        CatalogueError::Refused(refusal) => {
            return ApiError::unprocessable(&format!("approval-{}", refusal.check.code()), "the approval is refused")
                .detail(refusal.reason.clone())
                .hint("`orderly plugin approve` signs one with a vetting key of the keyring");
        }
    };
    ApiError::unprocessable(code, "the upload is refused").detail(error.to_string()).hint(hint)
}

/// Uploads a package: a tar of exactly `plugin.wasm`, `plugin.toml` and `statement.json`.
#[utoipa::path(post, path = "/v1/plugins", tag = "plugins",
    request_body(content = String, description = "the package", content_type = "application/x-tar"),
    responses((status = CREATED, body = PluginView)))]
pub(crate) async fn upload(
    _permit: Permit,
    api: State,
    request: Request,
) -> Result<(StatusCode, axum::Json<PluginView>), ApiError> {
    expect_type(&request, TAR)?;
    let keyring = api.trust.keyring().ok_or_else(super::order::no_keyring)?;
    let busy = |_| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is stopping");
    let _room = api.uploads.acquire().await.map_err(busy)?;
    let body = bytes(request, &()).await?;
    let now_ms = clock::now_ms();
    let checked = tokio::task::spawn_blocking(move || {
        let package = Package::parse(&body)?;
        drop(body);
        let (row, documents) = check_package(&package, &keyring, now_ms)?;
        Ok::<_, CatalogueError>((row, documents, Bytes::from(package.component)))
    })
    .await
    .map_err(|error| ApiError::internal(&error))?;
    let (row, documents, component) = checked.map_err(refused)?;
    api.blobs.put(component).await.map_err(failed)?;
    match api.store.add_plugin(row.clone(), documents).await? {
        AddOutcome::Stored => {}
        AddOutcome::Conflict => {
            return Err(ApiError::conflict("plugin-exists", "this version is there already, with other bytes")
                .detail(format!("`{}` {}", row.name, row.version))
                .hint("give the changed plugin a new version in `plugin.toml`"));
        }
    }
    let (row, _) = find(&api, &row.name, &row.version).await?;
    Ok((StatusCode::CREATED, axum::Json(view::plugin(row))))
}

/// One version with its documents.
pub(super) async fn find(api: &Api, name: &str, version: &str) -> Result<(PluginRow, PluginDocuments), ApiError> {
    let unknown = || ApiError::unknown("plugin", format_args!("{name}@{version}"));
    api.store.plugin(name, version).await?.ok_or_else(unknown)
}

/// Shows one version with its documents.
#[utoipa::path(get, path = "/v1/plugins/{name}/{version}", tag = "plugins",
    params(("name" = String, Path,), ("version" = String, Path,)), responses((status = OK, body = PluginDetail)))]
pub(crate) async fn show(
    _permit: Permit,
    api: State,
    Path((name, version)): Path<(String, String)>,
) -> Result<axum::Json<PluginDetail>, ApiError> {
    let (row, documents) = find(&api, &name, &version).await?;
    let envelope = |bytes: &[u8]| serde_json::from_slice(bytes).map_err(|error| ApiError::internal(&error));
    Ok(axum::Json(PluginDetail {
        view: view::plugin(row),
        manifest_text: String::from_utf8_lossy(&documents.manifest).into_owned(),
        statement: envelope(&documents.statement)?,
        approval: documents.approval.as_deref().map(envelope).transpose()?,
    }))
}

/// Stores the security team's approval of a version.
#[utoipa::path(put, path = "/v1/plugins/{name}/{version}/approval", tag = "plugins",
    params(("name" = String, Path,), ("version" = String, Path,)),
    request_body(content = Object, description = "an approval, a DSSE envelope", content_type = "application/json"),
    responses((status = OK, body = PluginView)))]
pub(crate) async fn approve(
    _permit: Permit,
    api: State,
    Path((name, version)): Path<(String, String)>,
    body: Bytes,
) -> Result<axum::Json<PluginView>, ApiError> {
    let keyring = api.trust.keyring().ok_or_else(super::order::no_keyring)?;
    let (row, documents) = find(&api, &name, &version).await?;
    let revision = check_approval(&row, &documents, &body, &keyring, clock::now_ms()).map_err(refused)?;
    let revision = i64::try_from(revision).unwrap_or(i64::MAX);
    if !api.store.set_approval(row.key, revision, body.to_vec()).await? {
        return Err(ApiError::conflict("approval-revision", "a newer approval of this version is there")
            .detail(format!("this one has revision {revision}"))
            .hint("sign one with a higher revision"));
    }
    api.link.offers.forget_plugin(row.key);
    let (row, _) = find(&api, &name, &version).await?;
    Ok(axum::Json(view::plugin(row)))
}
