//! What an agent says to the server.
//!
//! [`Output`] is lossy and never acknowledged; [`Report`] is kept by the agent until it is acknowledged.

use orderly_model::instance::Facts;
use orderly_model::report::Report as PluginReport;
use orderly_model::schedule::{Cause, Reason};
use orderly_signing::digest::Digest;
use orderly_signing::instance::InstanceId;
use serde::{Deserialize, Serialize};

/// One frame from an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ToServer {
    /// Who is there, with proof. The first frame from an agent.
    Hello(Box<Hello>),
    /// Still there. It says no more: what the agent has at hand is told by its reports.
    Heartbeat,
    /// Something that must not be lost.
    Report(Box<Report>),
    /// Live output of a running task.
    Output(Output),
    /// How far a plugin is; only the newest counts.
    Progress(Progress),
}

/// The opening of a link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The oldest version of the link that the agent speaks.
    pub oldest: u32,
    /// The newest version of the link that the agent speaks.
    pub newest: u32,
    /// The instance.
    pub instance: InstanceId,
    /// 64 bytes: the instance key's signature over `orderly_signing::proof::link_message("link", …)` with this
    /// connection's exported key material.
    #[serde(with = "crate::frame::base64_bytes")]
    pub proof: Vec<u8>,
    /// What the instance is.
    pub facts: Facts,
    /// Changes at every boot of the machine.
    pub boot_id: String,
    /// Revision of the keyring that the agent holds.
    pub keyring_revision: u64,
}

/// Something that is kept until acknowledged, in the order of `seq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Grows by one for each report of this agent; never reused, over restarts too.
    pub seq: u64,
    /// The order that this is about.
    pub order: Digest,
    /// The invocation that the order names; absent where the order could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    /// The run that this is about: 1 for an order that runs once; for a series the number of the run, from 1, and 0 for what
    /// is about the series itself.
    pub generation: u32,
    /// What happened.
    pub event: ReportEvent,
}

/// What happened to a task.
///
/// An order that runs once: `Accepted`, perhaps `Stopping`, `Finished`. One that is refused, of whichever kind: `Finished`
/// alone, with the generation 1 and a receipt without its `series` part.
///
/// A series, whose order is the newest one that was accepted of its invocation:
/// - with generation 0: `Accepted` for each order that was taken, `Skipped` and `Waits` as they come, `Stopping` at a stop
///   while a run is under way, and `SeriesEnded` last. Nothing of the invocation comes behind that.
/// - with the number of a run: `Began` and `Finished`. A run that was refused when its turn came, or that nobody can tell
///   about after a crash, has no `Began`. Its receipt has the `series` part, and is of the order that was the newest when the
///   run began. The numbers of `Finished` go up by one without a gap.
///
/// Only `Finished` proves anything: the rest is the word of whoever holds the link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum ReportEvent {
    /// It is in the journal and will run.
    Accepted {
        /// When, in Unix milliseconds.
        at_ms: i64,
    },
    /// A stop order for it has arrived; it has not ended yet.
    Stopping {
        /// When, in Unix milliseconds.
        at_ms: i64,
    },
    /// It ended, or it was refused.
    Finished(Box<Finished>),
    /// A run of a series begins.
    Began {
        /// When it was due, in Unix milliseconds.
        due_ms: i64,
        /// Why it begins later than it was due, and in the place of all that were missed; absent where it is in time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        late: Option<Cause>,
        /// When, in Unix milliseconds.
        at_ms: i64,
    },
    /// Occurrences of a series were left out, that no report has told before.
    Skipped(Skipped),
    /// The clock was set back: the series waits until it shows a later time than this.
    Waits {
        /// The latest occurrence that was given out, in Unix milliseconds.
        until_ms: i64,
        /// When, in Unix milliseconds.
        at_ms: i64,
    },
    /// The series is over: no run comes any more.
    SeriesEnded {
        /// How it came to its end.
        end: EndOfSeries,
        /// When, in Unix milliseconds.
        at_ms: i64,
    },
}

/// Occurrences of a series that were left out. While one such report of a series waits for its acknowledgement, others of the same
/// reason are folded into one: what lies between `first_ms` and `last_ms` need not all have been left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// The first of them, in Unix milliseconds.
    pub first_ms: i64,
    /// The last of them, or a time that is not before it where not all were counted.
    pub last_ms: i64,
    /// How many, at least 1.
    pub count: u64,
    /// Whether all were counted; otherwise there are more than `count`.
    pub exact: bool,
    /// Why.
    pub reason: Reason,
    /// When the last of them was left out, in Unix milliseconds.
    pub at_ms: i64,
}

/// How a series came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndOfSeries {
    /// Nothing more is due.
    Completed,
    /// It was stopped.
    Stopped,
    /// What is known of it on the instance was damaged: where it stood, and which runs it had, cannot be told.
    Lost,
}

/// What a receipt names as its invocation where the order could not be read, so that nobody knows which it is.
pub const UNREADABLE: &str = "t-unreadable";

/// The end of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finished {
    /// The DSSE envelope of the receipt. Status, codes, times and digests are in it and nowhere else.
    #[serde(with = "crate::frame::base64_bytes")]
    pub receipt: Vec<u8>,
    /// What was kept of the output.
    pub output: KeptOutput,
    /// What a plugin reported; its compact JSON is what the receipt's `report` digest covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<PluginReport>,
}

/// Which of the two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A run of bytes of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Where the bytes came from.
    pub stream: Stream,
    /// The bytes as they came.
    #[serde(with = "crate::frame::base64_bytes")]
    pub data: Vec<u8>,
}

/// The kept part of an output: its beginning and its end, in the order in which the agent read them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptOutput {
    /// The beginning.
    pub head: Vec<Segment>,
    /// Bytes between `head` and `tail` that were dropped.
    pub dropped_bytes: u64,
    /// The end; empty where nothing was dropped.
    pub tail: Vec<Segment>,
}

/// Live output. Lossy: a chunk may be missing, and then the next one's `offset` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The order.
    pub order: Digest,
    /// The invocation.
    pub invocation: String,
    /// Bytes of the whole output (both streams, as read) before this chunk.
    pub offset: u64,
    /// The bytes. At most 64 KiB in one frame.
    pub segments: Vec<Segment>,
}

/// How far a plugin is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The order.
    pub order: Digest,
    /// The invocation.
    pub invocation: String,
    /// Units done.
    pub done: u32,
    /// Units in all; 0 where unknown.
    pub total: u32,
    /// What it is doing, at most 200 bytes.
    pub message: String,
}
