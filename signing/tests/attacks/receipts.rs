//! Attacks on receipts.

use orderly_signing::{
    Check, Digest, Envelope, InstanceId,
    envelope::RECEIPT_TYPE,
    receipt::{OutputDigest, Receipt, SeriesRun, Use},
    sign,
    verify::{self, Verified},
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
    let series = |scheduled_ms, previous| Some(SeriesRun { scheduled_ms, previous });
    assert_eq!(verdict(&|r| r.series = series(-1, None)), Check::Payload);
    assert_eq!(verdict(&|r| r.series = series(1, Some(Digest::of(b"x")))), Check::Payload, "run 1 has none before");
    assert_eq!(verdict(&|r| (r.generation, r.series) = (2, series(1, None))), Check::Payload, "run 2 has one");
    assert_eq!(verdict(&|r| (r.generation, r.series) = (0, series(1, None))), Check::Payload);
}

/// The receipt of a run of a series; `change` bends it before it is signed.
fn run(fleet: &Fleet, number: u32, previous: Option<Digest>, change: impl FnOnce(&mut Receipt)) -> Verified<Receipt> {
    let series = SeriesRun { scheduled_ms: 1_000 * i64::from(number), previous };
    let mut receipt = Receipt { generation: number, series: Some(series), ..fleet.receipt(Digest::of(b"order")) };
    change(&mut receipt);
    let envelope = sign::sign_receipt(&receipt, &fleet.instances[0]).unwrap();
    verify::verify_receipt(&envelope.to_json(), fleet.instances[0].public()).unwrap()
}

#[test]
fn runs_left_out_put_in_or_moved_in_a_series_show() {
    let fleet = Fleet::new();
    let first = run(&fleet, 1, None, |_| {});
    // A change of the series is another order of the same invocation.
    let second = run(&fleet, 2, Some(first.digest()), |receipt| receipt.order = Digest::of(b"revision 2"));
    let third = run(&fleet, 3, Some(second.digest()), |_| {});
    verify::check_receipt_follows(&first, None).unwrap();
    verify::check_receipt_follows(&second, Some(&first)).unwrap();
    verify::check_receipt_follows(&third, Some(&second)).unwrap();
    let verdict = |receipt: &_, previous: Option<&_>| refused_by(verify::check_receipt_follows(receipt, previous));
    assert_eq!(verdict(&second, None), Check::ReceiptChain, "the first was left out");
    assert_eq!(verdict(&third, Some(&first)), Check::ReceiptChain, "the second was left out");
    assert_eq!(verdict(&first, Some(&second)), Check::ReceiptChain, "moved");
    assert_eq!(verdict(&second, Some(&second)), Check::ReceiptChain, "told twice");
    let other = run(&fleet, 2, Some(first.digest()), |receipt| receipt.status = "Failed".to_owned());
    assert_eq!(verdict(&third, Some(&other)), Check::ReceiptChain, "another end was put in its place");
    let foreign = run(&fleet, 2, Some(first.digest()), |receipt| receipt.invocation = "t-0002".to_owned());
    assert_eq!(verdict(&foreign, Some(&first)), Check::ReceiptChain, "of another series");
    let once = run(&fleet, 1, None, |receipt| receipt.series = None);
    assert_eq!(verdict(&once, None), Check::ReceiptChain, "of no series");
    let after = run(&fleet, 2, Some(once.digest()), |_| {});
    assert_eq!(verdict(&after, Some(&once)), Check::ReceiptChain, "behind one of no series");
}
