//! Saved groups of instances.

use sqlx::{QueryBuilder, Row as _};

use super::{Conn, Db, Reader, Row};
use crate::store::StoreError;
use crate::store::change::Answer;
use crate::store::row::GroupRow;

/// Stores a group under a name that is free.
pub(super) async fn add(conn: &mut Conn, group: &GroupRow) -> Result<Answer, StoreError> {
    let done = sqlx::query::<Db>(
        "INSERT INTO instance_groups (name, selector, created_ms, created_by) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(&group.name)
    .bind(&group.selector)
    .bind(group.created_ms)
    .bind(&group.created_by)
    .execute(conn)
    .await?;
    Ok(Answer::Found(done.rows_affected() > 0))
}

pub(super) async fn remove(conn: &mut Conn, name: &str) -> Result<Answer, StoreError> {
    let done = sqlx::query::<Db>("DELETE FROM instance_groups WHERE name = $1").bind(name).execute(conn).await?;
    Ok(Answer::Found(done.rows_affected() > 0))
}

const GROUP: &str = "SELECT name, selector, created_ms, created_by FROM instance_groups";

fn group(row: &Row) -> Result<GroupRow, StoreError> {
    Ok(GroupRow {
        name: row.try_get(0)?,
        selector: row.try_get(1)?,
        created_ms: row.try_get(2)?,
        created_by: row.try_get(3)?,
    })
}

impl Reader {
    /// A page of groups by name.
    pub(in crate::store) async fn groups(&self, after: &str, limit: i64) -> Result<Vec<GroupRow>, StoreError> {
        let mut query = QueryBuilder::<Db>::new(GROUP);
        query.push(" WHERE name > ").push_bind(after).push(" ORDER BY name LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.pool).await?;
        rows.iter().map(group).collect()
    }

    pub(in crate::store) async fn group(&self, name: &str) -> Result<Option<GroupRow>, StoreError> {
        let mut query = QueryBuilder::<Db>::new(GROUP);
        query.push(" WHERE name = ").push_bind(name);
        let row = query.build().fetch_optional(&self.pool).await?;
        row.as_ref().map(group).transpose()
    }
}
