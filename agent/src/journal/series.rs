//! What the journal knows of series: where each stands, by which order, and whether its last run began.
//!
//! Owns the rules by which records of a series add up: an order with a lower revision changes nothing, and a series that has
//! ended is remembered for as long as one of its orders could be accepted again, those too that never came here. It never decides what is due. Nothing to
//! stop.

use std::collections::BTreeMap;

use orderly_model::schedule;
use orderly_signing::digest::Digest;
use orderly_wire::to_server::{EndOfSeries, Skipped};

use super::index::At;
use super::record::{Advanced, Armed, Began, Record};
use super::{Journal, JournalError};

/// What is known of one series. Its order stays in the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    /// The newest order.
    pub order: Digest,
    /// The newest order's revision: no lower one counts.
    pub revision: u32,
    /// Where it stands.
    pub state: schedule::State,
    /// The digest of the receipt of its last run that has ended.
    pub previous: Option<Digest>,
    /// The last run that began, and its process tree. A run that the state names and that is not this one never began.
    pub began: Option<Began>,
    /// When its end was told.
    pub ended_ms: Option<i64>,
    /// How it came to that end.
    pub end: Option<EndOfSeries>,
    /// What was left out and is not told yet: one for each reason.
    pub untold: Vec<Skipped>,
    /// Until when, at the latest, any of its orders could be accepted again.
    pub expires_ms: i64,
    pub(super) at_ms: i64,
    pub(super) armed: At,
}

impl Kept {
    pub(super) fn arm(all: &mut BTreeMap<String, Self>, armed: &Armed, at: At) {
        let old = all.get(&armed.invocation);
        if old.is_some_and(|old| armed.revision <= old.revision) {
            return;
        }
        let kept = Self {
            order: armed.order,
            revision: armed.revision,
            state: armed.state.clone(),
            previous: old.and_then(|old| old.previous),
            began: old.and_then(|old| old.began.clone()),
            ended_ms: old.and_then(|old| old.ended_ms),
            end: old.and_then(|old| old.end),
            untold: old.map(|old| old.untold.clone()).unwrap_or_default(),
            at_ms: old.map_or(armed.at_ms, |old| old.at_ms),
            expires_ms: old.map_or(armed.expires_ms, |old| old.expires_ms.max(armed.expires_ms)),
            armed: at,
        };
        all.insert(armed.invocation.clone(), kept);
    }

    pub(super) fn advance(&mut self, advanced: &Advanced) {
        self.state = advanced.state.clone();
        self.previous = advanced.previous.or(self.previous);
        self.ended_ms = self.ended_ms.or(advanced.ended_ms);
        self.end = self.end.or(advanced.end);
        self.expires_ms = advanced.expires_ms.map_or(self.expires_ms, |ms| ms.max(self.expires_ms));
        self.untold.clone_from(&advanced.untold);
    }

    /// Whether it ended more than `keep_ms` ago and none of its orders could be accepted again by a clock at the floor.
    pub(super) fn is_over(&self, now_ms: i64, floor_ms: i64, keep_ms: i64) -> bool {
        let long_ago = self.ended_ms.is_some_and(|ended| now_ms.saturating_sub(ended) >= keep_ms);
        long_ago && self.expires_ms <= floor_ms
    }
}

impl Journal {
    /// What is known of this invocation's series.
    pub(crate) fn series(&self, invocation: &str) -> Option<&Kept> {
        self.index.series.get(invocation)
    }

    /// The invocations whose series have not ended.
    pub(crate) fn live_series(&self) -> Vec<String> {
        let live = self.index.series.iter().filter(|(_, kept)| kept.ended_ms.is_none());
        live.map(|(invocation, _)| invocation.clone()).collect()
    }

    /// Whether a part of the journal was lost since the series was accepted. Where it stands is then not known, nor which
    /// runs it had: it cannot go on.
    pub(crate) fn is_doubtful(&self, kept: &Kept) -> bool {
        self.index.distrust_before_ms.is_some_and(|before| kept.at_ms < before)
    }

    /// The newest order of a series, with what it takes to check it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn armed(&self, kept: &Kept) -> Result<Option<Armed>, JournalError> {
        Ok(match self.record_at(kept.armed)? {
            Record::Armed(armed) => Some(*armed),
            _ => None,
        })
    }
}
