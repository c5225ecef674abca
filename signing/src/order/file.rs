//! What an order says of files: one to be put on an instance, one to be collected from it.
//!
//! Owns the fields and their bounds. What a path may be on an instance is the agent's to judge; here it only has a length.

use serde::{Deserialize, Serialize};

use super::within_timeout;
use crate::{digest::Digest, document, error::Invalid};

/// Largest file that is distributed or collected: 64 GiB.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// Longest directory and longest path, in bytes (`PATH_MAX` of Linux).
pub const MAX_PATH_BYTES: usize = 4096;
/// Longest name, in bytes (`NAME_MAX` of Linux; ECS API 8 has 255 too).
pub const MAX_NAME_BYTES: usize = 255;

/// Put a file on the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileAction {
    /// The directory, absolute; it is made where it is not there.
    pub directory: String,
    /// The file's name in it.
    pub name: String,
    /// SHA-256 of the content.
    pub content: Digest,
    /// Length of the content in bytes, 0 to [`MAX_FILE_BYTES`].
    pub content_bytes: u64,
    /// Whose it is, by name; the agent's own user where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its group, by name; the owner's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its mode, special bits too: at most 0o7777.
    pub mode: u32,
    /// Whether a file that is there is replaced.
    pub overwrite: bool,
    /// Seconds until it is given up, 1 to [`super::MAX_TIMEOUT_S`].
    pub timeout_s: u32,
}

/// Send a file of the instance to the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectAction {
    /// Its path, absolute.
    pub path: String,
    /// The largest that is taken, 1 to [`MAX_FILE_BYTES`]: a larger one is refused, not cut.
    pub max_bytes: u64,
    /// Seconds until it is given up, 1 to [`super::MAX_TIMEOUT_S`].
    pub timeout_s: u32,
}

impl FileAction {
    /// Checks all bounds that the types do not check.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn validate(&self) -> Result<(), Invalid> {
        document::text("action.directory", &self.directory, MAX_PATH_BYTES, document::line)?;
        document::text("action.name", &self.name, MAX_NAME_BYTES, |c| document::line(c) && c != '/')?;
        if matches!(self.name.as_str(), "." | "..") {
            return Err(Invalid::new("action.name", "names a directory"));
        }
        document::within("action.content_bytes", self.content_bytes, 0, MAX_FILE_BYTES)?;
        for (field, value) in [("action.owner", &self.owner), ("action.group", &self.group)] {
            if let Some(value) = value {
                document::text(field, value, 64, document::line)?;
            }
        }
        document::within("action.mode", u64::from(self.mode), 0, 0o7777)?;
        within_timeout(self.timeout_s)
    }
}

impl CollectAction {
    /// Checks all bounds that the types do not check.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn validate(&self) -> Result<(), Invalid> {
        document::text("action.path", &self.path, MAX_PATH_BYTES, document::line)?;
        document::within("action.max_bytes", self.max_bytes, 1, MAX_FILE_BYTES)?;
        within_timeout(self.timeout_s)
    }
}
