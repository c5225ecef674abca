//! Verifies plugins: check 6 of an agent, and the statement of a package.
//!
//! Owns the chain from the bytes at hand over the order and the security team's approval to the publisher's statement.
//! It never reads a capability: what was approved is handed on as the signed text.

use super::{Candidate, Verified, candidates, open, open_by_key};
use crate::{
    approval::Approval,
    digest::Digest,
    document::Document as _,
    error::{Check, Refusal},
    key::{KeyId, PublicKey},
    keyring::{Keyring, Role},
    order::{Action, Order},
    statement::Statement,
};

/// A plugin whose component and manifest are vouched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the component.
    pub component: Digest,
    /// SHA-256 of the manifest.
    pub manifest: Digest,
    /// Whose statement counted.
    pub publisher: KeyId,
    /// The approved capabilities, as the text that the security team signed.
    pub approved_capabilities: String,
    /// Revision of the approval: the caller keeps the highest and may refuse a lower one as `rollback`.
    pub approval_revision: u64,
}

/// Check 6 for plugins: component and manifest are what the order (if there is one), the approval and the publisher's
/// statement name, the approval is signed by as many vetting keys as the keyring says and not over, and the statement is
/// signed by a publisher that the approval names.
///
/// `component` is the digest of the bytes at hand, `manifest` the manifest's bytes. What comes back has the digest and the
/// envelope of the statement.
///
/// # Errors
/// `content`, `catalogue`, `publisher`, and for both envelopes `size`, `envelope`, `payload-type`, `payload`; for the
/// approval `signature`, `role`, `threshold`.
#[allow(
    clippy::too_many_arguments,
    reason = "each is one thing at hand; a wrong place for one is a refusal, never a pass"
)]
pub fn verify_plugin(
    order: Option<&Verified<Order>>,
    keyring: &Verified<Keyring>,
    component: Digest,
    manifest: &[u8],
    statement: &[u8],
    approval: &[u8],
    now_ms: i64,
) -> Result<Verified<Plugin>, Refusal> {
    let manifest = Digest::of(manifest);
    let approval = verify_approval(approval, keyring)?;
    let (name, version) = (&approval.name, &approval.plugin_version);
    if let Some(order) = order {
        ordered(order, name, version, component, manifest)?;
    }
    for (what, approved, found) in
        [("component", approval.component, component), ("manifest", approval.manifest, manifest)]
    {
        same(Check::Catalogue, &format!("the {what} that was approved for `{name}` {version}"), &approved, &found)?;
    }
    if now_ms >= approval.expires_ms {
        let late = now_ms.saturating_sub(approval.expires_ms);
        let reason =
            format!("the approval of `{name}` {version} ended {late} ms ago: the security team can sign a new one");
        return Err(Refusal::new(Check::Catalogue, reason));
    }
    let statement = by_publisher(statement, &approval)?;
    let said = [statement.predicate.name.as_str(), statement.predicate.version.as_str()];
    if said != [name, version] {
        let reason = format!(
            "the publisher's statement is about `{}` {}, the approval about `{name}` {version}",
            said[0], said[1]
        );
        return Err(Refusal::new(Check::Publisher, reason));
    }
    let stated = statement.component().unwrap_or(Digest::ZERO);
    same(Check::Publisher, "the component of the publisher's statement", &stated, &component)?;
    same(Check::Publisher, "the manifest of the publisher's statement", &statement.predicate.manifest, &manifest)?;
    let Some(publisher) = statement.signers.first().map(|signer| signer.key_id) else {
        return Err(Refusal::new(Check::Publisher, "the statement has no publisher"));
    };
    let plugin = Plugin {
        name: name.clone(),
        version: version.clone(),
        component,
        manifest,
        publisher,
        approved_capabilities: approval.capabilities.clone(),
        approval_revision: approval.revision,
    };
    let Verified { digest, signers, envelope, .. } = statement;
    Ok(Verified { value: plugin, digest, signers, envelope })
}

/// Verifies an approval alone: signed by as many vetting keys as the keyring says. Its expiry is not looked at.
///
/// # Errors
/// `size`, `envelope`, `payload-type`, `signature`, `role`, `threshold`, `payload`.
pub fn verify_approval(bytes: &[u8], keyring: &Verified<Keyring>) -> Result<Verified<Approval>, Refusal> {
    let opened = open::<Approval>(bytes)?;
    let mut signers = opened.signers(&candidates(keyring));
    let threshold = usize::from(keyring.role(Role::Vetting).threshold);
    opened.require(Approval::NAME, &signers, &[Role::Vetting], threshold)?;
    signers.retain(|signer| signer.roles.contains(&Role::Vetting));
    opened.believe(signers)
}

/// Verifies a publisher's statement under one key, for whoever packs or receives a package.
///
/// # Errors
/// `size`, `envelope`, `payload-type`, `signature`, `payload`.
pub fn verify_statement(bytes: &[u8], key: &PublicKey) -> Result<Verified<Statement>, Refusal> {
    open_by_key(bytes, key, "the publisher's key")
}

fn by_publisher(bytes: &[u8], approval: &Approval) -> Result<Verified<Statement>, Refusal> {
    let opened = open::<Statement>(bytes)?;
    let publishers: Vec<_> = approval.publishers.iter().map(|key| Candidate { key, roles: Vec::new() }).collect();
    let signers = opened.signers(&publishers);
    if signers.is_empty() {
        let reason = format!(
            "the statement of `{}` {} is not signed by any of the {} publisher(s) that the approval names",
            approval.name,
            approval.plugin_version,
            publishers.len()
        );
        return Err(Refusal::new(Check::Publisher, reason));
    }
    opened.believe(signers)
}

fn ordered(order: &Order, name: &str, version: &str, component: Digest, manifest: Digest) -> Result<(), Refusal> {
    let Action::Plugin { name: named, version: of, component: c, manifest: m, .. } = &order.action else {
        return Err(Refusal::new(Check::Content, "the order runs no plugin"));
    };
    same(Check::Content, "the component that the order names", c, &component)?;
    same(Check::Content, "the manifest that the order names", m, &manifest)?;
    if (named.as_str(), of.as_str()) == (name, version) {
        return Ok(());
    }
    Err(Refusal::new(Check::Catalogue, format!("the order is for `{named}` {of}, the approval for `{name}` {version}")))
}

fn same(check: Check, what: &str, expected: &Digest, found: &Digest) -> Result<(), Refusal> {
    if expected == found { Ok(()) } else { Err(Refusal::new(check, format!("{what} is {expected}, found {found}"))) }
}
