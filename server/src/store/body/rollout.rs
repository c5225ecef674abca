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
use super::stop::shift;
use super::task::code;
use super::{Conn, Db, Reader, Row, invocation};
use crate::store::StoreError;
use crate::store::change::Answer;
use crate::store::row::{
    InstanceKey, InvocationKey, InvocationRow, Moment, NewRollout, OrderKey, Rolled, Rolling, RolloutRow, Steer,
    SteerOutcome,
};

/// A rollout with what only this file needs of it.
pub(super) struct Found {
    pub(super) row: InvocationRow,
    pub(super) rollout: RolloutRow,
    /// The last instance that was released.
    pub(super) cursor: InstanceKey,
    reach: Reach,
    order: OrderKey,
}

/// How far up, in the keys of instances, something is known of all that was released.
#[derive(Debug, Clone, Copy)]
struct Reach {
    /// It was waited for as long as it may take.
    waited: InstanceKey,
    /// It is not open.
    floor: InstanceKey,
}

fn select() -> QueryBuilder<Db> {
    let mut query = QueryBuilder::new("SELECT ");
    invocation::push_columns(&mut query);
    query.push(
        ", roll_cursor, roll_waited, roll_floor, (SELECT o.id FROM orders o WHERE o.invocation_id = t.id AND o.kind = 0) FROM invocations t \
         WHERE roll_active = 1",
    );
    query
}

