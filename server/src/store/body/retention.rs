//! What is kept no longer: an invocation goes at once with its orders, its tasks and results after it in pieces.

use sqlx::{QueryBuilder, Row as _};

use super::{Conn, Db, Reader, rollout};
use crate::store::StoreError;
use crate::store::change::Answer;
use crate::store::row::{AgedRow, InvocationKey, KeptRow, PrunedRow};

/// How long after its end an invocation is kept some of whose ends no receipt proves: their instances may still tell, as long as a
/// stop that nobody acknowledges is remembered too.
const UNPROVEN_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// What keeps an invocation `v` at a time: a file that it collected, an order that an instance may still get, an instance that may
/// still tell. The newest invocation and that of the newest order stay too: a database without their rows would give their keys away
/// again, and whatever goes on from a key (the dispatcher, links, the cache of offers) would take new work for work that was done.
fn push_kept(query: &mut QueryBuilder<Db>, now_ms: i64) {
    query.push(
        "(v.id = (SELECT MAX(id) FROM invocations) \
         OR EXISTS (SELECT 1 FROM orders o WHERE o.invocation_id = v.id AND o.id = (SELECT MAX(id) FROM orders)) \
         OR EXISTS (SELECT 1 FROM files f WHERE f.invocation_id = v.id) \
         OR EXISTS (SELECT 1 FROM orders o WHERE o.invocation_id = v.id AND o.expires_ms > ",
    );
    query.push_bind(now_ms).push(") OR (v.finished_ms > ").push_bind(now_ms.saturating_sub(UNPROVEN_MS));
    query.push(" AND EXISTS (SELECT 1 FROM tasks k WHERE k.invocation_id = v.id AND k.proven = 0)))");
}

/// Removes those invocations that have ended and that nothing refers to, and writes down that they were there.
pub(super) async fn retire(conn: &mut Conn, invocations: &[InvocationKey], now_ms: i64) -> Result<Answer, StoreError> {
    let mut retired = 0;
    for invocation in invocations {
        let mut query = QueryBuilder::<Db>::new(
            "INSERT INTO pruned_invocations (uid, invocation_id, finished_ms, pruned_ms) \
             SELECT v.uid, v.id, v.finished_ms, ",
        );
        query.push_bind(now_ms).push(" FROM invocations v WHERE v.id = ").push_bind(*invocation);
        query.push(" AND v.finished_ms IS NOT NULL AND NOT ");
        push_kept(&mut query, now_ms);
        if query.build().execute(&mut *conn).await?.rows_affected() == 0 {
            continue;
        }
        for statement in [
            "DELETE FROM deliveries WHERE order_id IN (SELECT id FROM orders WHERE invocation_id = $1)",
            "DELETE FROM orders WHERE invocation_id = $1",
            "DELETE FROM blob_uses WHERE invocation_id = $1",
            "DELETE FROM invocations WHERE id = $1",
        ] {
            sqlx::query::<Db>(statement).bind(*invocation).execute(&mut *conn).await?;
        }
        rollout::forget(&mut *conn, *invocation).await?;
        retired += 1;
    }
    Ok(Answer::Counted(retired))
}

/// Removes at most `most` tasks of a removed invocation with their results; notes when none is left.
pub(super) async fn erase(conn: &mut Conn, invocation: InvocationKey, most: i64) -> Result<Answer, StoreError> {
    let (last,): (Option<i64>,) = sqlx::query_as::<Db, _>(
        "SELECT MAX(instance_id) FROM \
         (SELECT instance_id FROM tasks WHERE invocation_id = $1 ORDER BY instance_id LIMIT $2) AS part",
    )
    .bind(invocation)
    .bind(most)
    .fetch_one(&mut *conn)
    .await?;
    let Some(last) = last else {
        sqlx::query::<Db>("UPDATE pruned_invocations SET erased = 1 WHERE invocation_id = $1")
            .bind(invocation)
            .execute(conn)
            .await?;
        return Ok(Answer::Counted(0));
    };
    sqlx::query::<Db>("DELETE FROM results WHERE invocation_id = $1 AND instance_id <= $2")
        .bind(invocation)
        .bind(last)
        .execute(&mut *conn)
        .await?;
    for statement in [
        "DELETE FROM runs WHERE invocation_id = $1 AND instance_id <= $2",
        "DELETE FROM skips WHERE invocation_id = $1 AND instance_id <= $2",
    ] {
        sqlx::query::<Db>(statement).bind(invocation).bind(last).execute(&mut *conn).await?;
    }
    let done = sqlx::query::<Db>("DELETE FROM tasks WHERE invocation_id = $1 AND instance_id <= $2")
        .bind(invocation)
        .bind(last)
        .execute(conn)
        .await?;
    Ok(Answer::Counted(done.rows_affected()))
}

