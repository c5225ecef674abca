//! The writes, one method for each change. Each answers after the commit.

use std::collections::BTreeMap;

use orderly_signing::digest::Digest;

use crate::store::change::{Answer, Change};
use crate::store::fact::Fact;
use crate::store::row::{
    ActivationRow, AddOutcome, Changed, Created, DeleteOutcome, EnrolOutcome, FileRow, GroupRow, InstanceKey,
    InvocationKey, KeyringRow, Moment, NewCommand, NewInstance, NewInvocation, NewStop, NewVersion, PluginDocuments,
    PluginRow, Rolled, Seen, Steer, SteerOutcome, Swept, TokenRow, VersionOutcome,
};
use crate::store::{Store, StoreError};

/// An answer of another kind than the change asks for cannot be: one match makes each.
fn other(answer: &Answer) -> StoreError {
    StoreError::Batch(format!("the writer answered {answer:?}"))
}

/// Each fails where the database does, or the store is closed.
impl Store {
    async fn found(&self, change: Change) -> Result<bool, StoreError> {
        match self.change(change).await? {
            Answer::Found(found) => Ok(found),
            answer => Err(other(&answer)),
        }
    }

    async fn changed(&self, change: Change) -> Result<Vec<Changed>, StoreError> {
        match self.change(change).await? {
            Answer::Changed(changed) => Ok(changed),
            answer => Err(other(&answer)),
        }
    }

    async fn counted(&self, change: Change) -> Result<u64, StoreError> {
        match self.change(change).await? {
            Answer::Counted(count) => Ok(count),
            answer => Err(other(&answer)),
        }
    }

    /// Adds a token.
    pub async fn add_token(&self, token: TokenRow) -> Result<(), StoreError> {
        self.change(Change::AddToken(token)).await.map(|_| ())
    }

    /// Removes a token; false where there is none.
    pub async fn remove_token(&self, uid: &str) -> Result<bool, StoreError> {
        self.found(Change::RemoveToken(uid.to_owned())).await
    }

    /// Adds an activation.
    pub async fn add_activation(&self, row: ActivationRow, code_hash: Digest) -> Result<(), StoreError> {
        self.change(Change::AddActivation(row, code_hash)).await.map(|_| ())
    }

    /// Takes an activation back; false where there is none.
    pub async fn disable_activation(&self, uid: &str) -> Result<bool, StoreError> {
        self.found(Change::DisableActivation(uid.to_owned())).await
    }

    /// Enrols an instance and counts the code, both or neither.
    pub async fn enrol(&self, new: NewInstance) -> Result<EnrolOutcome, StoreError> {
        match self.change(Change::Enrol(Box::new(new))).await? {
            Answer::Enrolled(outcome) => Ok(outcome),
            answer => Err(other(&answer)),
        }
    }

    /// Replaces the tags of an instance.
    pub async fn set_tags(&self, instance: InstanceKey, tags: BTreeMap<String, String>) -> Result<(), StoreError> {
        self.change(Change::SetTags(instance, tags)).await.map(|_| ())
    }

    /// Stores what an instance says of itself.
    pub async fn set_facts(&self, instance: InstanceKey, facts: String) -> Result<(), StoreError> {
        self.change(Change::SetFacts(instance, facts)).await.map(|_| ())
    }

    /// Stores signs of life.
    pub async fn seen(&self, seen: Vec<Seen>) -> Result<(), StoreError> {
        self.change(Change::Seen(seen)).await.map(|_| ())
    }

    /// Stores a keyring; false where that revision or a later one is there.
    pub async fn add_keyring(&self, keyring: KeyringRow) -> Result<bool, StoreError> {
        self.found(Change::AddKeyring(keyring)).await
    }

    /// Stores a plugin version.
    pub async fn add_plugin(&self, plugin: PluginRow, documents: PluginDocuments) -> Result<AddOutcome, StoreError> {
        match self.change(Change::AddPlugin(Box::new((plugin, documents)))).await? {
            Answer::Added(outcome) => Ok(outcome),
            answer => Err(other(&answer)),
        }
    }

    /// Stores an approval; false where a newer one is there.
    pub async fn set_approval(&self, plugin: i64, revision: i64, approval: Vec<u8>) -> Result<bool, StoreError> {
        self.found(Change::SetApproval { plugin, revision, approval }).await
    }

    /// Makes a blob known that lies in the blob directory.
    pub async fn add_blob(&self, digest: Digest, bytes: i64, created_ms: i64) -> Result<(), StoreError> {
        self.change(Change::AddBlob { digest, bytes, created_ms }).await.map(|_| ())
    }

    /// Says that a blob of this size is wanted now, so that it stays for a day; false where it is not there.
    pub async fn touch_blob(&self, digest: Digest, bytes: i64, now_ms: i64) -> Result<bool, StoreError> {
        self.found(Change::TouchBlob { digest, bytes, now_ms }).await
    }

