//! Rollouts: releasing what the planner lets start, giving up what no instance accepted, and what a person says.
//!
//! A release is a constant number of statements, whatever its size: tasks go in the order of their keys, so a cursor parts what was
//! released from what is held back. Rows of tasks are written before the invocation's is locked, as everywhere, so that two servers
//! never wait for each other.

use orderly_model::rollout::{Step, Wait};
use orderly_model::task::{ResultCode, TaskStatus};
use sqlx::{QueryBuilder, Row as _};

use super::super::FOR_UPDATE;
use super::record::{COUNTERS, Deltas, count_into};
use super::stop::{EVERY, shift};
use super::task::code;
use super::{Conn, Db, Reader, Row, invocation};
use crate::store::StoreError;
use crate::store::change::Answer;
use crate::store::row::{
    InstanceKey, InvocationKey, InvocationRow, NewRollout, OrderKey, Rolled, Rolling, RolloutRow, Steer, SteerOutcome,
};

/// A rollout with what only this file needs of it.
pub(super) struct Found {
    pub(super) row: InvocationRow,
    pub(super) rollout: RolloutRow,
    /// The last instance that was released.
    pub(super) cursor: InstanceKey,
    order: OrderKey,
}

fn select() -> QueryBuilder<Db> {
    let mut query = QueryBuilder::new("SELECT ");
    invocation::push_columns(&mut query);
    query.push(
        ", roll_cursor, (SELECT o.id FROM orders o WHERE o.invocation_id = t.id AND o.kind = 0) FROM invocations t \
         WHERE roll_active = 1",
    );
    query
}

fn found(row: &Row) -> Result<Option<Found>, StoreError> {
    let after = invocation::FIRST_COLUMNS + COUNTERS.len();
    let (cursor, order) = (row.try_get(after)?, row.try_get(after + 1)?);
    let row = invocation::invocation(row)?;
    let rollout = row.rollout.clone();
    Ok(rollout.map(|rollout| Found { row, rollout: *rollout, cursor, order }))
}

/// The rollout of an invocation, where one is going on; locked against other servers where its row will be written.
pub(super) async fn find(conn: &mut Conn, key: InvocationKey, lock: bool) -> Result<Option<Found>, StoreError> {
    let mut query = select();
    query.push(" AND t.id = ").push_bind(key);
    if lock {
        query.push(FOR_UPDATE);
    }
    let row = query.build().fetch_optional(conn).await?;
    row.as_ref().map(found).transpose().map(Option::flatten)
}

/// Says that an invocation that was just created is a rollout: all its tasks are held back.
pub(super) async fn begin(
    conn: &mut Conn,
    key: InvocationKey,
    order: OrderKey,
    new: &NewRollout,
) -> Result<(), StoreError> {
    let asked = serde_json::to_string(new)
        .map_err(|error| StoreError::Row { table: "invocations", value: error.to_string() })?;
    sqlx::query::<Db>("UPDATE invocations SET rollout = $2, roll_active = 1, roll_held = targets WHERE id = $1")
        .bind(key)
        .bind(asked)
        .execute(&mut *conn)
        .await?;
    sqlx::query::<Db>("UPDATE orders SET rolled = 1 WHERE id = $1").bind(order).execute(conn).await?;
    Ok(())
}

/// Gives up what was not accepted in its time, and releases what may start.
pub(super) async fn roll(conn: &mut Conn, key: InvocationKey, now_ms: i64) -> Result<Answer, StoreError> {
    let Some(before) = find(conn, key, false).await? else {
        return Ok(Answer::Rolled(None));
    };
    let ended = give_up(conn, &before, now_ms).await?;
    let Some(Found { mut row, mut rollout, mut cursor, order }) = find(conn, key, true).await? else {
        return Ok(Answer::Rolled(None));
    };
    rollout.lost = lost(conn, &row, &rollout, now_ms).await?;
    let open = rollout.state(&row.counts, now_ms).open();
    match rollout.idle_ms {
        None if open == 0 && rollout.released > 0 => rollout.idle_ms = Some(now_ms),
        Some(_) if open > 0 => rollout.idle_ms = None,
        _ => {}
    }
    let mut released = Vec::new();
    let step = rollout.step(&row.counts, now_ms);
    if let (Step::Start(count), None) = (step, &rollout.halted)
        && now_ms < row.deadline_ms
    {
        released = release(conn, key, order, cursor, count, now_ms).await?;
        let count_now = released.len() as u64;
        // Fewer than there should be: nothing is left above the cursor.
        rollout.held = if count_now < count { 0 } else { rollout.held.saturating_sub(count_now) };
        rollout.released += count_now;
        rollout.idle_ms = None;
        cursor = released.iter().copied().max().unwrap_or(cursor).max(cursor);
    }
    rollout.active = rollout.held > 0 || row.counts.get(TaskStatus::Pending) > 0;
    rollout.due_ms = due(conn, &row, &rollout, now_ms).await?;
    if let Step::Wait(Wait::Until(until)) = step {
        rollout.due_ms = Some(rollout.due_ms.map_or(until, |due| due.min(until)));
    }
    if !rollout.active {
        forget(conn, key).await?;
    }
    keep(conn, key, &rollout, cursor).await?;
    row.rollout = Some(Box::new(rollout));
    Ok(Answer::Rolled(Some(Box::new(Rolled { invocation: row, order, released, ended }))))
}

