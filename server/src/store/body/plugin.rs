//! Plugins and blobs.

use orderly_signing::digest::Digest;
use sqlx::{QueryBuilder, Row as _};

use super::{Conn, Db, Reader, Row, digest};
use crate::store::StoreError;
use crate::store::change::Answer;
use crate::store::row::{AddOutcome, PluginDocuments, PluginRow};

pub(super) async fn add(
    conn: &mut Conn,
    plugin: &PluginRow,
    documents: &PluginDocuments,
) -> Result<Answer, StoreError> {
    let done = sqlx::query::<Db>(
        "INSERT INTO plugins (name, version, summary, component, component_bytes, manifest_digest, publisher, tier, \
         capabilities, created_ms, manifest, statement) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (name, version) DO NOTHING",
    )
    .bind(&plugin.name)
    .bind(&plugin.version)
    .bind(&plugin.summary)
    .bind(&plugin.component.as_bytes()[..])
    .bind(plugin.component_bytes)
    .bind(&plugin.manifest_digest.as_bytes()[..])
    .bind(&plugin.publisher)
    .bind(&plugin.tier)
    .bind(&plugin.capabilities)
    .bind(plugin.created_ms)
    .bind(&documents.manifest)
    .bind(&documents.statement)
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() > 0 {
        return Ok(Answer::Added(AddOutcome::Stored));
    }
    let same: Option<(i64,)> = sqlx::query_as::<Db, _>(
        "SELECT id FROM plugins WHERE name = $1 AND version = $2 AND component = $3 AND manifest_digest = $4",
    )
    .bind(&plugin.name)
    .bind(&plugin.version)
    .bind(&plugin.component.as_bytes()[..])
    .bind(&plugin.manifest_digest.as_bytes()[..])
    .fetch_optional(conn)
    .await?;
    Ok(Answer::Added(if same.is_some() { AddOutcome::Stored } else { AddOutcome::Conflict }))
}

pub(super) async fn set_approval(
    conn: &mut Conn,
    plugin: i64,
    revision: i64,
    approval: &[u8],
) -> Result<Answer, StoreError> {
    let done = sqlx::query::<Db>(
        "UPDATE plugins SET approval = $1, approval_revision = $2 \
         WHERE id = $3 AND (approval_revision IS NULL OR approval_revision < $2 OR approval = $1)",
    )
    .bind(approval)
    .bind(revision)
    .bind(plugin)
    .execute(conn)
    .await?;
    Ok(Answer::Found(done.rows_affected() > 0))
}

pub(super) async fn add_blob(
    conn: &mut Conn,
    digest: &Digest,
    bytes: i64,
    created_ms: i64,
) -> Result<Answer, StoreError> {
    sqlx::query::<Db>(
        "INSERT INTO blobs (digest, bytes, created_ms) VALUES ($1, $2, $3) \
         ON CONFLICT (digest) DO UPDATE SET created_ms = EXCLUDED.created_ms",
    )
    .bind(&digest.as_bytes()[..])
    .bind(bytes)
    .bind(created_ms)
    .execute(conn)
    .await?;
    Ok(Answer::Done)
}

/// The columns of a plugin without its documents.
const PLUGIN: &str = "SELECT id, name, version, summary, component, component_bytes, manifest_digest, publisher, tier, \
     capabilities, approval_revision, created_ms";

/// The columns of its documents, which follow those.
const DOCUMENTS: &str = ", manifest, statement, approval";

fn plugin(row: &Row) -> Result<PluginRow, StoreError> {
    Ok(PluginRow {
        key: row.try_get(0)?,
        name: row.try_get(1)?,
        version: row.try_get(2)?,
        summary: row.try_get(3)?,
        component: digest(row.try_get(4)?)?,
        component_bytes: row.try_get(5)?,
        manifest_digest: digest(row.try_get(6)?)?,
        publisher: row.try_get(7)?,
        tier: row.try_get(8)?,
        capabilities: row.try_get(9)?,
        approval_revision: row.try_get(10)?,
        created_ms: row.try_get(11)?,
    })
}

/// Asks for plugins with their documents.
fn whole() -> QueryBuilder<Db> {
    let mut query = QueryBuilder::new(PLUGIN);
    query.push(DOCUMENTS).push(" FROM plugins");
    query
}

fn with_documents(row: &Row) -> Result<(PluginRow, PluginDocuments), StoreError> {
    let documents =
        PluginDocuments { manifest: row.try_get(12)?, statement: row.try_get(13)?, approval: row.try_get(14)? };
    Ok((plugin(row)?, documents))
}

impl Reader {
    /// All plugins, or all versions of one, by name and then as they came.
    pub(in crate::store) async fn plugins(&self, name: Option<&str>) -> Result<Vec<PluginRow>, StoreError> {
        let mut query = QueryBuilder::<Db>::new(PLUGIN);
        query.push(" FROM plugins");
        if let Some(name) = name {
            query.push(" WHERE name = ").push_bind(name);
        }
        let rows = query.push(" ORDER BY name, id").build().fetch_all(&self.pool).await?;
        rows.iter().map(plugin).collect()
    }

    pub(in crate::store) async fn plugin(
        &self,
        name: &str,
        version: &str,
    ) -> Result<Option<(PluginRow, PluginDocuments)>, StoreError> {
        let mut query = whole();
        query.push(" WHERE name = ").push_bind(name).push(" AND version = ").push_bind(version);
        let row = query.build().fetch_optional(&self.pool).await?;
        row.as_ref().map(with_documents).transpose()
    }

    pub(in crate::store) async fn plugin_by_key(
        &self,
        key: i64,
    ) -> Result<Option<(PluginRow, PluginDocuments)>, StoreError> {
        let mut query = whole();
        query.push(" WHERE id = ").push_bind(key);
        let row = query.build().fetch_optional(&self.pool).await?;
        row.as_ref().map(with_documents).transpose()
    }

    /// The size of a blob that may be served.
    pub(in crate::store) async fn blob(&self, digest: &Digest) -> Result<Option<i64>, StoreError> {
        let row: Option<(i64,)> = sqlx::query_as::<Db, _>("SELECT bytes FROM blobs WHERE digest = $1")
            .bind(&digest.as_bytes()[..])
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|(bytes,)| bytes))
    }
}
