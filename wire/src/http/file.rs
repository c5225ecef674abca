//! Files: how one is put on instances or collected from them, and how its bytes travel.
//!
//! Bytes go up in requests of `application/octet-stream` that say with which byte they begin. What came of an upload that broke
//! off is kept for a day, so that the next request goes on behind it; the receiver's [`Received`] says where that is. Bytes go
//! down by `Range: bytes=N-`.

use orderly_signing::digest::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The type of the bodies that are pieces of a file.
pub const OCTETS: &str = "application/octet-stream";

/// Put a file on instances. Where the request carries an order these must equal what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    /// The directory, absolute; it is made where it is not there.
    pub directory: String,
    /// The file's name in it.
    pub name: String,
    /// SHA-256 of the content, which the server must have: `PUT /v1/blobs/{digest}` brings it there.
    #[schema(value_type = String)]
    pub content: Digest,
    /// Bytes of the content.
    pub content_bytes: u64,
    /// Whose it is, by name; the agent's own user where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its group, by name; the owner's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its mode as three or four octal digits, special bits too; `0644` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Whether a file that is there is replaced.
    #[serde(default)]
    pub overwrite: bool,
    /// Seconds until it is given up; 60 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
}

/// Collect a file from instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunCollect {
    /// Its path on the instance, absolute.
    pub path: String,
    /// The largest that is taken, in bytes: a larger one is refused, not cut.
    pub max_bytes: u64,
    /// Seconds until it is given up; 60 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
}

/// The query of `PUT /v1/blobs/{digest}` and `PUT /agent/v1/files/{order}`: the body is the content from `offset` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// Bytes of the whole content.
    pub bytes: u64,
    /// Where in it the body begins: as many bytes as the server has.
    pub offset: u64,
}

/// How much of a content the server has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Received {
    /// Bytes that are there.
    pub bytes: u64,
    /// SHA-256 of the whole, once the whole is there; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub digest: Option<Digest>,
}
