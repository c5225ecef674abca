//! Recording what instances observed: a constant number of statements for a batch of facts, whatever its size per chunk.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use orderly_model::task::TaskStatus;
use sqlx::{QueryBuilder, Row as _};

use super::super::{CHUNK, FOR_UPDATE};
use super::task::{code, status};
use super::{Conn, Db};
use crate::store::StoreError;
use crate::store::change::Answer;
use crate::store::fact::{Ended, Fact, TaskNow, What};
use crate::store::row::{Changed, InstanceKey, InvocationKey, OrderKey, OrderKind};

/// The statuses with the counter of each, in the order in which they are written.
pub(super) const COUNTERS: [(TaskStatus, &str); 13] = [
    (TaskStatus::Pending, "n_pending"),
    (TaskStatus::Scheduled, "n_scheduled"),
    (TaskStatus::Running, "n_running"),
    (TaskStatus::Stopping, "n_stopping"),
    (TaskStatus::Success, "n_success"),
    (TaskStatus::Failed, "n_failed"),
    (TaskStatus::Error, "n_error"),
    (TaskStatus::Timeout, "n_timeout"),
    (TaskStatus::Invalid, "n_invalid"),
    (TaskStatus::Aborted, "n_aborted"),
    (TaskStatus::Cancelled, "n_cancelled"),
    (TaskStatus::Terminated, "n_terminated"),
    (TaskStatus::Stopped, "n_stopped"),
];

/// How the counters of an invocation change.
#[derive(Debug, Default)]
pub(super) struct Deltas([i64; COUNTERS.len()]);

impl Deltas {
    /// Counts tasks that went from one status to another.
    pub(super) fn shift(&mut self, from: TaskStatus, to: TaskStatus, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        for (delta, (status, _)) in self.0.iter_mut().zip(COUNTERS) {
            if status == from {
                *delta -= count;
            }
            if status == to {
                *delta += count;
            }
        }
    }
}

/// Adds the deltas to an invocation's counters, notes when the last task ended, and answers its public id.
pub(super) async fn count_into(
    conn: &mut Conn,
    invocation: InvocationKey,
    deltas: &Deltas,
    now_ms: i64,
) -> Result<String, StoreError> {
    let mut query = QueryBuilder::<Db>::new("UPDATE invocations SET ");
    let mut list = query.separated(", ");
    for (delta, (_, column)) in deltas.0.iter().zip(COUNTERS) {
        list.push(column).push_unseparated(" = ").push_unseparated(column).push_unseparated(" + ");
        list.push_bind_unseparated(*delta);
    }
    query.push(" WHERE id = ").push_bind(invocation);
    query.push(" RETURNING uid, n_pending + n_scheduled + n_running + n_stopping, finished_ms");
    let (uid, open, finished): (String, i64, Option<i64>) = query.build_query_as().fetch_one(&mut *conn).await?;
    if (open == 0) != finished.is_some() {
        sqlx::query::<Db>("UPDATE invocations SET finished_ms = $1 WHERE id = $2")
            .bind((open == 0).then_some(now_ms))
            .bind(invocation)
            .execute(conn)
            .await?;
    }
    Ok(uid)
}

type TaskKey = (InvocationKey, InstanceKey);

/// A task that facts are about.
struct Touched<'a> {
    before: TaskStatus,
    now: TaskNow,
    changed: bool,
    ended: Option<&'a Ended>,
}

