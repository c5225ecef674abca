//! `orderly verify evidence` and `orderly verify invocation`: an order, its targets and all receipts.
//!
//! Owns how the verdict is shown. The check itself is `crate::evidence`.

use std::path::PathBuf;

use clap::Args;

use super::Anchors;
use crate::context::Context;
use crate::error::{Exit, Failure, OrFail as _, Outcome};
use crate::evidence::{self, Checked, Proof};
use crate::output::{Printer, Row, Tone};
use crate::status;

/// Options of `verify evidence`.
#[derive(Debug, Args)]
pub(crate) struct EvidenceDir {
    /// The directory
    dir: PathBuf,
    /// Also fail where something is missing, such as the receipt of an instance that was never reached
    #[arg(long)]
    complete: bool,
    #[command(flatten)]
    anchors: Anchors,
}

impl EvidenceDir {
    /// Verifies the directory.
    pub(super) fn run(self, context: &Context) -> Outcome {
        let checked = evidence::check(&self.dir, &self.anchors.load(context)?)?;
        verdict(context, &checked, self.complete)
    }
}

/// Options of `verify invocation`.
#[derive(Debug, Args)]
pub(crate) struct InvocationId {
    /// The invocation, t-…
    id: String,
    /// Also fail where something is missing, such as the receipt of an instance that was never reached
    #[arg(long)]
    complete: bool,
    #[command(flatten)]
    anchors: Anchors,
}

impl InvocationId {
    /// Downloads into a directory of its own, verifies, and removes it.
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let keyring = self.anchors.load(context)?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).or_setup(|| "the system gives no random bytes".to_owned())?;
        let name = format!("orderly-evidence-{}", data_encoding::HEXLOWER.encode(&random));
        let dir = Scratch(std::env::temp_dir().join(name));
        evidence::download(&context.client()?, context, &self.id, &dir.0).await?;
        let checked = evidence::check(&dir.0, &keyring)?;
        if checked.invocation != self.id {
            return Err(Failure::not_verified(format!(
                "asked for `{}`, the server's order is that of `{}`",
                self.id, checked.invocation
            )));
        }
        verdict(context, &checked, self.complete)
    }
}

/// A directory that is removed at the end, also after an error.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed lies in the temporary directory, for this user alone.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn verdict(context: &Context, checked: &Checked, complete: bool) -> Outcome {
    context.printer.one(checked, |printer| show(printer, checked));
    if checked.holds(complete) {
        return Ok(Exit::Success);
    }
    if checked.holds(false) {
        return Err(Failure::not_verified(format!("the evidence of `{}` is not complete", checked.invocation))
            .hint("without `--complete` what is missing is no failure"));
    }
    let failure = Failure::not_verified(format!("the evidence of `{}` is not right", checked.invocation));
    Err(match checked.lacking {
        None => failure,
        // Keys that were taken out since signed nothing for the keyring of today.
        Some(_) => failure.hint("were keys taken out since? `--keyring FILE` takes the keyring of the order's time"),
    })
}

fn show(printer: &Printer, checked: &Checked) {
    printer.line(&format!("invocation {}", checked.invocation));
    printer.line(&format!("order      {}", checked.order));
    printer.line(&format!("signed by  {}", checked.signers.join(", ")));
    if let Some(lacking) = &checked.lacking {
        printer.line(&format!("too few     {lacking}; under this keyring no honest instance runs it"));
    }
    let (targets, _) = word(&checked.targets);
    printer.line(&format!("targets    {targets}"));
    let series = checked.lines.iter().any(|line| line.run.is_some());
    let rows = checked.lines.iter().map(|line| -> Row {
        let ended = line.status.clone().unwrap_or_else(|| "-".to_owned());
        let tone = status::tone(&ended);
        let mut row = vec![(line.instance.to_string(), Tone::Plain)];
        if series {
            row.push((line.run.map_or_else(|| "-".to_owned(), |run| run.to_string()), Tone::Plain));
        }
        row.extend([(ended, tone), word(&line.receipt), word(&line.output), word(&line.report)]);
        row
    });
    let run = if series { &["run"][..] } else { &[] };
    printer.table(&[&["instance"], run, &["status", "receipt", "output", "report"]].concat(), rows.collect());
    let (proven, all) = (checked.proven(), checked.lines.len());
    let what = if series { "run(s)" } else { "target(s)" };
    printer.line(&format!("{}: {proven} of {all} {what} have a receipt that is right", summary(checked)));
}

/// The verdict in a word: "verified" is said only of what is all there.
fn summary(checked: &Checked) -> &'static str {
    match (checked.holds(false), checked.proven() == checked.lines.len()) {
        (false, _) => "NOT verified",
        (true, true) => "verified",
        (true, false) => "nothing is wrong, not all is here",
    }
}

fn word(proof: &Proof) -> (String, Tone) {
    match proof {
        Proof::Right => ("right".to_owned(), Tone::Good),
        Proof::Unknown(why) => (format!("unknown: {why}"), Tone::Attention),
        Proof::Wrong(how) => (format!("WRONG: {how}"), Tone::Bad),
    }
}
