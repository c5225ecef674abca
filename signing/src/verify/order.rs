//! Verifies orders: checks 1 to 5 of an agent, and the parts of 6 and 8 that need nothing but the order.
//!
//! Owns those verdicts. The journal's part of check 5, the local policy and everything after it are the agent's.

use super::{Verified, candidates, open};
use crate::{
    digest::Digest,
    document::Document as _,
    error::{Check, Refusal},
    instance::InstanceId,
    keyring::{Keyring, Requirement, Role, Tier},
    merkle::{TargetProof, verify_target},
    order::{Action, Order, Repeat, ScriptAction},
};

/// Verifies an order for this instance at this time: size and envelope, signatures by dispatch or operator keys,
/// payload, target, time.
///
/// `secrets` is the digest of the secrets that came with it, [`Digest::ZERO`] when none did.
///
/// # Errors
/// `size`, `envelope`, `payload-type`, `signature`, `role`, `payload`, `target`, `not-yet-valid`, `expired`.
pub fn verify_order(
    envelope: &[u8],
    keyring: &Verified<Keyring>,
    me: &InstanceId,
    secrets: Digest,
    proof: &TargetProof,
    now_ms: i64,
) -> Result<Verified<Order>, Refusal> {
    let order = verify_order_offline(envelope, keyring)?;
    check_target(&order, me, secrets, proof)?;
    if now_ms < order.not_before_ms {
        let early = order.not_before_ms.saturating_sub(now_ms);
        return Err(Refusal::new(
            Check::NotYetValid,
            format!("the order may be accepted in {early} ms: is this instance's clock right?"),
        ));
    }
    if now_ms >= order.expires_ms {
        let late = now_ms.saturating_sub(order.expires_ms);
        return Err(Refusal::new(
            Check::Expired,
            format!("the order could be accepted until {late} ms ago: sign a new one"),
        ));
    }
    Ok(order)
}

/// Verifies the order of a series again, before each of its runs: as [`verify_order`] does by the keyring that is in force by
/// now, but not the time, which is for accepting it. `accepted` is the digest that was accepted in time: no other order runs by
/// this, and none that is to run once.
///
/// # Errors
/// `size`, `envelope`, `payload-type`, `signature`, `role`, `payload`, `target`, `replay`.
pub fn verify_order_again(
    envelope: &[u8],
    keyring: &Verified<Keyring>,
    me: &InstanceId,
    secrets: Digest,
    proof: &TargetProof,
    accepted: &Digest,
) -> Result<Verified<Order>, Refusal> {
    let order = verify_order_offline(envelope, keyring)?;
    if order.digest() != *accepted {
        let reason = format!("the order is {}, {accepted} was accepted for the series", order.digest());
        return Err(Refusal::new(Check::Replay, reason));
    }
    if !matches!(order.repeat, Repeat::Series(_)) {
        let reason = format!("the order `{}` is of no series: it ran once when it was accepted", order.order);
        return Err(Refusal::new(Check::Payload, reason));
    }
    check_target(&order, me, secrets, proof)?;
    Ok(order)
}

/// Check 4: this instance is in the signed set of targets.
fn check_target(order: &Order, me: &InstanceId, secrets: Digest, proof: &TargetProof) -> Result<(), Refusal> {
    if verify_target(&order.targets, me, secrets, proof) {
        return Ok(());
    }
    let count = order.targets.count;
    let reason = format!(
        "instance `{me}` is not proven to be one of the {count} target(s) that the order `{}` signs",
        order.order
    );
    Err(Refusal::new(Check::Target, reason))
}

/// Verifies an order for anybody at any time: envelope, signatures by dispatch or operator keys, payload. For auditors,
/// and for a server that looks at what it was given. It does *not* say that an instance may act on it.
///
/// # Errors
/// `size`, `envelope`, `payload-type`, `signature`, `role`, `payload`.
pub fn verify_order_offline(envelope: &[u8], keyring: &Verified<Keyring>) -> Result<Verified<Order>, Refusal> {
    const MAY_SIGN: [Role; 2] = [Role::Dispatch, Role::Operator];
    let opened = open::<Order>(envelope)?;
    let mut signers = opened.signers(&candidates(keyring));
    opened.require(Order::NAME, &signers, &MAY_SIGN, 1)?;
    signers.retain(|signer| signer.roles.iter().any(|role| MAY_SIGN.contains(role)));
    opened.believe(signers)
}

impl Verified<Order> {
    /// Check 6 for scripts: the content is the one that the order names.
    ///
    /// # Errors
    /// `content`: other bytes, or the order is for no script.
    pub fn check_content(&self, content: &[u8]) -> Result<(), Refusal> {
        let Action::Script(ScriptAction { content: expected, content_bytes, .. }) = &self.action else {
            return Err(Refusal::new(Check::Content, "the order runs no script, so no content belongs to it"));
        };
        let (found, length) = (Digest::of(content), content.len() as u64);
        if length == *content_bytes && found == *expected {
            return Ok(());
        }
        let reason =
            format!("the order names content {expected} of {content_bytes} bytes, found {found} of {length} bytes");
        Err(Refusal::new(Check::Content, reason))
    }

    /// Check 8, the signed part: as many distinct keys signed as the keyring's policy says for the tier.
    ///
    /// What the signers may do is looked up in *this* keyring, which can be newer than the one that the order was
    /// verified with: a key that was taken out since does not count.
    ///
    /// # Errors
    /// `threshold`, with what is missing.
    pub fn check_threshold(&self, keyring: &Verified<Keyring>, tier: Tier) -> Result<(), Refusal> {
        let holding =
            |role| self.signers().iter().filter(|signer| keyring.role(role).keys.contains(&signer.key_id)).count();
        let operators = holding(Role::Operator);
        let (count, needed, who) = match keyring.requirement(tier) {
            Requirement::Dispatch => (operators + holding(Role::Dispatch), 1, "dispatch or operator"),
            Requirement::Operators(needed) => (operators, usize::from(needed).max(1), "distinct operator"),
        };
        if count >= needed {
            return Ok(());
        }
        let reason = format!(
            "`{tier}` needs {needed} {who} signature(s), the order has {count}: sign it with an operator key (the `orderly` command does)"
        );
        Err(Refusal::new(Check::Threshold, reason))
    }
}
