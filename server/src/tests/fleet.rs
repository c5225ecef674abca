//! The keys of a fleet's owners, and what they sign.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use orderly_model::id::{InvocationId, OrderId};
use orderly_model::plugin::Manifest;
use orderly_signing::approval::Approval;
use orderly_signing::digest::Digest;
use orderly_signing::envelope::Envelope;
use orderly_signing::instance::InstanceId;
use orderly_signing::key::{PublicKey, SecretKey};
use orderly_signing::keyring::{Keyring, KeyringKey, Role, RoleKeys};
use orderly_signing::merkle::TargetSet;
use orderly_signing::order::{Action, Order, ScriptAction};
use orderly_signing::sign;
use orderly_signing::statement::{Build, Predicate};
use orderly_wire::http::invocation::{CreateInvocation, Run, RunScript, Targets};
use orderly_wire::http::script::ScriptOptions;

use crate::clock;

/// A key of random bytes.
pub(crate) fn key() -> SecretKey {
    SecretKey::from_seed(clock::random().unwrap())
}

pub(crate) struct Fleet {
    pub(crate) root: SecretKey,
    pub(crate) vetting: SecretKey,
    pub(crate) operator: SecretKey,
    pub(crate) publisher: SecretKey,
}

/// A manifest that asks for one file.
pub(crate) const MANIFEST: &str = r#"
[plugin]
name = "look"
version = "1.0.0"
summary = "Looks at one file"
wit = "orderly:plugin@0.1.0"

[capabilities.files]
read = ["/etc/os-release"]
"#;

impl Fleet {
    pub(crate) fn new() -> Self {
        Self { root: key(), vetting: key(), operator: key(), publisher: key() }
    }

    pub(crate) fn keyring(&self, revision: u64, dispatch: &PublicKey) -> Vec<u8> {
        let now_ms = clock::now_ms();
        let keys = [
            (Role::Root, self.root.public()),
            (Role::Vetting, self.vetting.public()),
            (Role::Operator, self.operator.public()),
            (Role::Publisher, self.publisher.public()),
            (Role::Dispatch, dispatch),
        ];
        let keyring = Keyring {
            version: 1,
            revision,
            fleet: "test".to_owned(),
            issued_ms: now_ms,
            expires_ms: now_ms + 86_400_000,
            keys: keys.iter().map(|(role, key)| KeyringKey { name: role.to_string(), key: (*key).clone() }).collect(),
            roles: keys
                .iter()
                .map(|(role, key)| (*role, RoleKeys { threshold: 1, keys: vec![key.key_id()] }))
                .collect(),
            policy: Keyring::default_policy(),
        };
        sign::sign_keyring(&keyring, &self.root).unwrap().to_json()
    }

    /// A request with an order for `echo`, signed by the operator; `bend` may change the order first.
    pub(crate) fn signed(&self, targets: &[InstanceId], bend: impl FnOnce(&mut Order)) -> CreateInvocation {
        let content = b"echo hello".to_vec();
        let now_ms = clock::now_ms();
        let mut order = Order {
            version: 1,
            order: OrderId::new(now_ms, clock::random().unwrap()).to_string(),
            invocation: InvocationId::new(now_ms, clock::random().unwrap()).to_string(),
            principal: "tester".to_owned(),
            issued_ms: now_ms,
            not_before_ms: now_ms,
            expires_ms: now_ms + 60_000,
            targets: TargetSet::of_instances(targets.to_vec()).unwrap().targets(),
            action: Action::Script(ScriptAction::new(&content)),
            repeat: orderly_signing::order::Repeat::Once,
        };
        bend(&mut order);
        let envelope = sign::sign_order(&order, &self.operator).unwrap();
        CreateInvocation { order: Some(envelope.to_json()), ..script(targets, &content) }
    }

    /// A package of a component, a manifest and the publisher's statement about both.
    pub(crate) fn package(&self, component: &[u8], manifest: &str) -> Vec<u8> {
        let parsed = Manifest::parse(manifest).unwrap();
        let predicate = Predicate {
            name: parsed.name.to_string(),
            version: parsed.version.to_string(),
            manifest: Digest::of(manifest.as_bytes()),
            wit: "orderly:plugin@0.1.0".to_owned(),
            build: Build { tool: "test".to_owned(), source: None },
        };
        let statement = sign::sign_statement(Digest::of(component), predicate, &self.publisher).unwrap();
        package(component, manifest.as_bytes(), &statement.to_json())
    }

    /// The security team's approval of a package's content.
    pub(crate) fn approval(&self, component: &[u8], manifest: &str, revision: u64) -> Envelope {
        let parsed = Manifest::parse(manifest).unwrap();
        let now_ms = clock::now_ms();
        let approval = Approval {
            version: 1,
            name: parsed.name.to_string(),
            plugin_version: parsed.version.to_string(),
            component: Digest::of(component),
            manifest: Digest::of(manifest.as_bytes()),
            publishers: vec![self.publisher.public().clone()],
            capabilities: parsed.capabilities.to_canonical_json(),
            issued_ms: now_ms,
            expires_ms: now_ms + 86_400_000,
            revision,
        };
        sign::sign_approval(&approval, &self.vetting).unwrap()
    }
}

/// A tar of the three files of a package.
pub(crate) fn package(component: &[u8], manifest: &[u8], statement: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in [("plugin.wasm", component), ("plugin.toml", manifest), ("statement.json", statement)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A request to run a script, without an order.
pub(crate) fn script(targets: &[InstanceId], content: &[u8]) -> CreateInvocation {
    CreateInvocation {
        run: Run::Script(RunScript {
            interpreter: "shell".to_owned(),
            content: content.to_vec(),
            user: None,
            cwd: None,
            timeout_s: None,
            environment: BTreeMap::new(),
            output_bytes: None,
            options: ScriptOptions::default(),
        }),
        targets: Targets::Instances(targets.to_vec()),
        order: None,
        delivery_deadline_s: None,
        name: None,
        dry_run: false,
        rollout: None,
        series: None,
    }
}
