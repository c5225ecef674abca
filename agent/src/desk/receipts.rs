//! Making receipts: the signed answer for every end and every refusal.
//!
//! Owns how an outcome is written down and signed. It never sends anything. Should a receipt not be signable with all
//! that it says, a shorter one is, so that no end is ever silent.

use orderly_host::output::{Kept, Segment};
use orderly_model::task::TaskStatus;
use orderly_signing::digest::Digest;
use orderly_signing::receipt::{OutputDigest, Receipt, SeriesRun, clip_reason};
use orderly_signing::sign::sign_receipt;
use orderly_wire::to_server::{self, Finished, KeptOutput, UNREADABLE};

use super::Desk;
use crate::clock::local_ms;
use crate::exec::live::wire_stream;
use crate::exec::{Outcome, chain};
use crate::facts::VERSION;
use crate::policy::Refused;

impl Desk {
    /// The receipt for the end of a task.
    pub(super) fn finished(&self, order: Digest, invocation: &str, outcome: Outcome) -> Finished {
        self.finished_run(order, invocation, 1, None, outcome)
    }

    /// The receipt for the end of a run: of a series, where that is said.
    pub(super) fn finished_run(
        &self,
        order: Digest,
        invocation: &str,
        generation: u32,
        series: Option<SeriesRun>,
        outcome: Outcome,
    ) -> Finished {
        let report_json = outcome.report.as_ref().map(orderly_model::report::Report::to_json);
        let receipt = Receipt {
            status: outcome.status.as_str().to_owned(),
            code: outcome.code.map(|code| code.as_str().to_owned()),
            reason: outcome.reason.as_deref().map(clip_reason),
            check: outcome.check.map(|check| check.code().to_owned()),
            exit_code: outcome.exit_code,
            output: outcome.output.as_ref().map_or_else(OutputDigest::none, digest),
            report: report_json.as_deref().map(Digest::of),
            started_ms: outcome.started_ms,
            used: outcome.used,
            generation,
            series,
            ..self.blank(order, invocation)
        };
        Finished {
            receipt: self.signed(&receipt),
            output: outcome.output.map(kept).unwrap_or_default(),
            report: outcome.report,
        }
    }

    /// The receipt for a refusal.
    pub(super) fn refusal(&self, order: Digest, invocation: Option<&str>, refused: &Refused) -> Finished {
        let receipt = Receipt {
            status: TaskStatus::from(refused.code.usual_status()).as_str().to_owned(),
            code: Some(refused.code.as_str().to_owned()),
            reason: Some(clip_reason(&refused.reason)),
            check: refused.check.map(|check| check.code().to_owned()),
            ..self.blank(order, invocation.unwrap_or(UNREADABLE))
        };
        Finished { receipt: self.signed(&receipt), output: KeptOutput::default(), report: None }
    }

    fn blank(&self, order: Digest, invocation: &str) -> Receipt {
        Receipt {
            version: 1,
            order,
            invocation: invocation.to_owned(),
            instance: self.identity.id().clone(),
            generation: 1,
            series: None,
            status: TaskStatus::Invalid.as_str().to_owned(),
            code: None,
            reason: None,
            check: None,
            exit_code: None,
            output: OutputDigest::none(),
            report: None,
            started_ms: None,
            finished_ms: local_ms(),
            used: Vec::new(),
            agent: VERSION.to_owned(),
        }
    }

    fn signed(&self, receipt: &Receipt) -> Vec<u8> {
        let short = || {
            let reason = Some("the receipt's details were too large to be signed".to_owned());
            Receipt { reason, used: Vec::new(), ..receipt.clone() }
        };
        let envelope = sign_receipt(receipt, &self.identity.key).or_else(|error| {
            tracing::error!(order = %receipt.order, error = %chain(&error), "a receipt is signed without its details");
            sign_receipt(&short(), &self.identity.key)
        });
        match envelope {
            Ok(envelope) => envelope.to_json(),
            Err(error) => {
                tracing::error!(order = %receipt.order, error = %chain(&error), "a receipt cannot be signed");
                Vec::new()
            }
        }
    }
}

fn digest(kept: &Kept) -> OutputDigest {
    OutputDigest {
        sha256: kept.sha256,
        bytes: kept.total_bytes,
        stdout_bytes: kept.stdout_bytes,
        stderr_bytes: kept.stderr_bytes,
    }
}

fn kept(kept: Kept) -> KeptOutput {
    KeptOutput { head: segments(kept.head), dropped_bytes: kept.dropped_bytes, tail: segments(kept.tail) }
}

fn segments(segments: Vec<Segment>) -> Vec<to_server::Segment> {
    let segment = |segment: Segment| to_server::Segment { stream: wire_stream(segment.stream), data: segment.bytes };
    segments.into_iter().map(segment).collect()
}