pub(super) async fn record(conn: &mut Conn, facts: &[Fact]) -> Result<Answer, StoreError> {
    let orders = orders(conn, facts).await?;
    let mut about: Vec<(TaskKey, &What)> = Vec::new();
    // Deliveries that are done with: a run order that was answered, and every stop order of a task that ended or is ending.
    let (mut answered, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for fact in facts {
        let Some((order, invocation, kind)) = orders.get(&fact.order.as_bytes()[..]).copied() else {
            continue;
        };
        answered.insert((fact.instance, order));
        if kind == OrderKind::Run {
            about.push(((invocation, fact.instance), &fact.what));
            if !matches!(fact.what, What::Accepted) {
                ended.insert((fact.instance, invocation));
            }
        }
    }
    let mut touched = tasks(conn, about.iter().map(|(key, _)| *key).collect()).await?;
    for (key, what) in about {
        let Some(task) = touched.get_mut(&key) else {
            continue;
        };
        if let Some(after) = task.now.after(what) {
            task.now = after;
            task.changed = true;
            if let What::Ended(end) = what {
                task.ended = Some(end);
            }
        }
    }
    touched.retain(|_, task| task.changed);
    update(conn, &touched).await?;
    add_results(conn, &touched).await?;
    remove_deliveries(conn, &answered, &ended).await?;
    count(conn, &touched).await.map(Answer::Changed)
}

async fn orders(
    conn: &mut Conn,
    facts: &[Fact],
) -> Result<HashMap<Vec<u8>, (OrderKey, InvocationKey, OrderKind)>, StoreError> {
    let digests: BTreeSet<&[u8]> = facts.iter().map(|fact| &fact.order.as_bytes()[..]).collect();
    let digests: Vec<&[u8]> = digests.into_iter().collect();
    let mut found = HashMap::new();
    for chunk in digests.chunks(CHUNK) {
        let mut query = QueryBuilder::<Db>::new("SELECT digest, id, invocation_id, kind FROM orders WHERE digest IN (");
        let mut list = query.separated(", ");
        for digest in chunk {
            list.push_bind(*digest);
        }
        query.push(")");
        for row in query.build().persistent(chunk.len() == 1).fetch_all(&mut *conn).await? {
            found.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?, OrderKind::from_code(row.try_get(3)?)));
        }
    }
    Ok(found)
}

/// The rows of tasks by key, in the order of the keys so that two servers never wait for each other.
async fn tasks<'a>(conn: &mut Conn, keys: BTreeSet<TaskKey>) -> Result<BTreeMap<TaskKey, Touched<'a>>, StoreError> {
    let keys: Vec<TaskKey> = keys.into_iter().collect();
    let mut found = BTreeMap::new();
    for chunk in keys.chunks(CHUNK) {
        let mut query = QueryBuilder::<Db>::new("WITH r(inv, inst) AS (");
        push_pairs(&mut query, chunk);
        query.push(
            ") SELECT t.invocation_id, t.instance_id, t.status, t.proven, t.exit_code, t.code, t.started_ms, \
             t.finished_ms, t.output_bytes, t.dropped_bytes FROM r \
             JOIN tasks t ON t.invocation_id = r.inv AND t.instance_id = r.inst ORDER BY t.invocation_id, t.instance_id",
        );
        query.push(FOR_UPDATE);
        for row in query.build().persistent(chunk.len() == CHUNK || chunk.len() == 1).fetch_all(&mut *conn).await? {
            let now = TaskNow {
                status: status(row.try_get(2)?)?,
                proven: row.try_get::<i32, _>(3)? != 0,
                exit_code: row.try_get(4)?,
                code: row.try_get(5)?,
                started_ms: row.try_get(6)?,
                finished_ms: row.try_get(7)?,
                output_bytes: row.try_get(8)?,
                dropped_bytes: row.try_get(9)?,
            };
            let key = (row.try_get(0)?, row.try_get(1)?);
            found.insert(key, Touched { before: now.status, now, changed: false, ended: None });
        }
    }
    Ok(found)
}

fn push_pairs(query: &mut QueryBuilder<Db>, pairs: &[(i64, i64)]) {
    query.push_values(pairs, |mut row, (first, second)| {
        row.push_bind(*first).push_bind(*second);
    });
}

