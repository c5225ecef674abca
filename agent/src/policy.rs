//! The checks of an order, in their order, before anything is promised.
//!
//! Owns checks 1 to 8 of an agent: it calls the one verification of the signing crate and the one grant computation of
//! the model crate, and adds what only this instance knows (its journal, its users, its local policy, its clock). Never
//! runs anything, and never lets pass what it cannot decide.

use std::collections::BTreeMap;
use std::path::Path;

use orderly_host::platform::Trees;
use orderly_model::capability::Capabilities;
use orderly_model::effect::Effect;
use orderly_model::grant::grants;
use orderly_model::instance::Sandbox;
use orderly_model::limits::{COMPONENT_MAX_BYTES, MANIFEST_MAX_BYTES};
use orderly_model::name::UserName;
use orderly_model::parameter::{self, ParameterSpec};
use orderly_model::plugin::Manifest;
use orderly_model::policy::{Freshness, LocalPolicy, native_tier};
use orderly_model::task::ResultCode;
use orderly_signing::digest::Digest;
use orderly_signing::error::{Check, Refusal};
use orderly_signing::instance::InstanceId;
use orderly_signing::keyring::{Keyring, Tier};
use orderly_signing::merkle::TargetProof;
use orderly_signing::order::{Action, CollectAction, Order, Repeat};
use orderly_signing::verify::{Plugin as Vouched, Verified, verify_order, verify_plugin};
use orderly_wire::to_agent::PluginDocuments;

use crate::config::{Containers, Effects};
use crate::exec::account::Account;
use crate::exec::file::AdmittedFile;
use crate::exec::plugin::AdmittedPlugin;
use crate::exec::script::{AdmittedScript, Script, quota};
use crate::exec::start::supported;
use crate::exec::values::{Filled, Known};
use crate::exec::{chain, collect, trial, values};
use crate::journal::Journal;

mod container;
mod refused;
pub(crate) mod series;

pub(crate) use refused::Refused;

/// A file's way that was admitted.
#[derive(Debug, Clone)]
pub(crate) enum AdmittedMove {
    /// To this instance.
    Put(AdmittedFile),
    /// From it.
    Collect(CollectAction),
}

/// What checks are made against.
pub(crate) struct Gate<'a> {
    /// The keyring in force.
    pub keyring: &'a Verified<Keyring>,
    /// This instance.
    pub me: &'a InstanceId,
    /// The local policy.
    pub local: &'a LocalPolicy,
    /// What exit codes may do here.
    pub effects: Option<&'a Effects>,
    /// What orders may do in containers here.
    pub containers: &'a Containers,
    /// What process trees can be held to here.
    pub trees: &'a Trees,
    /// What the kernel gives to box plugins in.
    pub sandbox: &'a Sandbox,
    /// The time, never behind the floor.
    pub now_ms: i64,
}