/// Ends what was released and not accepted in its time.
async fn give_up(conn: &mut Conn, found: &Found, now_ms: i64) -> Result<Vec<InstanceKey>, StoreError> {
    let key = found.row.key;
    if found.row.counts.get(TaskStatus::Pending) <= found.rollout.held {
        return Ok(Vec::new());
    }
    let late: (Option<InstanceKey>,) = sqlx::query_as::<Db, _>(
        "SELECT MAX(upto) FROM rollout_releases WHERE invocation_id = $1 AND released_ms <= $2",
    )
    .bind(key)
    .bind(now_ms - found.rollout.asked.accept_ms())
    .fetch_one(&mut *conn)
    .await?;
    let Some(upto) = late.0 else {
        return Ok(Vec::new());
    };
    let end = Some((Some(ResultCode::DeliveryTimeout.as_str()), now_ms));
    let ended = shift(conn, key, None, (EVERY.0, upto), (TaskStatus::Pending, TaskStatus::Aborted), end).await?;
    if ended.is_empty() {
        return Ok(ended);
    }
    sqlx::query::<Db>("DELETE FROM deliveries WHERE order_id = $1 AND instance_id <= $2")
        .bind(found.order)
        .bind(upto)
        .execute(&mut *conn)
        .await?;
    let mut deltas = Deltas::default();
    deltas.shift(TaskStatus::Pending, TaskStatus::Aborted, ended.len());
    count_into(conn, key, &deltas, now_ms).await?;
    Ok(ended)
}

/// How many are open for longer than they can, and forgets the releases that are not needed to know it.
async fn lost(conn: &mut Conn, row: &InvocationRow, rollout: &RolloutRow, now_ms: i64) -> Result<u64, StoreError> {
    if row.counts.get(TaskStatus::Running) + row.counts.get(TaskStatus::Stopping) == 0 {
        return Ok(0);
    }
    let past: (Option<InstanceKey>,) = sqlx::query_as::<Db, _>(
        "SELECT MAX(upto) FROM rollout_releases WHERE invocation_id = $1 AND released_ms <= $2",
    )
    .bind(row.key)
    .bind(now_ms - rollout.asked.lost_ms())
    .fetch_one(&mut *conn)
    .await?;
    let Some(upto) = past.0 else {
        return Ok(0);
    };
    sqlx::query::<Db>("DELETE FROM rollout_releases WHERE invocation_id = $1 AND upto < $2")
        .bind(row.key)
        .bind(upto)
        .execute(&mut *conn)
        .await?;
    let count: (i64,) = sqlx::query_as::<Db, _>(
        "SELECT COUNT(*) FROM tasks WHERE invocation_id = $1 AND instance_id <= $2 AND status IN ($3, $4)",
    )
    .bind(row.key)
    .bind(upto)
    .bind(code(TaskStatus::Running))
    .bind(code(TaskStatus::Stopping))
    .fetch_one(conn)
    .await?;
    Ok(u64::try_from(count.0).unwrap_or(0))
}

async fn release(
    conn: &mut Conn,
    key: InvocationKey,
    order: OrderKey,
    cursor: InstanceKey,
    count: u64,
    now_ms: i64,
) -> Result<Vec<InstanceKey>, StoreError> {
    let rows: Vec<(InstanceKey,)> = sqlx::query_as::<Db, _>(
        "INSERT INTO deliveries (instance_id, order_id) SELECT instance_id, $2 FROM tasks \
         WHERE invocation_id = $1 AND instance_id > $3 AND status = 0 ORDER BY instance_id LIMIT $4 \
         RETURNING instance_id",
    )
    .bind(key)
    .bind(order)
    .bind(cursor)
    .bind(i64::try_from(count).unwrap_or(i64::MAX))
    .fetch_all(&mut *conn)
    .await?;
    let released: Vec<InstanceKey> = rows.into_iter().map(|(instance,)| instance).collect();
    if let Some(upto) = released.iter().max() {
        sqlx::query::<Db>("INSERT INTO rollout_releases (invocation_id, upto, released_ms) VALUES ($1, $2, $3)")
            .bind(key)
            .bind(*upto)
            .bind(now_ms)
            .execute(conn)
            .await?;
    }
    Ok(released)
}

/// When something has to be given up, or counts as lost, where nothing is reported before.
async fn due(
    conn: &mut Conn,
    row: &InvocationRow,
    rollout: &RolloutRow,
    now_ms: i64,
) -> Result<Option<i64>, StoreError> {
    if !rollout.active {
        return Ok(None);
    }
    let next = "SELECT MIN(released_ms) FROM rollout_releases WHERE invocation_id = $1 AND released_ms > $2";
    let mut soonest: Option<i64> = None;
    let waits = [(true, rollout.asked.accept_ms()), (rollout.held > 0, rollout.asked.lost_ms())];
    for (_, wait_ms) in waits.into_iter().filter(|(wanted, _)| *wanted) {
        let found: (Option<i64>,) =
            sqlx::query_as::<Db, _>(next).bind(row.key).bind(now_ms - wait_ms).fetch_one(&mut *conn).await?;
        let at = found.0.map(|released| released + wait_ms);
        soonest = [soonest, at].into_iter().flatten().min();
    }
    Ok(soonest)
}

