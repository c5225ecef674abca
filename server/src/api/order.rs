//! The order of an invocation: the caller's, checked against the rest of the request, or the server's own.

use orderly_model::id::{InvocationId, OrderId};
use orderly_model::limits::DELIVERY_DEADLINE_MAX_S;
use orderly_signing::digest::Digest;
use orderly_signing::envelope::Envelope;
use orderly_signing::error::Refusal;
use orderly_signing::keyring::{Keyring, Role, Tier};
use orderly_signing::merkle::Targets;
use orderly_signing::order::{Action, Order, Repeat};
use orderly_signing::sign::sign_order;
use orderly_signing::verify::{Verified, verify_order_offline};
use orderly_wire::http::problem::Fault;

use super::Api;
use super::problem::ApiError;
use super::run::Checked;
use crate::clock;

/// How far the clocks of callers and instances may be off, in milliseconds.
const CLOCKS_MS: i64 = 5 * 60 * 1000;

/// Until when an order of now may be accepted at most, whoever made it and whatever it does.
fn latest_ms(now_ms: i64) -> i64 {
    now_ms + i64::from(DELIVERY_DEADLINE_MAX_S) * 1000 + CLOCKS_MS
}

/// A signed order that instances can believe.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) invocation: String,
    pub(super) principal: String,
    pub(super) digest: Digest,
    pub(super) envelope: Vec<u8>,
    pub(super) deadline_ms: i64,
    pub(super) issued_ms: i64,
}

/// The error where no keyring was published.
pub(super) fn no_keyring() -> ApiError {
    ApiError::conflict("no-keyring", "no keyring has been published, so no instance would believe anything")
        .hint("run `orderly trust init`, or `orderly trust publish` where there are keys already")
}

fn refused(refusal: Refusal) -> ApiError {
    let code = format!("order-{}", refusal.check.code());
    let error = ApiError::unprocessable(&code, "the order is refused").detail(refusal.reason);
    match refusal.check {
        orderly_signing::error::Check::Threshold => {
            error.hint("sign it with an operator key of the keyring, as `orderly run` does")
        }
        _ => error,
    }
}

fn dispatch_unknown(api: &Api, keyring: &Keyring) -> Result<(), ApiError> {
    let id = api.trust.dispatch().public().key_id();
    if keyring.role(Role::Dispatch).keys.contains(&id) {
        return Ok(());
    }
    Err(ApiError::conflict(
        "dispatch-key",
        "this server's dispatch key is not in the keyring, so no instance would believe it",
    )
    .detail(format!("key {id}"))
    .hint("run `orderly trust publish`, which takes the key in"))
}

/// What the caller says about times.
#[derive(Debug, Clone)]
pub(super) struct Times {
    pub(super) now_ms: i64,
    /// Until when it is to be accepted, where the caller says so.
    pub(super) deadline_ms: Option<i64>,
    /// When it is due.
    pub(super) repeat: Repeat,
}

/// Checks the caller's order against the request, and adds this server's signature. The digest stays what it is.
pub(super) fn take(
    api: &Api,
    keyring: &Verified<Keyring>,
    order: &[u8],
    checked: &Checked,
    targets: Targets,
    times: Times,
) -> Result<Signed, ApiError> {
    let verified = verify_order_offline(order, keyring).map_err(refused)?;
    if verified.operators() == 0 {
        return Err(ApiError::unprocessable("order-role", "the order is not signed by an operator of the keyring")
            .hint("sign it with an operator key, as `orderly run` does"));
    }
    let mut faults = differences(&verified.action, &checked.action);
    if verified.repeat != times.repeat {
        faults.push(Fault {
            field: "order.repeat".to_owned(),
            message: format!("signs {:?}, the request says {:?}", verified.repeat, times.repeat),
        });
    }
    if verified.targets != targets {
        faults.push(Fault {
            field: "order.targets".to_owned(),
            message: format!(
                "signs {} target(s) with root {}, the request names {} with root {}",
                verified.targets.count, verified.targets.root, targets.count, targets.root
            ),
        });
    }
    if (verified.issued_ms - times.now_ms).abs() > CLOCKS_MS || verified.not_before_ms > times.now_ms + CLOCKS_MS {
        faults.push(Fault {
            field: "order.issued_ms".to_owned(),
            message: format!(
                "is {} ms off this server's clock: set the clock, or sign again",
                verified.issued_ms - times.now_ms
            ),
        });
    }
    if verified.expires_ms <= times.now_ms || verified.expires_ms > latest_ms(times.now_ms) {
        faults.push(Fault {
            field: "order.expires_ms".to_owned(),
            message: format!("must be within the next {} days", DELIVERY_DEADLINE_MAX_S / 86_400),
        });
    }
    if !faults.is_empty() {
        return Err(ApiError::faults(faults));
    }
    enough(&verified, keyring, checked.tiers)?;
    Ok(Signed {
        invocation: verified.invocation.clone(),
        principal: verified.principal.clone(),
        digest: verified.digest(),
        envelope: with_dispatch(api, order)?,
        issued_ms: verified.issued_ms,
        deadline_ms: times.deadline_ms.map_or(verified.expires_ms, |deadline| deadline.min(verified.expires_ms)),
    })
}

