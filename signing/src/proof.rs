//! The message by which an instance proves that it holds its key, on one connection only.
//!
//! Owns the bytes that are signed. They hold the TLS exporter of the connection, so that a proof cannot be relayed to
//! another one. It never makes a connection, and signing and verifying are the keys' business.

use crate::instance::InstanceId;

/// The message for the purpose `link`, `enrol`, `blob` or `file`: `orderly-proof-v1`, the purpose and the instance id, each with
/// a zero byte behind it, then the 32 bytes of the TLS exporter.
#[must_use]
pub fn link_message(purpose: &str, instance: &InstanceId, exporter: &[u8; 32]) -> Vec<u8> {
    let mut message = Vec::new();
    for part in ["orderly-proof-v1", purpose, instance.as_str()] {
        message.extend_from_slice(part.as_bytes());
        message.push(0);
    }
    message.extend_from_slice(exporter);
    message
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::key::SecretKey;

    #[test]
    fn says_purpose_instance_and_connection() {
        let key = SecretKey::from_seed([1; 32]);
        let id = InstanceId::of(key.public());
        let message = link_message("link", &id, &[9; 32]);
        assert_eq!(message, [b"orderly-proof-v1\0link\0", id.as_str().as_bytes(), b"\0", [9; 32].as_slice()].concat());
        let signature = key.sign(&message);
        assert!(key.public().verify(&message, &signature));
        assert!(!key.public().verify(&link_message("enrol", &id, &[9; 32]), &signature));
        assert!(!key.public().verify(&link_message("link", &id, &[8; 32]), &signature), "link proof relayed");
    }
}
