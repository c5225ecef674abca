//! Results that are alike, put together by the database: one statement, however many tasks there are.

use sqlx::{QueryBuilder, Row as _};

use super::task::status;
use super::{Db, Reader, digest_or_none, parsed};
use crate::store::StoreError;
use crate::store::row::{AlikeRow, InstanceKey, InvocationKey, Likeness, ReportRow};

/// What tasks of one group have in common.
const fn columns(likeness: Likeness) -> &'static str {
    match likeness {
        Likeness::Output => "status, output_digest",
        Likeness::Exit => "status, exit_code, code",
    }
}

impl Reader {
    /// The first `members` of each of the `limit` largest groups, group by group.
    pub(in crate::store) async fn alike(
        &self,
        invocation: InvocationKey,
        likeness: Likeness,
        members: i64,
        limit: i64,
    ) -> Result<Vec<AlikeRow>, StoreError> {
        let common = columns(likeness);
        let mut query = QueryBuilder::<Db>::new(
            "WITH t AS (SELECT instance_id, status, exit_code, code, output_digest, COUNT(*) OVER w AS n, \
             MIN(instance_id) OVER w AS lead, ROW_NUMBER() OVER (PARTITION BY ",
        );
        query.push(common).push(" ORDER BY instance_id) AS nth FROM tasks WHERE invocation_id = ");
        query.push_bind(invocation).push(" WINDOW w AS (PARTITION BY ").push(common);
        query.push(")), g AS (SELECT t.*, DENSE_RANK() OVER (ORDER BY n DESC, lead) AS grp FROM t WHERE nth <= ");
        query.push_bind(members).push(
            ") SELECT g.grp, g.n, (SELECT MAX(grp) FROM g), g.instance_id, i.uid, i.name, g.status, g.exit_code, \
             g.code, g.output_digest FROM g JOIN instances i ON i.id = g.instance_id WHERE g.grp <= ",
        );
        query.push_bind(limit).push(" ORDER BY g.grp, g.nth");
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(AlikeRow {
                    group: row.try_get(0)?,
                    count: row.try_get(1)?,
                    groups: row.try_get(2)?,
                    instance: row.try_get(3)?,
                    instance_uid: parsed("instances", row.try_get(4)?)?,
                    instance_name: row.try_get(5)?,
                    status: status(row.try_get(6)?)?,
                    exit_code: row.try_get(7)?,
                    code: row.try_get(8)?,
                    output_digest: digest_or_none(row.try_get(9)?)?,
                })
            })
            .collect()
    }

    /// A page of the reports of an invocation, by the instance's key.
    pub(in crate::store) async fn reports(
        &self,
        invocation: InvocationKey,
        after: InstanceKey,
        limit: i64,
    ) -> Result<Vec<ReportRow>, StoreError> {
        let rows = sqlx::query::<Db>(
            "SELECT r.instance_id, i.uid, i.name, r.report FROM results r JOIN instances i ON i.id = r.instance_id \
             WHERE r.invocation_id = $1 AND r.instance_id > $2 AND r.report IS NOT NULL ORDER BY r.instance_id LIMIT $3",
        )
        .bind(invocation)
        .bind(after)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ReportRow {
                    instance: row.try_get(0)?,
                    instance_uid: parsed("instances", row.try_get(1)?)?,
                    instance_name: row.try_get(2)?,
                    report: row.try_get(3)?,
                })
            })
            .collect()
    }
}
