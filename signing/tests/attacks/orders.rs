//! Attacks on orders.

use orderly_signing::{
    Check, Digest, Envelope, InstanceId, Refusal, Verified,
    envelope::{MAX_ENVELOPE_BYTES, ORDER_TYPE, RECEIPT_TYPE},
    keyring::{Requirement, Tier},
    merkle::{Target, TargetProof, TargetSet},
    order::{Action, Order},
    sign, verify,
};

use super::{
    fleet::{FAR, Fleet, NOW, SCRIPT, id_of, plugin, script},
    refused_by,
};

/// As an agent sees it: the first instance's, with its own proof, without secrets, now.
fn arrives(fleet: &Fleet, envelope: &Envelope) -> Result<Verified<Order>, Refusal> {
    let me = &fleet.ids()[0];
    let proof = fleet.targets().proof(me).unwrap();
    verify::verify_order(&envelope.to_json(), &fleet.verified_keyring(), me, Digest::ZERO, &proof, NOW)
}

fn dispatched(fleet: &Fleet) -> Envelope {
    sign::sign_order(&fleet.order(script()), &fleet.dispatch).unwrap()
}

fn with_operator(fleet: &Fleet) -> Envelope {
    let mut envelope = sign::sign_order(&fleet.order(script()), &fleet.operators[0]).unwrap();
    envelope.add_signature(&fleet.dispatch);
    envelope
}

/// A payload that is signed rightly, whatever it says.
fn signed_text(fleet: &Fleet, change: impl FnOnce(String) -> String) -> Envelope {
    let json = serde_json::to_string(&fleet.order(script())).unwrap();
    let changed = change(json.clone());
    assert_ne!(json, changed, "the attack changes something");
    let mut envelope = Envelope::new(ORDER_TYPE, changed.into_bytes());
    envelope.add_signature(&fleet.operators[0]);
    envelope
}

#[test]
fn a_good_order_is_followed() {
    let fleet = Fleet::new();
    let envelope = with_operator(&fleet);
    let order = arrives(&fleet, &envelope).unwrap();
    assert_eq!(*order, fleet.order(script()));
    assert_eq!(order.digest(), envelope.digest());
    assert_eq!(order.envelope_json(), envelope.to_json());
    let signers: Vec<_> = order.signers().iter().map(|signer| signer.key_id).collect();
    assert_eq!(signers, [id_of(&fleet.operators[0]), id_of(&fleet.dispatch)]);
    assert_eq!(order.operators(), 1);
    order.check_content(SCRIPT).unwrap();
    order.check_threshold(&fleet.verified_keyring(), Tier::NativeRoot).unwrap();
}

#[test]
fn labels_of_other_tools_do_no_harm() {
    let fleet = Fleet::new();
    let mut envelope = with_operator(&fleet);
    for keyid in [None, Some(String::new()), Some("alice".to_owned()), Some("0".repeat(64))] {
        envelope.signatures[0].keyid = keyid;
        assert_eq!(arrives(&fleet, &envelope).unwrap().operators(), 1);
    }
}

#[test]
fn signature_stripped() {
    let fleet = Fleet::new();
    let mut envelope = with_operator(&fleet);
    envelope.signatures.remove(0);
    let order = arrives(&fleet, &envelope).unwrap();
    assert_eq!(refused_by(order.check_threshold(&fleet.verified_keyring(), Tier::NativeUser)), Check::Threshold);
    envelope.signatures.clear();
    assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Signature);
}

#[test]
fn duplicate_signature_counted_twice() {
    let fleet = Fleet::new();
    let mut keyring = fleet.keyring();
    keyring.policy.insert(Tier::NativeRoot, Requirement::Operators(2));
    let keyring = fleet.trust(&keyring);
    let mut envelope = with_operator(&fleet);
    envelope.signatures.push(envelope.signatures[0].clone());
    let order = arrives(&fleet, &envelope).unwrap();
    assert_eq!(order.operators(), 1);
    assert_eq!(refused_by(order.check_threshold(&keyring, Tier::NativeRoot)), Check::Threshold);
    envelope.add_signature(&fleet.operators[1]);
    arrives(&fleet, &envelope).unwrap().check_threshold(&keyring, Tier::NativeRoot).unwrap();
}

