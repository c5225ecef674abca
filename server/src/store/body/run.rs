//! Reading the runs of series, and what was left out of them.

use sqlx::{QueryBuilder, Row as _};

use super::{Db, Reader, Row, parsed, task};
use crate::store::StoreError;
use crate::store::row::{InstanceKey, InvocationKey, ResultRow, RunRow, Skip, SkipRow};

/// The columns of tasks, and behind them what only runs have.
const RUN: &str = "SELECT u.instance_id, i.uid, i.name, u.status, u.generation, u.exit_code, u.code, u.reason, u.check_code, \
     u.started_ms, u.finished_ms, u.output_bytes, u.dropped_bytes, u.output_digest, u.id, u.due_ms, u.late";

fn run(row: &Row) -> Result<RunRow, StoreError> {
    let after = task::COLUMNS;
    Ok(RunRow {
        task: task::task(row)?,
        key: row.try_get(after)?,
        due_ms: row.try_get(after + 1)?,
        late: row.try_get(after + 2)?,
    })
}

impl Reader {
    /// A page of runs, the newest first: of an invocation by key, of one instance by number.
    pub(in crate::store) async fn runs(
        &self,
        invocation: InvocationKey,
        instance: Option<InstanceKey>,
        before: i64,
        limit: i64,
    ) -> Result<Vec<RunRow>, StoreError> {
        let mut query = QueryBuilder::<Db>::new(RUN);
        query.push(" FROM runs u JOIN instances i ON i.id = u.instance_id WHERE u.invocation_id = ");
        query.push_bind(invocation);
        let column = if let Some(instance) = instance {
            query.push(" AND u.instance_id = ").push_bind(instance);
            "u.generation"
        } else {
            "u.id"
        };
        query.push(" AND ").push(column).push(" < ").push_bind(before);
        query.push(" ORDER BY ").push(column).push(" DESC LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(run).collect()
    }

    /// One run, with what is long about it where it has ended with a receipt.
    pub(in crate::store) async fn run(
        &self,
        invocation: InvocationKey,
        instance: InstanceKey,
        generation: i32,
    ) -> Result<Option<(RunRow, Option<ResultRow>)>, StoreError> {
        let mut query = QueryBuilder::<Db>::new(RUN);
        query.push(", u.receipt, u.output, u.report FROM runs u JOIN instances i ON i.id = u.instance_id");
        query.push(" WHERE u.invocation_id = ").push_bind(invocation);
        query.push(" AND u.instance_id = ").push_bind(instance).push(" AND u.generation = ").push_bind(generation);
        let Some(row) = query.build().fetch_optional(&self.pool).await? else { return Ok(None) };
        let after = task::COLUMNS + 3;
        let (receipt, output): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.try_get(after)?, row.try_get(after + 1)?);
        let report = row.try_get(after + 2)?;
        let result = receipt.zip(output).map(|(receipt, output)| ResultRow { receipt, output, report });
        Ok(Some((run(&row)?, result)))
    }

    /// What was left out of a series, of the instances above `after`: all reasons of an instance are on one page.
    pub(in crate::store) async fn skips(
        &self,
        invocation: InvocationKey,
        after: InstanceKey,
        limit: i64,
    ) -> Result<Vec<SkipRow>, StoreError> {
        let rows = sqlx::query::<Db>(
            "SELECT s.instance_id, i.uid, i.name, s.reason, s.first_ms, s.last_ms, s.skipped, s.counted_all, s.told_ms \
             FROM skips s JOIN instances i ON i.id = s.instance_id WHERE s.invocation_id = $1 AND s.instance_id IN \
             (SELECT DISTINCT instance_id FROM skips WHERE invocation_id = $1 AND instance_id > $2 \
             ORDER BY instance_id LIMIT $3) ORDER BY s.instance_id, s.reason",
        )
        .bind(invocation)
        .bind(after)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(SkipRow {
                    instance: row.try_get(0)?,
                    instance_uid: parsed("instances", row.try_get(1)?)?,
                    instance_name: row.try_get(2)?,
                    skip: Skip {
                        reason: row.try_get(3)?,
                        first_ms: row.try_get(4)?,
                        last_ms: row.try_get(5)?,
                        count: row.try_get(6)?,
                        exact: row.try_get::<i32, _>(7)? != 0,
                        told_ms: row.try_get(8)?,
                    },
                })
            })
            .collect()
    }
}
