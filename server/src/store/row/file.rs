//! Contents on the disk and the files that instances sent, as rows.

use orderly_model::task::TaskStatus;
use orderly_signing::digest::Digest;

use super::InvocationKey;

/// A file that an instance sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRow {
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Its size.
    pub bytes: i64,
}

/// A task that may collect a file.
#[derive(Debug, Clone)]
pub struct Collecting {
    /// The invocation.
    pub invocation: InvocationKey,
    /// Its order.
    pub envelope: Vec<u8>,
    /// The task's status.
    pub status: TaskStatus,
}

/// Where a content lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// In the blob directory.
    Blob,
    /// Among the collected files.
    Collected,
}

/// Contents that nothing refers to any more.
#[derive(Debug, Clone, Default)]
pub struct Swept {
    /// In the blob directory.
    pub blobs: Vec<Digest>,
    /// Among the collected files.
    pub files: Vec<Digest>,
}