#[test]
fn one_key_under_two_ids() {
    let fleet = Fleet::new();
    let mut envelope = with_operator(&fleet);
    for label in [None, Some("b".repeat(64)), Some("another".to_owned())] {
        let mut again = envelope.signatures[0].clone();
        again.keyid = label;
        envelope.signatures.push(again);
    }
    assert_eq!(arrives(&fleet, &envelope).unwrap().operators(), 1);
    // The signature of one operator under the label of the other counts for neither.
    let mut mislabelled = with_operator(&fleet);
    mislabelled.signatures[0].keyid = Some(id_of(&fleet.operators[1]).to_string());
    assert_eq!(arrives(&fleet, &mislabelled).unwrap().operators(), 0);
}

#[test]
fn wrong_role() {
    let fleet = Fleet::new();
    for key in [&fleet.root[0], &fleet.vetting[0], &fleet.publisher] {
        let envelope = sign::sign_order(&fleet.order(script()), key).unwrap();
        assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Role);
    }
    // Beside a good signature, one in a wrong role does not count for anything.
    let mut envelope = dispatched(&fleet);
    envelope.add_signature(&fleet.root[0]);
    envelope.add_signature(&fleet.vetting[0]);
    let order = arrives(&fleet, &envelope).unwrap();
    assert_eq!(order.signers().len(), 1);
    assert_eq!(refused_by(order.check_threshold(&fleet.verified_keyring(), Tier::NativeUser)), Check::Threshold);
}

#[test]
fn signed_by_a_stranger_or_by_an_instance() {
    let fleet = Fleet::new();
    for key in [&fleet.mallory, &fleet.instances[0]] {
        let envelope = sign::sign_order(&fleet.order(script()), key).unwrap();
        assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Signature);
    }
}

#[test]
fn payload_type_swapped() {
    let fleet = Fleet::new();
    let mut envelope = with_operator(&fleet);
    envelope.payload_type = RECEIPT_TYPE.to_owned();
    assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::PayloadType);
    // A receipt, really signed, that is said to be an order.
    let mut receipt = sign::sign_receipt(&fleet.receipt(Digest::ZERO), &fleet.operators[0]).unwrap();
    receipt.payload_type = ORDER_TYPE.to_owned();
    assert_eq!(refused_by(arrives(&fleet, &receipt)), Check::Signature);
}

#[test]
fn payload_changed_after_signing() {
    let fleet = Fleet::new();
    let good = with_operator(&fleet);
    for place in 0..good.payload.len() {
        let mut envelope = good.clone();
        envelope.payload[place] ^= 1;
        assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Signature, "byte {place}");
    }
    let mut envelope = good.clone();
    envelope.payload.push(b' ');
    assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Signature, "a space more");
    for place in 0..64 {
        let mut envelope = good.clone();
        envelope.signatures.truncate(1);
        envelope.signatures[0].sig[place] ^= 1;
        assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Signature, "byte {place} of the signature");
    }
}

#[test]
fn nothing_of_a_payload_is_believed_before_a_signature_has_verified() {
    let fleet = Fleet::new();
    let mut envelope = Envelope::new(ORDER_TYPE, b"not even JSON".to_vec());
    envelope.add_signature(&fleet.mallory);
    assert_eq!(refused_by(arrives(&fleet, &envelope)), Check::Signature);
}

#[test]
fn order_for_another_instance() {
    let fleet = Fleet::new();
    let (ids, keyring) = (fleet.ids(), fleet.verified_keyring());
    let envelope = with_operator(&fleet).to_json();
    let outside = &ids[4];
    for other in &ids[..4] {
        let proof = fleet.targets().proof(other).unwrap();
        assert_eq!(
            refused_by(verify::verify_order(&envelope, &keyring, outside, Digest::ZERO, &proof, NOW)),
            Check::Target
        );
    }
    // A set that the server made itself, with the instance in it.
    let forged = TargetSet::of_instances(ids.clone()).unwrap().proof(outside).unwrap();
    assert_eq!(
        refused_by(verify::verify_order(&envelope, &keyring, outside, Digest::ZERO, &forged, NOW)),
        Check::Target
    );
}

#[test]
fn proof_for_another_leaf() {
    let fleet = Fleet::new();
    let (ids, keyring) = (fleet.ids(), fleet.verified_keyring());
    let envelope = with_operator(&fleet).to_json();
    for (me, other) in ids[..4].iter().flat_map(|me| ids[..4].iter().map(move |other| (me, other))) {
        let proof = fleet.targets().proof(other).unwrap();
        let verdict = verify::verify_order(&envelope, &keyring, me, Digest::ZERO, &proof, NOW);
        if me == other {
            verdict.unwrap();
        } else {
            assert_eq!(refused_by(verdict), Check::Target);
        }
    }
}