/// Adds this server's signature, unless it is there.
fn with_dispatch(api: &Api, order: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut envelope = Envelope::parse(order).map_err(|error| ApiError::internal(&error))?;
    let own = api.trust.dispatch().public().key_id().to_string();
    // More signatures than an envelope may have would make every agent refuse it; the operator's are enough then.
    let room = envelope.signatures.len() < orderly_signing::envelope::MAX_SIGNATURES;
    if !room || envelope.signatures.iter().any(|signature| signature.keyid.as_deref() == Some(&own)) {
        return Ok(order.to_vec());
    }
    envelope.add_signature(api.trust.dispatch());
    Ok(envelope.to_json())
}

/// What the order says otherwise than the request, field by field.
fn differences(signed: &Action, asked: &Action) -> Vec<Fault> {
    let as_json = |action: &Action| serde_json::to_value(action).unwrap_or_default();
    let (signed, asked) = (as_json(signed), as_json(asked));
    let (Some(signed), Some(asked)) = (signed.as_object(), asked.as_object()) else {
        return Vec::new();
    };
    let names: std::collections::BTreeSet<&String> = signed.keys().chain(asked.keys()).collect();
    let differing = names.into_iter().filter(|name| signed.get(*name) != asked.get(*name));
    differing
        .map(|name| {
            let shown = |value: Option<&serde_json::Value>| value.map_or("nothing".to_owned(), ToString::to_string);
            let message = format!("signs {}, the request says {}", shown(signed.get(name)), shown(asked.get(name)));
            Fault { field: format!("order.action.{name}"), message }
        })
        .collect()
}

/// An order that this server makes itself.
pub(super) struct Draft<'a> {
    pub(super) principal: &'a str,
    pub(super) action: Action,
    pub(super) targets: Targets,
    pub(super) now_ms: i64,
    /// Until when it may be accepted; as late as is allowed where absent.
    pub(super) expires_ms: Option<i64>,
    /// When it is due.
    pub(super) repeat: Repeat,
}

/// Whether the order has the signatures for any of the tiers that it can have. Where it has not, the first says what it lacks.
fn enough(order: &Verified<Order>, keyring: &Verified<Keyring>, tiers: &[Tier]) -> Result<(), ApiError> {
    let mut lacking = None;
    for tier in tiers {
        match order.check_threshold(keyring, *tier) {
            Ok(()) => return Ok(()),
            Err(refusal) => drop(lacking.get_or_insert(refusal)),
        }
    }
    let Some(mut refusal) = lacking else { return Ok(()) };
    if let Action::Script(script) = &order.action
        && script.user.is_none()
    {
        refusal.reason = format!("without a user it runs as the agent's own, usually root: {}", refusal.reason);
    }
    Err(refused(refusal))
}

/// Makes and signs the order of a new invocation with the dispatch key alone; refused where the tiers need more.
pub(super) fn make(
    api: &Api,
    keyring: &Verified<Keyring>,
    draft: Draft<'_>,
    tiers: &[Tier],
) -> Result<Signed, ApiError> {
    let random = clock::random().map_err(|error| ApiError::internal(&error))?;
    let invocation = InvocationId::new(draft.now_ms, random);
    let signed = sign(api, keyring, invocation.as_str(), draft)?;
    let verified = verify_order_offline(&signed.envelope, keyring).map_err(refused)?;
    enough(&verified, keyring, tiers)?;
    Ok(signed)
}

/// Signs an order for an invocation.
pub(super) fn sign(api: &Api, keyring: &Keyring, invocation: &str, draft: Draft<'_>) -> Result<Signed, ApiError> {
    dispatch_unknown(api, keyring)?;
    let random = clock::random().map_err(|error| ApiError::internal(&error))?;
    let order = Order {
        version: 1,
        order: OrderId::new(draft.now_ms, random).to_string(),
        invocation: invocation.to_owned(),
        principal: draft.principal.to_owned(),
        issued_ms: draft.now_ms,
        // Room for instances whose clock is behind.
        not_before_ms: draft.now_ms - CLOCKS_MS,
        expires_ms: draft.expires_ms.map_or(latest_ms(draft.now_ms), |at| at.min(latest_ms(draft.now_ms))),
        targets: draft.targets,
        action: draft.action,
        repeat: draft.repeat,
    };
    let envelope = sign_order(&order, api.trust.dispatch()).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        ApiError::unprocessable("order", "no order can be made of this request").detail(format!("{error}{cause}"))
    })?;
    Ok(Signed {
        invocation: order.invocation,
        principal: order.principal,
        digest: envelope.digest(),
        envelope: envelope.to_json(),
        deadline_ms: order.expires_ms,
        issued_ms: order.issued_ms,
    })
}
