//! Recording what instances observed: a constant number of statements for a batch of facts, whatever its size per chunk.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use orderly_model::task::TaskStatus;
use orderly_signing::instance::InstanceId;
use sqlx::{QueryBuilder, Row as _};
use tracing::warn;

use super::super::{CHUNK, FOR_UPDATE};
use super::series::Kept;
use super::task::{code, status};
use super::{Conn, Db, digest_or_none, invocation, parsed, rollout};
use crate::store::StoreError;
use crate::store::change::Answer;
use crate::store::fact::series::SeriesFact;
use crate::store::fact::{Ended, Fact, TaskNow, What};
use crate::store::row::{
    Changed, ChangedTasks, InstanceKey, InvocationKey, InvocationRow, OrderKey, OrderKind, TaskRow,
};

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

    /// How many more tasks are open.
    fn open(&self) -> i64 {
        self.0.iter().zip(COUNTERS).filter(|(_, (status, _))| !status.is_final()).map(|(delta, _)| delta).sum()
    }
}

/// Adds the deltas to an invocation's counters, notes when the last task ended, and answers the row as it is then.
pub(super) async fn count_into(
    conn: &mut Conn,
    invocation: InvocationKey,
    deltas: &Deltas,
    now_ms: i64,
) -> Result<InvocationRow, StoreError> {
    let mut query = QueryBuilder::<Db>::new("UPDATE invocations SET ");
    let mut list = query.separated(", ");
    for (delta, (_, column)) in deltas.0.iter().zip(COUNTERS) {
        list.push(column).push_unseparated(" = ").push_unseparated(column).push_unseparated(" + ");
        list.push_bind_unseparated(*delta);
    }
    // On the right side columns have their values from before.
    query.push(", finished_ms = CASE WHEN ");
    for (_, column) in COUNTERS.iter().filter(|(status, _)| !status.is_final()) {
        query.push(column).push(" + ");
    }
    query.push_bind(deltas.open()).push(" > 0 THEN NULL ELSE COALESCE(finished_ms, ").push_bind(now_ms);
    query.push(") END WHERE id = ").push_bind(invocation).push(" RETURNING ");
    invocation::push_columns(&mut query);
    invocation::invocation(&query.build().fetch_one(conn).await?)
}

pub(super) type TaskKey = (InvocationKey, InstanceKey);

/// A task that facts are about.
#[derive(Debug)]
pub(super) struct Touched<'a> {
    pub(super) instance_uid: InstanceId,
    instance_name: String,
    pub(super) generation: i32,
    before: TaskStatus,
    /// When the last word of it that can end it was heard, by the server's clock.
    heard_ms: i64,
    pub(super) now: TaskNow,
    pub(super) changed: bool,
    pub(super) ended: Option<&'a Ended>,
}

impl Touched<'_> {
    /// Whether the series that it is was taken by its instance. Its runs count from 1, and it begins with 0.
    pub(super) fn taken(&self) -> bool {
        let open = matches!(self.now.status, TaskStatus::Scheduled | TaskStatus::Running | TaskStatus::Stopping);
        open || self.generation > 0
    }
}

