//! The check of an evidence directory: signatures, order, targets, instance ids, output and report digests.
//!
//! Owns what is checked of an invocation and how the verdict of each line is told. Signatures are verified by
//! `orderly-signing` and nowhere else. Never asks anybody.

use std::path::Path;

use orderly_signing::error::Refusal;
use orderly_signing::keyring::{Keyring, Tier};
use orderly_signing::merkle::TargetSet;
use orderly_signing::order::{Action, Order, Repeat, ScriptAction};
use orderly_signing::receipt::Receipt;
use orderly_signing::verify::{check_receipt_follows, check_receipt_for, verify_order_offline, verify_receipt};
use orderly_signing::{Digest, InstanceId, PublicKey, Verified};
use orderly_wire::to_server::{KeptOutput, Stream};
use serde::Serialize;

use super::{Files, Layout, instance_key, read, read_json, runs};
use crate::error::{Failure, OrFail as _};

/// What is known of one thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "proof", content = "detail")]
pub(crate) enum Proof {
    /// It is as it must be.
    Right,
    /// It cannot be checked: why.
    Unknown(String),
    /// It is wrong: how.
    Wrong(String),
}

/// The verdict on one instance, or on one run there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    /// The instance.
    pub(crate) instance: InstanceId,
    /// Which run of a series, from 1; absent where the order is none, and where the instance refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<u32>,
    /// The final status, as its receipt says.
    pub(crate) status: Option<String>,
    /// Its receipt: signed by the instance that it names, for this order; of a series also that it follows the one before.
    pub(crate) receipt: Proof,
    /// The stored output against the receipt's digest.
    pub(crate) output: Proof,
    /// The stored report against the receipt's digest.
    pub(crate) report: Proof,
}

/// The verdict on an invocation.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    /// The invocation that the order names.
    pub(crate) invocation: String,
    /// The order's digest.
    pub(crate) order: Digest,
    /// Names of the keys that signed the order, with their roles.
    pub(crate) signers: Vec<String>,
    /// What the keyring's policy asks for that these signatures are not: no instance of the fleet runs the order then.
    pub(crate) lacking: Option<String>,
    /// Whether the list of targets is what the order signs.
    pub(crate) targets: Proof,
    /// A line for each target, or for each run of a series; also for a target that has none.
    pub(crate) lines: Vec<Line>,
}

impl Checked {
    /// Whether nothing is wrong; with `complete` also nothing unknown.
    pub(crate) fn holds(&self, complete: bool) -> bool {
        let proofs = self.lines.iter().flat_map(|line| [&line.receipt, &line.output, &line.report]);
        std::iter::once(&self.targets).chain(proofs).all(|proof| match proof {
            Proof::Right => true,
            Proof::Unknown(_) => !complete,
            Proof::Wrong(_) => false,
        })
    }

    /// How many lines have a receipt that is right.
    pub(crate) fn proven(&self) -> usize {
        self.lines.iter().filter(|line| line.receipt == Proof::Right).count()
    }
}

/// Checks an evidence directory against a keyring.
///
/// # Errors
/// A file cannot be read, or the order itself does not verify: then nothing else matters.
pub(crate) fn check(dir: &Path, keyring: &Verified<Keyring>) -> Result<Checked, Failure> {
    let layout = Layout::new(dir);
    if !layout.order().exists() {
        return Err(Failure::usage(format!("`{}` holds no evidence: it has no `order.json`", dir.display()))
            .hint("`orderly invocation evidence ID --dir DIR` downloads it"));
    }
    let order = verify_order_offline(&read(&layout.order())?, keyring)
        .or_not_verified(|| "the order is not to be believed".to_owned())?;
    let targets: Vec<InstanceId> = read_json(&layout.targets())?
        .ok_or_else(|| Failure::usage(format!("`{}` is missing", layout.targets().display())))?;
    let set = check_targets(&order, &targets);
    let lacking = lacking(&order, keyring).map(|refusal| refusal.reason);
    let mut lines = Vec::new();
    let asked = Asked { order: &order, lacking: lacking.as_deref() };
    for instance in targets {
        let key = instance_key(&layout, &instance)?;
        let runs = match order.repeat {
            Repeat::Once | Repeat::DryRun => Vec::new(),
            Repeat::Series(_) => runs(&layout, &instance)?,
        };
        if runs.is_empty() {
            let files = Files::read(&layout.task(&instance))?;
            let (mut line, receipt) = asked.line(&instance, key.as_ref(), &files);
            if matches!(order.repeat, Repeat::Series(_))
                && receipt.is_some_and(|receipt| receipt.series.is_some() || receipt.started_ms.is_some())
            {
                line.receipt =
                    Proof::Wrong("a run's receipt outside of the list of runs, which is not here".to_owned());
            }
            lines.push(line);
        }
        let mut before = Before::Nothing;
        for number in runs {
            let files = Files::read(&layout.runs(&instance).join(number.to_string()))?;
            let (mut line, receipt) = asked.line(&instance, key.as_ref(), &files);
            line.run = Some(number);
            if let (Proof::Right, Some(receipt)) = (&line.receipt, &receipt) {
                line.receipt = before.followed_by(number, receipt);
            }
            before = receipt.map_or(Before::Absent(number), |receipt| Before::Run(Box::new(receipt)));
            lines.push(line);
        }
    }
    Ok(Checked {
        invocation: order.invocation.clone(),
        order: order.digest(),
        signers: signers(&order, keyring),
        lacking,
        targets: set,
        lines,
    })
}

