//! Content and components by their digest: from the cache, else from the server.
//!
//! Owns the cache directory `components` and the fetching over `/agent/v1/blobs`; content of series is in [`kept`]. What it
//! gives has the digest that was asked for, always: a cached file is digested anew each time, and a wrong one is removed.
//! It never looks at what it fetches.

use std::path::PathBuf;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use orderly_signing::digest::Digest;
use orderly_signing::proof::link_message;
use orderly_wire::http::agent::INSTANCE_PROOF_HEADER;

use crate::directory::{Directory, DirectoryError};
use crate::identity::Identity;
use crate::transport::request::{RequestError, patience, send};
use crate::transport::{ConnectError, connect};

pub(crate) mod kept;

/// Components that are kept: the oldest beyond it are removed.
const KEPT_MAX: usize = 64;

/// Bytes cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArtifactError {
    /// The server cannot be reached.
    #[error("`{0}` cannot be fetched")]
    Connect(Digest, #[source] ConnectError),
    /// The server does not give it.
    #[error("`{0}` cannot be fetched")]
    Request(Digest, #[source] RequestError),
    /// The server gave something else.
    #[error("asked for `{wanted}` of {wanted_bytes} bytes, the server sent `{found}` of {found_bytes} bytes")]
    Other {
        /// The digest that was asked for.
        wanted: Digest,
        /// Its size.
        wanted_bytes: u64,
        /// The digest of what came.
        found: Digest,
        /// Its size.
        found_bytes: u64,
    },
}

/// The way to bytes by digest.
#[derive(Debug, Clone)]
pub(crate) struct Artifacts {
    identity: Rc<Identity>,
    components: PathBuf,
}

impl Artifacts {
    /// Uses (and makes) the cache in this data directory.
    ///
    /// # Errors
    /// The cache directory cannot be made.
    pub(crate) fn open(directory: &Directory, identity: Rc<Identity>) -> Result<Self, DirectoryError> {
        Ok(Self { identity, components: directory.child("components")? })
    }

    /// The bytes with this digest and size, from the server.
    ///
    /// # Errors
    /// The server cannot be reached, does not give them, or gives others.
    pub(crate) async fn fetch(&self, digest: Digest, bytes: u64) -> Result<Vec<u8>, ArtifactError> {
        let server = &self.identity.server;
        let connection =
            connect(server, &self.identity.pins.ca).await.map_err(|error| ArtifactError::Connect(digest, error))?;
        let id = self.identity.id();
        let proof = self.identity.key.sign(&link_message("blob", id, &connection.exporter));
        let request = Request::get(format!("/agent/v1/blobs/{digest}"))
            .header(http::header::HOST, server.authority())
            .header(INSTANCE_PROOF_HEADER, format!("{id} {}", STANDARD.encode(proof)));
        let cap = usize::try_from(bytes).unwrap_or(usize::MAX);
        let found = send(connection, request, Vec::new(), cap, patience(bytes))
            .await
            .map_err(|error| ArtifactError::Request(digest, error))?;
        let found_digest = Digest::of(&found);
        if found_digest != digest || found.len() as u64 != bytes {
            return Err(ArtifactError::Other {
                wanted: digest,
                wanted_bytes: bytes,
                found: found_digest,
                found_bytes: found.len() as u64,
            });
        }
        Ok(found.into())
    }

    /// A component, from the cache or the server.
    ///
    /// # Errors
    /// As [`Artifacts::fetch`]. That the cache cannot be written is logged only: it saves time, it holds no truth.
    pub(crate) async fn component(&self, digest: Digest, bytes: u64) -> Result<Vec<u8>, ArtifactError> {
        let path = self.components.join(digest.hex());
        match std::fs::read(&path) {
            Ok(cached) if Digest::of(&cached) == digest => return Ok(cached),
            Ok(_) => {
                tracing::warn!(%digest, "a cached component is not what its name says, fetching it again");
                let _ = std::fs::remove_file(&path);
            }
            Err(_) => {}
        }
        let fetched = self.fetch(digest, bytes).await?;
        let temporary = path.with_extension("new");
        if let Err(error) = std::fs::write(&temporary, &fetched).and_then(|()| std::fs::rename(&temporary, &path)) {
            tracing::warn!(%digest, %error, "a component cannot be cached");
            let _ = std::fs::remove_file(&temporary);
        }
        self.trim();
        Ok(fetched)
    }

    fn trim(&self) {
        let Ok(entries) = std::fs::read_dir(&self.components) else { return };
        let mut files: Vec<_> = entries
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        let surplus = files.len().saturating_sub(KEPT_MAX);
        for (_, path) in files.into_iter().take(surplus) {
            let _ = std::fs::remove_file(path);
        }
    }
}
