//! What an agent asks over HTTP: enrolment, blobs and collected files (`/agent/v1`).

use orderly_model::instance::Facts;
use orderly_signing::digest::Digest;
use orderly_signing::instance::InstanceId;
use orderly_signing::key::PublicKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The header of `/agent/v1/blobs/…` and `/agent/v1/files/…`: the instance id, a space, and the Base64 of the instance key's
/// signature over `link_message` for the purpose `blob` or `file` with this connection's exported key material.
pub const INSTANCE_PROOF_HEADER: &str = "orderly-instance";

/// `POST /agent/v1/enrol`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    /// The activation code.
    pub code: String,
    /// The instance's public key (Base64 of its SPKI DER). Its id follows from it.
    #[schema(value_type = String)]
    pub key: PublicKey,
    /// The fingerprint of the fleet's root keys that the agent was told. A server of another fleet then refuses before anything is
    /// counted; the agent checks the keyring itself in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub root: Option<Digest>,
    /// A name for people; the host name where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the instance is.
    #[schema(value_type = Object)]
    pub facts: Facts,
    /// 64 bytes: the instance key's signature over `link_message("enrol", …)`, as possession's proof.
    #[serde(with = "crate::frame::base64_bytes")]
    #[schema(value_type = String)]
    pub proof: Vec<u8>,
}

/// The answer to [`Enrol`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// The instance's id, which the agent checks against its own key.
    #[schema(value_type = String)]
    pub instance: InstanceId,
    /// Its name on the server.
    pub name: String,
    /// The DSSE envelope of the keyring, to be verified against the pinned root fingerprint.
    #[serde(with = "crate::frame::base64_bytes")]
    #[schema(value_type = String)]
    pub keyring: Vec<u8>,
}