pub(super) async fn record(conn: &mut Conn, facts: &[Fact]) -> Result<Answer, StoreError> {
    let orders = orders(conn, facts).await?;
    let mut about: Vec<(TaskKey, &Known, &What)> = Vec::new();
    // Deliveries that are done with: a run order that was answered, and every stop order of a task that ended or is ending.
    let (mut answered, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for fact in facts {
        let Some(known) = orders.get(&fact.order.as_bytes()[..]) else {
            continue;
        };
        let (order, invocation, kind) = (known.order, known.invocation, known.kind);
        if known.released.is_some_and(|last| fact.instance > last) {
            // It cannot have the order from here. Its word would count tasks as begun that the rollout still holds back.
            warn!(
                instance.key = fact.instance,
                invocation.id = known.uid,
                "a report of a task that a rollout holds back was refused"
            );
            continue;
        }
        let of_series = matches!(fact.what, What::Series(_));
        if of_series && !known.series {
            warn!(instance.key = fact.instance, invocation.id = known.uid, "a report of a series about what is none");
            continue;
        }
        if kind == OrderKind::Run {
            about.push(((invocation, fact.instance), known, &fact.what));
        }
        // What ends a task answers all its orders, its own among them; a stop of a series waits for the end of the series.
        let over = matches!(fact.what, What::Series(SeriesFact::Over { .. }));
        let of_series = of_series || (known.series && matches!(fact.what, What::Unproven { .. }));
        if kind == OrderKind::Run && !matches!(fact.what, What::Accepted) && (over || !of_series) {
            ended.insert((fact.instance, invocation));
        } else {
            answered.insert((fact.instance, order));
        }
    }
    let mut touched = tasks(conn, about.iter().map(|(key, ..)| *key).collect()).await?;
    let mut kept = Kept::read(conn, &about, &touched).await?;
    for (key, known, what) in about {
        let Some(task) = touched.get_mut(&key) else {
            continue;
        };
        task.heard_ms = task.heard_ms.max(what.received_ms().unwrap_or(0));
        if known.series {
            kept.apply(key, task, known, what);
            continue;
        }
        let (after, ended) = match what {
            What::Ended(end) if !end.is_of(&known.uid, task.generation) => {
                warn!(instance.id = %task.instance_uid, invocation.id = known.uid, "a receipt was refused: it is of another run");
                let unproven = What::Unproven { generation: task.generation, at_ms: end.received_ms };
                (task.now.after(&unproven), None)
            }
            What::Ended(end) => (task.now.after(what), Some(&**end)),
            _ => (task.now.after(what), None),
        };
        if let Some(after) = after {
            task.now = after;
            task.changed = true;
            task.ended = ended;
        }
    }
    touched.retain(|_, task| task.changed);
    update(conn, &touched).await?;
    add_results(conn, &touched).await?;
    kept.write(conn).await?;
    remove_deliveries(conn, &answered, &ended).await?;
    count(conn, touched).await.map(Answer::Changed)
}

/// An order that facts are about.
#[derive(Debug)]
pub(super) struct Known {
    order: OrderKey,
    invocation: InvocationKey,
    kind: OrderKind,
    /// The public id of the invocation.
    pub(super) uid: String,
    /// Whether it is a series.
    pub(super) series: bool,
    /// When it was made.
    pub(super) created_ms: i64,
    /// The last instance that it was released to, while it is of a rollout that goes on.
    released: Option<InstanceKey>,
}

async fn orders(conn: &mut Conn, facts: &[Fact]) -> Result<HashMap<Vec<u8>, Known>, StoreError> {
    let digests: BTreeSet<&[u8]> = facts.iter().map(|fact| &fact.order.as_bytes()[..]).collect();
    let digests: Vec<&[u8]> = digests.into_iter().collect();
    let mut found = HashMap::new();
    for chunk in digests.chunks(CHUNK) {
        let mut query = QueryBuilder::<Db>::new(
            "SELECT o.digest, o.id, o.invocation_id, o.kind, v.uid, \
             CASE WHEN v.series IS NULL THEN 0 ELSE 1 END, v.created_ms, \
             CASE WHEN o.rolled = 1 AND v.roll_active = 1 THEN v.roll_cursor END FROM orders o \
             JOIN invocations v ON v.id = o.invocation_id WHERE o.digest IN (",
        );
        let mut list = query.separated(", ");
        for digest in chunk {
            list.push_bind(*digest);
        }
        query.push(")");
        for row in query.build().persistent(chunk.len() == 1).fetch_all(&mut *conn).await? {
            let known = Known {
                order: row.try_get(1)?,
                invocation: row.try_get(2)?,
                kind: OrderKind::from_code(row.try_get(3)?),
                uid: row.try_get(4)?,
                series: row.try_get::<i32, _>(5)? != 0,
                created_ms: row.try_get(6)?,
                released: row.try_get(7)?,
            };
            found.insert(row.try_get(0)?, known);
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
             t.finished_ms, t.output_bytes, t.dropped_bytes, t.generation, i.uid, i.name, t.output_digest FROM r \
             JOIN tasks t ON t.invocation_id = r.inv AND t.instance_id = r.inst \
             JOIN instances i ON i.id = r.inst ORDER BY t.invocation_id, t.instance_id",
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
                output_digest: digest_or_none(row.try_get(13)?)?,
            };
            let key = (row.try_get(0)?, row.try_get(1)?);
            let touched = Touched {
                instance_uid: parsed("instances", row.try_get(11)?)?,
                instance_name: row.try_get(12)?,
                generation: row.try_get(10)?,
                before: now.status,
                heard_ms: 0,
                now,
                changed: false,
                ended: None,
            };
            found.insert(key, touched);
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
        let mut query = QueryBuilder::<Db>::new("WITH r(inv, inst, st, pr, ex, co, sta, fin, ob, db, od, ge) AS (");
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
                .push_bind(task.now.dropped_bytes)
                .push_bind(task.now.output_digest.as_ref().map(|digest| &digest.as_bytes()[..]))
                .push_bind(task.generation);
        });
        query.push(
            ") UPDATE tasks SET status = r.st, proven = r.pr, exit_code = r.ex, code = r.co, started_ms = r.sta, \
             finished_ms = r.fin, output_bytes = r.ob, dropped_bytes = r.db, output_digest = r.od, generation = r.ge FROM r \
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

async fn count(conn: &mut Conn, touched: BTreeMap<TaskKey, Touched<'_>>) -> Result<Vec<Changed>, StoreError> {
    let mut invocations: BTreeMap<InvocationKey, (Deltas, Vec<TaskRow>, i64)> = BTreeMap::new();
    let mut reopened: BTreeMap<InvocationKey, InstanceKey> = BTreeMap::new();
    for ((invocation, instance), task) in touched {
        let (deltas, rows, last_ms) = invocations.entry(invocation).or_default();
        deltas.shift(task.before, task.now.status, 1);
        if task.before.is_final() && !task.now.status.is_final() {
            // Tasks come in the order of their keys: the first is the lowest.
            reopened.entry(invocation).or_insert(instance);
        }
        // Not what the instance says of the time: how long evidence is kept is counted from it.
        *last_ms = task.heard_ms.max(*last_ms);
        rows.push(row(instance, task));
    }
    let mut changed = Vec::with_capacity(invocations.len());
    for (invocation, (deltas, rows, last_ms)) in invocations {
        if let Some(instance) = reopened.get(&invocation) {
            rollout::reopened(conn, invocation, *instance).await?;
        }
        let invocation = count_into(conn, invocation, &deltas, last_ms).await?;
        changed.push(Changed { invocation, tasks: ChangedTasks::Rows(rows) });
    }
    Ok(changed)
}

/// A task that changed, as it is now. Whatever has a result never changes again, so only this change can have brought one.
fn row(instance: InstanceKey, task: Touched<'_>) -> TaskRow {
    TaskRow {
        instance,
        instance_uid: task.instance_uid,
        instance_name: task.instance_name,
        status: task.now.status,
        generation: task.generation,
        exit_code: task.now.exit_code,
        code: task.now.code,
        reason: task.ended.and_then(|ended| ended.reason.clone()),
        check: task.ended.and_then(|ended| ended.check.clone()),
        started_ms: task.now.started_ms,
        finished_ms: task.now.finished_ms,
        output_bytes: task.now.output_bytes,
        dropped_bytes: task.now.dropped_bytes,
        output_digest: task.now.output_digest,
    }
}