impl Gate<'_> {
    /// Checks 1 to 5, the journal aside.
    ///
    /// # Errors
    /// The check that said no.
    pub(crate) fn order(&self, envelope: &[u8], proof: &TargetProof) -> Result<Verified<Order>, Refusal> {
        verify_order(envelope, self.keyring, self.me, Digest::ZERO, proof, self.now_ms)
    }

    /// Refuses an order that says something which this agent does not carry out: nothing of an order is ever left out.
    ///
    /// # Errors
    /// `payload`, with what it is.
    pub(crate) fn carried_out(order: &Order) -> Result<(), Refused> {
        let beyond = match &order.action {
            Action::Script(_) => None,
            _ if matches!(order.repeat, Repeat::Series(_)) => Some("a series of anything but a script"),
            _ if !order.repeat.is_once() && !matches!(order.action, Action::Plugin { .. }) => {
                Some("a trial of moving files")
            }
            _ => None,
        };
        beyond.map_or(Ok(()), |what| {
            let reason =
                format!("the order asks for {what}, which agent {} does not carry out", env!("CARGO_PKG_VERSION"));
            Err(Refused::because(Check::Payload, reason))
        })
    }

    /// Checks 6 and 8 of a script (7 is for plugins). Content that did not come along is checked by the caller once it
    /// has been fetched.
    ///
    /// # Errors
    /// The check that said no, or what this instance lacks.
    pub(crate) fn script(&self, order: &Verified<Order>, content: Option<&[u8]>) -> Result<AdmittedScript, Refused> {
        let Action::Script(action) = &order.action else {
            return Err(Refused::because(Check::Payload, "the order runs no script"));
        };
        if let Some(content) = content {
            order.check_content(content)?;
        }
        if action.container.is_some() {
            return self.contained(order, action);
        }
        supported(action).map_err(|reason| Refused::lacking(ResultCode::CommandNotApplicable, reason))?;
        // Whom it would run as decides the tier, so it is found before the signatures are counted.
        let account = Account::find(action.user.as_deref(), action.cwd.as_deref())?;
        // A script that may restart the instance is as mighty as root, whoever it runs as.
        self.tier(order, native_tier(account.is_root() || action.exit_effects))?;
        let name: UserName =
            account.name().parse().map_err(|error| Refused::because(Check::LocalPolicy, chain(&error)))?;
        self.local
            .check_native(&name, order.operators())
            .map_err(|reason| Refused::because(Check::LocalPolicy, reason))?;
        if action.exit_effects {
            self.effects()?;
        }
        self.trees.can_limit(&quota(action)).map_err(|reason| {
            let reason = format!("the order limits what the script may use, which this instance cannot do: {reason}");
            Refused::lacking(ResultCode::CommandNotApplicable, reason)
        })?;
        Ok(AdmittedScript { action: action.clone(), account })
    }

    /// The script with all its values in their places, whose content has been checked. `told` is what the server says of the
    /// instance.
    ///
    /// # Errors
    /// A parameter or a built-in that cannot be put in; for a trial, what would start the script and is not there.
    pub(crate) fn filled(
        &self,
        order: &Order,
        admitted: AdmittedScript,
        content: Vec<u8>,
        told: &BTreeMap<String, String>,
    ) -> Result<Script, Refused> {
        let AdmittedScript { action, account } = admitted;
        let filled = values::fill(order, &action, content, &Known { me: self.me, told });
        let Filled { content, environment } =
            filled.map_err(|reason| Refused::lacking(ResultCode::InvalidParameter, reason))?;
        let script = Script { action, content, environment, account };
        if order.repeat == Repeat::DryRun && script.action.container.is_none() {
            trial::check(&script).map_err(|reason| Refused::lacking(ResultCode::CommandNotApplicable, reason))?;
        }
        Ok(script)
    }

    /// Whether exit codes can do what they mean, before anything relies on it.
    fn effects(&self) -> Result<(), Refused> {
        let Some(effects) = self.effects else {
            let reason = "this instance's `agent.toml` says `effects.enabled = false`: no exit code restarts it";
            return Err(Refused::because(Check::LocalPolicy, reason));
        };
        for effect in [Effect::PowerOff, Effect::Restart] {
            let program = effects.line(effect).first().map_or("", String::as_str);
            if !Path::new(program).is_file() {
                let reason = format!(
                    "the program `{program}`, by which this instance is {}, is not there: name another in `agent.toml`, below `[effects]`",
                    effect.as_str()
                );
                return Err(Refused::lacking(ResultCode::CommandNotApplicable, reason));
            }
        }
        Ok(())
    }

    /// Checks 6 and 8 of an order that moves a file. The agent's own user does that, whoever the file will belong to, so its is the
    /// tier: what may write anywhere, or read anything, is as mighty as a script of that user.
    ///
    /// # Errors
    /// The check that said no, or what this instance lacks.
    pub(crate) fn file(&self, order: &Verified<Order>) -> Result<AdmittedMove, Refused> {
        let own = Account::find(None, Some("/"))?;
        self.tier(order, native_tier(own.is_root()))?;
        let name: UserName = own.name().parse().map_err(|error| Refused::because(Check::LocalPolicy, chain(&error)))?;
        self.local
            .check_native(&name, order.operators())
            .map_err(|reason| Refused::because(Check::LocalPolicy, reason))?;
        let lacking = |(code, reason): (ResultCode, String)| Refused::lacking(code, reason);
        match &order.action {
            Action::File(action) => AdmittedFile::admit(action).map(AdmittedMove::Put).map_err(lacking),
            Action::Collect(action) => {
                collect::admit(action).map(|()| AdmittedMove::Collect(action.clone())).map_err(lacking)
            }
            _ => Err(Refused::because(Check::Payload, "the order moves no file")),
        }
    }

    /// Check 6 of a plugin. That the component's bytes have the digest that is vouched for here is checked by whoever
    /// fetches them.
    ///
    /// # Errors
    /// The check that said no.
    pub(crate) fn vouched(
        &self,
        order: &Verified<Order>,
        documents: &PluginDocuments,
    ) -> Result<Verified<Vouched>, Refused> {
        if documents.component_bytes > COMPONENT_MAX_BYTES as u64 || documents.manifest.len() > MANIFEST_MAX_BYTES {
            return Err(Refused::because(Check::Size, "the component or the manifest is larger than any honest one"));
        }
        let Some(approval) = &documents.approval else {
            return Err(Refused::because(
                Check::Catalogue,
                "the security team has not approved this version of the plugin: `orderly plugin approve` signs an approval",
            ));
        };
        let PluginDocuments { component, manifest, statement, .. } = documents;
        Ok(verify_plugin(Some(order), self.keyring, *component, manifest, statement, approval, self.now_ms)?)
    }

    /// Checks 7 and 8 of a plugin that is vouched for by these documents.
    ///
    /// # Errors
    /// The check that said no.
    pub(crate) fn plugin(
        &self,
        order: &Verified<Order>,
        documents: &PluginDocuments,
        plugin: Verified<Vouched>,
    ) -> Result<AdmittedPlugin, Refused> {
        let Action::Plugin { parameters, .. } = &order.action else {
            return Err(Refused::because(Check::Payload, "the order runs no plugin"));
        };
        let manifest = std::str::from_utf8(&documents.manifest)
            .map_err(|error| Refused::because(Check::Content, format!("the manifest is not UTF-8: {error}")))?;
        let manifest = Manifest::parse(manifest)
            .map_err(|errors| Refused::because(Check::Content, format!("the manifest does not parse: {errors}")))?;
        if !manifest.wit.is_supported() {
            let reason =
                format!("the plugin needs `{}`, which this agent does not have: update the agent", manifest.wit);
            return Err(Refused { check: Some(Check::Catalogue), code: ResultCode::ClientNeedUpgrade, reason });
        }
        let approved = Capabilities::from_canonical_json(&plugin.approved_capabilities).map_err(|error| {
            Refused::because(Check::Catalogue, format!("the approved capabilities do not parse: {error}"))
        })?;
        let grants = grants(&manifest.capabilities, &approved, self.local).map_err(|denied| {
            let told: Vec<_> = denied.iter().map(ToString::to_string).collect();
            Refused::because(Check::Capabilities, told.join("; "))
        })?;
        let arguments = resolve(manifest.parameters.as_deref(), parameters)?;
        self.tier(order, grants.tier())?;
        self.local
            .check_plugin(order.operators(), self.sandbox)
            .map_err(|reason| Refused::because(Check::LocalPolicy, reason))?;
        Ok(AdmittedPlugin {
            plugin,
            manifest,
            grants,
            arguments,
            component_bytes: documents.component_bytes,
            require_sandbox: self.local.require_sandbox,
        })
    }

    /// Check 8: the fleet's threshold, then this instance's ceiling, then what is left to a stale keyring.
    fn tier(&self, order: &Verified<Order>, tier: Tier) -> Result<(), Refused> {
        order.check_threshold(self.keyring, tier)?;
        let freshness = if self.keyring.expired(self.now_ms) { Freshness::Stale } else { Freshness::Fresh };
        self.local.check_tier(tier, freshness).map_err(|reason| Refused::because(Check::LocalPolicy, reason))
    }
}

