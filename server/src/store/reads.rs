//! The reads, one method for each question.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;

use orderly_model::task::TaskStatus;
use orderly_signing::digest::Digest;
use orderly_signing::instance::InstanceId;

use crate::store::row::{
    ActivationRow, AgedRow, AlikeRow, Collecting, CommandFilter, CommandKey, CommandRow, Content, Delivery, FileRow,
    GroupRow, InstanceKey, InstanceRow, InvocationKey, InvocationRow, KeptRow, KeyringRow, Likeness, OrderBody,
    OrderHead, OrderKey, PluginDocuments, PluginRow, PrunedRow, ReportRow, ResultRow, Rolling, RunRow, SkipRow,
    TaskRow, TokenRow, VersionRow,
};
use crate::store::{Store, StoreError, on_engine};

/// Each fails only where the database does.
impl Store {
    /// The token whose secret has this hash.
    pub async fn token(&self, hash: &Digest) -> Result<Option<TokenRow>, StoreError> {
        on_engine!(self, reader => reader.token(hash).await)
    }

    /// All tokens.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        on_engine!(self, reader => reader.tokens().await)
    }

    /// All activations, newest first.
    pub async fn activations(&self) -> Result<Vec<ActivationRow>, StoreError> {
        on_engine!(self, reader => reader.activations().await)
    }

    /// The activation whose code has this hash.
    pub async fn activation(&self, code_hash: &Digest) -> Result<Option<ActivationRow>, StoreError> {
        on_engine!(self, reader => reader.activation(code_hash).await)
    }

    /// The newest keyring.
    pub async fn keyring(&self) -> Result<Option<KeyringRow>, StoreError> {
        on_engine!(self, reader => reader.keyring().await)
    }

    /// One instance.
    pub async fn instance(&self, uid: &InstanceId) -> Result<Option<InstanceRow>, StoreError> {
        on_engine!(self, reader => reader.instance(uid).await)
    }

    /// A page of instances that have all of `tags`, by key.
    pub async fn instances(
        &self,
        tags: &BTreeMap<String, String>,
        after: InstanceKey,
        limit: i64,
    ) -> Result<Vec<InstanceRow>, StoreError> {
        on_engine!(self, reader => reader.instances(tags, after, limit).await)
    }

    /// The keys of those of `uids` that exist.
    pub async fn instance_keys(&self, uids: &[InstanceId]) -> Result<Vec<(InstanceKey, InstanceId)>, StoreError> {
        on_engine!(self, reader => reader.instance_keys(uids).await)
    }

    /// All instances that have all of `tags`.
    pub async fn instances_with(
        &self,
        tags: &BTreeMap<String, String>,
    ) -> Result<Vec<(InstanceKey, InstanceId)>, StoreError> {
        on_engine!(self, reader => reader.instances_with(tags).await)
    }

    /// All plugins, or all versions of one.
    pub async fn plugins(&self, name: Option<&str>) -> Result<Vec<PluginRow>, StoreError> {
        on_engine!(self, reader => reader.plugins(name).await)
    }

    /// One plugin version with its documents.
    pub async fn plugin(&self, name: &str, version: &str) -> Result<Option<(PluginRow, PluginDocuments)>, StoreError> {
        on_engine!(self, reader => reader.plugin(name, version).await)
    }

    /// The size of a blob that may be served.
    pub async fn blob(&self, digest: &Digest) -> Result<Option<i64>, StoreError> {
        on_engine!(self, reader => reader.blob(digest).await)
    }

    /// A page of commands in their newest versions, by key.
    pub async fn commands(
        &self,
        filter: &CommandFilter,
        after: CommandKey,
        limit: i64,
    ) -> Result<Vec<CommandRow>, StoreError> {
        on_engine!(self, reader => reader.commands(filter, after, limit).await)
    }

    /// A command in its newest version or another, with its draft as JSON.
    pub async fn command(&self, uid: &str, version: Option<i32>) -> Result<Option<(CommandRow, String)>, StoreError> {
        on_engine!(self, reader => reader.command(uid, version).await)
    }

    /// A page of a command's versions before `before`, newest first.
    pub async fn command_versions(
        &self,
        key: CommandKey,
        before: i32,
        limit: i64,
    ) -> Result<Vec<VersionRow>, StoreError> {
        on_engine!(self, reader => reader.command_versions(key, before, limit).await)
    }

    /// A page of saved groups by name.
    pub async fn groups(&self, after: &str, limit: i64) -> Result<Vec<GroupRow>, StoreError> {
        on_engine!(self, reader => reader.groups(after, limit).await)
    }

    /// One saved group.
    pub async fn group(&self, name: &str) -> Result<Option<GroupRow>, StoreError> {
        on_engine!(self, reader => reader.group(name).await)
    }

    /// One invocation.
    pub async fn invocation(&self, uid: &str) -> Result<Option<InvocationRow>, StoreError> {
        on_engine!(self, reader => reader.invocation(uid).await)
    }

    /// A page of invocations older than `before`, newest first.
    pub async fn invocations(&self, before: InvocationKey, limit: i64) -> Result<Vec<InvocationRow>, StoreError> {
        on_engine!(self, reader => reader.invocations(before, limit).await)
    }

    /// Invocations with tasks that wait past their deadline.
    pub async fn overdue(&self, now_ms: i64, limit: i64) -> Result<Vec<InvocationKey>, StoreError> {
        on_engine!(self, reader => reader.overdue(now_ms, limit).await)
    }

    /// When the next deadline of a waiting invocation is.
    pub async fn next_deadline(&self) -> Result<Option<i64>, StoreError> {
        on_engine!(self, reader => reader.next_deadline().await)
    }

    /// A page of an invocation's tasks by the instance's key.
    pub async fn tasks(
        &self,
        invocation: InvocationKey,
        only: Option<TaskStatus>,
        after: InstanceKey,
        limit: i64,
    ) -> Result<Vec<TaskRow>, StoreError> {
        on_engine!(self, reader => reader.tasks(invocation, only, after, limit).await)
    }

    /// The tasks of an invocation on some instances.
    pub async fn tasks_of(
        &self,
        invocation: InvocationKey,
        instances: &[InstanceKey],
    ) -> Result<Vec<TaskRow>, StoreError> {
        on_engine!(self, reader => reader.tasks_of(invocation, instances).await)
    }

    /// Whether an invocation is for an instance.
    pub async fn is_target(&self, invocation: &str, instance: InstanceKey) -> Result<bool, StoreError> {
        on_engine!(self, reader => reader.is_target(invocation, instance).await)
    }

    /// What is long about a task that ended with a receipt.
    pub async fn result(
        &self,
        invocation: InvocationKey,
        instance: InstanceKey,
    ) -> Result<Option<ResultRow>, StoreError> {
        on_engine!(self, reader => reader.result(invocation, instance).await)
    }

    /// The same of all instances whose keys are in a range, by key.
    pub async fn results(
        &self,
        invocation: InvocationKey,
        instances: RangeInclusive<InstanceKey>,
    ) -> Result<Vec<(InstanceKey, ResultRow)>, StoreError> {
        on_engine!(self, reader => reader.results(invocation, instances).await)
    }

    /// The kept output of a task as JSON, where it ended with a receipt.
    pub async fn output(
        &self,
        invocation: InvocationKey,
        instance: InstanceKey,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        on_engine!(self, reader => reader.output(invocation, instance).await)
    }

    /// Tasks of an invocation that are alike: the first `members` of each of the `limit` largest groups, group by group.
    pub async fn alike(
        &self,
        invocation: InvocationKey,
        likeness: Likeness,
        members: i64,
        limit: i64,
    ) -> Result<Vec<AlikeRow>, StoreError> {
        on_engine!(self, reader => reader.alike(invocation, likeness, members, limit).await)
    }

    /// A page of an invocation's reports by the instance's key.
    pub async fn reports(
        &self,
        invocation: InvocationKey,
        after: InstanceKey,
        limit: i64,
    ) -> Result<Vec<ReportRow>, StoreError> {
        on_engine!(self, reader => reader.reports(invocation, after, limit).await)
    }

    /// A page of runs, the newest first: of an invocation by key, of one instance by number.
    pub async fn runs(
        &self,
        invocation: InvocationKey,
        instance: Option<InstanceKey>,
        before: i64,
        limit: i64,
    ) -> Result<Vec<RunRow>, StoreError> {
        on_engine!(self, reader => reader.runs(invocation, instance, before, limit).await)
    }

    /// One run, with what is long about it where it has ended with a receipt.
    pub async fn run(
        &self,
        invocation: InvocationKey,
        instance: InstanceKey,
        generation: i32,
    ) -> Result<Option<(RunRow, Option<ResultRow>)>, StoreError> {
        on_engine!(self, reader => reader.run(invocation, instance, generation).await)
    }

    /// What was left out of a series, of at most so many instances above `after`.
    pub async fn skips(
        &self,
        invocation: InvocationKey,
        after: InstanceKey,
        limit: i64,
    ) -> Result<Vec<SkipRow>, StoreError> {
        on_engine!(self, reader => reader.skips(invocation, after, limit).await)
    }

    /// Every instance of an invocation, sorted by id.
    pub async fn targets(&self, invocation: InvocationKey) -> Result<Vec<InstanceId>, StoreError> {
        on_engine!(self, reader => reader.targets(invocation).await)
    }

    /// The key of the newest order; 0 where there is none.
    pub async fn newest_order(&self) -> Result<OrderKey, StoreError> {
        on_engine!(self, reader => reader.newest_order().await)
    }

    /// The rollouts that go on.
    pub async fn rolling(&self) -> Result<Vec<Rolling>, StoreError> {
        on_engine!(self, reader => reader.rolling().await)
    }

    /// Which orders still have to reach whom, a page by the order's key and then the instance's.
    pub async fn deliveries(&self, after: (OrderKey, InstanceKey), limit: i64) -> Result<Vec<Delivery>, StoreError> {
        on_engine!(self, reader => reader.deliveries(after, limit).await)
    }

    /// What still has to reach an instance, oldest first, a page by the order's key.
    pub async fn deliveries_to(
        &self,
        instance: InstanceKey,
        after: OrderKey,
        limit: i64,
    ) -> Result<Vec<OrderHead>, StoreError> {
        on_engine!(self, reader => reader.deliveries_to(instance, after, limit).await)
    }

    /// An order with all that its offers share.
    pub async fn order(&self, key: OrderKey) -> Result<Option<OrderBody>, StoreError> {
        on_engine!(self, reader => reader.order(key).await)
    }

    /// Bytes of all blobs and collected files, each content once.
    pub async fn stored_bytes(&self) -> Result<i64, StoreError> {
        on_engine!(self, reader => reader.stored_bytes().await)
    }

    /// Those of `digests` that have a row where such contents lie.
    pub async fn known(&self, content: Content, digests: &[Digest]) -> Result<HashSet<Digest>, StoreError> {
        on_engine!(self, reader => reader.known(content, digests).await)
    }

    /// What an instance sent for an invocation.
    pub async fn file(&self, invocation: InvocationKey, instance: InstanceKey) -> Result<Option<FileRow>, StoreError> {
        on_engine!(self, reader => reader.file(invocation, instance).await)
    }

    /// The task of an instance that an order makes, with the order.
    pub async fn collecting(&self, order: &Digest, instance: InstanceKey) -> Result<Option<Collecting>, StoreError> {
        on_engine!(self, reader => reader.collecting(order, instance).await)
    }

    /// A page of invocations with what decides how long they are kept, the oldest first.
    pub async fn aged(&self, after: InvocationKey, now_ms: i64, limit: i64) -> Result<Vec<AgedRow>, StoreError> {
        on_engine!(self, reader => reader.aged(after, now_ms, limit).await)
    }

    /// The newest invocation that is not among the `newest` ones.
    pub async fn nth_newest(&self, newest: i64) -> Result<Option<InvocationKey>, StoreError> {
        on_engine!(self, reader => reader.nth_newest(newest).await)
    }

    /// Removed invocations of which there are tasks left.
    pub async fn erasing(&self, limit: i64) -> Result<Vec<InvocationKey>, StoreError> {
        on_engine!(self, reader => reader.erasing(limit).await)
    }

    /// What is left of a removed invocation.
    pub async fn pruned(&self, uid: &str) -> Result<Option<PrunedRow>, StoreError> {
        on_engine!(self, reader => reader.pruned(uid).await)
    }

    /// What is kept and what was removed, in numbers.
    pub async fn kept(&self) -> Result<KeptRow, StoreError> {
        on_engine!(self, reader => reader.kept().await)
    }

    /// The envelope of the order with this digest.
    pub async fn envelope(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        on_engine!(self, reader => reader.envelope(digest).await)
    }
}
