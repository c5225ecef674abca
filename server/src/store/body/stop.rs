//! What ends tasks from this side: stop orders, delivery deadlines, and the pruning of what nobody may accept any more.

use std::collections::BTreeSet;

use orderly_model::task::{ResultCode, TaskStatus};
use orderly_signing::instance::InstanceId;
use sqlx::QueryBuilder;

use super::super::CHUNK;
use super::record::{Deltas, count_into};
use super::task::code;
use super::{Conn, Db};
use crate::store::StoreError;
use crate::store::change::Answer;
use crate::store::fact::ROLLOUT_EXPIRED;
use crate::store::row::{Changed, ChangedTasks, InstanceKey, InvocationKey, NewStop, OrderKey, OrderKind};

/// All keys: above the first, up to the second.
pub(super) const EVERY: (InstanceKey, InstanceKey) = (InstanceKey::MIN, InstanceKey::MAX);

/// Moves tasks of one status to another, all of an invocation or only some instances, with keys above the first bound and up to the
/// second, and says whose.
pub(super) async fn shift(
    conn: &mut Conn,
    invocation: InvocationKey,
    only: Option<&[(InstanceKey, InstanceId)]>,
    keys: (InstanceKey, InstanceKey),
    (from, to): (TaskStatus, TaskStatus),
    end: Option<(Option<&str>, i64)>,
) -> Result<Vec<InstanceKey>, StoreError> {
    let mut moved = Vec::new();
    let lists: Vec<Option<&[(InstanceKey, InstanceId)]>> = match only {
        None => vec![None],
        Some(list) => list.chunks(CHUNK).map(Some).collect(),
    };
    for list in lists {
        let mut query = QueryBuilder::<Db>::new("UPDATE tasks SET status = ");
        query.push_bind(code(to));
        if let Some((result, at_ms)) = end {
            query.push(", code = ").push_bind(result).push(", finished_ms = ").push_bind(at_ms);
        }
        query.push(" WHERE invocation_id = ").push_bind(invocation);
        query.push(" AND status = ").push_bind(code(from));
        if keys != EVERY {
            query.push(" AND instance_id > ").push_bind(keys.0).push(" AND instance_id <= ").push_bind(keys.1);
        }
        if let Some(list) = list {
            query.push(" AND instance_id IN (");
            let mut separated = query.separated(", ");
            for (instance, _) in list {
                separated.push_bind(*instance);
            }
            query.push(")");
        }
        query.push(" RETURNING instance_id");
        let rows: Vec<(InstanceKey,)> = query.build_query_as().persistent(false).fetch_all(&mut *conn).await?;
        moved.extend(rows.into_iter().map(|(instance,)| instance));
    }
    Ok(moved)
}

