//! Attacks on orders of series, which an agent verifies again before each run.

use orderly_signing::{
    Check, Digest, Envelope, Refusal, Verified,
    keyring::{Keyring, Role, Tier},
    order::{Due, Misfire, Order, Overlap, Repeat, Series},
    sign, verify,
};

use super::{
    fleet::{Fleet, id_of, script},
    refused_by,
};

fn series(fleet: &Fleet, revision: u32) -> Order {
    let due = Due::Frequency("rate(5m)".to_owned());
    let series = Series { revision, due, until_ms: None, misfire: Misfire::Skip, overlap: Overlap::Skip };
    Order { repeat: Repeat::Series(series), ..fleet.order(script()) }
}

fn signed(fleet: &Fleet, order: &Order) -> Envelope {
    sign::sign_order(order, &fleet.operators[0]).unwrap()
}

/// As the first instance's agent verifies it before a run, where it has accepted this order.
fn again(
    fleet: &Fleet,
    envelope: &Envelope,
    keyring: &Verified<Keyring>,
    accepted: &Digest,
) -> Result<Verified<Order>, Refusal> {
    let me = &fleet.ids()[0];
    let proof = fleet.targets().proof(me).unwrap();
    verify::verify_order_again(&envelope.to_json(), keyring, me, Digest::ZERO, &proof, accepted)
}

#[test]
fn a_good_series_runs_long_after_its_order_could_be_accepted() {
    let fleet = Fleet::new();
    let envelope = signed(&fleet, &series(&fleet, 1));
    // No time is asked for: the order is over by any clock.
    let order = again(&fleet, &envelope, &fleet.verified_keyring(), &envelope.digest()).unwrap();
    order.check_threshold(&fleet.verified_keyring(), Tier::NativeRoot).unwrap();
}

#[test]
fn order_put_in_the_place_of_the_one_that_was_accepted() {
    let fleet = Fleet::new();
    let keyring = fleet.verified_keyring();
    let accepted = signed(&fleet, &series(&fleet, 2)).digest();
    for revision in [1, 3] {
        let other = signed(&fleet, &series(&fleet, revision));
        assert_eq!(refused_by(again(&fleet, &other, &keyring, &accepted)), Check::Replay, "{revision}");
    }
    let mut unsigned = signed(&fleet, &series(&fleet, 2));
    unsigned.signatures.clear();
    assert_eq!(refused_by(again(&fleet, &unsigned, &keyring, &accepted)), Check::Signature);
}

#[test]
fn order_that_runs_once_run_again() {
    let fleet = Fleet::new();
    let once = signed(&fleet, &fleet.order(script()));
    assert_eq!(refused_by(again(&fleet, &once, &fleet.verified_keyring(), &once.digest())), Check::Payload);
}

#[test]
fn series_of_another_instance() {
    let fleet = Fleet::new();
    let envelope = signed(&fleet, &series(&fleet, 1));
    let (ids, keyring) = (fleet.ids(), fleet.verified_keyring());
    let proof = fleet.targets().proof(&ids[1]).unwrap();
    let verdict = |me, secrets| {
        verify::verify_order_again(&envelope.to_json(), &keyring, me, secrets, &proof, &envelope.digest())
    };
    verdict(&ids[1], Digest::ZERO).unwrap();
    assert_eq!(refused_by(verdict(&ids[0], Digest::ZERO)), Check::Target);
    assert_eq!(refused_by(verdict(&ids[1], Digest::of(b"other secrets"))), Check::Target);
}

#[test]
fn series_of_an_operator_who_was_taken_out_of_the_keyring_runs_no_more() {
    let fleet = Fleet::new();
    let envelope = signed(&fleet, &series(&fleet, 1));
    again(&fleet, &envelope, &fleet.verified_keyring(), &envelope.digest()).unwrap();
    let mut newer = fleet.keyring();
    newer.revision += 1;
    let operator = id_of(&fleet.operators[0]);
    newer.roles.get_mut(&Role::Operator).unwrap().keys.retain(|id| *id != operator);
    assert_eq!(refused_by(again(&fleet, &envelope, &fleet.trust(&newer), &envelope.digest())), Check::Role);
}