/// Whether an invocation of this id was removed.
pub(super) async fn is_pruned(conn: &mut Conn, uid: &str) -> Result<bool, StoreError> {
    let found: Option<(i64,)> = sqlx::query_as::<Db, _>("SELECT invocation_id FROM pruned_invocations WHERE uid = $1")
        .bind(uid)
        .fetch_optional(conn)
        .await?;
    Ok(found.is_some())
}

impl Reader {
    /// A page of invocations by key, the oldest first.
    pub(in crate::store) async fn aged(
        &self,
        after: InvocationKey,
        now_ms: i64,
        limit: i64,
    ) -> Result<Vec<AgedRow>, StoreError> {
        let mut query = QueryBuilder::<Db>::new("SELECT v.id, v.created_ms, v.finished_ms, CASE WHEN ");
        push_kept(&mut query, now_ms);
        query.push(" THEN 1 ELSE 0 END FROM invocations v WHERE v.id > ");
        query.push_bind(after).push(" ORDER BY v.id LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(AgedRow {
                    key: row.try_get(0)?,
                    created_ms: row.try_get(1)?,
                    finished_ms: row.try_get(2)?,
                    referred: row.try_get::<i32, _>(3)? != 0,
                })
            })
            .collect()
    }

    /// The key of the invocation before which `newest` others were made.
    pub(in crate::store) async fn nth_newest(&self, newest: i64) -> Result<Option<InvocationKey>, StoreError> {
        let row: Option<(InvocationKey,)> =
            sqlx::query_as::<Db, _>("SELECT id FROM invocations ORDER BY id DESC LIMIT 1 OFFSET $1")
                .bind(newest)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(key,)| key))
    }

    /// Removed invocations of which there are tasks left.
    pub(in crate::store) async fn erasing(&self, limit: i64) -> Result<Vec<InvocationKey>, StoreError> {
        let rows: Vec<(InvocationKey,)> = sqlx::query_as::<Db, _>(
            "SELECT invocation_id FROM pruned_invocations WHERE erased = 0 ORDER BY invocation_id LIMIT $1",
        )
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(key,)| key).collect())
    }

    pub(in crate::store) async fn pruned(&self, uid: &str) -> Result<Option<PrunedRow>, StoreError> {
        let row: Option<(i64, i64)> =
            sqlx::query_as::<Db, _>("SELECT finished_ms, pruned_ms FROM pruned_invocations WHERE uid = $1")
                .bind(uid)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|(finished_ms, pruned_ms)| PrunedRow { finished_ms, pruned_ms }))
    }

    pub(in crate::store) async fn kept(&self) -> Result<KeptRow, StoreError> {
        let (invocations, oldest_ms): (i64, Option<i64>) =
            sqlx::query_as::<Db, _>("SELECT COUNT(*), MIN(created_ms) FROM invocations").fetch_one(&self.pool).await?;
        let (pruned, pruned_ms): (i64, Option<i64>) =
            sqlx::query_as::<Db, _>("SELECT COUNT(*), MAX(pruned_ms) FROM pruned_invocations")
                .fetch_one(&self.pool)
                .await?;
        Ok(KeptRow { invocations, oldest_ms, pruned, pruned_ms })
    }
}
