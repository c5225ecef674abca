//! Plugins: packages that were uploaded and what they ask for.

use orderly_signing::digest::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A plugin's version. `POST /v1/plugins` takes the package itself (a tar of exactly `plugin.wasm`, `plugin.toml` and
/// `statement.json`) as `application/x-tar` and answers this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginView {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// SHA-256 of the component.
    #[schema(value_type = String)]
    pub component: Digest,
    /// The component's size in bytes.
    pub component_bytes: u64,
    /// SHA-256 of the manifest.
    #[schema(value_type = String)]
    pub manifest: Digest,
    /// Key id of the publisher who signed the statement.
    pub publisher: String,
    /// Whether the security team's approval is there.
    pub approved: bool,
    /// What the manifest asks for, a line each.
    pub capabilities: Vec<String>,
    /// The tier that follows from it, such as `plugin-read-only`.
    pub tier: String,
    /// When it was uploaded.
    pub created_ms: i64,
}

/// One version with its documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginDetail {
    /// As lists show it.
    #[serde(flatten)]
    pub view: PluginView,
    /// The text of `plugin.toml`.
    pub manifest_text: String,
    /// The publisher's statement, a DSSE envelope.
    #[schema(value_type = Object)]
    pub statement: serde_json::Value,
    /// The security team's approval, a DSSE envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub approval: Option<serde_json::Value>,
}
