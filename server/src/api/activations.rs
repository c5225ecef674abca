//! Activations: codes with which instances enrol.

use std::net::IpAddr;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use orderly_model::id::ActivationId;
use orderly_wire::http::Page;
use orderly_wire::http::activation::{ActivationView, CreateActivation, CreatedActivation};

use super::State;
use super::auth::Permit;
use super::body::{Json, label, tags};
use super::problem::ApiError;
use super::secret::NewSecret;
use crate::store::row::ActivationRow;
use crate::{clock, view};

/// How long a code is good where nothing is said: 4 hours, in seconds.
const TTL_DEFAULT_S: u64 = 4 * 60 * 60;

/// The longest that a code is good: 30 days, in seconds. Who has it enrols instances, so it is not left lying for years.
const TTL_MAX_S: u64 = 30 * 24 * 60 * 60;

/// How many instances a code enrols where nothing is said.
const INSTANCES_DEFAULT: u32 = 10;

/// How many instances a code enrols at most.
const INSTANCES_MAX: u32 = 1000;

/// Networks of one code, at most.
const NETWORKS_MAX: usize = 32;

/// Lists activations, newest first, without their codes.
#[utoipa::path(get, path = "/v1/activations", tag = "activations", responses((status = OK, body = Page<ActivationView>)))]
pub(crate) async fn list(_permit: Permit, api: State) -> Result<axum::Json<Page<ActivationView>>, ApiError> {
    let items = api.store.activations().await?.into_iter().map(view::activation).collect();
    Ok(axum::Json(Page { items, next: None }))
}

/// Makes an activation; its code is shown this once.
#[utoipa::path(post, path = "/v1/activations", tag = "activations", request_body = CreateActivation,
    responses((status = CREATED, body = CreatedActivation)))]
pub(crate) async fn create(
    _permit: Permit,
    api: State,
    headers: HeaderMap,
    Json(request): Json<CreateActivation>,
) -> Result<(StatusCode, axum::Json<CreatedActivation>), ApiError> {
    let ttl_s = request.ttl_s.unwrap_or(TTL_DEFAULT_S);
    if !(1..=TTL_MAX_S).contains(&ttl_s) {
        return Err(ApiError::unprocessable("ttl", format!("`ttl_s` is 1 to {TTL_MAX_S} seconds (30 days)"))
            .detail(format!("it is {ttl_s}"))
            .hint("make another code when this one has expired"));
    }
    let max_instances = request.max_instances.unwrap_or(INSTANCES_DEFAULT);
    if !(1..=INSTANCES_MAX).contains(&max_instances) {
        return Err(ApiError::unprocessable("max-instances", format!("`max_instances` is 1 to {INSTANCES_MAX}")));
    }
    if let Some(wrong) = request.networks.iter().find(|text| Network::parse(text).is_none()) {
        return Err(ApiError::unprocessable("network", "a network is written as `10.0.0.0/8` or `2001:db8::/32`")
            .detail(format!("`{}`", wrong.escape_debug())));
    }
    if request.networks.len() > NETWORKS_MAX {
        return Err(ApiError::unprocessable("network", format!("at most {NETWORKS_MAX} networks are allowed")));
    }
    let secret = NewSecret::code().map_err(|error| ApiError::internal(&error))?;
    let now_ms = clock::now_ms();
    let random = clock::random().map_err(|error| ApiError::internal(&error))?;
    let row = ActivationRow {
        uid: ActivationId::new(now_ms, random).to_string(),
        name: label("name", request.name.as_deref())?,
        created_ms: now_ms,
        expires_ms: now_ms + i64::try_from(ttl_s).unwrap_or(0) * 1000,
        max_instances: i32::try_from(max_instances).unwrap_or(0),
        used: 0,
        disabled: false,
        tags: tags(&request.tags)?,
        networks: request.networks,
    };
    api.store.add_activation(row.clone(), secret.hash).await?;
    let enrol_line = api.trust.keyring().map(|keyring| {
        format!(
            "orderly-agent enrol --server https://{} --code {} --root {} --ca {}",
            reached_as(&headers),
            secret.text,
            keyring.root_fingerprint(),
            api.authority.fingerprint
        )
    });
    let created = CreatedActivation { view: view::activation(row), code: secret.text, enrol_line };
    Ok((StatusCode::CREATED, axum::Json(created)))
}

/// By which host and port the caller reached this server; what does not look like one becomes a place holder.
fn reached_as(headers: &HeaderMap) -> &str {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if !host.is_empty() && host.chars().all(plain) { host } else { "SERVER:7443" }
}

/// Takes an activation back; instances that enrolled with it stay.
#[utoipa::path(delete, path = "/v1/activations/{id}", tag = "activations", params(("id" = String, Path,)),
    responses((status = NO_CONTENT)))]
pub(crate) async fn disable(_permit: Permit, api: State, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    if api.store.disable_activation(&id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::unknown("activation", id))
    }
}

/// A network in CIDR form, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or a single address.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse().ok()?, Some(bits.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let most = if matches!(address, IpAddr::V4(_)) { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    /// Whether an address is in it. An IPv4 address counts as itself however the socket shows it.
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u32| {
            let shift = width.saturating_sub(u32::from(self.bits));
            a.checked_shr(shift).unwrap_or(0) == b.checked_shr(shift).unwrap_or(0)
        };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                same(u32::from(network).into(), u32::from(address).into(), 32)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => same(network.into(), address.into(), 128),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn networks_hold_their_addresses_and_no_neighbour() {
        let holds = |network: &str, address: &str| Network::parse(network).unwrap().holds(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.1.2.3", "10.1.2.3") && !holds("10.1.2.3", "10.1.2.4"));
        assert!(holds("0.0.0.0/0", "192.0.2.1") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1") && !holds("2001:db8::/32", "2001:db9::1"));
        assert!(holds("::/0", "::1"));
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "a/8", "10.0.0.0/-1"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_line_names_the_host_that_was_asked() {
        let mut headers = HeaderMap::new();
        assert_eq!(reached_as(&headers), "SERVER:7443");
        headers.insert(header::HOST, "orders.example.com:7443".parse().unwrap());
        assert_eq!(reached_as(&headers), "orders.example.com:7443");
        headers.insert(header::HOST, "x; rm -rf /".parse().unwrap());
        assert_eq!(reached_as(&headers), "SERVER:7443");
    }
}
