//! What goes into the store and what comes out of it, the same for every database.
//!
//! Owns plain values only: keys are `i64` and stay inside the server, public ids are text. Never holds a
//! connection, never decides anything.

use std::collections::BTreeMap;

use orderly_model::invocation::StatusCounts;
use orderly_model::task::TaskStatus;
use orderly_signing::digest::Digest;
use orderly_signing::instance::InstanceId;

mod alike;
mod command;
mod file;
mod group;
mod plugin;
mod retention;
mod rollout;
mod series;

pub use alike::{AlikeRow, Likeness, ReportRow};
pub use command::{
    CommandFilter, CommandKey, CommandRow, DeleteOutcome, NewCommand, NewVersion, RUNNING_NAMED_MAX, VersionOutcome,
    VersionRow,
};
pub use file::{Collecting, Content, FileRow, Swept};
pub use group::GroupRow;
pub use plugin::{AddOutcome, PluginDocuments, PluginRow};
pub use retention::{AgedRow, KeptRow, PrunedRow};
pub use rollout::{Moment, NewRollout, ON_ITS_WAY_MS, Rolled, Rolling, RolloutRow, Steer, SteerOutcome};
pub use series::{RunRow, SeriesRow, Skip, SkipRow};

/// Key of an instance inside the store.
pub type InstanceKey = i64;

/// Key of an invocation inside the store.
pub type InvocationKey = i64;

/// Key of an order inside the store; grows with each order.
pub type OrderKey = i64;

/// An instance that enrols.
#[derive(Debug, Clone)]
pub struct NewInstance {
    /// Its id.
    pub uid: InstanceId,
    /// Its name.
    pub name: String,
    /// SPKI DER of its key.
    pub public_key: Vec<u8>,
    /// Facts as JSON.
    pub facts: String,
    /// When.
    pub enrolled_ms: i64,
    /// SHA-256 of the activation code.
    pub code_hash: Digest,
}

/// How an enrolment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnrolOutcome {
    /// It is enrolled; it may have been before.
    Enrolled,
    /// The code was used up, expired or disabled meanwhile.
    CodeSpent,
}

/// An instance as stored.
#[derive(Debug, Clone)]
pub struct InstanceRow {
    /// Its key.
    pub key: InstanceKey,
    /// Its id.
    pub uid: InstanceId,
    /// Its name.
    pub name: String,
    /// SPKI DER of its key.
    pub public_key: Vec<u8>,
    /// Facts as JSON.
    pub facts: String,
    /// When it enrolled.
    pub enrolled_ms: i64,
    /// When it was last heard of.
    pub last_seen_ms: Option<i64>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A sign of life that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The instance.
    pub instance: InstanceKey,
    /// When, by the server's clock.
    pub at_ms: i64,
    /// Which boot.
    pub boot_id: String,
    /// Which keyring it holds.
    pub keyring_revision: i64,
}

/// An activation to store, and as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivationRow {
    /// Public id.
    pub uid: String,
    /// For people.
    pub name: Option<String>,
    /// When it was made.
    pub created_ms: i64,
    /// When it expires.
    pub expires_ms: i64,
    /// How many instances may use it.
    pub max_instances: i32,
    /// How many have.
    pub used: i32,
    /// Whether it was taken back.
    pub disabled: bool,
    /// Tags for its instances.
    pub tags: BTreeMap<String, String>,
    /// Networks from which it may be used.
    pub networks: Vec<String>,
}

/// A token as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Public id.
    pub uid: String,
    /// For people.
    pub name: String,
    /// SHA-256 of the secret.
    pub hash: Digest,
    /// When it was made.
    pub created_ms: i64,
    /// When it expires.
    pub expires_ms: Option<i64>,
}

/// A keyring as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyringRow {
    /// Its revision.
    pub revision: i64,
    /// Fingerprint of its root keys.
    pub root: Digest,
    /// The envelope.
    pub envelope: Vec<u8>,
    /// When it was published here.
    pub created_ms: i64,
}

/// An invocation to create, with its order.
#[derive(Debug, Clone)]
pub struct NewInvocation {
    /// Public id.
    pub uid: String,
    /// For people.
    pub name: Option<String>,
    /// `script`, `plugin`, `file` or `collect`.
    pub kind: &'static str,
    /// One line of what is run.
    pub summary: String,
    /// On whose behalf.
    pub principal: String,
    /// When.
    pub created_ms: i64,
    /// Until when it may be accepted.
    pub deadline_ms: i64,
    /// Digest of the order.
    pub order_digest: Digest,
    /// The order.
    pub envelope: Vec<u8>,
    /// The plugin, where one is run.
    pub plugin: Option<i64>,
    /// The script, where it is small enough to travel with the offer.
    pub content: Option<Vec<u8>>,
    /// The blob that it needs: a script that is too large for offers, or a file.
    pub blob: Option<Digest>,
    /// The stored command that it runs, and in which version.
    pub command: Option<(String, i32)>,
    /// The instances, each once.
    pub targets: Vec<InstanceKey>,
    /// How it spreads; to all at once where absent.
    pub rollout: Option<NewRollout>,
    /// When it is due, where it is not once and at once.
    pub series: Option<SeriesRow>,
}

