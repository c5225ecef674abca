//! `orderly trust status`: who may do what, in words.
//!
//! Owns the explanation of a keyring, and of what an attacker would need to hold. Works without a network.

use std::path::PathBuf;

use clap::Args;
use orderly_signing::keyring::{Keyring, Requirement, Role, Tier};
use serde::Serialize;

use crate::context::Context;
use crate::error::{Exit, Outcome};
use crate::output::{Printer, Tone, now_ms, time};
use crate::trust::{requirement_in_words, tier_in_words};

/// Options of `trust status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Another keyring than the one that is kept
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct View {
    fleet: String,
    revision: u64,
    root: String,
    issued_ms: i64,
    expires_ms: i64,
    expired: bool,
    roles: Vec<RoleView>,
    policy: Vec<PolicyView>,
}

#[derive(Debug, Serialize)]
struct RoleView {
    role: Role,
    threshold: u8,
    keys: Vec<KeyView>,
}

#[derive(Debug, Serialize)]
struct KeyView {
    name: String,
    key_id: String,
    here: bool,
}

#[derive(Debug, Serialize)]
struct PolicyView {
    tier: Tier,
    needs: Requirement,
    attacker_needs: String,
}

impl Status {
    /// Shows the kept keyring.
    pub(super) fn run(self, context: &Context) -> Outcome {
        let keyring = match &self.keyring {
            Some(file) => context.trust.keyring_for_audit(Some(file), None)?,
            None => context.trust.need_keyring()?,
        };
        let here: Vec<String> = context
            .keys
            .names()?
            .into_iter()
            .filter(|name| context.keys.has(name))
            .filter_map(|name| context.keys.public(&name).ok())
            .map(|key| key.key_id().to_string())
            .collect();
        let view = view(&keyring, &here);
        context.printer.one(&view, |printer| show(printer, &view));
        Ok(Exit::Success)
    }
}

fn view(keyring: &Keyring, here: &[String]) -> View {
    let roles = Role::ALL.into_iter().map(|role| {
        let holders = keyring.role(role);
        let keys = holders.keys.iter().filter_map(|id| keyring.key(id)).map(|entry| {
            let key_id = entry.key.key_id().to_string();
            KeyView { name: entry.name.clone(), here: here.contains(&key_id), key_id }
        });
        RoleView { role, threshold: holders.threshold, keys: keys.collect() }
    });
    let policy = Tier::ALL.into_iter().map(|tier| {
        let needs = keyring.requirement(tier);
        PolicyView { tier, needs, attacker_needs: attacker_needs(keyring, tier, needs) }
    });
    View {
        fleet: keyring.fleet.clone(),
        revision: keyring.revision,
        root: keyring.root_fingerprint().to_string(),
        issued_ms: keyring.issued_ms,
        expires_ms: keyring.expires_ms,
        expired: keyring.expired(now_ms()),
        roles: roles.collect(),
        policy: policy.collect(),
    }
}

/// The keys that somebody must have taken to do this against the owners' will.
fn attacker_needs(keyring: &Keyring, tier: Tier, needs: Requirement) -> String {
    let vetting = keyring.role(Role::Vetting).threshold;
    let signs = match needs {
        Requirement::Dispatch => "the server's dispatch key".to_owned(),
        Requirement::Operators(1) => "an operator's key".to_owned(),
        Requirement::Operators(count) => format!("{count} operators' keys"),
    };
    match tier {
        Tier::NativeUser | Tier::NativeRoot => signs,
        // Without the vetting keys only plugins that are approved already can be run.
        _ => format!("{signs} to run what is approved; {vetting} vetting key(s) more for other code"),
    }
}

fn show(printer: &Printer, view: &View) {
    printer.line(&format!("fleet `{}`, keyring revision {}", view.fleet, view.revision));
    printer.line(&format!("root fingerprint {}", view.root));
    let stale = if view.expired { " (stale: sign a new one with `orderly trust publish`)" } else { "" };
    printer.line(&format!("signed {}, fresh until {}{stale}", time(view.issued_ms), time(view.expires_ms)));
    let rows = view.roles.iter().flat_map(|role| {
        let nobody = role.keys.is_empty().then(|| {
            vec![
                (role.role.to_string(), Tone::Plain),
                ("-".to_owned(), Tone::Dim),
                ("nobody".to_owned(), Tone::Attention),
                (String::new(), Tone::Plain),
                (String::new(), Tone::Plain),
            ]
        });
        let keys = role.keys.iter().map(|key| {
            vec![
                (role.role.to_string(), Tone::Plain),
                (format!("{} of {}", role.threshold, role.keys.len()), Tone::Plain),
                (key.name.clone(), Tone::Plain),
                (key.key_id.get(..16).unwrap_or_default().to_owned(), Tone::Dim),
                (if key.here { "yes".to_owned() } else { String::new() }, Tone::Plain),
            ]
        });
        nobody.into_iter().chain(keys.collect::<Vec<_>>())
    });
    printer.table(&["role", "needed", "key", "id", "secret key here"], rows.collect());
    let rows = view.policy.iter().map(|policy| {
        let tone = if policy.needs == Requirement::Dispatch && policy.tier >= Tier::PluginWrite {
            Tone::Attention
        } else {
            Tone::Plain
        };
        vec![
            (policy.tier.to_string(), Tone::Plain),
            (tier_in_words(policy.tier).to_owned(), Tone::Plain),
            (requirement_in_words(policy.needs), tone),
            (policy.attacker_needs.clone(), Tone::Plain),
        ]
    });
    printer.table(&["tier", "what it is", "needs a signature of", "an attacker would need"], rows.collect());
    printer.line("Whoever holds the root key(s) can change all of this; keep them offline.");
}