/// Stores a stop order. What waits is cancelled here and now; should an instance have it already, the stop order reaches it
/// as well, and its own word then overrules ours.
pub(super) async fn stop(conn: &mut Conn, stop: &NewStop) -> Result<Answer, StoreError> {
    let only = stop.targets.as_deref();
    let end = Some((None, stop.now_ms));
    let waiting = shift(conn, stop.invocation, only, EVERY, (TaskStatus::Pending, TaskStatus::Cancelled), end).await?;
    let running = shift(conn, stop.invocation, only, EVERY, (TaskStatus::Running, TaskStatus::Stopping), None).await?;
    let scheduled =
        shift(conn, stop.invocation, only, EVERY, (TaskStatus::Scheduled, TaskStatus::Stopping), None).await?;
    // A series outlives its stop order where its instance is away: asked again, there is a new one.
    let again = if stop.series {
        shift(conn, stop.invocation, only, EVERY, (TaskStatus::Stopping, TaskStatus::Stopping), None).await?
    } else {
        Vec::new()
    };
    // After the tasks, and locked: nothing is released between this and the commit.
    let rolling = super::rollout::find(conn, stop.invocation, true).await?;
    let cursor = rolling.as_ref().map_or(InstanceKey::MAX, |found| found.cursor);
    if let Some(found) = rolling {
        super::rollout::withdraw(conn, found, &waiting, stop.now_ms).await?;
    }
    for chunk in waiting.chunks(CHUNK) {
        let mut query = QueryBuilder::<Db>::new("DELETE FROM deliveries WHERE instance_id IN (");
        let mut list = query.separated(", ");
        for instance in chunk {
            list.push_bind(*instance);
        }
        query.push(") AND order_id IN (SELECT id FROM orders WHERE invocation_id = ").push_bind(stop.invocation);
        query.push(" AND kind = ").push_bind(OrderKind::Run.code()).push(")");
        query.build().persistent(false).execute(&mut *conn).await?;
    }
    let affected: BTreeSet<InstanceKey> =
        waiting.iter().chain(&running).chain(&scheduled).chain(&again).copied().collect();
    let affected: Vec<InstanceKey> = affected.into_iter().collect();
    if affected.is_empty() {
        return Ok(Answer::Changed(Vec::new()));
    }
    let targets = only.map(|list| list.iter().map(|(_, uid)| uid.as_str()).collect::<Vec<_>>().join("\n").into_bytes());
    let (order,): (OrderKey,) = sqlx::query_as::<Db, _>(
        "INSERT INTO orders (digest, invocation_id, kind, expires_ms, envelope, targets) \
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
    )
    .bind(&stop.digest.as_bytes()[..])
    .bind(stop.invocation)
    .bind(OrderKind::Stop.code())
    .bind(stop.expires_ms)
    .bind(&stop.envelope)
    .bind(targets)
    .fetch_one(&mut *conn)
    .await?;
    // What was held back has no order that could be stopped.
    let asked: Vec<InstanceKey> = affected.iter().copied().filter(|instance| *instance <= cursor).collect();
    for chunk in asked.chunks(CHUNK) {
        let mut query = QueryBuilder::<Db>::new("INSERT INTO deliveries (instance_id, order_id) ");
        query.push_values(chunk, |mut row, instance| {
            row.push_bind(*instance).push_bind(order);
        });
        query.push(" ON CONFLICT DO NOTHING");
        query.build().persistent(false).execute(&mut *conn).await?;
    }
    let mut deltas = Deltas::default();
    deltas.shift(TaskStatus::Pending, TaskStatus::Cancelled, waiting.len());
    deltas.shift(TaskStatus::Running, TaskStatus::Stopping, running.len());
    deltas.shift(TaskStatus::Scheduled, TaskStatus::Stopping, scheduled.len());
    let invocation = count_into(conn, stop.invocation, &deltas, stop.now_ms).await?;
    Ok(Answer::Changed(vec![Changed { invocation, tasks: ChangedTasks::Of(affected) }]))
}

/// Ends the tasks of an invocation that no instance accepted in time, and forgets their deliveries. What a rollout still held back
/// is cancelled: no instance was asked.
pub(super) async fn expire(conn: &mut Conn, invocation: InvocationKey, now_ms: i64) -> Result<Answer, StoreError> {
    let end = Some((Some(ResultCode::DeliveryTimeout.as_str()), now_ms));
    let cursor = super::rollout::find(conn, invocation, false).await?.map(|found| found.cursor);
    let released = (EVERY.0, cursor.unwrap_or(EVERY.1));
    let mut ended = shift(conn, invocation, None, released, (TaskStatus::Pending, TaskStatus::Aborted), end).await?;
    let aborted = ended.len();
    if let Some(cursor) = cursor {
        let end = Some((Some(ROLLOUT_EXPIRED), now_ms));
        let above = (cursor, EVERY.1);
        ended.extend(shift(conn, invocation, None, above, (TaskStatus::Pending, TaskStatus::Cancelled), end).await?);
        if let Some(found) = super::rollout::find(conn, invocation, true).await? {
            super::rollout::withdraw(conn, found, &ended, now_ms).await?;
        }
    }
    sqlx::query::<Db>(
        "DELETE FROM deliveries WHERE order_id IN (SELECT id FROM orders WHERE invocation_id = $1 AND kind = $2)",
    )
    .bind(invocation)
    .bind(OrderKind::Run.code())
    .execute(&mut *conn)
    .await?;
    let mut deltas = Deltas::default();
    deltas.shift(TaskStatus::Pending, TaskStatus::Aborted, aborted);
    deltas.shift(TaskStatus::Pending, TaskStatus::Cancelled, ended.len() - aborted);
    let invocation = count_into(conn, invocation, &deltas, now_ms).await?;
    Ok(Answer::Changed(vec![Changed { invocation, tasks: ChangedTasks::Of(ended) }]))
}

/// Forgets the deliveries of orders past their time.
pub(super) async fn prune(conn: &mut Conn, now_ms: i64) -> Result<Answer, StoreError> {
    let done = sqlx::query::<Db>(
        "DELETE FROM deliveries WHERE order_id IN (SELECT DISTINCT d.order_id FROM deliveries d \
         JOIN orders o ON o.id = d.order_id WHERE o.expires_ms <= $1 AND o.kind = $2)",
    )
    .bind(now_ms)
    .bind(OrderKind::Stop.code())
    .execute(conn)
    .await?;
    Ok(Answer::Found(done.rows_affected() > 0))
}
