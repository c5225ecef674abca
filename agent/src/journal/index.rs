//! What the journal's records add up to, in memory.
//!
//! Owns the rules by which a record changes what is known: one entry per order, the outbox, the floor. It never reads
//! or writes the file; large things stay there and only their places are kept here.

use std::collections::{BTreeMap, HashMap, HashSet};

use orderly_host::platform::TreeIdentity;
use orderly_signing::digest::Digest;
use orderly_wire::to_server::ReportEvent;

use super::frame::Place;
use super::record::Record;
use super::series::Kept;

/// Refused orders without a good signature that are remembered. Beyond it the agent forgets those that could not be
/// accepted any more, and where that makes no room it answers no others.
pub(super) const UNVERIFIED_MAX: usize = 10_000;

/// Where one record lies: the payload and its place in the payload's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    /// The payload.
    pub place: Place,
    /// Which record of it, from 0.
    pub nth: u16,
}

/// How far an order got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Accepted, not ended.
    Open,
    /// Ended or refused; the record with its receipt.
    Ended(At),
    /// Accepted, and the series says how far it is.
    Series,
}

/// What is known of one order.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub id: Option<String>,
    pub at_ms: i64,
    pub expires_ms: i64,
    pub invocation: Option<String>,
    pub state: State,
    pub tree: Option<TreeIdentity>,
    pub stopping: bool,
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub entries: BTreeMap<Digest, Entry>,
    pub by_id: HashMap<String, Digest>,
    /// Reports that are not acknowledged, by sequence number, with the orders that they are about.
    pub outbox: BTreeMap<u64, (At, Digest)>,
    pub next_seq: u64,
    pub floor_ms: i64,
    pub distrust_before_ms: Option<i64>,
    /// The highest revision of the approvals of each plugin's version, by name and version. Never forgotten: only the
    /// security team's signature adds to it.
    pub approvals: BTreeMap<(String, String), u64>,
    /// Series by their invocations, those too that have ended and whose orders could come again.
    pub series: BTreeMap<String, Kept>,
}

impl Index {
    /// Takes in a record that lies at this place.
    pub(crate) fn apply(&mut self, record: &Record, at: At) {
        match record {
            Record::Opened(opened) => {
                self.next_seq = self.next_seq.max(opened.next_seq);
                self.distrust_before_ms = self.distrust_before_ms.max(opened.distrust_before_ms);
            }
            Record::Seen(seen) => {
                if let Some(id) = &seen.id {
                    // The first one keeps the id: a second digest under it is refused as replayed.
                    self.by_id.entry(id.clone()).or_insert(seen.order);
                }
                self.entries.entry(seen.order).or_insert(Entry {
                    id: seen.id.clone(),
                    at_ms: seen.at_ms,
                    expires_ms: seen.expires_ms,
                    invocation: seen.invocation.clone(),
                    state: if seen.series { State::Series } else { State::Open },
                    tree: None,
                    stopping: seen.stopping,
                });
            }
            Record::Tree(of) => {
                if let Some(entry) = self.entries.get_mut(&of.order) {
                    entry.tree = Some(of.tree.clone());
                }
            }
            Record::Report(report) => {
                self.next_seq = self.next_seq.max(report.seq + 1);
                self.outbox.insert(report.seq, (at, report.order));
                if let Some(entry) = self.entries.get_mut(&report.order) {
                    match report.event {
                        ReportEvent::Accepted { .. }
                        | ReportEvent::Began { .. }
                        | ReportEvent::Skipped(_)
                        | ReportEvent::Waits { .. }
                        | ReportEvent::SeriesEnded { .. } => {}
                        ReportEvent::Stopping { .. } => entry.stopping = true,
                        // The end of a run, not of the series.
                        ReportEvent::Finished(_) if entry.state == State::Series => {}
                        ReportEvent::Finished(_) => entry.state = State::Ended(at),
                    }
                }
            }
            Record::Acked(acked) => {
                self.next_seq = self.next_seq.max(acked.seq + 1);
                self.outbox = self.outbox.split_off(&(acked.seq.saturating_add(1)));
            }
            Record::Closed(closed) => {
                if let Some(entry) = self.entries.get_mut(&closed.order) {
                    entry.state = State::Ended(at);
                }
            }
            Record::Floor(floor) => self.floor_ms = self.floor_ms.max(floor.at_ms),
            Record::Approved(approved) => {
                let key = (approved.name.clone(), approved.version.clone());
                let highest = self.approvals.entry(key).or_default();
                *highest = approved.revision.max(*highest);
            }
            Record::Armed(armed) => Kept::arm(&mut self.series, armed, at),
            Record::Advanced(advanced) => {
                if let Some(kept) = self.series.get_mut(&advanced.invocation) {
                    kept.advance(advanced);
                }
            }
            Record::Began(began) => {
                if let Some(kept) = self.series.get_mut(&began.invocation) {
                    kept.began = Some(began.clone());
                }
            }
        }
    }

    /// How many orders are remembered that were not verified.
    pub(crate) fn unverified(&self) -> usize {
        self.entries.values().filter(|entry| entry.id.is_none()).count()
    }

    /// Forgets the orders that could not start again even without their entry: ended, reported, expired for a clock at
    /// the floor, and answered more than `keep_ms` ago.
    pub(crate) fn forget(&mut self, now_ms: i64, keep_ms: i64) {
        let waiting: HashSet<Digest> = self.outbox.values().map(|(_, order)| *order).collect();
        let floor_ms = self.floor_ms;
        let unverified = self.unverified();
        self.series.retain(|_, kept| !kept.is_over(now_ms, floor_ms, keep_ms));
        let series = &self.series;
        self.entries.retain(|order, entry| {
            let young = now_ms.saturating_sub(entry.at_ms) < keep_ms;
            matches!(entry.state, State::Open)
                || (entry.state == State::Series
                    && entry.invocation.as_ref().is_some_and(|invocation| series.contains_key(invocation)))
                || waiting.contains(order)
                || entry.expires_ms > floor_ms
                || (young && (entry.id.is_some() || unverified < UNVERIFIED_MAX))
        });
        let entries = &self.entries;
        self.by_id.retain(|_, order| entries.contains_key(order));
    }
}
