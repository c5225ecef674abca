//! What the journal remembers, as it is written.
//!
//! Owns the JSON of an entry. It never writes a file. An unknown field is refused: a journal of a newer agent is not
//! guessed at.

use std::collections::BTreeMap;

use orderly_host::platform::TreeIdentity;
use orderly_model::schedule;
use orderly_signing::digest::Digest;
use orderly_signing::merkle::TargetProof;
use orderly_wire::to_agent::PluginDocuments;
use orderly_wire::to_server::{EndOfSeries, Report, Skipped};
use serde::{Deserialize, Serialize};

/// The version of the journal that this agent writes.
pub(crate) const VERSION: u32 = 1;

/// One thing to remember. What belongs together is appended together and is there whole or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub(crate) enum Record {
    /// The first record of a file.
    Opened(Opened),
    /// An order was answered for the first time. It never starts again.
    Seen(Seen),
    /// The process tree in which a task runs, written before its first process is.
    Tree(TreeOf),
    /// Something to tell the server until it acknowledges it. The end of a task is one.
    Report(Box<Report>),
    /// All reports up to this one are safe.
    Acked(Acked),
    /// What is left of a finished task whose report is safe: its receipt.
    Closed(Closed),
    /// The newest time that a fully verified document said.
    Floor(Floor),
    /// A security team's approval that was verified, whether its order was accepted or not.
    Approved(Approved),
    /// A series was accepted, or an order with a higher revision changed it.
    Armed(Box<Armed>),
    /// A series has done something, or its last run has ended.
    Advanced(Box<Advanced>),
    /// A run of a series begins; written before its first process is.
    Began(Began),
}

/// The record that says that an order was answered.
pub(crate) fn seen(
    order: Digest,
    id: Option<String>,
    invocation: Option<String>,
    at_ms: i64,
    expires_ms: i64,
) -> Record {
    Record::Seen(Seen { order, id, invocation, at_ms, expires_ms, stopping: false, series: false })
}

/// The record that says in which tree a task runs.
pub(crate) fn tree(order: Digest, tree: TreeIdentity) -> Record {
    Record::Tree(TreeOf { order, tree })
}

/// The record that raises the floor of the clock.
pub(crate) fn floor(at_ms: i64) -> Record {
    Record::Floor(Floor { at_ms })
}

/// The record that says that an approval was verified.
pub(crate) fn approved(name: &str, version: &str, revision: u64) -> Record {
    Record::Approved(Approved { name: name.to_owned(), version: version.to_owned(), revision })
}

impl Record {
    /// Whether it is about an order that was not verified: whoever reaches the agent can make it write such records.
    pub(crate) fn is_unverified(&self) -> bool {
        matches!(self, Self::Seen(seen) if seen.id.is_none())
    }
}

/// The opening of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Opened {
    /// [`VERSION`]
    pub version: u32,
    /// The sequence number of the next report.
    pub next_seq: u64,
    /// Orders signed before this may have run without a trace, and are refused; absent in a journal that never lost
    /// anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distrust_before_ms: Option<i64>,
}

/// An order that was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    /// Its digest.
    pub order: Digest,
    /// Its id, where it was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The invocation that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    /// When it was answered.
    pub at_ms: i64,
    /// From when on it could not be accepted any more, whatever the journal says; 0 for what could not be accepted ever.
    pub expires_ms: i64,
    /// Whether a stop was asked for before this was written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopping: bool,
    /// Whether it is a series' order, whose runs have ends of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub series: bool,
}

/// A task's process tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TreeOf {
    /// The task's order.
    pub order: Digest,
    /// How a restarted agent finds the tree again.
    pub tree: TreeIdentity,
}

/// An acknowledgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acked {
    /// The highest safe sequence number.
    pub seq: u64,
}

/// What is kept of a finished task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Closed {
    /// The task's order.
    pub order: Digest,
    /// The receipt's envelope.
    #[serde(with = "orderly_wire::frame::base64_bytes")]
    pub receipt: Vec<u8>,
    /// Bytes of the whole output.
    pub output_bytes: u64,
}

/// A revision of an approval. No lower one of the same version of the plugin counts from here on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approved {
    /// The plugin's name.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// The approval's revision.
    pub revision: u64,
}

/// A floor of the clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Floor {
    /// Unix milliseconds.
    pub at_ms: i64,
}

/// A series as it was ordered: all that it takes to check its order again before each run, without a server. The content of
/// a script is kept beside the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Armed {
    /// The invocation: the series is its, whichever order is the newest.
    pub invocation: String,
    /// The order's digest.
    pub order: Digest,
    /// The order's revision.
    pub revision: u32,
    /// The order, a DSSE envelope.
    #[serde(with = "orderly_wire::frame::base64_bytes")]
    pub envelope: Vec<u8>,
    /// That this instance is a target.
    pub proof: TargetProof,
    /// What a plugin is vouched for by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginDocuments>,
    /// What the server said of the instance, for scripts that have parameters: as with an order that runs once nobody signs it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub built_ins: BTreeMap<String, String>,
    /// When the series was accepted for the first time, by the clock that is never behind the floor.
    pub at_ms: i64,
    /// Until when, at the latest, any order of the series so far could have been accepted.
    pub expires_ms: i64,
    /// Where it stands.
    pub state: schedule::State,
}

/// Where a series stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Advanced {
    /// The invocation.
    pub invocation: String,
    /// What the series goes on from.
    pub state: schedule::State,
    /// The digest of the receipt of its last run that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// When its end was told; nothing comes after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
    /// How it came to that end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<EndOfSeries>,
    /// Until when, at the latest, an order of the series could be accepted that was signed before the stop that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
    /// What was left out and is told once the server has acknowledged what was told before: one for each reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<Skipped>,
}

/// The start of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Began {
    /// The invocation.
    pub invocation: String,
    /// The order whose run it is; a change that comes meanwhile is not.
    pub order: Digest,
    /// The run's number.
    pub number: u32,
    /// Its process tree, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeIdentity>,
}