/// The keys that signed a document, as people know them.
pub(crate) fn signers<T>(document: &Verified<T>, keyring: &Keyring) -> Vec<String> {
    let named = document.signers().iter().map(|signer| {
        let roles: Vec<&str> = signer.roles.iter().map(|role| role.as_str()).collect();
        let name = keyring.key(&signer.key_id).map_or_else(|| signer.key_id.to_string(), |entry| entry.name.clone());
        format!("{name} ({})", roles.join(", "))
    });
    named.collect()
}

/// Why the signatures are too few for every tier that the order can have. Which one it has depends on the instance (its
/// agent's user) or on the plugin's approval, so the least that fits is asked for.
pub(crate) fn lacking(order: &Verified<Order>, keyring: &Verified<Keyring>) -> Option<Refusal> {
    let tiers: &[Tier] = match &order.action {
        Action::Script(ScriptAction { user: Some(user), .. }) if user == "root" => &[Tier::NativeRoot],
        // Files are moved by the agent itself, as its own user.
        Action::Script(_) | Action::File(_) | Action::Collect(_) => &[Tier::NativeUser, Tier::NativeRoot],
        Action::Plugin { .. } => &[
            Tier::PluginReadOnly,
            Tier::PluginPrivilegedRead,
            Tier::PluginWrite,
            Tier::PluginNetwork,
            Tier::PluginProcess,
        ],
        Action::Stop { .. } => &[],
    };
    let mut refusals = Vec::new();
    for tier in tiers {
        refusals.push(order.check_threshold(keyring, *tier).err()?);
    }
    refusals.into_iter().next()
}

fn check_targets(order: &Order, targets: &[InstanceId]) -> Proof {
    match TargetSet::of_instances(targets.iter().cloned()) {
        Err(error) => Proof::Wrong(error.to_string()),
        Ok(set) if set.targets() == order.targets => Proof::Right,
        Ok(set) => Proof::Wrong(format!(
            "the order signs {} target(s) with the root {}, the list has {} with {}",
            order.targets.count,
            order.targets.root,
            set.count(),
            set.root()
        )),
    }
}

/// What is known of the run before.
enum Before {
    /// There was none.
    Nothing,
    /// There was this one, and no receipt of it is here that is to be believed.
    Absent(u32),
    /// Its receipt.
    Run(Box<Verified<Receipt>>),
}

impl Before {
    /// Whether this is the receipt of the run with this number, and follows the one before.
    fn followed_by(&self, number: u32, receipt: &Verified<Receipt>) -> Proof {
        if receipt.generation != number {
            return Proof::Wrong(format!("it is the receipt of run {}", receipt.generation));
        }
        let follows = match self {
            Self::Absent(before) => {
                return Proof::Unknown(format!("nothing proves run {before}, which it has to follow"));
            }
            Self::Nothing => check_receipt_follows(receipt, None),
            Self::Run(before) => check_receipt_follows(receipt, Some(before)),
        };
        follows.map_or_else(|refusal| Proof::Wrong(refusal.to_string()), |()| Proof::Right)
    }
}

/// The order that receipts have to answer, and what its signatures lack.
struct Asked<'a> {
    order: &'a Verified<Order>,
    lacking: Option<&'a str>,
}

