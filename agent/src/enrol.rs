//! Enrolment: from an activation code to an instance with a key, an id and pinned trust.
//!
//! Owns the exchange and its order: pinned TLS first, then the key (made once, used again after a failure), the proof,
//! the keyring under the pinned root, the journal, and the identity last. A crash anywhere leaves "not enrolled", or for an
//! instance that enrols anew under another root a keyring that does not verify: then it enrols once more.

use std::path::PathBuf;

use http::Request;
use orderly_host::platform::Trees;
use orderly_signing::digest::Digest;
use orderly_signing::error::Refusal;
use orderly_signing::instance::InstanceId;
use orderly_signing::proof::link_message;
use orderly_signing::verify::verify_keyring;
use orderly_wire::http::agent::{Enrol, Enrolled};

use crate::clock::local_ms;
use crate::directory::{Directory, DirectoryError};
use crate::facts;
use crate::identity::{self, IdentityError, Pins};
use crate::journal::{Expect, Journal, JournalError};
use crate::transport::request::{RequestError, patience, send};
use crate::transport::{ConnectError, Endpoint, connect};

/// Most bytes of the answer: a keyring in Base64.
const ANSWER_MAX_BYTES: usize = 1024 * 1024;

/// Enrolment failed; the instance is as enrolled as it was before.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrolError {
    /// It is enrolled.
    #[error(
        "this instance is enrolled already, as `{instance}` at `{server}`: give `--force` to enrol it anew, or another `--data-dir` for a second agent"
    )]
    Already {
        /// Its id.
        instance: InstanceId,
        /// Its server.
        server: String,
    },
    /// The data directory.
    #[error("the data directory cannot be used")]
    Directory(#[source] DirectoryError),
    /// Key or identity.
    #[error("the identity cannot be made")]
    Identity(#[source] IdentityError),
    /// No connection.
    #[error("no connection to the server")]
    Connect(#[source] ConnectError),
    /// The server said no, or the exchange broke off.
    #[error("the server does not enrol this instance")]
    Request(#[source] RequestError),
    /// The request cannot be written.
    #[error("the enrolment cannot be written as JSON")]
    Write(#[source] serde_json::Error),
    /// The answer cannot be read.
    #[error("the server's answer is no enrolment: is it an Orderly server of this version?")]
    Answer(#[source] serde_json::Error),
    /// The server enrolled another id.
    #[error("the server enrolled `{said}`, the key of this instance is `{own}`: do not use this server")]
    OtherInstance {
        /// What it said.
        said: InstanceId,
        /// What our key says.
        own: InstanceId,
    },
    /// The keyring is not the fleet's.
    #[error(
        "the server's keyring is not the one of the pinned root: a mistyped `--root`, or a server that must not be used"
    )]
    Keyring(#[source] Refusal),
    /// The journal.
    #[error("the journal cannot be made")]
    Journal(#[source] JournalError),
}

/// What is needed to enrol.
#[derive(Debug)]
pub(crate) struct Enrolment {
    /// The server.
    pub server: Endpoint,
    /// The activation code.
    pub code: String,
    /// Fingerprint of the fleet's root keys.
    pub root: Digest,
    /// Fingerprint of the server's CA certificate.
    pub ca: Digest,
    /// The data directory.
    pub directory: PathBuf,
    /// A name for people.
    pub name: Option<String>,
    /// Whether an enrolled instance enrols anew.
    pub force: bool,
}

/// Enrols; gives the id and the name.
///
/// # Errors
/// As [`EnrolError`] says.
pub(crate) async fn enrol(request: Enrolment) -> Result<Pins, EnrolError> {
    let directory = Directory::enter(&request.directory).map_err(EnrolError::Directory)?;
    let enrolled_before = identity::is_enrolled(&directory).map_err(EnrolError::Identity)?;
    if !request.force && enrolled_before {
        let pins = identity::Identity::load(&directory).map_err(EnrolError::Identity)?.pins;
        return Err(EnrolError::Already { instance: pins.instance, server: pins.server });
    }
    let connection = connect(&request.server, &request.ca).await.map_err(EnrolError::Connect)?;
    let key = identity::key(&directory).map_err(EnrolError::Identity)?;
    let own = InstanceId::of(key.public());
    let body = Enrol {
        code: request.code,
        key: key.public().clone(),
        root: Some(request.root),
        name: request.name,
        facts: facts::gather(&Trees::supervised(std::path::Path::new("/proc/self/exe"))),
        proof: key.sign(&link_message("enrol", &own, &connection.exporter)).to_vec(),
    };
    let body = serde_json::to_vec(&body).map_err(EnrolError::Write)?;
    let post = Request::post("/agent/v1/enrol")
        .header(http::header::HOST, request.server.authority())
        .header(http::header::CONTENT_TYPE, "application/json");
    let answer = send(connection, post, body, ANSWER_MAX_BYTES, patience(0)).await.map_err(EnrolError::Request)?;
    let enrolled: Enrolled = serde_json::from_slice(&answer).map_err(EnrolError::Answer)?;
    if enrolled.instance != own {
        return Err(EnrolError::OtherInstance { said: enrolled.instance, own });
    }
    let now_ms = local_ms();
    // Enrolling anew is no way back to an old keyring of the same root, whose keys may have been taken out since.
    let seen = identity::keyring(&directory, &request.root, now_ms).map_or(0, |keyring| keyring.revision);
    let keyring = verify_keyring(&enrolled.keyring, &request.root, seen, now_ms).map_err(EnrolError::Keyring)?;
    identity::save_keyring(&directory, &keyring).map_err(EnrolError::Identity)?;
    // An instance that was enrolled may have run orders: where its journal is lost, that is not forgotten.
    let expect = if enrolled_before { Expect::Existing } else { Expect::Fresh };
    Journal::open(directory.path(), expect, now_ms).map_err(EnrolError::Journal)?;
    let pins = Pins {
        version: 1,
        instance: own,
        name: enrolled.name,
        server: request.server.to_string(),
        ca: request.ca,
        root: request.root,
        enrolled_ms: now_ms,
    };
    identity::save(&directory, &pins).map_err(EnrolError::Identity)?;
    Ok(pins)
}