async fn update(conn: &mut Conn, touched: &BTreeMap<TaskKey, Touched<'_>>) -> Result<(), StoreError> {
    let rows: Vec<_> = touched.iter().collect();
    for chunk in rows.chunks(CHUNK) {
        // Both key columns are in the list: with one of them constant PostgreSQL reads the whole invocation.
        let mut query = QueryBuilder::<Db>::new("WITH r(inv, inst, st, pr, ex, co, sta, fin, ob, db) AS (");
        query.push_values(chunk, |mut row, ((invocation, instance), task)| {
            row.push_bind(*invocation)
                .push_bind(*instance)
                .push_bind(code(task.now.status))
                .push_bind(i32::from(task.now.proven))
                .push_bind(task.now.exit_code)
                .push_bind(task.now.code.as_deref())
                .push_bind(task.now.started_ms)
                .push_bind(task.now.finished_ms)
                .push_bind(task.now.output_bytes)
                .push_bind(task.now.dropped_bytes);
        });
        query.push(
            ") UPDATE tasks SET status = r.st, proven = r.pr, exit_code = r.ex, code = r.co, started_ms = r.sta, \
             finished_ms = r.fin, output_bytes = r.ob, dropped_bytes = r.db FROM r \
             WHERE tasks.invocation_id = r.inv AND tasks.instance_id = r.inst",
        );
        query.build().persistent(chunk.len() == CHUNK || chunk.len() == 1).execute(&mut *conn).await?;
    }
    Ok(())
}

async fn add_results(conn: &mut Conn, touched: &BTreeMap<TaskKey, Touched<'_>>) -> Result<(), StoreError> {
    let rows: Vec<_> = touched.iter().filter_map(|(key, task)| task.ended.map(|ended| (key, ended))).collect();
    for chunk in rows.chunks(CHUNK) {
        let mut query = QueryBuilder::<Db>::new(
            "INSERT INTO results (invocation_id, instance_id, reason, check_code, receipt, output, report) ",
        );
        query.push_values(chunk, |mut row, ((invocation, instance), ended)| {
            row.push_bind(*invocation)
                .push_bind(*instance)
                .push_bind(ended.reason.as_deref())
                .push_bind(ended.check.as_deref())
                .push_bind(&ended.receipt[..])
                .push_bind(&ended.output[..])
                .push_bind(ended.report.as_deref());
        });
        query.push(" ON CONFLICT DO NOTHING");
        query.build().persistent(chunk.len() == CHUNK || chunk.len() == 1).execute(&mut *conn).await?;
    }
    Ok(())
}

async fn remove_deliveries(
    conn: &mut Conn,
    answered: &BTreeSet<(InstanceKey, OrderKey)>,
    ended: &BTreeSet<(InstanceKey, InvocationKey)>,
) -> Result<(), StoreError> {
    let answered: Vec<_> = answered.iter().copied().collect();
    for chunk in answered.chunks(CHUNK) {
        let mut query = QueryBuilder::<Db>::new("DELETE FROM deliveries WHERE (instance_id, order_id) IN (");
        push_pairs(&mut query, chunk);
        query.push(")");
        query.build().persistent(chunk.len() == CHUNK || chunk.len() == 1).execute(&mut *conn).await?;
    }
    let ended: Vec<_> = ended.iter().copied().collect();
    for chunk in ended.chunks(CHUNK) {
        let mut query = QueryBuilder::<Db>::new("WITH r(inst, inv) AS (");
        push_pairs(&mut query, chunk);
        query.push(
            ") DELETE FROM deliveries WHERE (instance_id, order_id) IN \
             (SELECT r.inst, o.id FROM r JOIN orders o ON o.invocation_id = r.inv)",
        );
        query.build().persistent(chunk.len() == CHUNK || chunk.len() == 1).execute(&mut *conn).await?;
    }
    Ok(())
}

async fn count(conn: &mut Conn, touched: &BTreeMap<TaskKey, Touched<'_>>) -> Result<Vec<Changed>, StoreError> {
    let mut invocations: BTreeMap<InvocationKey, (Deltas, Vec<InstanceKey>, i64)> = BTreeMap::new();
    for ((invocation, instance), task) in touched {
        let (deltas, instances, last_ms) = invocations.entry(*invocation).or_default();
        deltas.shift(task.before, task.now.status, 1);
        instances.push(*instance);
        *last_ms = task.now.finished_ms.unwrap_or(0).max(*last_ms);
    }
    let mut changed = Vec::with_capacity(invocations.len());
    for (invocation, (deltas, instances, last_ms)) in invocations {
        let uid = count_into(conn, invocation, &deltas, last_ms).await?;
        changed.push(Changed { invocation, uid, instances });
    }
    Ok(changed)
}
