//! The store: the only place where intent and observation meet.
//!
//! Owns the two databases (SQLite in the data directory by default, PostgreSQL where asked), and one method for each
//! use case. The SQL is written once, in `body`, and mounted once per database. Reads go through a pool, writes through one
//! writer that commits many changes together. Never keeps state of its own: whatever the server must not forget is in
//! a row. Stops when [`Store::close`] has let the writer finish.

pub mod change;
pub mod fact;
mod lite;
mod postgres;
mod reads;
pub mod row;
mod writes;

use std::path::Path;

use tokio::sync::{mpsc, oneshot};

use crate::shutdown::Phase;
use crate::store::change::{Answer, BATCH_MAX, Change, Job};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no, or is gone.
    #[error("the database did not do its part")]
    Database(#[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error("the schema could not be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// The file of the data directory's lock.
    #[error(
        "the data directory `{path}` is in use by another server; stop that one, or give this one another `--data-dir`"
    )]
    Locked {
        /// The lock file.
        path: String,
    },
    /// The lock or database file could not be opened.
    #[error("`{path}` cannot be opened")]
    File {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database file is damaged.
    #[error(
        "the database `{path}` is damaged ({found}): put a copy from before in its place, with no `-wal` and `-shm` file beside it, or \
         save what can be read with `sqlite3 {path} .recover`"
    )]
    Damaged {
        /// Which file.
        path: String,
        /// What the database says.
        found: String,
    },
    /// A row holds what this version did not write.
    #[error("a row of `{table}` holds `{value}`, which this version cannot read")]
    Row {
        /// The table.
        table: &'static str,
        /// What it holds.
        value: String,
    },
    /// The writer has stopped: the server is going down.
    #[error("the store is closed")]
    Closed,
    /// A change of a batch failed for a reason that is told once, to the log.
    #[error("the change could not be committed: {0}")]
    Batch(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

#[derive(Debug, Clone)]
enum Engine {
    Lite(lite::Reader),
    Postgres(postgres::Reader),
}

/// A handle on the store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    engine: Engine,
    writer: mpsc::Sender<Job>,
    /// What was read, for tests that count it.
    #[cfg(test)]
    pub(crate) seen: tests::Seen,
}

impl Store {
    /// Opens (or makes) the SQLite database in a data directory and starts its writer in `phase`.
    ///
    /// # Errors
    /// Where another server has it open, or it cannot be opened or brought up to date.
    pub async fn open_lite(data_dir: &Path, phase: &Phase) -> Result<Self, StoreError> {
        let (sender, receiver) = mpsc::channel(BATCH_MAX * 4);
        let reader = lite::open(data_dir, receiver, phase).await?;
        Ok(Self::over(Engine::Lite(reader), sender))
    }

    /// Opens a PostgreSQL database and starts its writer in `phase`.
    ///
    /// # Errors
    /// Where it cannot be reached or brought up to date.
    pub async fn open_postgres(url: &str, phase: &Phase) -> Result<Self, StoreError> {
        let (sender, receiver) = mpsc::channel(BATCH_MAX * 4);
        let reader = postgres::open(url, receiver, phase).await?;
        Ok(Self::over(Engine::Postgres(reader), sender))
    }

    fn over(engine: Engine, writer: mpsc::Sender<Job>) -> Self {
        Self {
            engine,
            writer,
            #[cfg(test)]
            seen: tests::Seen::default(),
        }
    }

    /// Whether other servers may write to the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// Hands a change to the writer and waits until it is committed.
    async fn change(&self, change: Change) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.writer.send(Job { change, reply }).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

/// Calls the same method of whichever database is behind the store.
macro_rules! on_engine {
    ($store:expr, $reader:ident => $call:expr) => {{
        #[cfg(test)]
        $store.seen.note(stringify!($call));
        match &$store.engine {
            $crate::store::Engine::Lite($reader) => $call,
            $crate::store::Engine::Postgres($reader) => $call,
        }
    }};
}
use on_engine;

#[cfg(test)]
pub(crate) mod tests;
