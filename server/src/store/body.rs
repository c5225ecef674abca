//! The one body of SQL, mounted once for each database by `lite` and `postgres`.
//!
//! Owns the common subset: `BIGINT`, `INT`, `TEXT` and raw bytes only, `$1` parameters, VALUES lists of a fixed
//! length so that statements stay prepared. Never says which database it is; `super` does. Stops with the writer's channel.

#[path = "body/alike.rs"]
mod alike;
#[path = "body/command.rs"]
mod command;
#[path = "body/create.rs"]
mod create;
#[path = "body/delivery.rs"]
mod delivery;
#[path = "body/files.rs"]
mod files;
#[path = "body/group.rs"]
mod group;
#[path = "body/instance.rs"]
mod instance;
#[path = "body/invocation.rs"]
mod invocation;
#[path = "body/people.rs"]
mod people;
#[path = "body/plugin.rs"]
mod plugin;
#[path = "body/record.rs"]
mod record;
#[path = "body/retention.rs"]
mod retention;
#[path = "body/rollout.rs"]
mod rollout;
#[path = "body/run.rs"]
mod run;
#[path = "body/series.rs"]
mod series;
#[path = "body/stop.rs"]
mod stop;
#[path = "body/task.rs"]
mod task;

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection as _, Database, Pool, SqlSafeStr as _};
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::{Db, ORDERS_IN_TURN};
use crate::shutdown::Phase;
use crate::store::StoreError;
use crate::store::change::{Answer, BATCH_MAX, Change, Job};

/// A connection of this database.
type Conn = <Db as Database>::Connection;

/// A row of this database.
type Row = <Db as Database>::Row;

/// The reading half.
#[derive(Debug, Clone)]
pub(in crate::store) struct Reader {
    pool: Pool<Db>,
    /// What must live as long as the store is open, such as the lock file.
    _held: Arc<dyn Any + Send + Sync>,
}

impl Reader {
    /// Wraps a pool of connections.
    pub(in crate::store) fn new(pool: Pool<Db>, held: Arc<dyn Any + Send + Sync>) -> Self {
        Self { pool, _held: held }
    }
}

/// Brings the schema up to date; the texts are numbered from 1 in their order.
pub(super) async fn migrate(pool: &Pool<Db>, texts: &[&'static str]) -> Result<(), StoreError> {
    let migrations = texts
        .iter()
        .zip(1..)
        .map(|(text, version)| {
            let name = Cow::Owned(format!("step {version}"));
            Migration::new(version, name, MigrationType::Simple, (*text).into_sql_str(), false)
        })
        .collect();
    Migrator::with_migrations(migrations).run(pool).await.map_err(StoreError::Migrate)
}

/// Starts the one writer; it ends when every sender of `jobs` is gone.
pub(super) fn start_writer(
    pool: Pool<Db>,
    mut jobs: mpsc::Receiver<Job>,
    held: Arc<dyn Any + Send + Sync>,
    phase: &Phase,
) {
    let token = phase.token();
    phase.spawn("store writer", async move {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let count = tokio::select! {
                biased;
                count = jobs.recv_many(&mut batch, BATCH_MAX) => count,
                () = token.cancelled() => {
                    jobs.close();
                    jobs.recv_many(&mut batch, BATCH_MAX).await
                }
            };
            if count == 0 {
                break;
            }
            write(&pool, std::mem::take(&mut batch)).await;
        }
        pool.close().await;
        drop(held);
    });
}

/// Commits a batch together; where a change fails, each alone, so that none suffers for another.
async fn write(pool: &Pool<Db>, batch: Vec<Job>) {
    match commit(pool, batch.iter().map(|job| &job.change)).await {
        Ok(answers) => {
            for (job, answer) in batch.into_iter().zip(answers) {
                // Whoever asked may have gone; the change is done all the same.
                let _ = job.reply.send(Ok(answer));
            }
        }
        Err(failure) if batch.len() == 1 => {
            error!(error = ?failure, "a change could not be committed");
            for job in batch {
                let _ = job.reply.send(Err(StoreError::Batch(failure.to_string())));
            }
        }
        Err(failure) => {
            warn!(error = ?failure, changes = batch.len(), "a batch of changes failed; they are committed one by one");
            for job in batch {
                let answer = commit(pool, std::iter::once(&job.change)).await;
                let answer = answer.and_then(|mut answers| answers.pop().ok_or(StoreError::Closed));
                if let Err(failure) = &answer {
                    error!(error = ?failure, "a change could not be committed");
                }
                let _ = job.reply.send(answer);
            }
        }
    }
}

