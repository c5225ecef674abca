//! What agents ask: enrolment, their link, content by digest.

use std::time::Instant;

use axum::Extension;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts as _, Path, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use orderly_model::name::InstanceName;
use orderly_signing::digest::Digest;
use orderly_signing::instance::InstanceId;
use orderly_signing::key::PublicKey;
use orderly_wire::frame::TO_SERVER_MAX;
use orderly_wire::http::agent::{Enrol, Enrolled, INSTANCE_PROOF_HEADER};

use super::activations::Network;
use super::blobs::failed;
use super::body::Json;
use super::files::{offset, rest};
use super::problem::ApiError;
use super::{Api, PeerConnection, Room, State, order};
use crate::clock;
use crate::link::{self, verify_proof};
use crate::store::row::{EnrolOutcome, InstanceKey, NewInstance};

/// Bytes that a link's socket buffers when it reads: what an idle link costs.
const READ_BUFFER_BYTES: usize = 4096;

/// Enrols an instance with an activation code.
#[utoipa::path(post, path = "/agent/v1/enrol", tag = "agents", request_body = Enrol,
    responses((status = CREATED, body = Enrolled)))]
pub(crate) async fn enrol(
    api: State,
    Extension(peer): Extension<PeerConnection>,
    Json(request): Json<Enrol>,
) -> Result<(StatusCode, axum::Json<Enrolled>), ApiError> {
    let (address, now) = (peer.address.ip().to_canonical(), Instant::now());
    if !api.throttle.allows(address, now) {
        return Err(ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-attempts",
            "too many wrong codes from this address",
        )
        .hint("wait a minute"));
    }
    let uid = InstanceId::of(&request.key);
    if !verify_proof(&request.key, "enrol", &uid, &peer.exporter, &request.proof) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "proof",
            "the proof does not verify for this key on this connection",
        )
        .hint("nothing may stand between agent and server that ends TLS"));
    }
    request.facts.check().map_err(|error| {
        ApiError::unprocessable("facts", "the instance's facts are out of bounds").detail(error.to_string())
    })?;
    let code_hash = Digest::of(request.code.trim().as_bytes());
    let Some(activation) = api.store.activation(&code_hash).await? else {
        api.throttle.failed(address, now);
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "activation-unknown",
            "this activation code is not known here",
        )
        .hint("copy the whole line that `orderly activation create` printed, or make a new one"));
    };
    let now_ms = clock::now_ms();
    let forbidden =
        |code, title| ApiError::new(StatusCode::FORBIDDEN, code, title).detail(format!("`{}`", activation.uid));
    let another = "make another with `orderly activation create`";
    if activation.disabled {
        return Err(forbidden("activation-disabled", "this activation was taken back").hint(another));
    }
    if activation.expires_ms <= now_ms {
        return Err(forbidden("activation-expired", "this activation has expired").hint(another));
    }
    let allowed = |text: &String| Network::parse(text).is_some_and(|network| network.holds(address));
    if !activation.networks.is_empty() && !activation.networks.iter().any(allowed) {
        return Err(forbidden("activation-network", "this activation may not be used from this address")
            .detail(format!("`{address}` is not in {}", activation.networks.join(", "))));
    }
    let keyring = api.trust.keyring().ok_or_else(order::no_keyring)?;
    if let Some(told) = request.root.filter(|told| *told != keyring.root_fingerprint()) {
        // The agent would refuse the keyring, and an instance that never links would stay in every list.
        return Err(ApiError::conflict("other-root", "this fleet has another root than the one that the agent was told")
            .detail(format!("the agent has `{told}`, the fleet `{}`", keyring.root_fingerprint()))
            .hint("copy the whole line that `orderly activation create` printed; where it is right, this is not the server that it names"));
    }
    let name = instance_name(&request, &uid)?;
    let new = NewInstance {
        uid: uid.clone(),
        name: name.clone(),
        public_key: request.key.to_spki_der(),
        facts: serde_json::to_string(&request.facts).unwrap_or_default(),
        enrolled_ms: now_ms,
        code_hash,
    };
    match api.store.enrol(new).await? {
        EnrolOutcome::Enrolled => {}
        EnrolOutcome::CodeSpent => {
            return Err(forbidden("activation-used-up", "this activation has enrolled all the instances that it may")
                .hint(another));
        }
    }
    tracing::info!(instance.id = %uid, name, activation.id = activation.uid, "enrolled");
    let keyring = keyring.envelope_json().to_vec();
    Ok((StatusCode::CREATED, axum::Json(Enrolled { instance: uid, name, keyring })))
}

