//! From a report to a fact: nothing of an end is believed that the receipt does not prove.

use orderly_model::task::TaskStatus;
use orderly_signing::digest::{Digest, DigestWriter};
use orderly_signing::key::PublicKey;
use orderly_signing::receipt::Receipt;
use orderly_signing::verify::{Verified, check_receipt_for, verify_receipt};
use orderly_wire::to_server::{Finished, KeptOutput, Report, ReportEvent, Stream, UNREADABLE};
use tracing::warn;

use crate::clock;
use crate::store::fact::series::{RunEnd, SeriesFact};
use crate::store::fact::{Ended, Fact, What};
use crate::store::row::InstanceKey;
use crate::store::row::Skip;

/// An instance that reports over a proven link.
#[derive(Debug, Clone)]
pub struct Reporter {
    /// Its key in the store.
    pub instance: InstanceKey,
    /// Its public key, under which its receipts verify.
    pub key: PublicKey,
}

impl Reporter {
    /// What a report says, as far as it is proven.
    #[must_use]
    pub fn fact(&self, report: Report) -> Fact {
        let about = About { invocation: report.invocation, generation: report.generation };
        let run = i32::try_from(report.generation).unwrap_or(i32::MAX);
        let what = match report.event {
            ReportEvent::Accepted { .. } => What::Accepted,
            ReportEvent::Stopping { .. } => What::Stopping,
            ReportEvent::Began { due_ms, late, at_ms } => What::Series(SeriesFact::Began {
                generation: run,
                due_ms,
                late: late.map(|late| word(&late)),
                at_ms,
                received_ms: clock::now_ms(),
            }),
            ReportEvent::Skipped(skipped) => What::Series(SeriesFact::Skipped(Skip {
                reason: word(&skipped.reason),
                first_ms: skipped.first_ms,
                last_ms: skipped.last_ms,
                count: signed(skipped.count),
                exact: skipped.exact,
                told_ms: skipped.at_ms,
            })),
            ReportEvent::Waits { until_ms, at_ms } => What::Series(SeriesFact::Skipped(Skip {
                reason: WAITS.to_owned(),
                first_ms: until_ms,
                last_ms: until_ms,
                count: 0,
                exact: true,
                told_ms: at_ms,
            })),
            ReportEvent::SeriesEnded { end, at_ms } => {
                What::Series(SeriesFact::Over { end, at_ms, received_ms: clock::now_ms() })
            }
            ReportEvent::Finished(finished) => match self.ended(&report.order, about, *finished) {
                Ok((end, None)) => What::Ended(Box::new(end)),
                Ok((end, Some(chained))) => {
                    let Chained { due_ms, digest, previous } = chained;
                    What::Series(SeriesFact::RunEnded(Box::new(RunEnd { end, due_ms, digest, previous })))
                }
                Err(reason) => {
                    warn!(instance.key = self.instance, order = %report.order, reason, "a receipt was refused");
                    What::Unproven { generation: run, at_ms: clock::now_ms() }
                }
            },
        };
        Fact { instance: self.instance, order: report.order, what }
    }