/// An invocation as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct InvocationRow {
    /// Its key.
    pub key: InvocationKey,
    /// Public id.
    pub uid: String,
    /// For people.
    pub name: Option<String>,
    /// `script`, `plugin`, `file` or `collect`.
    pub kind: String,
    /// One line of what is run.
    pub summary: String,
    /// On whose behalf.
    pub principal: String,
    /// When it was made.
    pub created_ms: i64,
    /// Until when it may be accepted.
    pub deadline_ms: i64,
    /// When the last task ended.
    pub finished_ms: Option<i64>,
    /// Digest of the order.
    pub order_digest: Digest,
    /// The stored command that it runs, and in which version.
    pub command: Option<(String, i32)>,
    /// How many tasks.
    pub targets: i64,
    /// How many of each status.
    pub counts: StatusCounts,
    /// How its rollout goes, where it is one.
    pub rollout: Option<Box<RolloutRow>>,
    /// When it is due, where it is a series.
    pub series: Option<Box<SeriesRow>>,
}

/// A task as stored, with what lists show.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRow {
    /// The instance's key.
    pub instance: InstanceKey,
    /// The instance's id.
    pub instance_uid: InstanceId,
    /// The instance's name.
    pub instance_name: String,
    /// The status.
    pub status: TaskStatus,
    /// The run number.
    pub generation: i32,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// Error code of the result.
    pub code: Option<String>,
    /// Why, where the instance said so.
    pub reason: Option<String>,
    /// The check that refused.
    pub check: Option<String>,
    /// When it started.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub finished_ms: Option<i64>,
    /// Bytes of output in all.
    pub output_bytes: i64,
    /// Bytes that were dropped.
    pub dropped_bytes: i64,
    /// SHA-256 of the whole output, once a receipt says it.
    pub output_digest: Option<Digest>,
}

/// What is long about a task that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// The receipt's envelope.
    pub receipt: Vec<u8>,
    /// The kept output as JSON.
    pub output: Vec<u8>,
    /// The plugin's report as JSON.
    pub report: Option<Vec<u8>>,
}

/// Which kind of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderKind {
    /// It begins an invocation's tasks.
    Run,
    /// It ends them.
    Stop,
}

impl OrderKind {
    /// The number in the store; never renumbered.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Run => 0,
            Self::Stop => 1,
        }
    }

    /// The kind with this number; everything that is not a run is a stop.
    #[must_use]
    pub fn from_code(code: i32) -> Self {
        if code == 0 { Self::Run } else { Self::Stop }
    }
}

/// An order without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderHead {
    /// Its key.
    pub key: OrderKey,
    /// The invocation.
    pub invocation: InvocationKey,
    /// Run or stop.
    pub kind: OrderKind,
    /// Until when it is worth sending.
    pub expires_ms: i64,
    /// Whether its deliveries come later than it, as those of a rollout do.
    pub rolled: bool,
}

/// An order that has to reach an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The order.
    pub order: OrderHead,
    /// Whom it has to reach.
    pub instance: InstanceKey,
}

/// What an invocation got when it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// Its key.
    pub invocation: InvocationKey,
    /// The key of its order.
    pub order: OrderKey,
}

/// An order with all that its offers share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBody {
    /// The head.
    pub head: OrderHead,
    /// The public id of the invocation.
    pub invocation: String,
    /// The envelope.
    pub envelope: Vec<u8>,
    /// Its targets where they are not all tasks of the invocation.
    pub targets: Option<Vec<InstanceId>>,
    /// The script, where it travels with the offer.
    pub content: Option<Vec<u8>>,
    /// The plugin, where one is run.
    pub plugin: Option<(PluginRow, PluginDocuments)>,
}

/// A stop order to store.
#[derive(Debug, Clone)]
pub struct NewStop {
    /// The invocation.
    pub invocation: InvocationKey,
    /// Digest of the stop order.
    pub digest: Digest,
    /// Its envelope.
    pub envelope: Vec<u8>,
    /// Until when it is worth sending.
    pub expires_ms: i64,
    /// Now.
    pub now_ms: i64,
    /// Only these; all where absent.
    pub targets: Option<Vec<(InstanceKey, InstanceId)>>,
    /// Whether it is a series.
    pub series: bool,
}

/// A change of tasks that listeners may want to see.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// The invocation after the change.
    pub invocation: InvocationRow,
    /// The tasks that changed.
    pub tasks: ChangedTasks,
}

/// The tasks of a change, as far as the change has them at hand.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangedTasks {
    /// Their rows after the change.
    Rows(Vec<TaskRow>),
    /// Their instances; who wants more reads the rows.
    Of(Vec<InstanceKey>),
}

impl ChangedTasks {
    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.len(),
            Self::Of(instances) => instances.len(),
        }
    }
}
