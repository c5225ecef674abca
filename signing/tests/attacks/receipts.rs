//! Attacks on receipts.

use orderly_signing::{
    Check, Digest, Envelope, InstanceId,
    envelope::RECEIPT_TYPE,
    receipt::{OutputDigest, Receipt, Use},
    sign, verify,
};

use super::{fleet::Fleet, refused_by};

fn good(fleet: &Fleet) -> (Receipt, Envelope) {
    let receipt = fleet.receipt(Digest::of(b"order"));
    let envelope = sign::sign_receipt(&receipt, &fleet.instances[0]).unwrap();
    (receipt, envelope)
}

#[test]
fn a_good_receipt_counts() {
    let fleet = Fleet::new();
    let (mut receipt, envelope) = good(&fleet);
    let verified = verify::verify_receipt(&envelope.to_json(), fleet.instances[0].public()).unwrap();
    assert_eq!(*verified, receipt);
    verify::check_receipt_for(&verified, &Digest::of(b"order")).unwrap();
    receipt.used = vec![Use { capability: "files.read /etc/**".to_owned(), count: 12 }];
    receipt.check = Some(Check::LocalPolicy.code().to_owned());
    receipt.reason = Some("native commands are off here\n(agent.toml)".to_owned());
    receipt.started_ms = None;
    receipt.output = OutputDigest::none();
    let envelope = sign::sign_receipt(&receipt, &fleet.instances[0]).unwrap();
    assert_eq!(*verify::verify_receipt(&envelope.to_json(), fleet.instances[0].public()).unwrap(), receipt);
}

#[test]
fn forged_receipt() {
    let fleet = Fleet::new();
    let (receipt, envelope) = good(&fleet);
    let key = fleet.instances[0].public();
    for forger in [&fleet.mallory, &fleet.dispatch, &fleet.operators[0], &fleet.instances[1]] {
        let mut forged = sign::sign_receipt(&receipt, forger).unwrap();
        assert_eq!(refused_by(verify::verify_receipt(&forged.to_json(), key)), Check::Signature);
        forged.signatures[0].keyid = Some(key.key_id().to_string());
        assert_eq!(refused_by(verify::verify_receipt(&forged.to_json(), key)), Check::Signature);
    }
    let mut changed = envelope.clone();
    let json = String::from_utf8(changed.payload).unwrap();
    changed.payload = json.replace("\"Success\"", "\"Failed\"").into_bytes();
    assert_eq!(refused_by(verify::verify_receipt(&changed.to_json(), key)), Check::Signature);
    let mut stripped = envelope;
    stripped.signatures.clear();
    assert_eq!(refused_by(verify::verify_receipt(&stripped.to_json(), key)), Check::Signature);
}

#[test]
fn receipt_for_another_order() {
    let fleet = Fleet::new();
    let (_, envelope) = good(&fleet);
    let receipt = verify::verify_receipt(&envelope.to_json(), fleet.instances[0].public()).unwrap();
    assert_eq!(refused_by(verify::check_receipt_for(&receipt, &Digest::of(b"another"))), Check::ReceiptOrder);
}

#[test]
fn instance_id_claimed_by_another_key() {
    let fleet = Fleet::new();
    let (receipt, _) = good(&fleet);
    // The server enrols its own key under the id of an instance: the signature is right, the id is not that key's.
    let claimed = sign::sign_receipt(&receipt, &fleet.mallory).unwrap();
    assert_eq!(refused_by(verify::verify_receipt(&claimed.to_json(), fleet.mallory.public())), Check::Instance);
    assert_ne!(InstanceId::of(fleet.mallory.public()), receipt.instance);
}

#[test]
fn an_order_is_no_receipt() {
    let fleet = Fleet::new();
    let order = sign::sign_order(&fleet.order(super::fleet::script()), &fleet.instances[0]).unwrap();
    assert_eq!(refused_by(verify::verify_receipt(&order.to_json(), fleet.instances[0].public())), Check::PayloadType);
}

#[test]
fn receipts_that_do_not_add_up() {
    let fleet = Fleet::new();
    let (receipt, _) = good(&fleet);
    let verdict = |change: &dyn Fn(&mut Receipt)| {
        let mut receipt = receipt.clone();
        change(&mut receipt);
        sign::sign_receipt(&receipt, &fleet.instances[0]).expect_err("what would be refused is not signed");
        let mut envelope = Envelope::new(RECEIPT_TYPE, serde_json::to_vec(&receipt).unwrap());
        envelope.add_signature(&fleet.instances[0]);
        refused_by(verify::verify_receipt(&envelope.to_json(), fleet.instances[0].public()))
    };
    assert_eq!(verdict(&|r| r.output.bytes = 13), Check::Payload);
    assert_eq!(verdict(&|r| r.output.stderr_bytes = u64::MAX), Check::Payload);
    assert_eq!(verdict(&|r| r.version = 2), Check::Payload);
    assert_eq!(verdict(&|r| r.status = String::new()), Check::Payload);
    assert_eq!(verdict(&|r| r.reason = Some("x".repeat(5_000))), Check::Payload);
    assert_eq!(verdict(&|r| r.finished_ms = -1), Check::Payload);
    assert_eq!(verdict(&|r| r.used = vec![Use { capability: "c".to_owned(), count: 1 }; 257]), Check::Payload);
    assert_eq!(verdict(&|r| r.agent = "a b".to_owned()), Check::Payload);
}
