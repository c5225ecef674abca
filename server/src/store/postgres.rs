//! PostgreSQL: how it is opened. The SQL is in `body`.
//!
//! Owns the connection pools. Several servers may share one database: rows that a writer reads to change them are
//! locked, and keys of orders grow in the order of commits. Nothing wakes a server for what another wrote: it looks (for orders
//! and keyrings every 15 s, for the events of somebody who waits every 5 s), and knows as online only who is linked to itself.
//! Each has a dispatch key of its own, which the keyring must name, and all need the same blob directory.

#[path = "body.rs"]
mod body;

use std::any::Any;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::mpsc;

use crate::shutdown::Phase;
use crate::store::StoreError;
use crate::store::change::Job;

pub(super) use body::Reader;

/// The database that this mount of the body speaks to.
pub(super) type Db = sqlx::Postgres;

/// What locks the rows of a read that will be written, against other servers.
pub(super) const FOR_UPDATE: &str = " FOR UPDATE OF t";

/// What keeps the keys of orders in the order of their commits: a lock until the commit, one for all servers. Without it a
/// dispatcher that has seen a later key would never look for an earlier one that is committed after it.
pub(super) const ORDERS_IN_TURN: Option<&str> = Some("SELECT pg_advisory_xact_lock(7163384699739271794)");

/// Rows of one VALUES list: a round trip costs more than parameters do.
pub(super) const CHUNK: usize = 500;

/// Connections that only read.
const READERS: u32 = 8;

/// Connects and starts the writer.
pub(super) async fn open(url: &str, jobs: mpsc::Receiver<Job>, phase: &Phase) -> Result<Reader, StoreError> {
    let options = PgConnectOptions::from_str(url)?.application_name("orderly-server");
    let pool = |most| PoolOptions::<Db>::new().max_connections(most).acquire_timeout(Duration::from_secs(10));
    let write = pool(1).connect_with(options.clone()).await?;
    body::migrate(
        &write,
        &[
            include_str!("../../migrations/postgres/0001_first.sql"),
            include_str!("../../migrations/postgres/0002_files.sql"),
            include_str!("../../migrations/postgres/0003_commands.sql"),
            include_str!("../../migrations/postgres/0004_groups.sql"),
            include_str!("../../migrations/postgres/0005_output_digests.sql"),
            include_str!("../../migrations/postgres/0006_rollouts.sql"),
            include_str!("../../migrations/postgres/0007_retention.sql"),
            include_str!("../../migrations/postgres/0008_series.sql"),
            include_str!("../../migrations/postgres/0009_rollout_floors.sql"),
        ],
    )
    .await?;
    let read = pool(READERS).connect_with(options).await?;
    let nothing: Arc<dyn Any + Send + Sync> = Arc::new(());
    body::start_writer(write, jobs, Arc::clone(&nothing), phase);
    Ok(Reader::new(read, nothing))
}
