//! What must hold for whatever comes: no bytes make a verifier panic, no change of an envelope changes what is verified,
//! and signatures are counted by key, whatever the labels say.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "fixture/fleet.rs"]
mod fleet;

use std::collections::BTreeSet;

use fleet::{Fleet, MANIFEST, NOW, script};
use orderly_signing::{
    Digest, Envelope, SecretKey, Verified,
    envelope::{APPROVAL_TYPE, KEYRING_TYPE, ORDER_TYPE, RECEIPT_TYPE, STATEMENT_TYPE},
    keyring::{Keyring, Requirement, Tier},
    order::Order,
    sign, verify,
};
use proptest::prelude::*;

/// Keys by number: two operators, dispatch, and those that may sign no order.
fn key(fleet: &Fleet, n: usize) -> &SecretKey {
    [
        &fleet.operators[0],
        &fleet.operators[1],
        &fleet.dispatch,
        &fleet.root[0],
        &fleet.vetting[0],
        &fleet.publisher,
        &fleet.mallory,
        &fleet.instances[0],
    ][n]
}

fn trusted() -> (Fleet, Verified<Keyring>) {
    let fleet = Fleet::new();
    let mut keyring = fleet.keyring();
    keyring.policy.insert(Tier::NativeRoot, Requirement::Operators(2));
    let trusted = fleet.trust(&keyring);
    (fleet, trusted)
}

/// Gives the bytes to every verifier. Some may accept them; none may panic.
fn verify_all(fleet: &Fleet, keyring: &Verified<Keyring>, bytes: &[u8]) -> Option<Verified<Order>> {
    let _ = verify::verify_keyring(bytes, &keyring.root_fingerprint(), 0, NOW);
    let _ = verify::verify_receipt(bytes, fleet.operators[0].public());
    let _ = verify::verify_statement(bytes, fleet.operators[0].public());
    let _ = verify::verify_plugin(None, keyring, Digest::ZERO, MANIFEST, bytes, bytes, NOW);
    verify::verify_order_offline(bytes, keyring).ok()
}

proptest! {
    #[test]
    fn signatures_are_counted_by_key(signed in proptest::collection::vec((0_usize..8, 0_usize..4, 0_usize..8), 0..12)) {
        let (fleet, keyring) = trusted();
        let mut envelope = Envelope::new(ORDER_TYPE, serde_json::to_vec(&fleet.order(script())).unwrap());
        let mut counted = BTreeSet::new();
        for (signer, label, other) in signed {
            envelope.add_signature(key(&fleet, signer));
            let last = envelope.signatures.last_mut().unwrap();
            match label {
                0 => {}
                1 => last.keyid = None,
                2 => last.keyid = Some("whoever".to_owned()),
                _ => last.keyid = Some(key(&fleet, other).public().key_id().to_string()),
            }
            // A label that names another key of the keyring makes the signature count for nobody.
            let misnamed = label == 3 && other != signer && other < 6;
            if signer < 3 && !misnamed {
                counted.insert(signer);
            }
        }
        let verdict = verify::verify_order_offline(&envelope.to_json(), &keyring);
        prop_assert_eq!(verdict.is_ok(), !counted.is_empty());
        if let Ok(order) = verdict {
            let operators = counted.iter().filter(|&&signer| signer < 2).count();
            prop_assert_eq!(order.signers().len(), counted.len());
            prop_assert_eq!(order.operators(), operators);
            prop_assert_eq!(order.check_threshold(&keyring, Tier::NativeRoot).is_ok(), operators == 2);
            prop_assert_eq!(order.check_threshold(&keyring, Tier::NativeUser).is_ok(), operators >= 1);
            prop_assert!(order.check_threshold(&keyring, Tier::PluginReadOnly).is_ok());
        }
    }

    #[test]
    fn a_damaged_order_is_refused_or_the_same(place in any::<prop::sample::Index>(), byte in any::<u8>(), insert in any::<bool>()) {
        let (fleet, keyring) = trusted();
        let order = fleet.order(script());
        let envelope = sign::sign_order(&order, &fleet.operators[0]).unwrap();
        let mut json = envelope.to_json();
        let place = place.index(json.len());
        if insert {
            json.insert(place, byte);
        } else {
            json[place] = byte;
        }
        if let Some(verified) = verify_all(&fleet, &keyring, &json) {
            prop_assert_eq!(&*verified, &order);
            prop_assert_eq!(verified.digest(), envelope.digest());
            prop_assert_eq!(verified.envelope_json(), json);
        }
    }

    #[test]
    fn any_payload_that_is_signed_is_a_document_or_a_refusal(
        payload in "[\\[\\]{}\":,0-9a-z_ -]{0,80}",
        kind in prop::sample::select(vec![ORDER_TYPE, RECEIPT_TYPE, KEYRING_TYPE, STATEMENT_TYPE, APPROVAL_TYPE]),
    ) {
        let (fleet, keyring) = trusted();
        let mut envelope = Envelope::new(kind, payload.into_bytes());
        for key in fleet.root.iter().chain(&fleet.vetting).chain(&fleet.operators) {
            envelope.add_signature(key);
        }
        prop_assert!(verify_all(&fleet, &keyring, &envelope.to_json()).is_none());
    }
}
