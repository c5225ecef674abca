//! `orderly trust publish`: the next revision of the keyring.
//!
//! Owns what changes from one keyring to the next. It starts from the newest keyring that verifies under the pin, puts
//! the server's dispatch key in (which came over the pinned connection and is shown), signs, verifies its own work as
//! an agent would, and only then hands it over.

use clap::Args;
use orderly_signing::keyring::{Keyring, KeyringKey, Requirement, Role, RoleKeys, Tier};
use orderly_signing::{PublicKey, Verified};
use orderly_wire::http::trust::TrustView;
use reqwest::Method;
use serde::Serialize;

use super::init::KEYRING_TTL_MS;
use crate::args::seconds;
use crate::context::Context;
use crate::error::{Exit, Failure, OrFail as _, Outcome};
use crate::output::{Tone, now_ms};

/// Options of `trust publish`.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// Give a role to a key: ROLE:NAME, the public key being `keys/NAME.pub.pem`, or ROLE:NAME=FILE
    #[arg(long = "add", value_name = "ROLE:NAME[=FILE]", value_parser = addition)]
    add: Vec<Addition>,
    /// Take a key out of the keyring, by its name
    #[arg(long = "remove", value_name = "NAME")]
    remove: Vec<String>,
    /// Say what a tier needs: TIER=dispatch or TIER=N operators
    #[arg(long = "policy", value_name = "TIER=NEED", value_parser = policy)]
    policy: Vec<(Tier, Requirement)>,
    /// How long the keyring is fresh
    #[arg(long, value_name = "SPAN", default_value = "365d", value_parser = seconds)]
    fresh_for: u64,
    /// The root key: a name in `keys/`, or a path
    #[arg(long, value_name = "KEY", default_value = "root")]
    root_key: String,
}

/// One key that gets a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Addition {
    role: Role,
    name: String,
    file: Option<String>,
}

fn addition(text: &str) -> Result<Addition, String> {
    let (role, rest) = text.split_once(':').ok_or("write ROLE:NAME or ROLE:NAME=FILE")?;
    let role = Role::ALL
        .into_iter()
        .find(|known| known.as_str() == role)
        .ok_or_else(|| format!("`{role}` is no role: vetting, operator and publisher are"))?;
    if matches!(role, Role::Root | Role::Dispatch) {
        return Err(format!(
            "`{role}` is not given here: the pin holds the root keys, and the server brings its dispatch key"
        ));
    }
    let (name, file) = match rest.split_once('=') {
        Some((name, file)) => (name, Some(file.to_owned())),
        None => (rest, None),
    };
    if name.is_empty() {
        return Err("the key needs a name".to_owned());
    }
    Ok(Addition { role, name: name.to_owned(), file })
}

fn policy(text: &str) -> Result<(Tier, Requirement), String> {
    let (tier, need) = text.split_once('=').ok_or("write TIER=dispatch or TIER=1")?;
    let tier = Tier::ALL.into_iter().find(|known| known.as_str() == tier).ok_or_else(|| {
        let known: Vec<&str> = Tier::ALL.into_iter().map(Tier::as_str).collect();
        format!("`{tier}` is no tier: {}", known.join(", "))
    })?;
    let need = match need {
        "dispatch" => Requirement::Dispatch,
        number => match number.parse() {
            Ok(count) if count > 0 => Requirement::Operators(count),
            _ => return Err(format!("`{number}` is neither `dispatch` nor a number of operators")),
        },
    };
    Ok((tier, need))
}

/// What the next keyring has beyond the last.
#[derive(Debug)]
pub(crate) struct Changes {
    add: Vec<(Role, String, PublicKey)>,
    remove: Vec<String>,
    policy: Vec<(Tier, Requirement)>,
    fresh_for_ms: i64,
    root_key: String,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            add: Vec::new(),
            remove: Vec::new(),
            policy: Vec::new(),
            fresh_for_ms: KEYRING_TTL_MS,
            root_key: "root".to_owned(),
        }
    }
}

#[derive(Debug, Serialize)]
struct View {
    fleet: String,
    revision: u64,
    root: String,
    dispatch: String,
    keyring: String,
}

impl Publish {
    /// Signs and publishes the next keyring.
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let add = self.add.into_iter().map(|addition| {
            let key = context.keys.public(addition.file.as_deref().unwrap_or(&addition.name))?;
            Ok((addition.role, addition.name, key))
        });
        let changes = Changes {
            add: add.collect::<Result<_, Failure>>()?,
            remove: self.remove,
            policy: self.policy,
            fresh_for_ms: i64::try_from(self.fresh_for).unwrap_or(i64::MAX).saturating_mul(1000),
            root_key: self.root_key,
        };
        let (keyring, dispatch) = publish(context, &changes).await?;
        let view = View {
            fleet: keyring.fleet.clone(),
            revision: keyring.revision,
            root: keyring.root_fingerprint().to_string(),
            dispatch: dispatch.key_id().to_string(),
            keyring: keyring.digest().to_string(),
        };
        context.printer.one(&view, |printer| {
            printer.line(&format!("keyring revision {} of `{}` is published", view.revision, view.fleet));
            printer.line(&format!("root fingerprint: {}", view.root));
            printer.line(&format!("dispatch key:     {}", view.dispatch));
        });
        Ok(Exit::Success)
    }
}

