//! Tests of the keyring's bounds, questions and fingerprint.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::key::SecretKey;

fn key(n: u8) -> PublicKey {
    SecretKey::from_seed([n; 32]).public().clone()
}

fn holders(threshold: u8, keys: &[u8]) -> RoleKeys {
    RoleKeys { threshold, keys: keys.iter().map(|&n| key(n).key_id()).collect() }
}

/// Keys 1 to 3 root (2 of them must sign), 4 vetting, 5 and 6 operators, 7 dispatch.
fn keyring() -> Keyring {
    Keyring {
        version: 1,
        revision: 3,
        fleet: "demo".to_owned(),
        issued_ms: 1_000,
        expires_ms: 2_000,
        keys: (1..8).map(|n| KeyringKey { name: format!("key-{n}@example.org"), key: key(n) }).collect(),
        roles: BTreeMap::from([
            (Role::Root, holders(2, &[1, 2, 3])),
            (Role::Vetting, holders(1, &[4])),
            (Role::Operator, holders(1, &[5, 6])),
            (Role::Dispatch, holders(1, &[7])),
        ]),
        policy: Keyring::default_policy(),
    }
}

fn refused(change: impl FnOnce(&mut Keyring)) -> String {
    let mut keyring = keyring();
    change(&mut keyring);
    keyring.validate().expect_err("must be refused").to_string()
}

#[test]
fn a_good_keyring_is_valid_and_answers() {
    let keyring = keyring();
    keyring.validate().unwrap();
    assert_eq!(keyring.role(Role::Root).threshold, 2);
    assert_eq!(keyring.role(Role::Publisher).keys, [], "nobody");
    assert!(keyring.role(Role::Publisher).threshold > 0, "out of reach");
    assert_eq!(keyring.roles_of(&key(5).key_id()), [Role::Operator]);
    assert_eq!(keyring.roles_of(&key(9).key_id()), []);
    assert_eq!(keyring.key(&key(7).key_id()).unwrap().name, "key-7@example.org");
    assert!(!keyring.expired(1_999) && keyring.expired(2_000));
}

#[test]
fn each_bound_is_refused_by_name() {
    assert!(refused(|k| k.version = 2).contains("version"));
    assert!(refused(|k| k.fleet = "a b".to_owned()).contains("fleet"));
    assert!(refused(|k| k.expires_ms = k.issued_ms).contains("expires_ms"));
    assert!(refused(|k| k.keys[1].name = k.keys[0].name.clone()).contains("second time"));
    assert!(refused(|k| k.keys[1].name = "x y".to_owned()).contains("keys[1].name"));
    assert!(refused(|k| drop(k.roles.remove(&Role::Root))).contains("`root`"));
    assert!(refused(|k| drop(k.roles.insert(Role::Operator, holders(1, &[9])))).contains("not in `keys`"));
    assert!(refused(|k| drop(k.roles.insert(Role::Root, holders(4, &[1, 2, 3])))).contains("roles.root.threshold"));
    assert!(refused(|k| drop(k.roles.insert(Role::Root, holders(0, &[1])))).contains("roles.root.threshold"));
    assert!(
        refused(|k| drop(k.roles.insert(Role::Operator, holders(2, &[5, 6])))).contains("roles.operator.threshold")
    );
    assert!(
        refused(|k| _ = k.policy.insert(Tier::NativeRoot, Requirement::Operators(0))).contains("policy.native-root")
    );
    assert!(refused(|k| k.keys.clear()).contains("keys"));
}

#[test]
fn one_key_is_not_two() {
    let again = KeyringKey { name: "another-name".to_owned(), key: key(5) };
    assert!(refused(|k| k.keys.push(again)).contains("second time"));
    assert!(refused(|k| drop(k.roles.insert(Role::Root, holders(2, &[1, 1])))).contains("twice"));
}

#[test]
fn an_online_key_holds_no_offline_role() {
    for role in [Role::Root, Role::Vetting, Role::Operator, Role::Publisher] {
        let message = refused(|k| drop(k.roles.insert(role, holders(1, &[7]))));
        assert!(message.contains("use two keys"), "{message}");
    }
}

#[test]
fn the_fingerprint_follows_the_root_keys_alone() {
    let (first, mut second) = (keyring(), keyring());
    let mut ids: Vec<String> = (1..4).map(|n| key(n).key_id().to_string()).collect();
    ids.sort();
    let text = format!("orderly-root-v1\n2\n{}\n{}\n{}\n", ids[0], ids[1], ids[2]);
    assert_eq!(first.root_fingerprint(), Digest::of(text.as_bytes()));
    second.revision += 1;
    second.policy.clear();
    second.roles.remove(&Role::Operator);
    second.roles.get_mut(&Role::Root).unwrap().keys.reverse();
    assert_eq!(first.root_fingerprint(), second.root_fingerprint());
    second.roles.get_mut(&Role::Root).unwrap().threshold = 1;
    assert_ne!(first.root_fingerprint(), second.root_fingerprint());
}

#[test]
fn policy_reads_as_people_write_it_and_fails_towards_operators() {
    let policy: BTreeMap<Tier, Requirement> =
        serde_json::from_str(r#"{"plugin-read-only":"dispatch","native-root":{"operators":2}}"#).unwrap();
    let keyring = Keyring { policy, ..keyring() };
    assert_eq!(keyring.requirement(Tier::PluginReadOnly), Requirement::Dispatch);
    assert_eq!(keyring.requirement(Tier::NativeRoot), Requirement::Operators(2));
    assert_eq!(keyring.requirement(Tier::PluginWrite), Requirement::Operators(1), "not named");
    for tier in Tier::ALL {
        let expected = tier == Tier::PluginReadOnly;
        assert_eq!(Keyring::default_policy()[&tier] == Requirement::Dispatch, expected, "{tier}");
        assert_eq!(serde_json::to_string(&tier).unwrap(), format!("\"{tier}\""));
    }
    for role in Role::ALL {
        assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
    }
    assert!(Tier::ALL.is_sorted());
}
