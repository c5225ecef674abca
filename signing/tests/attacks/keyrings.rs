//! Attacks on the keyring that an agent pins.

use orderly_signing::{
    Check, Digest, Envelope, Refusal, Verified,
    envelope::KEYRING_TYPE,
    keyring::{Keyring, KeyringKey, Role, RoleKeys},
    sign, verify,
};

use super::{
    fleet::{FAR, Fleet, NOW, id_of},
    refused_by,
};

fn arrives(fleet: &Fleet, envelope: &Envelope) -> Result<Verified<Keyring>, Refusal> {
    verify::verify_keyring(&envelope.to_json(), &fleet.keyring().root_fingerprint(), 7, NOW)
}

fn signed_text(fleet: &Fleet, json: String) -> Envelope {
    let mut envelope = Envelope::new(KEYRING_TYPE, json.into_bytes());
    envelope.add_signature(&fleet.root[0]);
    envelope.add_signature(&fleet.root[1]);
    envelope
}

#[test]
fn a_good_keyring_is_trusted_and_stale_is_not_broken() {
    let fleet = Fleet::new();
    let envelope = fleet.signed_keyring(&fleet.keyring());
    let keyring = arrives(&fleet, &envelope).unwrap();
    assert_eq!(*keyring, fleet.keyring());
    assert_eq!(keyring.signers().len(), 2);
    let stale = verify::verify_keyring(&envelope.to_json(), &keyring.root_fingerprint(), 7, FAR).unwrap();
    assert!(stale.expired(FAR) && !stale.expired(NOW));
}

#[test]
fn root_signature_stripped_or_doubled() {
    let fleet = Fleet::new();
    let mut envelope = fleet.signed_keyring(&fleet.keyring());
    envelope.signatures.truncate(1);
    assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Threshold);
    envelope.signatures.push(envelope.signatures[0].clone());
    envelope.signatures[1].keyid = Some(id_of(&fleet.root[1]).to_string());
    assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Threshold);
    envelope.signatures.clear();
    assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Signature);
}

#[test]
fn keyring_of_another_root() {
    let fleet = Fleet::new();
    let mut keyring = fleet.keyring();
    keyring.keys.push(KeyringKey { name: "mallory".to_owned(), key: fleet.mallory.public().clone() });
    keyring.roles.insert(Role::Root, RoleKeys { threshold: 1, keys: vec![id_of(&fleet.mallory)] });
    let envelope = sign::sign_keyring(&keyring, &fleet.mallory).unwrap();
    assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Pin);
    // The right root keys, with a threshold that one stolen key reaches.
    let mut lowered = fleet.keyring();
    lowered.roles.get_mut(&Role::Root).unwrap().threshold = 1;
    let envelope = sign::sign_keyring(&lowered, &fleet.root[0]).unwrap();
    assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Pin);
}

#[test]
fn keyring_signed_by_other_roles() {
    let fleet = Fleet::new();
    let mut envelope = sign::sign_keyring(&fleet.keyring(), &fleet.dispatch).unwrap();
    envelope.add_signature(&fleet.vetting[0]);
    envelope.add_signature(&fleet.operators[0]);
    assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Role);
    let stranger = sign::sign_keyring(&fleet.keyring(), &fleet.mallory).unwrap();
    assert_eq!(refused_by(arrives(&fleet, &stranger)), Check::Signature);
}

#[test]
fn keyring_changed_after_signing() {
    let fleet = Fleet::new();
    let mut envelope = fleet.signed_keyring(&fleet.keyring());
    let json = String::from_utf8(envelope.payload).unwrap();
    envelope.payload = json.replacen("\"operators\":1", "\"operators\":2", 1).into_bytes();
    assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Signature);
}

#[test]
fn keyring_rolled_back() {
    let fleet = Fleet::new();
    let old = Keyring { revision: 6, ..fleet.keyring() };
    assert_eq!(refused_by(arrives(&fleet, &fleet.signed_keyring(&old))), Check::Rollback);
}

#[test]
fn one_key_twice_in_a_keyring() {
    let fleet = Fleet::new();
    let mut keyring = fleet.keyring();
    keyring.keys.push(KeyringKey { name: "second-name".to_owned(), key: fleet.operators[0].public().clone() });
    sign::sign_keyring(&keyring, &fleet.root[0]).expect_err("what would be refused is not signed");
    let envelope = signed_text(&fleet, serde_json::to_string(&keyring).unwrap());
    assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Payload);
}

#[test]
fn keyring_with_unknown_or_doubled_names() {
    let fleet = Fleet::new();
    let json = serde_json::to_string(&fleet.keyring()).unwrap();
    for (from, to) in [
        ("{\"version\":1", "{\"sealed\":true,\"version\":1"),
        ("\"roles\":{", "\"roles\":{\"dispatch\":{\"threshold\":1,\"keys\":[]},"),
        ("\"policy\":{", "\"policy\":{\"native-root\":\"dispatch\","),
        ("\"policy\":{", "\"policy\":{\"native-everything\":\"dispatch\","),
        ("\"roles\":{", "\"roles\":{\"king\":{\"threshold\":1,\"keys\":[]},"),
    ] {
        assert!(json.contains(from));
        let envelope = signed_text(&fleet, json.replacen(from, to, 1));
        assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Payload, "{to}");
    }
    assert_eq!(refused_by(verify::verify_keyring(b"", &Digest::ZERO, 0, NOW)), Check::Envelope);
}