    fn ended(&self, order: &Digest, about: About, finished: Finished) -> Result<(Ended, Option<Chained>), String> {
        let receipt = verify_receipt(&finished.receipt, &self.key).map_err(|refusal| refusal.to_string())?;
        check_receipt_for(&receipt, order).map_err(|refusal| refusal.to_string())?;
        let status: TaskStatus = receipt.status.parse().map_err(|_| format!("`{}` is not a status", receipt.status))?;
        if !status.is_final() {
            return Err(format!("`{status}` is not the end of a task"));
        }
        let invocation = about.check(&receipt)?;
        let output = covered_output(&receipt, finished.output);
        let report = match (&receipt.report, finished.report) {
            (Some(covered), Some(report)) => {
                let json = report.to_json();
                let good = Digest::of(&json) == *covered && report.check().is_ok();
                if !good {
                    warn!(order = %order, "a report is over its caps or not the one that its receipt covers; it was not stored");
                }
                good.then_some(json)
            }
            (None, Some(_)) => {
                warn!(order = %order, "a report is not covered by its receipt; it was not stored");
                None
            }
            (_, None) => None,
        };
        let chained = receipt.series.map(|run| Chained {
            due_ms: run.scheduled_ms,
            digest: receipt.digest(),
            previous: run.previous,
        });
        let ended = Ended {
            invocation,
            generation: receipt.generation,
            received_ms: clock::now_ms(),
            status,
            code: receipt.code.clone(),
            reason: receipt.reason.clone(),
            check: receipt.check.clone(),
            exit_code: receipt.exit_code,
            started_ms: receipt.started_ms,
            finished_ms: receipt.finished_ms,
            output_bytes: signed(receipt.output.bytes),
            dropped_bytes: signed(output.dropped_bytes),
            output_digest: receipt.output.sha256,
            output: serde_json::to_vec(&output).unwrap_or_default(),
            receipt: finished.receipt,
            report,
        };
        Ok((ended, chained))
    }
}

/// What a receipt of a run of a series says of its place.
struct Chained {
    due_ms: i64,
    digest: Digest,
    previous: Option<Digest>,
}

/// The reason under which it is told that a series waits for its clock: nothing is left out.
const WAITS: &str = "waits";

/// A reason or a cause as one word, such as `missed/agent-down`.
fn word(said: &impl serde::Serialize) -> String {
    match serde_json::to_value(said) {
        Ok(serde_json::Value::Object(fields)) => {
            let pair = |(name, cause): (String, serde_json::Value)| format!("{name}/{}", word(&cause));
            fields.into_iter().map(pair).collect()
        }
        Ok(serde_json::Value::String(name)) => name,
        // Both are closed enums of these two forms.
        _ => String::new(),
    }
}

/// What a report says around its receipt of the run that it is about.
struct About {
    invocation: Option<String>,
    generation: u32,
}

impl About {
    /// The invocation that report and receipt name; `None` where both say that the order could not be read, and so never began.
    fn check(self, receipt: &Receipt) -> Result<Option<String>, String> {
        if receipt.generation != self.generation {
            return Err(format!("it is of run {}, the report of run {}", receipt.generation, self.generation));
        }
        match self.invocation {
            None if receipt.invocation == UNREADABLE && receipt.started_ms.is_none() => Ok(None),
            Some(named) if named != receipt.invocation => {
                Err(format!("it names the invocation `{}`, the report `{named}`", receipt.invocation))
            }
            _ => Ok(Some(receipt.invocation.clone())),
        }
    }
}

/// The kept output, where it can be the one of the receipt: all of it is there and has its digest, or some was dropped and the sizes
/// add up, in all and by stream. Anything else is left out, as if all had been dropped.
fn covered_output(receipt: &Verified<Receipt>, output: KeptOutput) -> KeptOutput {
    let mut whole = DigestWriter::new();
    let (mut stdout, mut stderr) = (0_u64, 0_u64);
    for segment in output.head.iter().chain(&output.tail) {
        whole.update(&segment.data);
        let kept = match segment.stream {
            Stream::Stdout => &mut stdout,
            Stream::Stderr => &mut stderr,
        };
        *kept = kept.saturating_add(segment.data.len() as u64);
    }
    let kept = stdout.saturating_add(stderr);
    // What was dropped could have been of either stream.
    let adds_up = kept.checked_add(output.dropped_bytes) == Some(receipt.output.bytes)
        && stdout <= receipt.output.stdout_bytes
        && stderr <= receipt.output.stderr_bytes;
    if adds_up && (output.dropped_bytes > 0 || whole.finish() == receipt.output.sha256) {
        return output;
    }
    warn!(order = %receipt.order, "an output is not the one that its receipt covers; it was not stored");
    KeptOutput { head: Vec::new(), dropped_bytes: receipt.output.bytes, tail: Vec::new() }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
