//! Verifies a keyring against the pin that an agent got at enrolment.
//!
//! Owns the bootstrap of trust: the pin makes the root keys, the root keys make the keyring. It never keeps a pin or a
//! floor; the caller does.

use tracing::warn;

use super::{Verified, candidates, open};
use crate::{
    digest::Digest,
    document::{self, Document as _},
    error::{Check, Refusal},
    keyring::{Keyring, Role},
};

/// Verifies a keyring: its root keys are the pinned ones, as many of them signed as the threshold says, and its revision
/// is not below the floor.
///
/// A stale keyring is *not* refused, since an agent must be able to start, link, report and be mended with it; it is
/// logged, and [`Keyring::expired`] tells. `now_ms` serves that warning alone.
///
/// # Errors
/// `size`, `envelope`, `payload-type`, `payload`, `pin`, `signature`, `threshold`, `rollback`.
pub fn verify_keyring(
    bytes: &[u8],
    pin: &Digest,
    floor_revision: u64,
    now_ms: i64,
) -> Result<Verified<Keyring>, Refusal> {
    let opened = open::<Keyring>(bytes)?;
    // The payload names the keys that must have signed it. It is parsed first, but nothing of it is believed until the
    // fingerprint of its root keys equals the pin and those very keys have signed.
    let keyring: Keyring = document::parse(&opened.envelope.payload)?;
    let fingerprint = keyring.root_fingerprint();
    if fingerprint != *pin {
        let reason =
            format!("the keyring has the root fingerprint {fingerprint}, pinned is {pin}: another fleet's, or forged");
        return Err(Refusal::new(Check::Pin, reason));
    }
    let mut signers = opened.signers(&candidates(&keyring));
    let threshold = usize::from(keyring.role(Role::Root).threshold);
    opened.require(Keyring::NAME, &signers, &[Role::Root], threshold)?;
    signers.retain(|signer| signer.roles.contains(&Role::Root));
    if keyring.revision < floor_revision {
        let reason = format!("the keyring has revision {}, {floor_revision} was already seen", keyring.revision);
        return Err(Refusal::new(Check::Rollback, reason));
    }
    if keyring.expired(now_ms) {
        warn!(
            revision = keyring.revision,
            expires_ms = keyring.expires_ms,
            now_ms,
            "the keyring is past its expiry: sign a new revision"
        );
    }
    Ok(opened.wrap(keyring, signers))
}
