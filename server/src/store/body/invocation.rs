//! Reading invocations.

use orderly_model::invocation::StatusCounts;
use sqlx::{QueryBuilder, Row as _};

use super::record::COUNTERS;
use super::{Db, Reader, Row, digest, json};
use crate::store::StoreError;
use crate::store::row::{InvocationKey, InvocationRow, RolloutRow};

/// The first columns of an invocation; the counters follow in the order of [`COUNTERS`].
const FIRST: &str = "id, uid, name, kind, summary, principal, created_ms, deadline_ms, finished_ms, \
     order_digest, targets, command_uid, command_version, rollout, roll_active, roll_held, roll_released, roll_forgiven, \
     roll_confirmed, roll_lost, roll_idle_ms, roll_due_ms, roll_halted, series";

/// How many columns [`FIRST`] names.
pub(super) const FIRST_COLUMNS: usize = 24;

/// Asks for all columns that [`invocation`] reads.
pub(super) fn push_columns(query: &mut QueryBuilder<Db>) {
    query.push(FIRST);
    for (_, column) in COUNTERS {
        query.push(", ").push(column);
    }
}

fn select() -> QueryBuilder<Db> {
    let mut query = QueryBuilder::new("SELECT ");
    push_columns(&mut query);
    query.push(" FROM invocations");
    query
}

/// How its rollout goes, from the columns that follow those of the invocation itself.
fn rollout(row: &Row) -> Result<Option<RolloutRow>, StoreError> {
    let Some(asked) = row.try_get::<Option<String>, _>(13)? else {
        return Ok(None);
    };
    let count = |index: usize| row.try_get::<i64, _>(index).map(|count| u64::try_from(count).unwrap_or(0));
    Ok(Some(RolloutRow {
        asked: json("invocations", &asked)?,
        active: row.try_get::<i32, _>(14)? != 0,
        held: count(15)?,
        released: count(16)?,
        forgiven: count(17)?,
        confirmed: count(18)?,
        lost: count(19)?,
        idle_ms: row.try_get(20)?,
        due_ms: row.try_get(21)?,
        halted: row.try_get(22)?,
    }))
}

pub(super) fn invocation(row: &Row) -> Result<InvocationRow, StoreError> {
    let mut counts = StatusCounts::default();
    for ((status, _), index) in COUNTERS.into_iter().zip(FIRST_COLUMNS..) {
        let count: i64 = row.try_get(index)?;
        counts.add(status, u64::try_from(count).unwrap_or(0));
    }
    let command: Option<String> = row.try_get(11)?;
    let version: Option<i32> = row.try_get(12)?;
    Ok(InvocationRow {
        key: row.try_get(0)?,
        uid: row.try_get(1)?,
        name: row.try_get(2)?,
        kind: row.try_get(3)?,
        summary: row.try_get(4)?,
        principal: row.try_get(5)?,
        created_ms: row.try_get(6)?,
        deadline_ms: row.try_get(7)?,
        finished_ms: row.try_get(8)?,
        order_digest: digest(row.try_get(9)?)?,
        targets: row.try_get(10)?,
        command: command.zip(version),
        rollout: rollout(row)?.map(Box::new),
        series: row.try_get::<Option<String>, _>(23)?.map(|said| json("invocations", &said)).transpose()?.map(Box::new),
        counts,
    })
}

impl Reader {
    pub(in crate::store) async fn invocation(&self, uid: &str) -> Result<Option<InvocationRow>, StoreError> {
        let mut query = select();
        query.push(" WHERE uid = ").push_bind(uid);
        let row = query.build().fetch_optional(&self.pool).await?;
        row.as_ref().map(invocation).transpose()
    }

    /// Newest first, those older than `before`.
    pub(in crate::store) async fn invocations(
        &self,
        before: InvocationKey,
        limit: i64,
    ) -> Result<Vec<InvocationRow>, StoreError> {
        let mut query = select();
        query.push(" WHERE id < ").push_bind(before).push(" ORDER BY id DESC LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(invocation).collect()
    }

    /// Invocations with tasks that wait past their deadline.
    pub(in crate::store) async fn overdue(&self, now_ms: i64, limit: i64) -> Result<Vec<InvocationKey>, StoreError> {
        let rows: Vec<(InvocationKey,)> = sqlx::query_as::<Db, _>(
            "SELECT id FROM invocations WHERE n_pending > 0 AND deadline_ms <= $1 ORDER BY deadline_ms LIMIT $2",
        )
        .bind(now_ms)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(key,)| key).collect())
    }

    /// When the next deadline of a waiting invocation is.
    pub(in crate::store) async fn next_deadline(&self) -> Result<Option<i64>, StoreError> {
        let row: (Option<i64>,) =
            sqlx::query_as::<Db, _>("SELECT MIN(deadline_ms) FROM invocations WHERE n_pending > 0")
                .fetch_one(&self.pool)
                .await?;
        Ok(row.0)
    }
}