/// Signs the next keyring and gives it to the server. Answers it with the server's dispatch key.
///
/// # Errors
/// No root key, nothing to start from, the server holds another fleet's keyring, or it refuses.
pub(crate) async fn publish(context: &Context, changes: &Changes) -> Result<(Verified<Keyring>, PublicKey), Failure> {
    let client = context.client()?;
    let ours = context.trust.need_keyring()?;
    let root = context.keys.secret(&changes.root_key)?;
    let theirs: TrustView = client.get("/v1/trust").await?;
    let base = newest(context, ours, theirs.keyring.as_ref())?;

    let next = next_keyring(&base, &theirs.dispatch, changes)?;
    let envelope =
        orderly_signing::sign::sign_keyring(&next, &root).or_usage(|| "the keyring cannot be signed".to_owned())?;
    let bytes = envelope.to_json();
    // As an agent would: also tells a root key that is not the pinned one before the server sees anything.
    let verified = context
        .trust
        .verify(&bytes, "the new keyring")
        .map_err(|failure| failure.hint(format!("is `{}` the root key of this fleet?", changes.root_key)))?;
    let _: TrustView = client.send_bytes(Method::PUT, "/v1/trust/keyring", "application/json", bytes).await?;
    context.trust.keep(&verified)?;
    for warning in out_of_reach(&verified) {
        context.printer.remark_toned(Tone::Attention, "warning", &format!(": {warning}"));
    }
    Ok((verified, theirs.dispatch))
}

/// The newer one of ours and the server's. The server's must verify under our pin.
fn newest(
    context: &Context,
    ours: Verified<Keyring>,
    theirs: Option<&serde_json::Value>,
) -> Result<Verified<Keyring>, Failure> {
    let Some(theirs) = theirs else {
        return Ok(ours);
    };
    let theirs = context.trust.verify(theirs.to_string().as_bytes(), "the server").map_err(|failure| {
        failure.hint("the server belongs to another fleet: use its configuration directory, or another server")
    })?;
    Ok(if theirs.revision > ours.revision { theirs } else { ours })
}

fn next_keyring(base: &Keyring, dispatch: &PublicKey, changes: &Changes) -> Result<Keyring, Failure> {
    let now = now_ms();
    let mut keyring = base.clone();
    keyring.revision = base.revision.saturating_add(1);
    keyring.issued_ms = now;
    keyring.expires_ms = now.saturating_add(changes.fresh_for_ms);
    for name in &changes.remove {
        let entry = keyring.keys.iter().find(|entry| entry.name == *name);
        let id = entry.map(|entry| entry.key.key_id()).ok_or_else(|| {
            Failure::usage(format!("the keyring has no key `{name}`")).hint("`orderly trust status` names them")
        })?;
        for holders in keyring.roles.values_mut() {
            holders.keys.retain(|key| *key != id);
        }
        keyring.keys.retain(|entry| entry.key.key_id() != id);
    }
    for (role, name, key) in &changes.add {
        give(&mut keyring, *role, name, key);
    }
    put_dispatch(&mut keyring, dispatch);
    keyring.roles.retain(|role, holders| *role == Role::Root || !holders.keys.is_empty());
    keyring.policy.extend(changes.policy.iter().copied());
    drop_unused(&mut keyring);
    keyring.validate().or_usage(|| "the keyring would not be sound".to_owned())?;
    Ok(keyring)
}

/// Tiers that need more operators than there are: it may be meant so, and it must not come unseen.
fn out_of_reach(keyring: &Keyring) -> Vec<String> {
    let holders = keyring.role(Role::Operator).keys.len();
    let needs = Tier::ALL.into_iter().filter_map(|tier| match keyring.requirement(tier) {
        Requirement::Operators(needed) if usize::from(needed) > holders => Some((tier, needed)),
        _ => None,
    });
    needs
        .map(|(tier, needed)| {
            format!("nobody can have `{tier}` run: it needs {needed} operator(s), the keyring has {holders}")
        })
        .collect()
}

fn give(keyring: &mut Keyring, role: Role, name: &str, key: &PublicKey) {
    let id = key.key_id();
    if keyring.key(&id).is_none() {
        keyring.keys.push(KeyringKey { name: name.to_owned(), key: key.clone() });
    }
    let holders = keyring.roles.entry(role).or_insert_with(|| RoleKeys { threshold: 1, keys: Vec::new() });
    if !holders.keys.contains(&id) {
        holders.keys.push(id);
    }
}

/// The server's key of today is the one dispatch key: an earlier one has no business any more.
fn put_dispatch(keyring: &mut Keyring, dispatch: &PublicKey) {
    keyring.roles.insert(Role::Dispatch, RoleKeys { threshold: 1, keys: Vec::new() });
    drop_unused(keyring);
    let taken = keyring.keys.iter().any(|entry| entry.name == "dispatch");
    let name = if taken { format!("dispatch-{}", keyring.revision) } else { "dispatch".to_owned() };
    give(keyring, Role::Dispatch, &name, dispatch);
}

/// Takes out keys that hold no role.
fn drop_unused(keyring: &mut Keyring) {
    let held: Vec<_> = keyring.roles.values().flat_map(|holders| holders.keys.iter().copied()).collect();
    keyring.keys.retain(|entry| held.contains(&entry.key.key_id()));
}

#[cfg(test)]
mod tests;
