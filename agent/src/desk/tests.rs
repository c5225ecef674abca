//! A desk on a directory of its own, with the keys of its owners: for tests of its parts. Nothing listens where its server is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use orderly_signing::instance::InstanceId;
use orderly_signing::key::SecretKey;
use orderly_signing::keyring::{KeyringKey, Role, RoleKeys};
use orderly_signing::merkle::TargetSet;
use orderly_signing::order::{Action, Order, Repeat, ScriptAction};
use orderly_signing::sign::{sign_keyring, sign_order};

use super::*;
use crate::config;
use crate::facts;
use crate::identity::Pins;
use crate::journal::Expect;

/// A desk none of whose slots is free: what is given out waits for its turn.
pub(super) struct Owned {
    pub desk: Rc<Desk>,
    pub dir: tempfile::TempDir,
    operator: SecretKey,
}

pub(super) fn owned() -> Owned {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::enter(&dir.path().join("data")).unwrap();
    let (root, operator) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
    let named = |name: &str, key: &SecretKey| KeyringKey { name: name.to_owned(), key: key.public().clone() };
    let role = |key: &SecretKey| RoleKeys { threshold: 1, keys: vec![key.public().key_id()] };
    let keyring = Keyring {
        version: 1,
        revision: 1,
        fleet: "test".to_owned(),
        issued_ms: local_ms() - 10_000,
        expires_ms: local_ms() + 3_600_000,
        keys: vec![named("root", &root), named("operator", &operator)],
        roles: BTreeMap::from([(Role::Root, role(&root)), (Role::Operator, role(&operator))]),
        policy: Keyring::default_policy(),
    };
    let pin = Digest::of(format!("orderly-root-v1\n1\n{}\n", root.public().key_id()).as_bytes());
    let keyring = verify_keyring(&sign_keyring(&keyring, &root).unwrap().to_json(), &pin, 0, local_ms()).unwrap();
    let key = identity::key(&directory).unwrap();
    let pins = Pins {
        version: 1,
        instance: InstanceId::of(key.public()),
        name: "here".to_owned(),
        server: "https://127.0.0.1:1".to_owned(),
        ca: Digest::ZERO,
        root: pin,
        enrolled_ms: 1,
    };
    identity::save(&directory, &pins).unwrap();
    let identity = Rc::new(Identity::load(&directory).unwrap());
    let trees = Trees::supervised(Path::new("/bin/false"));
    let config = Config::load(&dir.path().join(config::NAME), false).unwrap();
    let slots = u32::try_from(config.running_max).unwrap();
    let deps = Deps {
        artifacts: Artifacts::open(&directory, Rc::clone(&identity)).unwrap(),
        kept: KeptContent::open(&directory).unwrap(),
        transfer: Transfer::new(Rc::clone(&identity)),
        notes: Notes::open(&directory).unwrap(),
        facts: facts::gather(&trees),
        journal: Journal::open(directory.path(), Expect::Fresh, local_ms()).unwrap().0,
        program: "/bin/false".into(),
        identity,
        config,
        directory,
        trees,
        keyring,
    };
    let desk = Desk::new(deps, mpsc::channel(LIVE_QUEUE).0);
    desk.slots.try_acquire_many(slots).unwrap().forget();
    Owned { desk, dir, operator }
}

impl Owned {
    /// An order for this instance that was signed at `issued_ms`.
    pub(super) fn signed(&self, name: &str, action: Action, repeat: Repeat, issued_ms: i64) -> Offer {
        let set = TargetSet::of_instances([self.desk.identity().id().clone()]).unwrap();
        let order = Order {
            version: 1,
            order: name.to_owned(),
            invocation: "t-1".to_owned(),
            principal: "test".to_owned(),
            issued_ms,
            not_before_ms: issued_ms,
            expires_ms: local_ms() + 60_000,
            targets: set.targets(),
            action,
            repeat,
        };
        Offer {
            order: sign_order(&order, &self.operator).unwrap().to_json(),
            proof: set.proof(self.desk.identity().id()).unwrap(),
            content: Some(b"true".to_vec()),
            plugin: None,
            built_ins: BTreeMap::new(),
            live: false,
        }
    }

    /// Takes an offer in.
    pub(super) async fn takes_in(&self, offer: Offer) {
        Rc::clone(&self.desk).intake(offer).await;
    }

    /// What is told, in its order.
    pub(super) fn told(&self) -> Vec<Report> {
        let mut after = 0;
        let next = || {
            let report = self.desk.next_report(after).unwrap()?;
            after = report.seq;
            Some(report)
        };
        std::iter::from_fn(next).collect()
    }
}

/// A script that ends at once.
pub(super) fn script() -> Action {
    Action::Script(ScriptAction { cwd: Some("/".to_owned()), ..ScriptAction::new(b"true") })
}