/// The name that was asked for, else the host's, else the id: a host name may be none of ours.
fn instance_name(request: &Enrol, uid: &InstanceId) -> Result<String, ApiError> {
    match &request.name {
        Some(name) => name.parse::<InstanceName>().map(|name| name.to_string()).map_err(|error| {
            ApiError::unprocessable("name", "this is not a name for an instance").detail(error.to_string())
        }),
        None => {
            Ok(request.facts.hostname.parse::<InstanceName>().map_or_else(|_| uid.to_string(), |name| name.to_string()))
        }
    }
}

/// Opens the link of an agent: a WebSocket whose frames are those of the wire crate.
#[utoipa::path(get, path = "/agent/v1/link", tag = "agents",
    responses((status = SWITCHING_PROTOCOLS, description = "a WebSocket; the first frame is the agent's hello")))]
pub(crate) async fn link(
    api: State,
    Extension(peer): Extension<PeerConnection>,
    Extension(room): Extension<Room>,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await.map_err(|rejection| {
        ApiError::new(rejection.status(), "upgrade-required", "this path takes a WebSocket only")
            .detail(rejection.body_text())
    })?;
    let deps = api.link.clone();
    let phase = api.links.clone();
    // A write buffer of nothing and a small read buffer: the defaults cost twenty times the memory of an idle link.
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(TO_SERVER_MAX)
        .max_frame_size(TO_SERVER_MAX);
    Ok(upgrade.on_upgrade(move |socket| {
        phase.track(async move {
            link::run(socket, peer.exporter, deps).await;
            drop(room);
        })
    }))
}

/// Content by its digest, for enrolled instances. `Range: bytes=N-` asks for the rest of it.
#[utoipa::path(get, path = "/agent/v1/blobs/{digest}", tag = "agents", params(
        ("digest" = String, Path, description = "`sha256:` and 64 hexadecimal digits"),
        ("orderly-instance" = String, Header, description = "the instance id, a space, and the proof in Base64"),
    ), responses((status = OK, body = String, content_type = "application/octet-stream")))]
pub(crate) async fn blob(
    api: State,
    Extension(peer): Extension<PeerConnection>,
    headers: HeaderMap,
    Path(digest): Path<String>,
) -> Result<Response, ApiError> {
    instance_proof(&api, &peer, &headers, "blob").await?;
    let unknown = || {
        ApiError::new(StatusCode::NOT_FOUND, "unknown-blob", "there is no content with this digest")
            .detail(format!("`{}`", digest.escape_debug()))
    };
    let parsed: Digest = digest.parse().map_err(|_| unknown())?;
    let known = api.store.blob(&parsed).await?.and_then(|bytes| u64::try_from(bytes).ok()).ok_or_else(unknown)?;
    let offset = offset(&headers, known)?;
    let (length, pieces) = api.blobs.get(&parsed, offset).await.map_err(failed)?.ok_or_else(unknown)?;
    Ok(rest(pieces, offset, length))
}

/// Which instance asks, proven for this connection and this purpose.
pub(super) async fn instance_proof(
    api: &Api,
    peer: &PeerConnection,
    headers: &HeaderMap,
    purpose: &str,
) -> Result<(InstanceId, InstanceKey), ApiError> {
    let refused = || {
        ApiError::new(StatusCode::FORBIDDEN, "proof", "this path needs an instance's proof for this connection")
            .detail(format!("header `{INSTANCE_PROOF_HEADER}`"))
    };
    let value = headers.get(INSTANCE_PROOF_HEADER).and_then(|value| value.to_str().ok()).ok_or_else(refused)?;
    let (id, proof) = value.split_once(' ').ok_or_else(refused)?;
    let uid: InstanceId = id.parse().map_err(|_| refused())?;
    let proof = STANDARD.decode(proof).map_err(|_| refused())?;
    let row = api.store.instance(&uid).await?.ok_or_else(refused)?;
    let key = PublicKey::from_spki_der(&row.public_key).map_err(|_| refused())?;
    if verify_proof(&key, purpose, &uid, &peer.exporter, &proof) { Ok((uid, row.key)) } else { Err(refused()) }
}