    /// Ties a collected file to its task; false where the task has ended or has one, which stays.
    pub async fn add_file(
        &self,
        invocation: InvocationKey,
        instance: InstanceKey,
        file: FileRow,
        created_ms: i64,
    ) -> Result<bool, StoreError> {
        self.found(Change::AddFile { invocation, instance, file, created_ms }).await
    }

    /// Forgets blobs that nothing has needed since `blobs_ms` and files that were collected before `files_ms`, and answers the
    /// contents that nothing refers to any more.
    pub async fn sweep(&self, blobs_ms: i64, files_ms: i64) -> Result<Swept, StoreError> {
        match self.change(Change::Sweep { blobs_ms, files_ms }).await? {
            Answer::Swept(swept) => Ok(swept),
            answer => Err(other(&answer)),
        }
    }

    /// Stores a command with its first version; false where there are `most` or more already.
    pub async fn add_command(&self, new: NewCommand, most: i64) -> Result<bool, StoreError> {
        self.found(Change::AddCommand { new: Box::new(new), most }).await
    }

    /// Stores the next version of a command, where it is still at version `from`.
    pub async fn change_command(&self, uid: &str, from: i32, new: NewVersion) -> Result<VersionOutcome, StoreError> {
        match self.change(Change::ChangeCommand { uid: uid.to_owned(), from, new: Box::new(new) }).await? {
            Answer::Versioned(outcome) => Ok(outcome),
            answer => Err(other(&answer)),
        }
    }

    /// Deletes a command with all its versions, unless an invocation of it has not ended.
    pub async fn delete_command(&self, uid: &str) -> Result<DeleteOutcome, StoreError> {
        match self.change(Change::DeleteCommand(uid.to_owned())).await? {
            Answer::Deleted(outcome) => Ok(outcome),
            answer => Err(other(&answer)),
        }
    }

    /// Stores a group of instances; false where the name is taken.
    pub async fn add_group(&self, group: GroupRow) -> Result<bool, StoreError> {
        self.found(Change::AddGroup(group)).await
    }

    /// Removes a group; false where there is none.
    pub async fn remove_group(&self, name: &str) -> Result<bool, StoreError> {
        self.found(Change::RemoveGroup(name.to_owned())).await
    }

    /// Creates an invocation; `None` where its id is taken.
    pub async fn create(&self, new: NewInvocation) -> Result<Option<Created>, StoreError> {
        match self.change(Change::Create(Box::new(new))).await? {
            Answer::Created(created) => Ok(created),
            answer => Err(other(&answer)),
        }
    }

    /// Stores a stop order and what it means for the tasks; nothing where no task is open.
    pub async fn stop(&self, stop: NewStop) -> Result<Vec<Changed>, StoreError> {
        self.changed(Change::Stop(Box::new(stop))).await
    }

    /// Ends the tasks of an invocation that were not delivered in time.
    pub async fn expire(&self, invocation: InvocationKey, now_ms: i64) -> Result<Vec<Changed>, StoreError> {
        self.changed(Change::Expire { invocation, now_ms }).await
    }

    /// Forgets deliveries of stop orders past their time; whether there were any.
    pub async fn prune(&self, now_ms: i64) -> Result<bool, StoreError> {
        self.found(Change::Prune { now_ms }).await
    }

    /// Looks at a rollout: gives up what was not accepted in its time, and releases what may start. Nothing where none goes on.
    pub async fn roll(&self, invocation: InvocationKey, at: Moment) -> Result<Option<Box<Rolled>>, StoreError> {
        match self.change(Change::Roll { invocation, at }).await? {
            Answer::Rolled(rolled) => Ok(rolled),
            answer => Err(other(&answer)),
        }
    }

    /// Does what a person says to a rollout.
    pub async fn steer(
        &self,
        invocation: InvocationKey,
        steer: Steer,
        now_ms: i64,
    ) -> Result<SteerOutcome, StoreError> {
        match self.change(Change::Steer { invocation, steer, now_ms }).await? {
            Answer::Steered(outcome) => Ok(outcome),
            answer => Err(other(&answer)),
        }
    }

    /// Removes those invocations that have ended and that nothing refers to, and answers how many. Their tasks are left to
    /// [`Self::erase`].
    pub async fn retire(&self, invocations: Vec<InvocationKey>, now_ms: i64) -> Result<u64, StoreError> {
        self.counted(Change::Retire { invocations, now_ms }).await
    }

    /// Removes at most `most` tasks of a removed invocation with their results, and answers how many.
    pub async fn erase(&self, invocation: InvocationKey, most: i64) -> Result<u64, StoreError> {
        self.counted(Change::Erase { invocation, most }).await
    }

    /// Records what instances observed. Facts that were recorded before change nothing.
    pub async fn record(&self, facts: Vec<Fact>) -> Result<Vec<Changed>, StoreError> {
        self.changed(Change::Record(facts)).await
    }
}
