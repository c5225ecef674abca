//! Saved groups of instances: a name for a selector. Who is in one is asked anew each time.

use orderly_model::name::GroupName;
use orderly_model::selector::Selector;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/groups`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateGroup {
    /// `[a-z0-9][a-z0-9-]{0,63}`
    #[schema(value_type = String)]
    pub name: GroupName,
    /// A selector, such as `env=prod and not role in (db,cache)`.
    #[serde(rename = "where")]
    #[schema(value_type = String)]
    pub selector: Selector,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// Its selector.
    #[serde(rename = "where")]
    pub selector: String,
    /// When it was made.
    pub created_ms: i64,
    /// On whose behalf: the token's name.
    pub created_by: String,
}

/// The query of `GET /v1/groups`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListGroups {
    /// The last page's `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Rows of the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