#[test]
fn sealed_secret_swapped() {
    let fleet = Fleet::new();
    let secrets = |n: usize| Digest::of(format!("sealed to {n}").as_bytes());
    let targets = fleet.ids().into_iter().enumerate().map(|(n, instance)| Target { instance, secrets: secrets(n) });
    let set = TargetSet::new(targets.collect()).unwrap();
    let order = Order { targets: set.targets(), ..fleet.order(script()) };
    let envelope = sign::sign_order(&order, &fleet.operators[0]).unwrap().to_json();
    let me = &fleet.ids()[0];
    let with =
        |secrets| verify::verify_order(&envelope, &fleet.verified_keyring(), me, secrets, &set.proof(me).unwrap(), NOW);
    with(secrets(0)).unwrap();
    assert_eq!(refused_by(with(secrets(1))), Check::Target);
    assert_eq!(refused_by(with(Digest::ZERO)), Check::Target, "left away");
}

#[test]
fn second_preimage_between_leaf_and_node() {
    let fleet = Fleet::new();
    let me = &fleet.ids()[0];
    let (set, keyring) = (fleet.targets(), fleet.verified_keyring());
    let proof = set.proof(me).unwrap();
    let envelope = with_operator(&fleet).to_json();
    let shown = |proof: &TargetProof| verify::verify_order(&envelope, &keyring, me, Digest::ZERO, proof, NOW);
    // The leaf taken for a node one level up, and the node below taken for a leaf.
    let above = TargetProof { index: proof.index >> 1, hashes: proof.hashes[1..].to_vec() };
    assert_eq!(refused_by(shown(&above)), Check::Target);
    let below = TargetProof { index: proof.index, hashes: [&[Digest::ZERO], proof.hashes.as_slice()].concat() };
    assert_eq!(refused_by(shown(&below)), Check::Target);
    // An order whose whole "tree" is one leaf that is really the content of the inner node.
    let root_as_leaf =
        Order { targets: orderly_signing::merkle::Targets { count: 1, root: set.root() }, ..fleet.order(script()) };
    let envelope = sign::sign_order(&root_as_leaf, &fleet.operators[0]).unwrap().to_json();
    for hashes in [Vec::new(), proof.hashes] {
        let proof = TargetProof { index: 0, hashes };
        assert_eq!(refused_by(verify::verify_order(&envelope, &keyring, me, Digest::ZERO, &proof, NOW)), Check::Target);
    }
}

#[test]
fn expired_and_not_yet_valid() {
    let fleet = Fleet::new();
    let (me, order) = (&fleet.ids()[0], fleet.order(script()));
    let envelope = with_operator(&fleet).to_json();
    let proof = fleet.targets().proof(me).unwrap();
    let at = |now| verify::verify_order(&envelope, &fleet.verified_keyring(), me, Digest::ZERO, &proof, now);
    at(order.not_before_ms).unwrap();
    at(order.expires_ms - 1).unwrap();
    for late in [order.expires_ms, FAR, i64::MAX] {
        assert_eq!(refused_by(at(late)), Check::Expired);
    }
    for early in [order.not_before_ms - 1, 0, i64::MIN] {
        assert_eq!(refused_by(at(early)), Check::NotYetValid);
    }
}

#[test]
fn server_keys_stolen_native_command_needs_an_operator() {
    let fleet = Fleet::new();
    let keyring = fleet.verified_keyring();
    let order = arrives(&fleet, &dispatched(&fleet)).unwrap();
    for tier in Tier::ALL {
        let verdict = order.check_threshold(&keyring, tier);
        if tier == Tier::PluginReadOnly {
            verdict.unwrap();
        } else {
            assert_eq!(refused_by(verdict), Check::Threshold, "{tier}");
        }
    }
    arrives(&fleet, &with_operator(&fleet)).unwrap().check_threshold(&keyring, Tier::NativeRoot).unwrap();
}

