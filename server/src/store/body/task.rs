//! Reading tasks and their results.

use std::ops::RangeInclusive;

use orderly_model::task::TaskStatus;
use orderly_signing::instance::InstanceId;
use sqlx::{QueryBuilder, Row as _};

use super::super::CHUNK;
use super::{Db, Reader, Row, digest_or_none, parsed};
use crate::store::StoreError;
use crate::store::row::{InstanceKey, InvocationKey, ResultRow, TaskRow};

/// The status with a number of the store.
pub(super) fn status(code: i32) -> Result<TaskStatus, StoreError> {
    TaskStatus::from_code(code.into()).ok_or_else(|| StoreError::Row { table: "tasks", value: code.to_string() })
}

/// The number of a status in the store.
pub(super) fn code(status: TaskStatus) -> i32 {
    i32::try_from(status.code()).unwrap_or(i32::MAX)
}

const TASK: &str = "SELECT t.instance_id, i.uid, i.name, t.status, t.generation, t.exit_code, t.code, r.reason, \
     r.check_code, t.started_ms, t.finished_ms, t.output_bytes, t.dropped_bytes, t.output_digest FROM tasks t \
     JOIN instances i ON i.id = t.instance_id \
     LEFT JOIN results r ON r.invocation_id = t.invocation_id AND r.instance_id = t.instance_id \
     WHERE t.invocation_id = ";

/// How many columns [`task`] reads.
pub(super) const COLUMNS: usize = 14;

/// A task in a row that begins with these columns, in this order.
pub(super) fn task(row: &Row) -> Result<TaskRow, StoreError> {
    Ok(TaskRow {
        instance: row.try_get(0)?,
        instance_uid: parsed("instances", row.try_get(1)?)?,
        instance_name: row.try_get(2)?,
        status: status(row.try_get(3)?)?,
        generation: row.try_get(4)?,
        exit_code: row.try_get(5)?,
        code: row.try_get(6)?,
        reason: row.try_get(7)?,
        check: row.try_get(8)?,
        started_ms: row.try_get(9)?,
        finished_ms: row.try_get(10)?,
        output_bytes: row.try_get(11)?,
        dropped_bytes: row.try_get(12)?,
        output_digest: digest_or_none(row.try_get(13)?)?,
    })
}

impl Reader {
    pub(in crate::store) async fn tasks(
        &self,
        invocation: InvocationKey,
        only: Option<TaskStatus>,
        after: InstanceKey,
        limit: i64,
    ) -> Result<Vec<TaskRow>, StoreError> {
        let mut query = QueryBuilder::<Db>::new(TASK);
        query.push_bind(invocation).push(" AND t.instance_id > ").push_bind(after);
        if let Some(status) = only {
            query.push(" AND t.status = ").push_bind(code(status));
        }
        query.push(" ORDER BY t.instance_id LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(task).collect()
    }

    pub(in crate::store) async fn tasks_of(
        &self,
        invocation: InvocationKey,
        instances: &[InstanceKey],
    ) -> Result<Vec<TaskRow>, StoreError> {
        let mut found = Vec::with_capacity(instances.len());
        for chunk in instances.chunks(CHUNK) {
            let mut query = QueryBuilder::<Db>::new(TASK);
            query.push_bind(invocation).push(" AND t.instance_id IN (");
            let mut list = query.separated(", ");
            for instance in chunk {
                list.push_bind(*instance);
            }
            query.push(")");
            let persistent = chunk.len() == CHUNK || chunk.len() == 1;
            for row in query.build().persistent(persistent).fetch_all(&self.pool).await? {
                found.push(task(&row)?);
            }
        }
        Ok(found)
    }

    /// Whether an invocation is for an instance.
    pub(in crate::store) async fn is_target(
        &self,
        invocation: &str,
        instance: InstanceKey,
    ) -> Result<bool, StoreError> {
        let row: Option<(InstanceKey,)> = sqlx::query_as::<Db, _>(
            "SELECT t.instance_id FROM invocations v JOIN tasks t ON t.invocation_id = v.id \
             WHERE v.uid = $1 AND t.instance_id = $2",
        )
        .bind(invocation)
        .bind(instance)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.is_some())
    }

    pub(in crate::store) async fn result(
        &self,
        invocation: InvocationKey,
        instance: InstanceKey,
    ) -> Result<Option<ResultRow>, StoreError> {
        let row = sqlx::query::<Db>(
            "SELECT receipt, output, report FROM results WHERE invocation_id = $1 AND instance_id = $2",
        )
        .bind(invocation)
        .bind(instance)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        Ok(Some(ResultRow { receipt: row.try_get(0)?, output: row.try_get(1)?, report: row.try_get(2)? }))
    }

    pub(in crate::store) async fn results(
        &self,
        invocation: InvocationKey,
        instances: RangeInclusive<InstanceKey>,
    ) -> Result<Vec<(InstanceKey, ResultRow)>, StoreError> {
        let rows = sqlx::query::<Db>(
            "SELECT instance_id, receipt, output, report FROM results \
             WHERE invocation_id = $1 AND instance_id >= $2 AND instance_id <= $3 ORDER BY instance_id",
        )
        .bind(invocation)
        .bind(*instances.start())
        .bind(*instances.end())
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let result = ResultRow { receipt: row.try_get(1)?, output: row.try_get(2)?, report: row.try_get(3)? };
                Ok((row.try_get(0)?, result))
            })
            .collect()
    }

    pub(in crate::store) async fn output(
        &self,
        invocation: InvocationKey,
        instance: InstanceKey,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query::<Db>("SELECT output FROM results WHERE invocation_id = $1 AND instance_id = $2")
            .bind(invocation)
            .bind(instance)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Every instance of an invocation, sorted by id.
    pub(in crate::store) async fn targets(&self, invocation: InvocationKey) -> Result<Vec<InstanceId>, StoreError> {
        let rows = sqlx::query::<Db>(
            "SELECT i.uid FROM tasks t JOIN instances i ON i.id = t.instance_id WHERE t.invocation_id = $1",
        )
        .bind(invocation)
        .fetch_all(&self.pool)
        .await?;
        let mut found =
            rows.iter().map(|row| parsed("instances", row.try_get(0)?)).collect::<Result<Vec<InstanceId>, _>>()?;
        // Sorted here: databases differ in how they compare texts.
        found.sort_unstable();
        Ok(found)
    }
}