fn found(row: &Row) -> Result<Option<Found>, StoreError> {
    let after = invocation::FIRST_COLUMNS + COUNTERS.len();
    let cursor = row.try_get(after)?;
    let reach = Reach { waited: row.try_get(after + 1)?, floor: row.try_get(after + 2)? };
    let order = row.try_get(after + 3)?;
    let row = invocation::invocation(row)?;
    let rollout = row.rollout.clone();
    Ok(rollout.map(|rollout| Found { row, rollout: *rollout, cursor, reach, order }))
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
pub(super) async fn roll(conn: &mut Conn, key: InvocationKey, at: Moment) -> Result<Answer, StoreError> {
    let now_ms = at.now_ms;
    let Some(before) = find(conn, key, false).await? else {
        return Ok(Answer::Rolled(None));
    };
    let ended = give_up(conn, &before, at).await?;
    let Some(Found { mut row, mut rollout, mut cursor, mut reach, order }) = find(conn, key, true).await? else {
        return Ok(Answer::Rolled(None));
    };
    rollout.lost = lost(conn, &row, &rollout, &mut reach, at).await?;
    let state = rollout.state(&row.counts, now_ms);
    let open = state.open();
    // An error that its instance has taken back is not one to forgive: the next would not count.
    rollout.forgiven = rollout.forgiven.min(state.errors());
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
    rollout.due_ms = due(conn, &row, &rollout, at).await?;
    if let Step::Wait(Wait::Until(until)) = step {
        rollout.due_ms = Some(rollout.due_ms.map_or(until, |due| due.min(until)));
    }
    if !rollout.active {
        forget(conn, key).await?;
    }
    keep(conn, key, &rollout, cursor, reach).await?;
    row.rollout = Some(Box::new(rollout));
    Ok(Answer::Rolled(Some(Box::new(Rolled { invocation: row, order, released, ended }))))
}

/// Ends what was released and not accepted in its time.
async fn give_up(conn: &mut Conn, found: &Found, at: Moment) -> Result<Vec<InstanceKey>, StoreError> {
    let key = found.row.key;
    if found.row.counts.get(TaskStatus::Pending) <= found.rollout.held {
        return Ok(Vec::new());
    }
    let Some(upto) = waited(conn, key, found.rollout.asked.accept_ms(), at).await? else {
        return Ok(Vec::new());
    };
    let end = Some((Some(ResultCode::DeliveryTimeout.as_str()), at.now_ms));
    let ended =
        shift(conn, key, None, (found.reach.floor, upto), (TaskStatus::Pending, TaskStatus::Aborted), end).await?;
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
    count_into(conn, key, &deltas, at.now_ms).await?;
    Ok(ended)
}

/// The last instance whose release has been waited for as long as `wait_ms`.
async fn waited(
    conn: &mut Conn,
    key: InvocationKey,
    wait_ms: i64,
    at: Moment,
) -> Result<Option<InstanceKey>, StoreError> {
    let Some(released_ms) = at.waited(wait_ms) else {
        return Ok(None);
    };
    let found: (Option<InstanceKey>,) = sqlx::query_as::<Db, _>(
        "SELECT MAX(upto) FROM rollout_releases WHERE invocation_id = $1 AND released_ms <= $2",
    )
    .bind(key)
    .bind(released_ms)
    .fetch_one(conn)
    .await?;
    Ok(found.0)
}

/// How many are open for longer than they can, and forgets the releases that are not needed to know it. What was waited for stays so
/// where a server begins to look anew.
async fn lost(
    conn: &mut Conn,
    row: &InvocationRow,
    rollout: &RolloutRow,
    reach: &mut Reach,
    at: Moment,
) -> Result<u64, StoreError> {
    if row.counts.get(TaskStatus::Running) + row.counts.get(TaskStatus::Stopping) == 0 {
        return Ok(0);
    }
    if let Some(upto) = waited(conn, row.key, rollout.asked.lost_ms(), at).await? {
        sqlx::query::<Db>("DELETE FROM rollout_releases WHERE invocation_id = $1 AND upto <= $2")
            .bind(row.key)
            .bind(upto)
            .execute(&mut *conn)
            .await?;
        reach.waited = reach.waited.max(upto);
    }
    if reach.waited <= reach.floor {
        return Ok(0);
    }
    let (count, first): (i64, Option<InstanceKey>) = sqlx::query_as::<Db, _>(
        "SELECT COUNT(*), MIN(instance_id) FROM tasks WHERE invocation_id = $1 AND instance_id > $2 AND instance_id <= $3 \
         AND status IN ($4, $5)",
    )
    .bind(row.key)
    .bind(reach.floor)
    .bind(reach.waited)
    .bind(code(TaskStatus::Running))
    .bind(code(TaskStatus::Stopping))
    .fetch_one(conn)
    .await?;
    // None of them is Pending: what was not accepted was given up before.
    reach.floor = first.map_or(reach.waited, |first| first - 1);
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Notes that a task that had ended is open again, since its instance says so.
pub(super) async fn reopened(conn: &mut Conn, key: InvocationKey, instance: InstanceKey) -> Result<(), StoreError> {
    sqlx::query::<Db>("UPDATE invocations SET roll_floor = $2 WHERE id = $1 AND roll_floor > $2")
        .bind(key)
        .bind(instance - 1)
        .execute(conn)
        .await?;
    Ok(())
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
    at: Moment,
) -> Result<Option<i64>, StoreError> {
    if !rollout.active {
        return Ok(None);
    }
    let next = "SELECT MIN(released_ms) FROM rollout_releases WHERE invocation_id = $1 AND released_ms > $2";
    let mut soonest: Option<i64> = None;
    let waits = [(true, rollout.asked.accept_ms()), (rollout.held > 0, rollout.asked.lost_ms())];
    for (_, wait_ms) in waits.into_iter().filter(|(wanted, _)| *wanted) {
        let waited_ms = at.waited(wait_ms).unwrap_or(i64::MIN);
        let found: (Option<i64>,) =
            sqlx::query_as::<Db, _>(next).bind(row.key).bind(waited_ms).fetch_one(&mut *conn).await?;
        let end = found.0.map(|released| at.end_of(released, wait_ms));
        soonest = [soonest, end].into_iter().flatten().min();
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
    reach: Reach,
) -> Result<(), StoreError> {
    sqlx::query::<Db>(
        "UPDATE invocations SET roll_active = $2, roll_held = $3, roll_released = $4, roll_cursor = $5, \
         roll_forgiven = $6, roll_confirmed = $7, roll_lost = $8, roll_idle_ms = $9, roll_due_ms = $10, \
         roll_halted = $11, roll_waited = $12, roll_floor = $13 WHERE id = $1",
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
    .bind(reach.waited)
    .bind(reach.floor)
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
    let Found { row, mut rollout, cursor, reach, .. } = found;
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
    keep(conn, row.key, &rollout, cursor, reach).await
}

/// Does what a person says.
pub(super) async fn steer(
    conn: &mut Conn,
    key: InvocationKey,
    steer: &Steer,
    now_ms: i64,
) -> Result<Answer, StoreError> {
    let Some(Found { mut row, mut rollout, cursor, reach, .. }) = find(conn, key, true).await? else {
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
    keep(conn, key, &rollout, cursor, reach).await?;
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
