//! SQLite: how it is opened. The SQL is in `body`.
//!
//! Owns the lock file (SQLite alone would let two servers share a file and each think itself the only writer), the
//! pragmas, one write connection and a pool of read-only ones.

#[path = "body.rs"]
mod body;

use std::any::Any;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use sqlx::Pool;
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use tokio::sync::mpsc;

use crate::shutdown::Phase;
use crate::store::StoreError;
use crate::store::change::Job;

pub(super) use body::Reader;

/// The database that this mount of the body speaks to.
pub(super) type Db = sqlx::Sqlite;

/// What locks the rows of a read that will be written: the one writer needs nothing here.
pub(super) const FOR_UPDATE: &str = "";

/// What keeps the keys of orders in the order of their commits: here one writer does.
pub(super) const ORDERS_IN_TURN: Option<&str> = None;

/// Rows of one VALUES list. sqlx looks named parameters up one by one, so longer lists get slower per row.
pub(super) const CHUNK: usize = 50;

/// Connections that only read. SQLite reads block on the processor, not on a network.
const READERS: u32 = 4;

/// After a checkpoint the log file is cut to this many bytes.
const LOG_KEPT_BYTES: &str = "67108864";

/// Forgets what versions before noted of the sizes of tables when they closed. Noted of a store that was small, it has plans scan
/// all orders once the store has grown; without it the plans are those that the indexes were made for, whatever the size.
const FORGET_STATISTICS: &str = "DROP TABLE IF EXISTS sqlite_stat1; ANALYZE sqlite_schema";

/// The largest file that is looked through at each start, in bytes: what that takes must not be felt.
const CHECKED_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Opens the database file and starts the writer.
pub(super) async fn open(data_dir: &Path, jobs: mpsc::Receiver<Job>, phase: &Phase) -> Result<Reader, StoreError> {
    let lock = lock(&data_dir.join("store.lock"))?;
    let path = data_dir.join("store.sqlite3");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .busy_timeout(Duration::from_secs(10))
        .foreign_keys(false)
        .pragma("journal_size_limit", LOG_KEPT_BYTES);
    let writing = options
        .clone()
        .create_if_missing(true)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let write = PoolOptions::<Db>::new()
        .min_connections(1)
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(writing)
        .await
        .map_err(|error| damage(&path, error))?;
    check(&path, &write).await?;
    body::migrate(
        &write,
        &[
            include_str!("../../migrations/sqlite/0001_first.sql"),
            include_str!("../../migrations/sqlite/0002_files.sql"),
            include_str!("../../migrations/sqlite/0003_commands.sql"),
            include_str!("../../migrations/sqlite/0004_groups.sql"),
            include_str!("../../migrations/sqlite/0005_output_digests.sql"),
            include_str!("../../migrations/sqlite/0006_rollouts.sql"),
            include_str!("../../migrations/sqlite/0007_retention.sql"),
            include_str!("../../migrations/sqlite/0008_series.sql"),
            include_str!("../../migrations/sqlite/0009_rollout_floors.sql"),
        ],
    )
    .await?;
    sqlx::raw_sql(FORGET_STATISTICS).execute(&write).await?;
    let read = PoolOptions::<Db>::new()
        .max_connections(READERS)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options.read_only(true))
        .await?;
    let lock: Arc<dyn Any + Send + Sync> = Arc::new(lock);
    body::start_writer(write, jobs, Arc::clone(&lock), phase);
    Ok(Reader::new(read, lock))
}

/// Refuses a file whose pages do not fit together, before anything is read from it or written into it.
async fn check(path: &Path, pool: &Pool<Db>) -> Result<(), StoreError> {
    if std::fs::metadata(path).is_ok_and(|file| file.len() > CHECKED_MAX_BYTES) {
        return Ok(());
    }
    let found: Result<String, sqlx::Error> = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(pool).await;
    match found {
        Ok(found) if found == "ok" => Ok(()),
        Ok(found) => Err(damaged(path, found)),
        Err(error) => Err(damage(path, error)),
    }
}

/// The error where a file is damaged (SQLITE_CORRUPT) or no database (SQLITE_NOTADB), in any of their extended forms.
fn damage(path: &Path, error: sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<i32>().ok());
    match code.map(|code| code & 0xff) {
        Some(11 | 26) => damaged(path, error.to_string()),
        _ => error.into(),
    }
}

fn damaged(path: &Path, found: String) -> StoreError {
    StoreError::Damaged { path: path.display().to_string(), found }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let shown = path.display().to_string();
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|source| StoreError::File { path: shown.clone(), source })?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| StoreError::Locked { path: shown })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use sqlx::{Connection as _, Executor as _, SqliteConnection};

    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn plans_do_not_depend_on_how_small_the_store_was_when_it_closed() {
        let directory = tempfile::TempDir::new().unwrap();
        let url = format!("sqlite://{}", directory.path().join("store.sqlite3").display());
        for _ in 0..2 {
            let phase = Phase::new("test");
            let store = Store::open_lite(directory.path(), &phase).await.unwrap();
            phase.end().await;
            drop(store);
            let mut conn = SqliteConnection::connect(&url).await.unwrap();
            let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(
                "EXPLAIN QUERY PLAN SELECT o.id, v.uid FROM orders o JOIN invocations v ON v.id = o.invocation_id \
                 WHERE o.digest IN (x'00', x'01')",
            )
            .fetch_all(&mut conn)
            .await
            .unwrap();
            assert!(plan.iter().all(|(.., step)| step.starts_with("SEARCH")), "{plan:?}");
            // As a version before left it, for the second time round.
            let noted = "ANALYZE; INSERT INTO sqlite_stat1 VALUES ('orders', 'sqlite_autoindex_orders_1', '1 1'), \
                 ('invocations', 'sqlite_autoindex_invocations_1', '1 1')";
            conn.execute(noted).await.unwrap();
            conn.close().await.unwrap();
        }
    }
}