impl Asked<'_> {
    /// The verdict on one task or run, and its receipt where an instance signed it.
    fn line(&self, instance: &InstanceId, key: Option<&PublicKey>, files: &Files) -> (Line, Option<Verified<Receipt>>) {
        let unproven = |receipt: Proof, why: &str| {
            // Output that no receipt vouches for is somebody's word only.
            let none = Proof::Unknown(why.to_owned());
            Line { instance: instance.clone(), run: None, status: None, receipt, output: none.clone(), report: none }
        };
        let nothing = |why: String| (unproven(Proof::Unknown(why), "no receipt to compare with"), None);
        let Some(bytes) = &files.receipt else {
            let what = if matches!(self.order.repeat, Repeat::Series(_)) { "a run of it" } else { "it" };
            return nothing(format!("no receipt: {what} never ended there, or the receipt was left out"));
        };
        let Some(key) = key else { return nothing("no key of the instance".to_owned()) };
        let receipt = match verify_receipt(bytes, key) {
            Ok(receipt) => receipt,
            Err(refusal) => {
                let wrong = Proof::Wrong(refusal.to_string());
                return (unproven(wrong, "the receipt is not to be believed"), None);
            }
        };
        let line = Line {
            instance: instance.clone(),
            run: None,
            status: Some(receipt.status.clone()),
            receipt: check_receipt(self.order, self.lacking, instance, &receipt),
            output: check_output(&receipt, files.output.as_ref()),
            report: check_report(&receipt, files.report.as_deref()),
        };
        (line, Some(receipt))
    }
}

fn check_receipt(
    order: &Verified<Order>,
    lacking: Option<&str>,
    instance: &InstanceId,
    receipt: &Verified<Receipt>,
) -> Proof {
    if receipt.instance != *instance {
        return Proof::Wrong(format!("it is the receipt of `{}`", receipt.instance));
    }
    if let Err(refusal) = check_receipt_for(receipt, &order.digest()) {
        return Proof::Wrong(refusal.to_string());
    }
    if receipt.invocation != order.invocation {
        return Proof::Wrong(format!("it names the invocation `{}`", receipt.invocation));
    }
    if let (Some(lacking), Some(_)) = (lacking, receipt.started_ms) {
        return Proof::Wrong(format!(
            "it says that the order ran, which under this keyring no honest instance lets it: {lacking}"
        ));
    }
    Proof::Right
}

fn check_output(receipt: &Receipt, kept: Option<&KeptOutput>) -> Proof {
    let Some(kept) = kept else {
        return match receipt.output.bytes {
            0 => Proof::Right,
            bytes => Proof::Unknown(format!("{bytes} bytes of output are not here")),
        };
    };
    let segments = || kept.head.iter().chain(&kept.tail);
    let here: u64 = segments().map(|segment| segment.data.len() as u64).sum();
    if here.saturating_add(kept.dropped_bytes) != receipt.output.bytes {
        return Proof::Wrong(format!(
            "the receipt says {} bytes, here are {here} and {} dropped",
            receipt.output.bytes, kept.dropped_bytes
        ));
    }
    for (stream, name, said) in [
        (Stream::Stdout, "stdout", receipt.output.stdout_bytes),
        (Stream::Stderr, "stderr", receipt.output.stderr_bytes),
    ] {
        let of = segments().filter(|segment| segment.stream == stream);
        let here: u64 = of.map(|segment| segment.data.len() as u64).sum();
        // What was dropped could have been of either.
        if here > said {
            return Proof::Wrong(format!("the receipt says {said} bytes of {name}, here are {here}"));
        }
    }
    if kept.dropped_bytes > 0 {
        return Proof::Unknown(format!("{} of {} bytes were not kept", kept.dropped_bytes, receipt.output.bytes));
    }
    let mut digest = orderly_signing::DigestWriter::new();
    segments().for_each(|segment| digest.update(&segment.data));
    let found = digest.finish();
    if found == receipt.output.sha256 {
        Proof::Right
    } else {
        Proof::Wrong(format!("the receipt says {}, the output has {found}", receipt.output.sha256))
    }
}

fn check_report(receipt: &Receipt, report: Option<&[u8]>) -> Proof {
    match (receipt.report, report) {
        (None, None) => Proof::Right,
        (None, Some(_)) => Proof::Wrong("the receipt knows of no report".to_owned()),
        (Some(_), None) => Proof::Unknown("the report is not here".to_owned()),
        (Some(expected), Some(report)) => match Digest::of(report) {
            found if found == expected => Proof::Right,
            found => Proof::Wrong(format!("the receipt says {expected}, the report has {found}")),
        },
    }
}

#[cfg(test)]
mod tests;