/// Forgets when what was released.
pub(super) async fn forget(conn: &mut Conn, key: InvocationKey) -> Result<(), StoreError> {
    sqlx::query::<Db>("DELETE FROM rollout_releases WHERE invocation_id = $1").bind(key).execute(conn).await?;
    Ok(())
}

/// A count as it is stored.
fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

async fn keep(
    conn: &mut Conn,
    key: InvocationKey,
    rollout: &RolloutRow,
    cursor: InstanceKey,
) -> Result<(), StoreError> {
    sqlx::query::<Db>(
        "UPDATE invocations SET roll_active = $2, roll_held = $3, roll_released = $4, roll_cursor = $5, \
         roll_forgiven = $6, roll_confirmed = $7, roll_lost = $8, roll_idle_ms = $9, roll_due_ms = $10, \
         roll_halted = $11 WHERE id = $1",
    )
    .bind(key)
    .bind(i32::from(rollout.active))
    .bind(stored(rollout.held))
    .bind(stored(rollout.released))
    .bind(cursor)
    .bind(stored(rollout.forgiven))
    .bind(stored(rollout.confirmed))
    .bind(stored(rollout.lost))
    .bind(rollout.idle_ms)
    .bind(rollout.due_ms)
    .bind(&rollout.halted)
    .execute(conn)
    .await?;
    Ok(())
}

/// What of a stop or an end by time concerns tasks that were held back: they leave the rollout, with the reason where it had halted.
pub(super) async fn withdraw(
    conn: &mut Conn,
    found: Found,
    moved: &[InstanceKey],
    now_ms: i64,
) -> Result<(), StoreError> {
    let Found { row, mut rollout, cursor, .. } = found;
    let withdrawn = moved.iter().filter(|instance| **instance > cursor).count() as u64;
    if withdrawn == 0 {
        return Ok(());
    }
    if rollout.is_halted(&row.counts, now_ms) {
        sqlx::query::<Db>(
            "UPDATE tasks SET code = $2 WHERE invocation_id = $1 AND instance_id > $3 AND status = $4 \
             AND finished_ms = $5",
        )
        .bind(row.key)
        .bind(crate::store::fact::ROLLOUT_HALTED)
        .bind(cursor)
        .bind(code(TaskStatus::Cancelled))
        .bind(now_ms)
        .execute(&mut *conn)
        .await?;
    }
    rollout.held = rollout.held.saturating_sub(withdrawn);
    keep(conn, row.key, &rollout, cursor).await
}

/// Does what a person says.
pub(super) async fn steer(
    conn: &mut Conn,
    key: InvocationKey,
    steer: &Steer,
    now_ms: i64,
) -> Result<Answer, StoreError> {
    let Some(Found { mut row, mut rollout, cursor, .. }) = find(conn, key, true).await? else {
        return Ok(Answer::Steered(SteerOutcome::NothingHeld));
    };
    if rollout.held == 0 {
        return Ok(Answer::Steered(SteerOutcome::NothingHeld));
    }
    let step = rollout.step(&row.counts, now_ms);
    let errors = rollout.state(&row.counts, now_ms).errors();
    match steer {
        Steer::Halt(why) => drop(rollout.halted.get_or_insert_with(|| why.clone())),
        Steer::Resume(seen) => {
            let again = *seen > 0 && *seen <= rollout.forgiven;
            if !rollout.is_halted(&row.counts, now_ms) && !again {
                return Ok(Answer::Steered(SteerOutcome::NotHalted));
            }
            rollout.halted = None;
            rollout.forgiven = rollout.forgiven.max(errors.min(*seen));
        }
        Steer::Confirm(wave) => match step {
            Step::Wait(Wait::Confirmation(waits)) if waits == *wave => rollout.confirmed = *wave,
            _ if *wave > 0 && *wave <= rollout.confirmed => {}
            Step::Wait(Wait::Confirmation(waits)) => {
                return Ok(Answer::Steered(SteerOutcome::NotWaiting(Some(waits))));
            }
            _ => return Ok(Answer::Steered(SteerOutcome::NotWaiting(None))),
        },
    }
    keep(conn, key, &rollout, cursor).await?;
    row.rollout = Some(Box::new(rollout));
    Ok(Answer::Steered(SteerOutcome::Done(Box::new(row))))
}

impl Reader {
    /// The rollouts that go on.
    pub(in crate::store) async fn rolling(&self) -> Result<Vec<Rolling>, StoreError> {
        let rows = select().build().fetch_all(&self.pool).await?;
        let found = rows.iter().map(found).collect::<Result<Vec<_>, _>>()?;
        Ok(found.into_iter().flatten().map(|found| Rolling { invocation: found.row, order: found.order }).collect())
    }
}
