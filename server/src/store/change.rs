//! Every write that the store knows, as a value for the one writer.
//!
//! Owns the list of changes and of their answers. One change is applied wholly or not at all; many are committed
//! together. Never applies anything itself.

use std::collections::BTreeMap;

use orderly_signing::digest::Digest;
use tokio::sync::oneshot;

use crate::store::StoreError;
use crate::store::fact::Fact;
use crate::store::row::{
    ActivationRow, AddOutcome, Changed, Created, DeleteOutcome, EnrolOutcome, FileRow, GroupRow, InstanceKey,
    InvocationKey, KeyringRow, Moment, NewCommand, NewInstance, NewInvocation, NewStop, NewVersion, PluginDocuments,
    PluginRow, Rolled, Seen, Steer, SteerOutcome, Swept, TokenRow, VersionOutcome,
};

/// A write.
#[derive(Debug, Clone)]
pub enum Change {
    /// Adds a token.
    AddToken(TokenRow),
    /// Removes a token by its public id.
    RemoveToken(String),
    /// Adds an activation with the hash of its code.
    AddActivation(ActivationRow, Digest),
    /// Takes an activation back.
    DisableActivation(String),
    /// Enrols an instance and counts the code, both or neither.
    Enrol(Box<NewInstance>),
    /// Replaces the tags of an instance.
    SetTags(InstanceKey, BTreeMap<String, String>),
    /// Stores what an instance says of itself.
    SetFacts(InstanceKey, String),
    /// Stores signs of life.
    Seen(Vec<Seen>),
    /// Stores a keyring, unless that revision is there.
    AddKeyring(KeyringRow),
    /// Stores a plugin version.
    AddPlugin(Box<(PluginRow, PluginDocuments)>),
    /// Stores an approval, unless a newer one is there.
    SetApproval {
        /// The plugin.
        plugin: i64,
        /// Revision of the approval.
        revision: i64,
        /// The envelope.
        approval: Vec<u8>,
    },
    /// Makes a blob known that lies in the blob directory.
    AddBlob {
        /// Its digest.
        digest: Digest,
        /// Its size.
        bytes: i64,
        /// When.
        created_ms: i64,
    },
    /// Says that a blob of this size is wanted now.
    TouchBlob {
        /// Its digest.
        digest: Digest,
        /// Its size.
        bytes: i64,
        /// Now.
        now_ms: i64,
    },
    /// Ties a collected file to its task, unless that has ended or has one.
    AddFile {
        /// The invocation.
        invocation: InvocationKey,
        /// The instance that sent it.
        instance: InstanceKey,
        /// The file.
        file: FileRow,
        /// When.
        created_ms: i64,
    },
    /// Forgets blobs that nothing needs and files that are old.
    Sweep {
        /// Blobs that were needed last before this go.
        blobs_ms: i64,
        /// Files that were collected before this go.
        files_ms: i64,
    },
    /// Stores a command with its first version, where there is room.
    AddCommand {
        /// The command.
        new: Box<NewCommand>,
        /// How many there may be in all.
        most: i64,
    },
    /// Stores the next version of a command.
    ChangeCommand {
        /// The command's public id.
        uid: String,
        /// The version that the change was made from.
        from: i32,
        /// The new version.
        new: Box<NewVersion>,
    },
    /// Deletes a command by its public id, unless it runs.
    DeleteCommand(String),
    /// Stores a group of instances, unless there is one of that name.
    AddGroup(GroupRow),
    /// Removes a group by its name.
    RemoveGroup(String),
    /// Creates an invocation with its tasks, order and deliveries.
    Create(Box<NewInvocation>),
    /// Stores a stop order and what it means for the tasks.
    Stop(Box<NewStop>),
    /// Ends what was not delivered in time.
    Expire {
        /// The invocation.
        invocation: InvocationKey,
        /// Now.
        now_ms: i64,
    },
    /// Forgets deliveries of orders that nobody may accept any more.
    Prune {
        /// Now.
        now_ms: i64,
    },
    /// Gives up what was not accepted in its time, and releases what may start of a rollout.
    Roll {
        /// The invocation.
        invocation: InvocationKey,
        /// Now.
        at: Moment,
    },
    /// Does what a person says to a rollout.
    Steer {
        /// The invocation.
        invocation: InvocationKey,
        /// What they say.
        steer: Steer,
        /// Now.
        now_ms: i64,
    },
    /// Removes invocations that have ended and that nothing refers to.
    Retire {
        /// Which.
        invocations: Vec<InvocationKey>,
        /// Now.
        now_ms: i64,
    },
    /// Removes tasks and results of a removed invocation.
    Erase {
        /// Which.
        invocation: InvocationKey,
        /// How many at most.
        most: i64,
    },
    /// Records what instances observed.
    Record(Vec<Fact>),
}

impl Change {
    /// Whether it stores an order.
    #[must_use]
    pub fn makes_order(&self) -> bool {
        matches!(self, Self::Create(_) | Self::Stop(_))
    }
}

/// What a change answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Done, and nothing to tell.
    Done,
    /// Whether there was something to change.
    Found(bool),
    /// How an enrolment ended.
    Enrolled(EnrolOutcome),
    /// How an upload ended.
    Added(AddOutcome),
    /// How a new version of a command ended.
    Versioned(VersionOutcome),
    /// How the deletion of a command ended.
    Deleted(DeleteOutcome),
    /// The keys of what was made; absent where the invocation's id is taken.
    Created(Option<Created>),
    /// The tasks that changed.
    Changed(Vec<Changed>),
    /// What came of a look at a rollout; absent where none goes on.
    Rolled(Option<Box<Rolled>>),
    /// What came of what a person said.
    Steered(SteerOutcome),
    /// How many rows went.
    Counted(u64),
    /// The contents that nothing refers to any more.
    Swept(Swept),
}

/// A change on its way to the writer.
#[derive(Debug)]
pub struct Job {
    /// The change.
    pub change: Change,
    /// Where the answer goes, after the commit.
    pub reply: oneshot::Sender<Result<Answer, StoreError>>,
}

/// The most changes of one transaction: more would hold the writer, and grow the log, for longer than waiting costs.
pub const BATCH_MAX: usize = 256;

/// The most facts of one [`Change::Record`].
pub const FACTS_MAX: usize = 1000;
