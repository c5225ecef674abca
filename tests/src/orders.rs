//! Orders as a command line would make them: the request, and the envelope that says the same.
//!
//! Owns the builder of scripts and of plugin runs. A test may bend any field before it signs.

use std::collections::BTreeMap;

use orderly_signing::merkle::TargetSet;
use orderly_signing::order::{Action, CollectAction, FileAction, Order, ScriptAction};
use orderly_signing::sign::sign_order;
use orderly_signing::{Digest, Envelope, InstanceId, SecretKey};
use orderly_wire::http::invocation::{CreateInvocation, Run, RunPlugin, RunScript, Targets};
use orderly_wire::http::plugin::PluginView;
use orderly_wire::http::script::ScriptOptions;

use crate::api::now_ms;

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Work {
    /// The request's `run`.
    pub run: Run,
    /// Digests of component and manifest, for a plugin.
    pub digests: Option<(Digest, Digest)>,
    /// Seconds within which it must be accepted.
    pub deadline_s: u32,
}

impl Work {
    /// A script for `sh`.
    #[must_use]
    pub fn script(content: impl Into<Vec<u8>>) -> Self {
        let script = RunScript {
            interpreter: "shell".to_owned(),
            content: content.into(),
            user: None,
            cwd: None,
            timeout_s: Some(60),
            environment: BTreeMap::new(),
            output_bytes: Some(24 * 1024),
            options: ScriptOptions::default(),
        };
        Self { run: Run::Script(script), digests: None, deadline_s: 60 }
    }

    /// A run of a plugin that the server has.
    #[must_use]
    pub fn plugin(view: &PluginView, parameters: &[(&str, &str)]) -> Self {
        let plugin = RunPlugin {
            name: view.name.clone(),
            version: Some(view.version.clone()),
            parameters: parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            timeout_s: Some(20),
            output_bytes: Some(24 * 1024),
        };
        Self { run: Run::Plugin(plugin), digests: Some((view.component, view.manifest)), deadline_s: 60 }
    }

    /// With another time-out.
    #[must_use]
    pub fn timeout(mut self, seconds: u32) -> Self {
        match &mut self.run {
            Run::Script(script) => script.timeout_s = Some(seconds),
            Run::Plugin(plugin) => plugin.timeout_s = Some(seconds),
            Run::Command(command) => command.timeout_s = Some(seconds),
            Run::File(file) => file.timeout_s = Some(seconds),
            Run::Collect(collect) => collect.timeout_s = Some(seconds),
        }
        self
    }

    /// With another deadline for delivery.
    #[must_use]
    pub const fn deadline(mut self, seconds: u32) -> Self {
        self.deadline_s = seconds;
        self
    }

    /// A script changed in some way.
    ///
    /// # Panics
    /// Where it is a plugin.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut RunScript)) -> Self {
        match &mut self.run {
            Run::Script(script) => change(script),
            _ => panic!("it is no script"),
        }
        self
    }

    fn action(&self) -> Action {
        match (&self.run, self.digests) {
            (Run::Script(script), _) => Action::Script(script.options.of(ScriptAction {
                user: script.user.clone(),
                cwd: script.cwd.clone(),
                timeout_s: script.timeout_s.expect("a time-out"),
                environment: script.environment.clone(),
                output_bytes: script.output_bytes.expect("a size"),
                ..ScriptAction::new(&script.content)
            })),
            (Run::Plugin(plugin), Some((component, manifest))) => Action::Plugin {
                name: plugin.name.clone(),
                version: plugin.version.clone().expect("a version"),
                component,
                manifest,
                parameters: plugin.parameters.clone(),
                timeout_s: plugin.timeout_s.expect("a time-out"),
                output_bytes: plugin.output_bytes.expect("a size"),
            },
            (Run::Plugin(_), None) => panic!("a plugin's order needs its digests"),
            (Run::Command(_), _) => panic!("what a kept command says is the command line's to sign"),
            (Run::File(file), _) => Action::File(FileAction {
                directory: file.directory.clone(),
                name: file.name.clone(),
                content: file.content,
                content_bytes: file.content_bytes,
                owner: file.owner.clone(),
                group: file.group.clone(),
                mode: u32::from_str_radix(file.mode.as_deref().expect("a mode"), 8).expect("octal digits"),
                overwrite: file.overwrite,
                timeout_s: file.timeout_s.expect("a time-out"),
            }),
            (Run::Collect(collect), _) => Action::Collect(CollectAction {
                path: collect.path.clone(),
                max_bytes: collect.max_bytes,
                timeout_s: collect.timeout_s.expect("a time-out"),
            }),
        }
    }

    /// The order for these instances, not yet signed.
    ///
    /// # Panics
    /// Where the instances are no set of targets.
    #[must_use]
    pub fn order(&self, instances: &[InstanceId]) -> Order {
        let targets = TargetSet::of_instances(instances.iter().cloned()).expect("a set of targets").targets();
        let now = now_ms();
        Order {
            version: 1,
            order: new_id("o-"),
            invocation: new_id("t-"),
            principal: "test-operator".to_owned(),
            issued_ms: now,
            not_before_ms: now - 1000,
            expires_ms: now + i64::from(self.deadline_s) * 1000,
            targets,
            action: self.action(),
            repeat: orderly_signing::order::Repeat::Once,
        }
    }

    /// The request, with this envelope or without one.
    #[must_use]
    pub fn request(&self, targets: Targets, order: Option<&Envelope>) -> CreateInvocation {
        CreateInvocation {
            run: self.run.clone(),
            targets,
            order: order.map(Envelope::to_json),
            delivery_deadline_s: Some(self.deadline_s),
            name: None,
            dry_run: false,
            rollout: None,
            series: None,
        }
    }

    /// The request with an order signed by this key.
    ///
    /// # Panics
    /// Where the order is out of bounds.
    #[must_use]
    pub fn signed(&self, instances: &[InstanceId], key: &SecretKey) -> CreateInvocation {
        let envelope = sign_order(&self.order(instances), key).expect("an order within bounds");
        self.request(Targets::Instances(instances.to_vec()), Some(&envelope))
    }
}

/// A new sortable id with this prefix.
///
/// # Panics
/// Where the machine has no randomness.
#[must_use]
pub fn new_id(prefix: &str) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut random = [0; 10];
    getrandom::fill(&mut random).expect("randomness");
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&now_ms().to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&random);
    let value = u128::from_be_bytes(bytes);
    let letter = |place: u32| char::from(ALPHABET[((value >> (5 * (25 - place))) & 31) as usize]);
    prefix.chars().chain((0..26).map(letter)).collect()
}
