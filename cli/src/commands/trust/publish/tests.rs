//! Tests of the step from one keyring to the next.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use orderly_signing::SecretKey;

use super::*;

fn key(seed: u8) -> PublicKey {
    SecretKey::from_seed([seed; 32]).public().clone()
}

fn base() -> Keyring {
    let mut keyring = Keyring {
        version: 1,
        revision: 4,
        fleet: "f".to_owned(),
        issued_ms: 1,
        expires_ms: 2,
        keys: Vec::new(),
        roles: BTreeMap::new(),
        policy: Keyring::default_policy(),
    };
    give(&mut keyring, Role::Root, "root", &key(1));
    give(&mut keyring, Role::Operator, "alice", &key(2));
    keyring
}

#[test]
fn the_server_s_key_replaces_the_last_one() {
    let once = next_keyring(&base(), &key(9), &Changes::default()).unwrap();
    assert_eq!(once.revision, 5);
    assert_eq!(once.role(Role::Dispatch).keys, [key(9).key_id()]);
    let twice = next_keyring(&once, &key(8), &Changes::default()).unwrap();
    assert_eq!(twice.role(Role::Dispatch).keys, [key(8).key_id()]);
    assert!(twice.key(&key(9).key_id()).is_none(), "an old dispatch key is gone");
    assert_eq!(twice.root_fingerprint(), base().root_fingerprint());
}

#[test]
fn keys_come_and_go() {
    let changes = Changes {
        add: vec![(Role::Operator, "bob".to_owned(), key(3)), (Role::Vetting, "bob".to_owned(), key(3))],
        remove: vec!["alice".to_owned()],
        policy: vec![(Tier::NativeRoot, Requirement::Operators(2))],
        ..Changes::default()
    };
    let next = next_keyring(&base(), &key(9), &changes).unwrap();
    assert_eq!(next.role(Role::Operator).keys, [key(3).key_id()]);
    assert_eq!(next.roles_of(&key(3).key_id()), [Role::Vetting, Role::Operator]);
    assert_eq!(next.requirement(Tier::NativeRoot), Requirement::Operators(2));
    assert!(next.key(&key(2).key_id()).is_none());
}

#[test]
fn a_dispatch_key_that_acts_for_a_person_is_refused() {
    assert!(next_keyring(&base(), &key(2), &Changes::default()).is_err());
}

#[test]
fn removing_an_unknown_key_is_an_error() {
    let changes = Changes { remove: vec!["carol".to_owned()], ..Changes::default() };
    assert!(next_keyring(&base(), &key(9), &changes).is_err());
}

#[test]
fn additions_and_policies_are_read() {
    assert_eq!(
        addition("operator:alice=/tmp/a.pem"),
        Ok(Addition { role: Role::Operator, name: "alice".to_owned(), file: Some("/tmp/a.pem".to_owned()) })
    );
    for bad in ["operator", "operator:", "root:x", "dispatch:x", "boss:x"] {
        assert!(addition(bad).is_err(), "{bad}");
    }
    assert_eq!(policy("native-root=2"), Ok((Tier::NativeRoot, Requirement::Operators(2))));
    assert_eq!(policy("plugin-write=dispatch"), Ok((Tier::PluginWrite, Requirement::Dispatch)));
    for bad in ["native-root", "native-root=0", "native-root=many", "native=1"] {
        assert!(policy(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_policy_that_no_operators_can_meet_is_told() {
    assert!(out_of_reach(&next_keyring(&base(), &key(9), &Changes::default()).unwrap()).is_empty());
    let more = Changes { policy: vec![(Tier::NativeRoot, Requirement::Operators(2))], ..Changes::default() };
    let told = out_of_reach(&next_keyring(&base(), &key(9), &more).unwrap());
    assert_eq!(told, ["nobody can have `native-root` run: it needs 2 operator(s), the keyring has 1"]);
    let nobody = Changes { remove: vec!["alice".to_owned()], ..Changes::default() };
    assert!(out_of_reach(&next_keyring(&base(), &key(9), &nobody).unwrap()).len() > 1);
}