/// The value of every parameter. A manifest that declares none leaves it to the plugin to check them.
fn resolve(
    specs: Option<&[ParameterSpec]>,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Refused> {
    let Some(specs) = specs else { return Ok(given.clone()) };
    parameter::resolve(specs, given).map_err(|faults| {
        let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
        Refused::lacking(ResultCode::InvalidParameter, told.join("; "))
    })
}

/// Check 6, the journal's part: an approval that was replaced by one that was verified here.
///
/// # Errors
/// `rollback`.
pub(crate) fn not_rolled_back(journal: &Journal, plugin: &Vouched) -> Result<(), Refusal> {
    let (name, version, revision) = (&plugin.name, &plugin.version, plugin.approval_revision);
    match journal.approval_revision(name, version).filter(|highest| *highest > revision) {
        None => Ok(()),
        Some(highest) => {
            let reason = format!(
                "the approval of `{name}` {version} has revision {revision}, {highest} was already seen: send the newest one"
            );
            Err(Refusal::new(Check::Rollback, reason))
        }
    }
}

/// The longest time between an order's signing and its end that this agent takes: 31 days. A server gives 7 days at most; what
/// could be accepted for ever would have to be remembered for ever, and with it every stop that came before its order.
pub(crate) const LIFETIME_MAX_MS: i64 = 31 * 24 * 60 * 60 * 1000;

/// How far the signer's clock may be ahead of this instance's: as far as signers and servers let orders begin early.
const AHEAD_MAX_MS: i64 = 5 * 60 * 1000;

/// Check 5, this agent's part: an order that could be accepted for longer than anything is remembered. One from the future could
/// say any lifetime.
///
/// # Errors
/// `payload`.
pub(crate) fn not_for_ever(order: &Order, now_ms: i64) -> Result<(), Refusal> {
    let ahead_ms = order.issued_ms.saturating_sub(now_ms);
    if ahead_ms > AHEAD_MAX_MS {
        let reason = format!(
            "the order says that it is signed {} s from now, at most {} s are allowed: compare the clocks of whoever signed it and of this instance",
            ahead_ms / 1000,
            AHEAD_MAX_MS / 1000
        );
        return Err(Refusal::new(Check::Payload, reason));
    }
    let lifetime_ms = order.expires_ms.saturating_sub(order.issued_ms.min(now_ms));
    if lifetime_ms <= LIFETIME_MAX_MS {
        return Ok(());
    }
    let days = |ms: i64| ms / (24 * 60 * 60 * 1000);
    let reason = format!(
        "the order could be accepted until {} days after it was signed, at most {} are allowed: sign it with an earlier `expires_ms`",
        days(lifetime_ms),
        days(LIFETIME_MAX_MS)
    );
    Err(Refusal::new(Check::Payload, reason))
}

/// Check 5, the journal's part: another order under an id that was seen, one that a lost journal could have held, or one of a
/// series that is not newer.
///
/// # Errors
/// `replay` or `journal`.
pub(crate) fn not_replayed(journal: &Journal, order: &Verified<Order>) -> Result<(), Refusal> {
    if let Some(first) = journal.digest_of(&order.order)
        && first != order.digest()
    {
        let reason =
            format!("the order id `{}` was seen with the digest {first}: an id is good for one order", order.order);
        return Err(Refusal::new(Check::Replay, reason));
    }
    if let Some(before_ms) = journal.distrust_before_ms()
        && order.issued_ms < before_ms
    {
        let reason = "this instance's journal was damaged after the order was signed, so whether it ran already is not known: sign a new order";
        return Err(Refusal::new(Check::Journal, reason));
    }
    series::newer(journal, order)
}