async fn commit<'a>(
    pool: &Pool<Db>,
    changes: impl Iterator<Item = &'a Change> + Clone,
) -> Result<Vec<Answer>, StoreError> {
    let mut conn = pool.acquire().await?;
    let mut transaction = conn.begin().await?;
    // Before anything else is locked, so that two servers never wait for each other.
    if let Some(lock) = ORDERS_IN_TURN
        && changes.clone().any(Change::makes_order)
    {
        sqlx::query::<Db>(lock).execute(&mut *transaction).await?;
    }
    let mut answers = Vec::new();
    for change in changes {
        answers.push(apply(&mut transaction, change).await?);
    }
    transaction.commit().await?;
    Ok(answers)
}

async fn apply(conn: &mut Conn, change: &Change) -> Result<Answer, StoreError> {
    match change {
        Change::AddToken(token) => people::add_token(conn, token).await,
        Change::RemoveToken(uid) => people::remove_token(conn, uid).await,
        Change::AddActivation(row, code_hash) => people::add_activation(conn, row, code_hash).await,
        Change::DisableActivation(uid) => people::disable_activation(conn, uid).await,
        Change::Enrol(new) => instance::enrol(conn, new).await,
        Change::SetTags(instance, tags) => instance::set_tags(conn, *instance, tags).await,
        Change::SetFacts(instance, facts) => instance::set_facts(conn, *instance, facts).await,
        Change::Seen(seen) => instance::seen(conn, seen).await,
        Change::AddKeyring(keyring) => people::add_keyring(conn, keyring).await,
        Change::AddPlugin(plugin) => plugin::add(conn, &plugin.0, &plugin.1).await,
        Change::SetApproval { plugin, revision, approval } => {
            plugin::set_approval(conn, *plugin, *revision, approval).await
        }
        Change::AddBlob { digest, bytes, created_ms } => plugin::add_blob(conn, digest, *bytes, *created_ms).await,
        Change::TouchBlob { digest, bytes, now_ms } => files::touch_blob(conn, digest, *bytes, *now_ms).await,
        Change::AddFile { invocation, instance, file, created_ms } => {
            files::add_file(conn, *invocation, *instance, file, *created_ms).await
        }
        Change::Sweep { blobs_ms, files_ms } => files::sweep(conn, *blobs_ms, *files_ms).await,
        Change::AddCommand { new, most } => command::add(conn, new, *most).await,
        Change::ChangeCommand { uid, from, new } => command::change(conn, uid, *from, new).await,
        Change::DeleteCommand(uid) => command::delete(conn, uid).await,
        Change::AddGroup(row) => group::add(conn, row).await,
        Change::RemoveGroup(name) => group::remove(conn, name).await,
        Change::Create(new) => create::create(conn, new).await,
        Change::Stop(stop) => stop::stop(conn, stop).await,
        Change::Expire { invocation, now_ms } => stop::expire(conn, *invocation, *now_ms).await,
        Change::Prune { now_ms } => stop::prune(conn, *now_ms).await,
        Change::Roll { invocation, at } => rollout::roll(conn, *invocation, *at).await,
        Change::Steer { invocation, steer, now_ms } => rollout::steer(conn, *invocation, steer, *now_ms).await,
        Change::Retire { invocations, now_ms } => retention::retire(conn, invocations, *now_ms).await,
        Change::Erase { invocation, most } => retention::erase(conn, *invocation, *most).await,
        Change::Record(facts) => record::record(conn, facts).await,
    }
}

/// A digest from a column.
fn digest(bytes: &[u8]) -> Result<orderly_signing::digest::Digest, StoreError> {
    let bytes: [u8; 32] =
        bytes.try_into().map_err(|_| StoreError::Row { table: "digests", value: format!("{} bytes", bytes.len()) })?;
    Ok(orderly_signing::digest::Digest::from_bytes(bytes))
}

/// A digest from a column that may be empty.
fn digest_or_none(bytes: Option<&[u8]>) -> Result<Option<orderly_signing::digest::Digest>, StoreError> {
    bytes.map(digest).transpose()
}

/// Something that a column holds as text.
fn parsed<T: std::str::FromStr>(table: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Row { table, value: text.to_owned() })
}

/// Something that a column holds as JSON.
fn json<T: serde::de::DeserializeOwned>(table: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Row { table, value: text.to_owned() })
}
