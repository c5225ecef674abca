//! `orderly trust init`: the keys of a new fleet, made on this machine.
//!
//! Owns which keys there are at first, and the first keyring, which names no server yet. Never overwrites a key or a pin.

use std::collections::BTreeMap;

use clap::Args;
use orderly_signing::keyring::{Keyring, KeyringKey, Role, RoleKeys};
use orderly_signing::{PublicKey, SecretKey};
use serde::Serialize;

use super::publish;
use crate::context::Context;
use crate::error::{Exit, Failure, OrFail as _, Outcome};
use crate::output::{Tone, now_ms};

/// How long a keyring is fresh: a year. A stale one does not stop a fleet; it stops risky new work.
pub(super) const KEYRING_TTL_MS: i64 = 365 * 24 * 60 * 60 * 1000;

/// The keys of a new fleet: name, role, and what it is for.
const KEYS: [(&str, Role, &str); 4] = [
    ("root", Role::Root, "signs the keyring, which says who else may sign; keep it offline"),
    ("vetting", Role::Vetting, "approves plugins, for the security team"),
    ("operator", Role::Operator, "signs scripts and all that changes an instance; for whoever works with the fleet"),
    ("publisher", Role::Publisher, "signs plugin packages, for their author"),
];

/// Options of `trust init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The fleet's name
    #[arg(long, default_value = "fleet", value_name = "NAME")]
    fleet: String,
    /// Do not give the keyring to the server, even where one is configured
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, Serialize)]
struct View {
    fleet: String,
    root: String,
    keys: Vec<KeyView>,
    published: bool,
}

#[derive(Debug, Serialize)]
struct KeyView {
    name: &'static str,
    role: Role,
    key_id: String,
    purpose: &'static str,
}

impl Init {
    /// Makes the keys and the first keyring, and publishes it where a server is configured.
    pub(super) async fn run(self, context: &Context) -> Outcome {
        if let Some(pin) = context.trust.pin()? {
            return Err(Failure::setup(format!("this configuration already trusts the root {pin}"))
                .hint("`orderly trust publish` signs the next keyring of that fleet")
                .hint("for another fleet use another directory: `--config-dir DIR`"));
        }
        // All names are looked at before the first key is made, so that nothing is left half done.
        if let Some((name, ..)) =
            KEYS.iter().find(|(name, ..)| context.keys.public_path(name).exists() || context.keys.has(name))
        {
            return Err(Failure::setup(format!("there is a key `{name}` already, and it is not overwritten"))
                .hint(format!("it lies at `{}`", context.keys.secret_path(name).display()))
                .hint("use another directory for another fleet: `--config-dir DIR`"));
        }
        let mut made: Vec<(&'static str, Role, SecretKey)> = Vec::new();
        for (name, role, _) in KEYS {
            made.push((name, role, context.keys.create(name)?));
        }
        let keyring = first_keyring(&self.fleet, &made);
        let Some((_, _, root)) = made.iter().find(|(_, role, _)| *role == Role::Root) else {
            return Err(Failure::setup("no root key was made"));
        };
        let pin = keyring.root_fingerprint();
        let envelope = orderly_signing::sign::sign_keyring(&keyring, root)
            .or_setup(|| "the first keyring cannot be signed".to_owned())?;
        context.trust.set_pin(&pin)?;
        let verified = context.trust.verify(&envelope.to_json(), "the new keyring")?;
        context.trust.keep(&verified)?;

        let publish = context.settings.server.is_some() && !self.offline;
        let view = View {
            fleet: self.fleet,
            root: pin.to_string(),
            keys: made
                .iter()
                .zip(KEYS)
                .map(|((name, role, key), (_, _, purpose))| view(name, *role, key.public(), purpose))
                .collect(),
            published: publish,
        };
        if publish {
            publish::publish(context, &publish::Changes::default()).await?;
        }
        context.printer.one(&view, |printer| {
            let rows = view.keys.iter().map(|key| {
                vec![
                    (key.name.to_owned(), Tone::Plain),
                    (key.key_id.get(..16).unwrap_or_default().to_owned(), Tone::Dim),
                    (key.purpose.to_owned(), Tone::Plain),
                ]
            });
            printer.table(&["key", "id", "purpose"], rows.collect());
            printer.line(&format!("root fingerprint: {}", view.root));
            printer.line(&format!("keys are in `{}`", context.settings.dir.join("keys").display()));
            if !publish {
                printer.line("next: configure the server, then `orderly trust publish`");
            }
        });
        Ok(Exit::Success)
    }
}

fn view(name: &'static str, role: Role, key: &PublicKey, purpose: &'static str) -> KeyView {
    KeyView { name, role, key_id: key.key_id().to_string(), purpose }
}

fn first_keyring(fleet: &str, made: &[(&'static str, Role, SecretKey)]) -> Keyring {
    let now = now_ms();
    let roles: BTreeMap<Role, RoleKeys> = made
        .iter()
        .map(|(_, role, key)| (*role, RoleKeys { threshold: 1, keys: vec![key.public().key_id()] }))
        .collect();
    Keyring {
        version: 1,
        revision: 1,
        fleet: fleet.to_owned(),
        issued_ms: now,
        expires_ms: now.saturating_add(KEYRING_TTL_MS),
        keys: made
            .iter()
            .map(|(name, _, key)| KeyringKey { name: (*name).to_owned(), key: key.public().clone() })
            .collect(),
        roles,
        policy: Keyring::default_policy(),
    }
}