#[test]
fn operator_taken_out_of_the_keyring() {
    let fleet = Fleet::new();
    let order = arrives(&fleet, &with_operator(&fleet)).unwrap();
    let mut newer = fleet.keyring();
    newer.revision += 1;
    let operator = id_of(&fleet.operators[0]);
    newer.roles.get_mut(&orderly_signing::keyring::Role::Operator).unwrap().keys.retain(|id| *id != operator);
    let newer = fleet.trust(&newer);
    assert_eq!(refused_by(order.check_threshold(&newer, Tier::NativeUser)), Check::Threshold);
    let alone = sign::sign_order(&fleet.order(script()), &fleet.operators[0]).unwrap().to_json();
    assert_eq!(refused_by(verify::verify_order_offline(&alone, &newer)), Check::Role);
}

#[test]
fn content_swapped() {
    let fleet = Fleet::new();
    let order = arrives(&fleet, &with_operator(&fleet)).unwrap();
    assert_eq!(SCRIPT.len(), b"#!/bin/sh\nsu\n".len());
    for other in [b"#!/bin/sh\nsu\n".as_slice(), b"rm -rf /", &SCRIPT[1..], b""] {
        assert_eq!(refused_by(order.check_content(other)), Check::Content);
    }
    let plugin = sign::sign_order(&fleet.order(plugin()), &fleet.dispatch).unwrap();
    assert_eq!(refused_by(arrives(&fleet, &plugin).unwrap().check_content(SCRIPT)), Check::Content);
}

#[test]
fn unknown_field_refused() {
    let fleet = Fleet::new();
    for (from, to) in [
        ("{\"version\":1", "{\"when\":\"always\",\"version\":1"),
        ("\"kind\":\"script\"", "\"kind\":\"script\",\"sandbox\":false"),
        ("\"count\":4", "\"count\":4,\"everybody\":true"),
        ("\"version\":1", "\"version\":2"),
    ] {
        assert_eq!(
            refused_by(arrives(&fleet, &signed_text(&fleet, |json| json.replacen(from, to, 1)))),
            Check::Payload
        );
    }
}

#[test]
fn duplicate_name_refused() {
    let fleet = Fleet::new();
    for (from, to) in [
        ("{\"version\":1", "{\"version\":1,\"version\":1"),
        ("\"cwd\":\"/tmp\"", "\"cwd\":\"/tmp\",\"cwd\":\"/root\""),
        ("\"LANG\":\"C\"", "\"LANG\":\"C\",\"LANG\":\"C\""),
        ("\"count\":4", "\"count\":4,\"c\\u006funt\":5"),
    ] {
        assert_eq!(
            refused_by(arrives(&fleet, &signed_text(&fleet, |json| json.replacen(from, to, 1)))),
            Check::Payload
        );
    }
}

#[test]
fn out_of_bounds_though_signed() {
    let fleet = Fleet::new();
    let huge = signed_text(&fleet, |json| json.replacen("\"timeout_s\":60", "\"timeout_s\":4294967295", 1));
    assert_eq!(refused_by(arrives(&fleet, &huge)), Check::Payload);
    let order = Order { principal: String::new(), ..fleet.order(script()) };
    sign::sign_order(&order, &fleet.operators[0]).expect_err("what would be refused is not signed");
    let stop = Action::Stop { order: Digest::ZERO, invocation: "t-0001".to_owned() };
    arrives(&fleet, &sign::sign_order(&fleet.order(stop), &fleet.dispatch).unwrap()).unwrap();
}

#[test]
fn too_large_or_no_envelope() {
    let fleet = Fleet::new();
    let (keyring, me) = (fleet.verified_keyring(), InstanceId::of(fleet.instances[0].public()));
    let proof = fleet.targets().proof(&me).unwrap();
    let bytes = |bytes: &[u8]| refused_by(verify::verify_order(bytes, &keyring, &me, Digest::ZERO, &proof, NOW));
    assert_eq!(bytes(&vec![b' '; MAX_ENVELOPE_BYTES + 1]), Check::Size);
    let mut many = dispatched(&fleet);
    many.signatures = vec![many.signatures[0].clone(); 17];
    assert_eq!(bytes(&many.to_json()), Check::Size);
    assert_eq!(bytes(b""), Check::Envelope);
    assert_eq!(bytes(b"{}"), Check::Envelope);
    let json = String::from_utf8(dispatched(&fleet).to_json()).unwrap();
    assert_eq!(bytes(json.replacen('{', "{\"note\":1,", 1).as_bytes()), Check::Envelope);
    assert_eq!(bytes(format!("{json}{json}").as_bytes()), Check::Envelope);
}
