//! What has to be told: reports that are not acknowledged, and the ends that a server may ask for again.
//!
//! Owns reading them back from the file, and forgetting them once they are safe elsewhere. It never sends anything.

use orderly_signing::digest::Digest;
use orderly_wire::to_server::{Finished, KeptOutput, Report, ReportEvent};

use super::index::{At, Entry, State, UNVERIFIED_MAX};
use super::record::{Acked, Record};
use super::{COMPACT_MIN_BYTES, Journal, JournalError, KEEP_MS, read_record};

/// Reports that wait for an acknowledgement, at most: a server that never acknowledges fills no disk.
pub(super) const UNTOLD_MAX: usize = 10_000;

/// Bytes of the journal beyond which nothing new is taken on while reports wait.
const UNTOLD_MAX_BYTES: u64 = 512 * 1024 * 1024;

impl Journal {
    /// Tells a report that the disk did not take, for as long as this process lives. Only refusals are told so: what
    /// never began needs no memory to stay that way.
    pub(crate) fn tell_unrecorded(&mut self, report: Report) {
        self.index.next_seq = self.index.next_seq.max(report.seq + 1);
        self.unrecorded.insert(report.seq, report);
    }

    /// Records that all reports up to `seq` are safe. Not synced: where it is lost they are told once more.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn acknowledge(&mut self, seq: u64, now_ms: i64) -> Result<(), JournalError> {
        self.unrecorded = self.unrecorded.split_off(&seq.saturating_add(1));
        if self.index.outbox.first_key_value().is_none_or(|(first, _)| *first > seq) {
            return Ok(());
        }
        // A number that was never given out must not silence reports to come.
        let seq = seq.min(self.index.next_seq.saturating_sub(1));
        self.write(&[Record::Acked(Acked { seq })], false)?;
        if self.length > COMPACT_MIN_BYTES && self.length > self.compacted_length.saturating_mul(2) {
            self.compact(now_ms)?;
        }
        Ok(())
    }

    /// Whether a new answer must not be written: too much waits for a server that does not acknowledge, or the order is not
    /// verified and too many of that kind are remembered that could still come again.
    pub(crate) fn crowded(&mut self, unverified: bool, now_ms: i64) -> bool {
        let untold = self.unacknowledged();
        if untold >= UNTOLD_MAX || (untold > 0 && self.length >= UNTOLD_MAX_BYTES) {
            return true;
        }
        if !unverified || self.index.unverified() < UNVERIFIED_MAX {
            return false;
        }
        self.index.forget(now_ms, KEEP_MS);
        self.index.unverified() >= UNVERIFIED_MAX
    }

    /// How many reports are not acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.index.outbox.len() + self.unrecorded.len()
    }

    /// Whether a report up to this one is not acknowledged.
    pub(crate) fn waits_for(&self, seq: u64) -> bool {
        self.index.outbox.first_key_value().is_some_and(|(first, _)| *first <= seq)
    }

    /// The first report behind `after` that is not acknowledged.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn next_report(&self, after: u64) -> Result<Option<Report>, JournalError> {
        let behind = after.saturating_add(1);
        let recorded = self.index.outbox.range(behind..).next();
        let unrecorded = self.unrecorded.range(behind..).next();
        match (recorded, unrecorded) {
            (recorded, Some((seq, report))) if recorded.is_none_or(|(other, _)| seq < other) => {
                Ok(Some(report.clone()))
            }
            (Some((_, (at, _))), _) => match self.record_at(*at)? {
                Record::Report(report) => Ok(Some(*report)),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// The lowest unacknowledged report about this order, if there is one.
    pub(crate) fn first_report_about(&self, order: &Digest) -> Option<u64> {
        self.index.outbox.iter().find(|(_, (_, about))| about == order).map(|(seq, _)| *seq)
    }

    /// The end of an order as it is still known, for a server that asks again after it had acknowledged it. The output
    /// is gone by then, and says so.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn ended(&self, order: &Digest) -> Result<Option<(Option<String>, Finished)>, JournalError> {
        let Some(Entry { state: State::Ended(at), invocation, .. }) = self.index.entries.get(order) else {
            return Ok(None);
        };
        let invocation = invocation.clone();
        Ok(match self.record_at(*at)? {
            Record::Report(report) => match report.event {
                ReportEvent::Finished(finished) => Some((invocation, *finished)),
                _ => None,
            },
            Record::Closed(closed) => {
                let output = KeptOutput { dropped_bytes: closed.output_bytes, ..KeptOutput::default() };
                Some((invocation, Finished { receipt: closed.receipt, output, report: None }))
            }
            _ => None,
        })
    }

    pub(super) fn record_at(&self, at: At) -> Result<Record, JournalError> {
        read_record(&self.file, at).map_err(|source| JournalError::File {
            path: self.path.clone(),
            doing: "read",
            source,
        })
    }
}
